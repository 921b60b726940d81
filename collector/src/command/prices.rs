//! `prices`: what the price book says, compared, checked and explained, whether a collector runs or not.
//!
//! The book is the one that the collector has: the published files that this build carries, below the overrides of the configuration.
//! Without a configuration at the usual place it is the published files alone. Nothing here changes a call that is stored.

mod check;
mod diff;
mod explain;
mod import;
mod list;
mod show;
pub(crate) mod table;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ledgerline_pricing::{Entry, PriceBook, PriceBookProblem};
use ledgerline_process::config::ConfigError;
use ledgerline_store::client::StoreError;
use serde_json::{Map, Value, json};

use super::store::AttachError;
use crate::config::{DEFAULT_PATH, price_book};

/// What to do with the price book.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the models that have a price, with their standard prices
    List(list::List),
    /// Show everything that the book says of a model
    Show(show::Show),
    /// Say what a price file changes, or how two of them differ
    Diff(diff::Diff),
    /// Print the arithmetic of a call's bill, line by line
    Explain(explain::Explain),
    /// Turn another program's price file into override files
    Import(import::Import),
    /// Say everything that is wrong with price files, or worth a look in the book
    Check(check::Check),
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum PricesError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("cannot read {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}", list_of(.0))]
    Problems(Vec<PriceBookProblem>),
    #[error("--at: `{0}` is no time; write for example 2026-11-24 or 2026-11-24T16:30:00Z (UTC)")]
    Time(String),
    #[error("no price file names {0}; `prices list --model TEXT` finds names that hold a text")]
    UnknownModel(String),
    #[error("{} is no price file of LiteLLM: an object of models, each an object", path.display())]
    NotLiteLlm { path: PathBuf, source: serde_json::Error },
    #[error(
        "the file has prices of several providers, and a price file is about one: choose with --provider, or give --output DIR; there are {0}"
    )]
    SeveralProviders(String),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error("the store does not answer as it should")]
    Store(#[from] StoreError),
    #[error("no such call of trace {trace} is stored; {stored}")]
    UnknownCall { trace: String, stored: String },
    #[error("cannot start")]
    Start(#[source] io::Error),
    #[error("cannot write")]
    Write(#[source] io::Error),
}

fn list_of(problems: &[PriceBookProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// Whose book, and when.
#[derive(Debug, Args)]
struct Asked {
    /// The book of this tenant: with its overrides and discounts; of a stored call, its owner
    #[arg(long)]
    tenant: Option<String>,
    /// Prices of this time, a day or a moment of UTC; now when not stated
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Asked {
    fn at_unix_ns(&self, now_unix_ns: u64) -> Result<u64, PricesError> {
        let Some(text) = &self.at else { return Ok(now_unix_ns) };
        let day = || TimeZone::UTC.to_timestamp(text.parse::<Date>().ok()?.at(0, 0, 0, 0)).ok();
        let moment = text.parse::<Timestamp>().ok().or_else(day);
        let nanos = moment.and_then(|moment| u64::try_from(moment.as_nanosecond()).ok());
        nanos.ok_or_else(|| PricesError::Time(text.clone()))
    }

    fn of(&self, book: &PriceBook) -> PriceBook {
        self.tenant.as_ref().map_or_else(|| book.clone(), |tenant| book.for_tenant(tenant))
    }
}

/// Does it, with the book of the configuration at that path; what it says goes to `out`.
pub fn run(
    config: &Path,
    command: &Command,
    now_unix_ns: u64,
    out: &mut dyn Write,
) -> Result<(), PricesError> {
    let book = book(config)?;
    let text = match command {
        Command::List(list) => list.text(&book, now_unix_ns)?,
        Command::Show(show) => show.text(&book, now_unix_ns)?,
        Command::Diff(diff) => diff.text(&book, now_unix_ns)?,
        Command::Explain(explain) => explain.text(config, &book, now_unix_ns)?,
        Command::Import(import) => import.text(now_unix_ns)?,
        Command::Check(check) => check.text(&book, now_unix_ns)?,
    };
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(PricesError::Write),
    }
}

fn book(config: &Path) -> Result<PriceBook, PricesError> {
    let is_usual = config == Path::new(DEFAULT_PATH);
    if is_usual && !config.exists() { Ok(PriceBook::embedded()) } else { Ok(price_book(config)?) }
}

/// A book of these files alone.
fn read(paths: &[PathBuf]) -> Result<PriceBook, PricesError> {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|source| PricesError::Read { path: path.clone(), source })?;
        Ok((path.display().to_string(), text))
    };
    let files = paths.iter().map(read).collect::<Result<Vec<_>, PricesError>>()?;
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    PriceBook::parse(&files).map_err(PricesError::Problems)
}

/// Whole days from now until the model retires; negative once it has. `None` where no file says when.
fn days_left(entry: &Entry, now_unix_ns: u64) -> Option<i64> {
    const DAY_NS: i128 = 86_400_000_000_000;
    let (_, retires_ns) = entry.retires.as_ref()?;
    i64::try_from((i128::from(*retires_ns) - i128::from(now_unix_ns)).div_euclid(DAY_NS)).ok()
}

/// `2026-12-01, in 4 days`.
fn retirement(entry: &Entry, now_unix_ns: u64) -> Option<String> {
    let (text, _) = entry.retires.as_ref()?;
    Some(match days_left(entry, now_unix_ns)? {
        days if days < 0 => format!("{text}, which has passed"),
        1 => format!("{text}, in 1 day"),
        days => format!("{text}, in {days} days"),
    })
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn json_of(entry: &Entry) -> Value {
    let clauses = |clauses: &[(String, String)]| -> Vec<Value> {
        clauses.iter().map(|(when, effect)| json!({"when": when, "effect": effect})).collect()
    };
    let prices = entry.prices.iter().enumerate().map(|(place, price)| {
        let units = price.units.iter().map(|(unit, text)| (unit.name().to_owned(), json!(text)));
        json!({
            "from": price.from,
            "until": price.until,
            "used": entry.used == Some(place),
            "units": units.collect::<Map<_, _>>(),
            "clauses": clauses(&price.clauses),
            "source": price.source,
            "read_on": price.read_on,
        })
    });
    json!({
        "provider": entry.provider,
        "model": entry.model,
        "names": entry.names,
        "layer": entry.layer,
        "inherited_from": entry.inherited_from,
        "file": entry.file,
        "currency": entry.currency,
        "retires": entry.retires.as_ref().map(|(text, _)| text),
        "for_all_models": clauses(&entry.for_all),
        "prices": prices.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests;
