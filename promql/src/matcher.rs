//! Pure: one label matcher. Regular expressions mean what they mean in Prometheus: RE2's reading of the classes, fully anchored, a
//! dot matches a newline. A missing label has the empty value.

use regex::{Regex, RegexBuilder};

use super::error::QueryError;
use super::labels::Labels;
use super::limits::{REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX};
use super::re2;
pub use super::syntax::MatchKind;

/// `name <kind> "value"`.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// How it compares.
    pub kind: MatchKind,
    /// The value or pattern as written, not anchored.
    pub value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// Builds a matcher; a pattern that does not compile is an error that names it.
    pub fn new(
        name: impl Into<String>,
        kind: MatchKind,
        value: impl Into<String>,
    ) -> Result<Self, QueryError> {
        Self::within(name, kind, value, REGEX_COMPILED_BYTES_MAX)
    }

    /// As [`new`](Self::new), and a pattern must compile within this many bytes.
    pub(crate) fn within(
        name: impl Into<String>,
        kind: MatchKind,
        value: impl Into<String>,
        regex_bytes_max: usize,
    ) -> Result<Self, QueryError> {
        let (name, value) = (name.into(), value.into());
        let regex = match kind {
            MatchKind::Equal | MatchKind::NotEqual => None,
            MatchKind::Regex | MatchKind::NotRegex => Some(compile(&value, regex_bytes_max)?),
        };
        Ok(Self { name, kind, value, regex })
    }

    /// Whether a value (empty for a missing label) satisfies the matcher.
    pub fn matches(&self, value: &str) -> bool {
        match (self.kind, &self.regex) {
            (MatchKind::Equal, _) => self.value == value,
            (MatchKind::NotEqual, _) => self.value != value,
            (MatchKind::Regex, Some(regex)) => regex.is_match(value),
            (MatchKind::NotRegex, Some(regex)) => !regex.is_match(value),
            (MatchKind::Regex | MatchKind::NotRegex, None) => false,
        }
    }

    /// Whether every matcher accepts these labels.
    pub fn all_match(matchers: &[Self], labels: &Labels) -> bool {
        matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name)))
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.kind, &self.value) == (&other.name, other.kind, &other.value)
    }
}

/// Compiles a pattern as Prometheus does: anchored at both ends, a dot matches everything.
pub fn anchored_regex(pattern: &str) -> Result<Regex, QueryError> {
    compile(pattern, REGEX_COMPILED_BYTES_MAX)
}

fn compile(pattern: &str, bytes_max: usize) -> Result<Regex, QueryError> {
    let fail = |reason: String| QueryError::Regex { pattern: pattern.chars().take(80).collect(), reason };
    if pattern.len() > REGEX_BYTES_MAX {
        return Err(fail(format!("{} bytes, the limit is {REGEX_BYTES_MAX}", pattern.len())));
    }
    let translated = re2::translate(pattern).map_err(fail)?;
    RegexBuilder::new(&format!("^(?s:{translated})$"))
        .size_limit(bytes_max)
        .dfa_size_limit(bytes_max)
        .build()
        .map_err(|error| fail(error.to_string().lines().last().unwrap_or_default().to_owned()))
}
