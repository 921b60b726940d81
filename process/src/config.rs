//! A configuration file, read whole or not at all.
//!
//! A mistake must be found before a port opens, and all mistakes at once: unknown keys are collected with their paths,
//! a section's own checks add to the same list, and the person gets one report. Secrets come from the environment or
//! a file, never from the file itself, and print as `<redacted>`.

use std::fmt;
use std::path::{Path, PathBuf};

use http::Uri;
use serde::de::value::Error as WordError;
use serde::de::{DeserializeOwned, IntoDeserializer};
use serde::{Deserialize, Deserializer};

/// The largest configuration file that is read, 1 MiB: more is not a configuration.
pub const CONFIG_BYTES_MAX: u64 = 1 << 20;

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Problem {
    /// The key's path, for instance `upstreams[1].url`.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// Collects what is wrong.
#[derive(Debug, Default)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Adds one.
    pub fn push(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { path: path.into(), message: message.into() });
    }

    /// The value, or `None` and the reason as a problem: for what is read by somebody else's parser.
    pub fn take<T, E: fmt::Display>(&mut self, path: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.push(path, error.to_string())).ok()
    }

    /// The value if nothing is wrong, all the problems otherwise.
    pub fn into_result<T>(self, value: Option<T>) -> Result<T, Vec<Problem>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            _ => Err(self.0),
        }
    }
}

/// A configuration as written, which becomes settings that cannot be wrong. Everything is parsed here and once: addresses,
/// header names, secrets, the files that it names. What comes after has nothing left to refuse.
pub trait Resolve: DeserializeOwned {
    /// What the process is built from.
    type Settings;

    /// The settings, and every problem that the types do not exclude. `None` only where one was added. Opens no port.
    fn resolve(self, problems: &mut Problems) -> Option<Self::Settings>;
}

/// Why there is no configuration. `origin` is the name of the file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what is wrong")]
pub enum ConfigError {
    #[error(
        "cannot read the configuration {path}; name yours with --config FILE, as ledgerline-collector.example.yaml or, for an agent, \
         ledgerline-agent.example.yaml"
    )]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{0} is larger than 1 MiB, which no configuration is; check the path")]
    TooLarge(PathBuf),
    /// Not YAML, or a value of the wrong type. YAML readers stop at the first.
    #[error("{origin}: {message}; the reading ends here, so mend it and check again")]
    Parse { origin: String, message: String },
    /// Readable, but wrong. Every problem is listed.
    #[error("{origin}: {}", list(.problems))]
    Invalid { origin: String, problems: Vec<Problem> },
}

fn list(problems: &[Problem]) -> String {
    let count = if problems.len() == 1 { "1 problem" } else { &format!("{} problems", problems.len()) };
    problems.iter().fold(count.to_owned(), |list, problem| format!("{list}\n  - {problem}"))
}

/// Reads a configuration file and resolves it. The error's text is what the user reads.
pub fn load<C: Resolve>(path: &Path) -> Result<C::Settings, ConfigError> {
    let read = |source| ConfigError::Read { path: path.to_owned(), source };
    if std::fs::metadata(path).map_err(read)?.len() > CONFIG_BYTES_MAX {
        return Err(ConfigError::TooLarge(path.to_owned()));
    }
    let text = std::fs::read_to_string(path).map_err(read)?;
    parse::<C>(&path.display().to_string(), &text)
}

/// Resolves a configuration from text; `origin` names it in errors.
pub fn parse<C: Resolve>(origin: &str, text: &str) -> Result<C::Settings, ConfigError> {
    // An empty file is the configuration of defaults.
    let text = if text.trim().is_empty() { "{}" } else { text };
    let mut problems = Problems::default();
    let deserializer = yaml_serde::Deserializer::from_str(text);
    let origin = origin.to_owned();
    let ignored = |path: serde_ignored::Path<'_>| {
        let message = "is not a key of this configuration; remove it or correct its name";
        problems.push(readable(&path.to_string()), message);
    };
    match serde_ignored::deserialize::<_, _, C>(deserializer, ignored) {
        Err(error) => Err(ConfigError::Parse { origin, message: error.to_string() }),
        Ok(config) => {
            let settings = config.resolve(&mut problems);
            problems.into_result(settings).map_err(|problems| ConfigError::Invalid { origin, problems })
        }
    }
}

/// `serde_ignored` writes `upstreams.0.url` and `?` for an optional layer; people write `upstreams[0].url`.
fn readable(path: &str) -> String {
    let parts = path.split('.').filter(|part| *part != "?");
    parts.fold(String::new(), |text, part| match part.parse::<usize>() {
        Ok(index) => format!("{text}[{index}]"),
        Err(_) if text.is_empty() => part.to_owned(),
        Err(_) => format!("{text}.{part}"),
    })
}

/// An address to connect to, taken apart. The error is a text for the user.
pub fn parse_base_url(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("`{text}` is not a URL: {error}"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(format!("`{text}` must start with http:// or https://"));
    }
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.is_empty() || authority.contains('@') {
        return Err(format!("`{text}` must name a host, without user and password"));
    }
    if uri.query().is_some() || text.contains('#') {
        return Err(format!("`{text}` must have neither a query nor a fragment"));
    }
    Ok(uri)
}

