//! `prices show`: everything that the book says of a model.

use clap::Args;
use ledgerline_pricing::{Entry, EntryPrice, PriceBook};
use serde_json::Value;

use super::table::aligned;
use super::{Asked, PricesError, json_of, pretty, retirement};

/// A model may be named as a provider does, with the date of a snapshot or what a router puts around it. Of several layers that know
/// it the first with a price for the time is used; the others are shown below it.
#[derive(Debug, Args)]
pub struct Show {
    /// The model, or PROVIDER/MODEL
    model: String,
    /// Only this provider
    #[arg(long)]
    provider: Option<String>,
    #[command(flatten)]
    asked: Asked,
}

impl Show {
    pub(super) fn text(&self, book: &PriceBook, now_unix_ns: u64) -> Result<String, PricesError> {
        let at_unix_ns = self.asked.at_unix_ns(now_unix_ns)?;
        let book = self.asked.of(book);
        let of = |model: &str, provider: Option<&str>| -> Vec<Entry> {
            let mut entries = book.entries_for(model, at_unix_ns);
            entries.retain(|entry| provider.is_none_or(|provider| provider == entry.provider));
            entries
        };
        let mut entries = of(&self.model, self.provider.as_deref());
        if let Some((provider, model)) = self.model.split_once('/')
            && self.provider.is_none()
            && book.knows_provider(provider)
        {
            let exact = of(model, Some(provider));
            entries = if exact.is_empty() { entries } else { exact };
        }
        if entries.is_empty() {
            return Err(PricesError::UnknownModel(self.model.clone()));
        }
        if self.asked.json {
            return Ok(pretty(&Value::Array(entries.iter().map(json_of).collect())));
        }
        let texts = entries.iter().map(|entry| text(entry, now_unix_ns));
        Ok(texts.collect::<Vec<_>>().join("\n"))
    }
}

fn text(entry: &Entry, now_unix_ns: u64) -> String {
    let mut text = format!("{}/{}\n", entry.provider, entry.model);
    let mut add = |what: &str, which: String| text.push_str(&format!("  {what:16}  {which}\n"));
    let inherited = entry.inherited_from.iter().map(|from| format!(", inherited from {from}"));
    add("layer", format!("{}, {}{}", entry.layer, entry.file, inherited.collect::<String>()));
    if !entry.names.is_empty() {
        add("also answers to", entry.names.join(", "));
    }
    if let Some(when) = retirement(entry, now_unix_ns) {
        add("retires", when);
    }
    if entry.currency != "USD" {
        add("currency", entry.currency.clone());
    }
    for (place, price) in entry.prices.iter().enumerate() {
        text.push_str(&price_text(price, entry.used == Some(place)));
    }
    if !entry.for_all.is_empty() {
        text.push_str("  for all models\n");
        text.push_str(&clauses(&entry.for_all));
    }
    text
}

fn price_text(price: &EntryPrice, is_used: bool) -> String {
    let from = price.from.as_ref().map_or_else(|| "from the start".to_owned(), |from| format!("from {from}"));
    let until = price.until.as_ref().map(|until| format!(" until {until}")).unwrap_or_default();
    let used = if is_used { ", used" } else { "" };
    let mut text = format!("  price {from}{until}{used} (read {} at {})\n", price.read_on, price.source);
    let units = price.units.iter();
    let rows: Vec<_> = units.map(|(unit, price)| [format!("    {}", unit.name()), price.clone()]).collect();
    text.push_str(&aligned(&rows));
    text.push_str(&clauses(&price.clauses));
    text
}

fn clauses(clauses: &[(String, String)]) -> String {
    let line = |(when, effect): &(String, String)| {
        let when = if when.is_empty() { "always".to_owned() } else { format!("when {when}") };
        format!("    {when}: {effect}\n")
    };
    clauses.iter().map(line).collect()
}
