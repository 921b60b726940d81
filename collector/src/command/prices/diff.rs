//! `prices diff`: what changes, by model and unit.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use ledgerline_pricing::{Entry, EntryPrice, PriceBook};
use serde_json::{Value, json};

use super::table::aligned;
use super::{Asked, PricesError, pretty, read};

/// One file is compared with the book that it would be an override of, model by model, at one time. Two files are compared with each
/// other, with all their history.
#[derive(Debug, Args)]
pub struct Diff {
    /// A price file
    file: PathBuf,
    /// Another, newer one
    other: Option<PathBuf>,
    #[command(flatten)]
    asked: Asked,
}

/// What a price says, by what it says it of.
type Facts = BTreeMap<String, String>;

/// By provider and model, and with history by the beginning of the price.
type Models = BTreeMap<(String, String, String), Facts>;

struct Change {
    key: (String, String, String),
    what: String,
    before: Option<String>,
    after: Option<String>,
}

impl Diff {
    pub(super) fn text(&self, book: &PriceBook, now_unix_ns: u64) -> Result<String, PricesError> {
        let at_unix_ns = self.asked.at_unix_ns(now_unix_ns)?;
        let changes = match &self.other {
            Some(other) => {
                let [one, other] = [&self.file, other].map(|file| read(std::slice::from_ref(file)));
                between(&history(&self.asked.of(&one?)), &history(&self.asked.of(&other?)))
            }
            None => {
                let file = read(std::slice::from_ref(&self.file))?;
                let after = valid(&self.asked.of(&book.with_overrides(&file)), at_unix_ns);
                let before = valid(&self.asked.of(book), at_unix_ns);
                between(&before, &after)
            }
        };
        Ok(if self.asked.json { json_text(&changes) } else { plain_text(&changes) })
    }
}

/// What prices calls of that moment.
fn valid(book: &PriceBook, at_unix_ns: u64) -> Models {
    let used = |entry: Entry| {
        let price = entry.prices.get(entry.used?)?;
        let facts = facts(&entry, price).collect();
        Some(((entry.provider, entry.model, String::new()), facts))
    };
    book.entries(at_unix_ns).into_iter().filter_map(used).collect()
}

/// All prices of all times.
fn history(book: &PriceBook) -> Models {
    let mut models = Models::new();
    for entry in book.entries(0) {
        for price in &entry.prices {
            let from = price.from.clone().unwrap_or_else(|| "start".to_owned());
            let names = entry.names.iter().map(|name| (format!("name {name}"), "answers".to_owned()));
            let until = price.until.iter().map(|until| ("until".to_owned(), until.clone()));
            let facts = facts(&entry, price).chain(names).chain(until).collect();
            models.insert((entry.provider.clone(), entry.model.clone(), from), facts);
        }
    }
    models
}

fn facts(entry: &Entry, price: &EntryPrice) -> impl Iterator<Item = (String, String)> {
    let currency = (entry.currency != "USD").then(|| ("currency".to_owned(), entry.currency.clone()));
    let all = entry.for_all.iter().map(|(when, effect)| (format!("all models when {when}"), effect.clone()));
    let retires = entry.retires.iter().map(|(day, _)| ("retires".to_owned(), day.clone()));
    let facts: Vec<_> = price.facts().into_iter().chain(currency).chain(all).chain(retires).collect();
    facts.into_iter()
}

fn between(before: &Models, after: &Models) -> Vec<Change> {
    let nothing = Facts::new();
    let mut changes = Vec::new();
    for key in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
        let [before, after] = [before, after].map(|models| models.get(key).unwrap_or(&nothing));
        for what in before.keys().chain(after.keys()).collect::<BTreeSet<_>>() {
            let (before, after) = (before.get(what).cloned(), after.get(what).cloned());
            if before != after {
                changes.push(Change { key: key.clone(), what: what.clone(), before, after });
            }
        }
    }
    changes
}

fn plain_text(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "no difference\n".to_owned();
    }
    let row = |Change { key: (provider, model, from), what, before, after }: &Change| {
        let from = if from.is_empty() { String::new() } else { format!("@{from}") };
        let (sign, value) = match (before, after) {
            (None, Some(after)) => ("+", after.clone()),
            (Some(before), None) => ("-", before.clone()),
            (before, after) => {
                let [before, after] = [before, after].map(|text| text.clone().unwrap_or_default());
                ("~", format!("{before} -> {after}"))
            }
        };
        [sign.to_owned(), format!("{provider}/{model}{from}"), what.clone(), value]
    };
    aligned(&changes.iter().map(row).collect::<Vec<_>>())
}

fn json_text(changes: &[Change]) -> String {
    let change = |Change { key: (provider, model, from), what, before, after }: &Change| {
        let from = Some(from).filter(|from| !from.is_empty());
        json!({"provider": provider, "model": model, "from": from, "what": what, "before": before, "after": after})
    };
    pretty(&Value::Array(changes.iter().map(change).collect()))
}
