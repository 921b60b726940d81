//! `prices import`: the price file of another program, as override files of ours.
//!
//! What is not understood stands in the file as a comment beside its model, and a model that cannot be written stands at the top with
//! the reason: nothing is dropped without a word. Each file is read back before it is given out.

mod litellm;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;
use ledgerline_pricing::PriceBook;

use super::PricesError;

/// Reads LiteLLM's model_prices_and_context_window.json. Look the file through before you use it: an override counts before the published
/// prices, and a unit that it does not price is unpriced.
#[derive(Debug, Args)]
pub struct Import {
    /// The file
    file: PathBuf,
    /// Only this provider, in our name for it: azure.ai.openai
    #[arg(long)]
    provider: Option<String>,
    /// Only models whose name holds this text
    #[arg(long, value_name = "TEXT")]
    model: Option<String>,
    /// Write PROVIDER.yaml for each provider into this directory; without it, one provider is printed
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

/// The lines of each model of a provider, and those that cannot be written with the reason.
#[derive(Debug, Default)]
struct Imported {
    models: BTreeMap<String, String>,
    left_out: BTreeMap<String, String>,
}

impl Import {
    pub(super) fn text(&self, now_unix_ns: u64) -> Result<String, PricesError> {
        let text = std::fs::read_to_string(&self.file);
        let text = text.map_err(|source| PricesError::Read { path: self.file.clone(), source })?;
        let name = self.file.file_name().unwrap_or_default().to_string_lossy();
        let mut providers = litellm::read(&text)
            .map_err(|source| PricesError::NotLiteLlm { path: self.file.clone(), source })?;
        providers.retain(|provider, _| self.provider.as_ref().is_none_or(|wanted| wanted == provider));
        for imported in providers.values_mut() {
            let wanted =
                |model: &String| self.model.as_ref().is_none_or(|text| model.contains(text.as_str()));
            imported.models.retain(|model, _| wanted(model));
            imported.left_out.retain(|model, _| wanted(model));
        }
        providers.retain(|_, imported| !imported.models.is_empty() || !imported.left_out.is_empty());
        let day = day(now_unix_ns);
        let files = providers.into_iter().map(|(provider, imported)| {
            let text = file(&provider, imported, &format!("LiteLLM's {name}"), &day);
            (provider, text)
        });
        let files: Vec<(String, String)> = files.collect();
        match (&self.output, files.as_slice()) {
            (Some(directory), _) => {
                files.iter().map(|(provider, text)| write(directory, provider, text)).collect()
            }
            (None, [(_, text)]) => Ok(text.clone()),
            (None, _) => {
                let names: Vec<_> = files.iter().map(|(provider, _)| provider.as_str()).collect();
                Err(PricesError::SeveralProviders(names.join(", ")))
            }
        }
    }
}

fn day(now_unix_ns: u64) -> String {
    let now = Timestamp::from_nanosecond(i128::from(now_unix_ns)).unwrap_or_default();
    now.strftime("%Y-%m-%d").to_string()
}

fn write(directory: &std::path::Path, provider: &str, text: &str) -> Result<String, PricesError> {
    let path = directory.join(format!("{}.yaml", provider.replace('/', "-")));
    let written = std::fs::create_dir_all(directory).and_then(|()| std::fs::write(&path, text));
    written.map_err(|source| PricesError::Read { path: path.clone(), source })?;
    let models = text.lines().filter(|line| line.starts_with("  \"")).count();
    let not_imported = text.matches("# not imported").count();
    let left_out = text.matches("\n# left out: ").count();
    Ok(format!(
        "{}: models {models}, left out {left_out}, prices not imported {not_imported}\n",
        path.display()
    ))
}

/// A price file that our reader takes. A model that it does not take is left out, with the reader's reason.
fn file(provider: &str, mut imported: Imported, source: &str, day: &str) -> String {
    loop {
        let text = yaml(provider, &imported, source, day);
        let Err(problems) = PriceBook::parse(&[("import", &text)]) else { return text };
        let before = imported.models.len();
        for problem in problems {
            if let Some(model) = problem.model.filter(|model| imported.models.remove(model).is_some()) {
                imported.left_out.insert(model, format!("{}: {}", problem.field, problem.message));
            }
        }
        if imported.models.len() == before {
            return text;
        }
    }
}

fn yaml(provider: &str, imported: &Imported, source: &str, day: &str) -> String {
    let mut text = format!("# Imported from {source} by `prices import` on {day}.\n");
    for (model, reason) in &imported.left_out {
        text.push_str(&format!("# left out: {}: {}\n", model.escape_debug(), reason.escape_debug()));
    }
    text.push_str(&format!("provider: {provider:?}\nsource: {source:?}\nread_on: {day:?}\n"));
    text.push_str(if imported.models.is_empty() { "models: {}\n" } else { "models:\n" });
    for (model, lines) in &imported.models {
        text.push_str(&format!("  {}:\n{lines}", serde_json::Value::from(model.as_str())));
    }
    text
}
