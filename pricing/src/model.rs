//! What price files say: providers, models, the periods of their prices. Pure; no file format, no look-up.

use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_proto::{Condition, Unit};

use crate::clause::Clause;
use crate::exact::Exact;
use crate::names::{Pattern, Within, without_date};
use crate::price::{Moment, Prices, Validity};

/// One thing wrong in a price file, in words for the person who edits it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{file}:{} {}{field}: {message}",
    .line.map(|line| format!("{line}:")).unwrap_or_default(),
    .model.as_ref().map(|model| format!("{model}: ")).unwrap_or_default()
)]
pub struct PriceBookProblem {
    /// The name of the file.
    pub file: String,
    /// The line, from 1; `None` where it is about the file as a whole.
    pub line: Option<usize>,
    /// The model the problem is in; `None` outside the list of models.
    pub model: Option<String>,
    /// The path of the field, for instance `prices[1].from`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// The prices of a model between two moments.
#[derive(Clone, Debug)]
pub(crate) struct Period {
    pub(crate) valid: Validity,
    pub(crate) prices: Prices,
    pub(crate) minimum: BTreeMap<Unit, u64>,
    pub(crate) rounded_up_to: BTreeMap<Unit, u64>,
    pub(crate) clauses: Vec<Clause>,
    pub(crate) read: ReadAt,
}

/// A model, the names it answers to, and its prices in the order of time.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) exact_names: Vec<String>,
    /// Names that may carry the date of a snapshot at their end; kept without it.
    pub(crate) dated_names: Vec<String>,
    pub(crate) patterns: Vec<Pattern>,
    pub(crate) periods: Vec<Period>,
    /// When the provider stops serving it.
    pub(crate) retires: Option<Moment>,
    pub(crate) read: ReadAt,
}

impl Model {
    /// Whether one of its own names or patterns fits.
    pub(crate) fn answers_to(&self, name: &str) -> bool {
        let names = [Some(name), without_date(name)];
        self.exact_names.iter().any(|own| own == name)
            || self.dated_names.iter().any(|own| names.contains(&Some(own)))
            || self.patterns.iter().any(|pattern| pattern.matches(name))
    }
}

/// Which words of a condition are nothing special.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standard {
    pub(crate) any: bool,
    pub(crate) words: Vec<String>,
}

/// Whose number is booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Booked {
    Ours,
    Reported,
}

/// What holds for all models of a provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) names_within: Vec<Within>,
    pub(crate) aliases: BTreeMap<String, String>,
    pub(crate) deployments: BTreeMap<String, String>,
    pub(crate) failed_requests_free: Option<bool>,
    pub(crate) standard: BTreeMap<Condition, Standard>,
    pub(crate) same_as: BTreeMap<Condition, BTreeMap<String, String>>,
    /// For a unit without a price of its own: the unit it is billed as, and the multiplier.
    pub(crate) billed_as: BTreeMap<Unit, (Unit, Exact)>,
    pub(crate) booked: Option<Booked>,
    pub(crate) hosts: Vec<String>,
}

impl Settings {
    /// Adds what `other` states and this does not.
    pub(crate) fn complete_from(&mut self, other: &Self) {
        for within in &other.names_within {
            if !self.names_within.contains(within) {
                self.names_within.push(within.clone());
            }
        }
        complete(&mut self.aliases, &other.aliases);
        complete(&mut self.deployments, &other.deployments);
        self.failed_requests_free = self.failed_requests_free.or(other.failed_requests_free);
        complete(&mut self.standard, &other.standard);
        for (condition, words) in &other.same_as {
            complete(self.same_as.entry(*condition).or_default(), words);
        }
        complete(&mut self.billed_as, &other.billed_as);
        self.booked = self.booked.or(other.booked);
    }
}

fn complete<Key: Ord + Clone, Value: Clone>(own: &mut BTreeMap<Key, Value>, other: &BTreeMap<Key, Value>) {
    for (key, value) in other {
        own.entry(key.clone()).or_insert_with(|| value.clone());
    }
}

/// The money of a file other than dollars: its code, and what one of it is worth from when on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Currency {
    pub(crate) code: String,
    pub(crate) rates: Vec<(Moment, Exact)>,
}

/// Where prices were read, and when; what a model or a price does not state is its file's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ReadAt {
    pub(crate) source: Option<String>,
    pub(crate) read_on: Option<String>,
}

/// What one price file says of a provider.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    /// The name of the file.
    pub(crate) file: String,
    pub(crate) read: ReadAt,
    pub(crate) inherits: Vec<String>,
    pub(crate) settings: Settings,
    pub(crate) currency: Option<Currency>,
    /// Multipliers for all models.
    pub(crate) clauses: Vec<Clause>,
    pub(crate) models: BTreeMap<String, Arc<Model>>,
}

/// A reduction of list prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Discount {
    /// As written: `openai/gpt-5*`.
    pub(crate) text: String,
    /// Whether it is one tenant's own.
    pub(crate) tenant: bool,
    pub(crate) provider: Pattern,
    pub(crate) model: Pattern,
    /// What is left of the price.
    pub(crate) rest: Exact,
    pub(crate) label: String,
    /// When it holds; a clause without an effect.
    pub(crate) clause: Clause,
}

impl Discount {
    pub(crate) fn is_for(&self, provider: &str, model: &str) -> bool {
        self.provider.matches(provider) && self.model.matches(model)
    }
}

/// What the files of one owner say: everyone's (`None`) or a tenant's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scope {
    pub(crate) providers: BTreeMap<String, Provider>,
    pub(crate) discounts: Vec<Discount>,
}

/// Price files of one standing, by owner.
pub(crate) type Layer = BTreeMap<Option<String>, Scope>;
