//! What the book says of each model, in texts for people. Pure; no call is priced from here.

use std::sync::Arc;

use ledgerline_proto::Unit;

use crate::book::PriceBook;
use crate::clause::Clause;
use crate::lookup::{ProviderBook, Shelf};
use crate::model::{Model, Period};
use crate::names::DATE_MARK;
use crate::price::Moment;
use crate::table::Compiled;

/// A model of one price file, as it counts for one provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Whose calls it prices.
    pub provider: String,
    /// The canonical name.
    pub model: String,
    /// What else it answers to, as written: `gpt-4o-{date}`.
    pub names: Vec<String>,
    /// `override(TENANT)`, `override`, `hand`, `generated`: the earlier counts.
    pub layer: String,
    /// The provider whose file it is, where this one inherits it.
    pub inherited_from: Option<String>,
    /// The name of that file.
    pub file: String,
    /// The money of its prices, by its three letters.
    pub currency: String,
    /// When the provider stops serving it: as written, and in nanoseconds since the epoch.
    pub retires: Option<(String, u64)>,
    /// Multipliers for all models of the provider and discounts: the conditions, empty where it always holds, and the effect.
    pub for_all: Vec<(String, String)>,
    /// In the order of time.
    pub prices: Vec<EntryPrice>,
    /// The place of the price that calls of the moment asked for are priced with; `None` where none is valid then, or where an entry
    /// that counts before this one answers.
    pub used: Option<usize>,
}

/// A price of a model, from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryPrice {
    /// The first moment, as written; `None`: always.
    pub from: Option<String>,
    /// The first moment without it; `None`: still valid.
    pub until: Option<String>,
    /// By unit: `2.5 per million`, `none`, with a minimum and whole steps where there are such.
    pub units: Vec<(Unit, String)>,
    /// The conditions and the effect of each clause.
    pub clauses: Vec<(String, String)>,
    /// Where it was read.
    pub source: String,
    /// When.
    pub read_on: String,
}

impl EntryPrice {
    /// Everything it says as pairs of what and which, to compare two prices by.
    pub fn facts(&self) -> Vec<(String, String)> {
        let units = self.units.iter().map(|(unit, price)| (unit.name().to_owned(), price.clone()));
        let clauses = self.clauses.iter().map(|(when, effect)| (format!("when {when}"), effect.clone()));
        units.chain(clauses).collect()
    }
}

impl PriceBook {
    /// All models of all providers, by name, those of the layer that counts first in front; with which of them count at that moment.
    pub fn entries(&self, at_unix_ns: u64) -> Vec<Entry> {
        let mut providers: Vec<_> = self.providers().collect();
        providers.sort_unstable_by_key(|(name, _)| *name);
        let of_provider = |(name, provider): (&str, &ProviderBook)| {
            let models = provider
                .shelves
                .iter()
                .flat_map(|shelf| shelf.models.iter().map(move |model| (shelf, model)));
            let mut models: Vec<_> = models.collect();
            // Stable: the shelves are in the order they are asked.
            models.sort_by(|(_, one), (_, other)| one.name.cmp(&other.name));
            models
                .iter()
                .map(|(shelf, model)| entry(name, provider, shelf, model, at_unix_ns))
                .collect::<Vec<_>>()
        };
        providers.into_iter().flat_map(of_provider).collect()
    }

    /// The entries that a call naming this model would ask, of every provider that knows it.
    pub fn entries_for(&self, model: &str, at_unix_ns: u64) -> Vec<Entry> {
        let mut providers: Vec<_> = self.providers().collect();
        providers.sort_unstable_by_key(|(name, _)| *name);
        let of_provider = |(name, provider): (&str, &ProviderBook)| {
            let asked = provider.settings.aliases.get(model).map_or(model, String::as_str);
            let canonical = provider.locate(asked, at_unix_ns).canonical.cloned();
            let answer =
                move |shelf: &Shelf| shelf.find(asked).or_else(|| shelf.find(canonical.as_deref()?)).cloned();
            let found = provider.shelves.iter().filter_map(|shelf| Some((shelf, answer(shelf)?)));
            found.map(|(shelf, model)| entry(name, provider, shelf, &model, at_unix_ns)).collect::<Vec<_>>()
        };
        providers.into_iter().flat_map(of_provider).collect()
    }
}

fn entry(
    name: &str,
    provider: &ProviderBook,
    shelf: &Shelf,
    compiled: &Arc<Compiled>,
    at_unix_ns: u64,
) -> Entry {
    let (model, frame) = (&compiled.model, &compiled.frame);
    let located = provider.locate(&model.name, at_unix_ns);
    let is_used = located.price.is_ok_and(|(used, _)| std::ptr::eq(used, compiled.as_ref()));
    let valid = model.periods.iter().position(|period| period.valid.holds(at_unix_ns));
    let discounts = frame.discounts.iter();
    let discounts =
        discounts.map(|one| (one.clause.conditions_text(), format!("{} ({})", one.label, one.text)));
    let for_all = frame.clauses.iter().map(pair).chain(discounts);
    Entry {
        provider: name.to_owned(),
        model: model.name.clone(),
        names: names(model),
        layer: shelf.origin.layer.clone(),
        inherited_from: Some(shelf.origin.provider.clone()).filter(|from| from != name),
        file: shelf.origin.file.clone(),
        currency: frame.currency.as_ref().map_or_else(|| "USD".to_owned(), |currency| currency.code.clone()),
        retires: model.retires.as_ref().map(|Moment { text, unix_ns }| (text.clone(), *unix_ns)),
        for_all: for_all.collect(),
        prices: model.periods.iter().map(|period| price(period, model, shelf)).collect(),
        used: valid.filter(|_| is_used),
    }
}

fn names(model: &Model) -> Vec<String> {
    let exact = model.exact_names.iter().filter(|name| **name != model.name).cloned();
    let dated = model.dated_names.iter().map(|name| format!("{name}{DATE_MARK}"));
    exact.chain(dated).chain(model.patterns.iter().map(ToString::to_string)).collect()
}

fn price(period: &Period, model: &Model, shelf: &Shelf) -> EntryPrice {
    let unit = |unit: &Unit| {
        let price = period.prices.get(unit).and_then(Option::as_ref);
        let mut text = price.map_or_else(|| "none".to_owned(), |price| price.text(*unit));
        for (what, of) in [("at least", &period.minimum), ("rounded up to", &period.rounded_up_to)] {
            if let Some(quantity) = of.get(unit) {
                text.push_str(&format!(", {what} {quantity}"));
            }
        }
        (*unit, text)
    };
    let reads = [&period.read, &model.read, &shelf.origin.read];
    let first = |texts: [&Option<String>; 3]| texts.into_iter().flatten().next().cloned().unwrap_or_default();
    let moment = |moment: &Option<Moment>| moment.as_ref().map(|moment| moment.text.clone());
    EntryPrice {
        from: moment(&period.valid.from),
        until: moment(&period.valid.until),
        units: period.prices.keys().map(unit).collect(),
        clauses: period.clauses.iter().map(pair).collect(),
        source: first(reads.map(|read| &read.source)),
        read_on: first(reads.map(|read| &read.read_on)),
    }
}

fn pair(clause: &Clause) -> (String, String) {
    (clause.conditions_text(), clause.effect_text())
}
