//! `prices list`: a line for each model that has a price.

use clap::Args;
use ledgerline_pricing::{Entry, PriceBook};
use serde_json::Value;

use super::table::aligned;
use super::{Asked, PricesError, json_of, pretty, retirement};

/// The standard prices of every model; clauses and history are in `show`.
#[derive(Debug, Args)]
pub struct List {
    /// Only this provider
    #[arg(long)]
    provider: Option<String>,
    /// Only models whose name holds this text
    #[arg(long, value_name = "TEXT")]
    model: Option<String>,
    /// Also entries that price no call, because their time has passed or another counts before them
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    asked: Asked,
}

impl List {
    pub(super) fn text(&self, book: &PriceBook, now_unix_ns: u64) -> Result<String, PricesError> {
        let at_unix_ns = self.asked.at_unix_ns(now_unix_ns)?;
        let mut entries = self.asked.of(book).entries(at_unix_ns);
        entries.retain(|entry| self.wants(entry));
        if self.asked.json {
            return Ok(pretty(&Value::Array(entries.iter().map(json_of).collect())));
        }
        let head =
            ["PROVIDER", "MODEL", "SINCE", "LAYER", "PRICES (/M per million, /K per thousand)", "SOURCE"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(entries.iter().map(|entry| row(entry, now_unix_ns)));
        Ok(aligned(&rows))
    }

    fn wants(&self, entry: &Entry) -> bool {
        (self.all || entry.used.is_some())
            && self.provider.as_ref().is_none_or(|provider| *provider == entry.provider)
            && self.model.as_ref().is_none_or(|text| entry.model.contains(text.as_str()))
    }
}

fn row(entry: &Entry, now_unix_ns: u64) -> [String; 6] {
    // Of one that is not used the newest.
    let price = entry.used.and_then(|place| entry.prices.get(place)).or(entry.prices.last());
    let since = price.and_then(|price| price.from.clone()).unwrap_or_else(|| "start".to_owned());
    let units = price.iter().flat_map(|price| &price.units).map(|(unit, text)| short(unit.name(), text));
    let mut prices = vec![units.collect::<Vec<_>>().join(", ")];
    if entry.currency != "USD" {
        prices.push(format!("in {}", entry.currency));
    }
    let conditional = price.map_or(0, |price| price.clauses.len()) + entry.for_all.len();
    if conditional > 0 {
        prices.push(format!("(+{conditional} when)"));
    }
    prices.extend(retirement(entry, now_unix_ns).map(|when| format!("retires {when}")));
    if entry.used.is_none() {
        prices.push("(not used)".to_owned());
    }
    let layer = match &entry.inherited_from {
        Some(from) => format!("{} of {from}", entry.layer),
        None => entry.layer.clone(),
    };
    let source = price.map_or_else(String::new, |price| format!("{} ({})", price.source, price.read_on));
    [entry.provider.clone(), entry.model.clone(), since, layer, prices.join(" "), source]
}

fn short(unit: &str, price: &str) -> String {
    let price = price.replace(" per million", "/M").replace(" per thousand", "/K");
    format!("{unit} {}", price.replace(" per ", "/").replace(" each", ""))
}