/// A word of a list, such as the variants of an enum. One that is not in the list does not end the reading of the file: it is told with
/// all the other problems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word<T>(Result<T, String>);

impl<T> From<T> for Word<T> {
    fn from(meant: T) -> Self {
        Self(Ok(meant))
    }
}

impl<T: Default> Default for Word<T> {
    fn default() -> Self {
        T::default().into()
    }
}

impl<T: Clone> Word<T> {
    /// What is meant; otherwise `None` and a problem that names the words there are.
    pub fn resolve(&self, path: &str, problems: &mut Problems) -> Option<T> {
        problems.take(path, self.0.clone())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Word<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let meant: Result<T, WordError> = T::deserialize(text.into_deserializer());
        Ok(Self(meant.map_err(|error| error.to_string())))
    }
}

/// Where a secret is kept. The configuration names the place: `{env: NAME}` or `{file: path}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SecretPlace")]
pub enum Secret {
    /// An environment variable.
    Env(String),
    /// A file, whose trailing newline is not part of the secret.
    File(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretPlace {
    env: Option<String>,
    file: Option<PathBuf>,
}

impl TryFrom<SecretPlace> for Secret {
    type Error = &'static str;

    fn try_from(place: SecretPlace) -> Result<Self, Self::Error> {
        match place {
            SecretPlace { env: Some(name), file: None } => Ok(Self::Env(name)),
            SecretPlace { env: None, file: Some(path) } => Ok(Self::File(path)),
            _ => Err("a secret names its place: either {env: NAME} or {file: path}"),
        }
    }
}

impl Secret {
    /// Reads the secret. The error is a text for the user.
    pub fn read(&self) -> Result<SecretText, String> {
        let text = match self {
            Self::Env(name) => {
                std::env::var(name).map_err(|_| format!("environment variable {name} is not set"))?
            }
            Self::File(path) => std::fs::read_to_string(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?,
        };
        let text = text.trim_end_matches(['\r', '\n']);
        if text.is_empty() { Err("the secret is empty".to_owned()) } else { Ok(SecretText(text.to_owned())) }
    }
}

/// A secret in memory. It prints as `<redacted>`.
#[derive(Clone)]
pub struct SecretText(String);

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl SecretText {
    /// The secret itself, for the one place that sends or compares it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<redacted>")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Debug, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
        Green,
    }

    #[derive(Debug, Deserialize)]
    struct Upstream {
        url: String,
        colour: Option<Word<Colour>>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Config {
        workers: u32,
        upstreams: Vec<Upstream>,
        token: Option<Secret>,
    }

    impl Resolve for Config {
        type Settings = Self;

        fn resolve(self, problems: &mut Problems) -> Option<Self> {
            for (index, upstream) in self.upstreams.iter().enumerate() {
                if !upstream.url.starts_with("http") {
                    problems.push(format!("upstreams[{index}].url"), "must start with http:// or https://");
                }
                if let Some(colour) = &upstream.colour {
                    let _meant = colour.resolve(&format!("upstreams[{index}].colour"), problems);
                }
            }
            Some(self)
        }
    }

    #[test]
    fn every_problem_is_reported_at_once_with_its_path() {
        let error =
            parse::<Config>("a.yaml", "wrokers: 1\nupstreams: [{colour: blue, url: ftp://x, dialcet: y}, {url: 'http://x', colour: red}]\n")
                .unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("a.yaml: 4 problems"), "{text}");
        for part in [
            "- wrokers: is not a key",
            "- upstreams[0].dialcet: is not",
            "- upstreams[0].url: must start",
            "- upstreams[0].colour: unknown variant `blue`, expected `red` or `green`",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
    }

    #[test]
    fn an_empty_file_is_the_defaults_and_what_cannot_be_a_configuration_is_named() {
        assert_eq!(parse::<Config>("a.yaml", " \n").unwrap().workers, 0);
        let text = parse::<Config>("a.yaml", "workers: many\n").unwrap_err().to_string();
        assert!(text.contains("a.yaml: workers") && text.contains("line 1"), "{text}");
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("big.yaml");
        let unread = load::<Config>(&path).unwrap_err().to_string();
        assert!(unread.contains("cannot read") && unread.contains("--config FILE"), "{unread}");
        std::fs::write(&path, vec![b'#'; 1 << 21]).unwrap();
        assert!(load::<Config>(&path).unwrap_err().to_string().contains("larger than 1 MiB"));
    }

    #[test]
    fn a_secret_is_read_from_its_place_and_never_printed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "s3cret\n").unwrap();
        let yaml = format!("token: {{file: {}}}", path.display());
        let secret = parse::<Config>("a", &yaml).unwrap().token.unwrap().read().unwrap();
        assert_eq!(secret.expose(), "s3cret");
        assert_eq!(format!("{secret:?}"), "<redacted>");
        let unset = Secret::Env("LEDGERLINE_TEST_UNSET".into()).read().unwrap_err();
        assert!(unset.contains("LEDGERLINE_TEST_UNSET is not set"));
        let plain = parse::<Config>("a", "token: {env: A, file: b}").unwrap_err().to_string();
        assert!(plain.contains("either {env: NAME} or {file: path}"), "{plain}");
        std::fs::write(&path, "\n").unwrap();
        assert_eq!(Secret::File(path).read().unwrap_err(), "the secret is empty");
    }
}
