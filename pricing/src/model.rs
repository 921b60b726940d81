//! What a price book is made of: providers, models, the periods of their prices. Pure; no file format, no look-up.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::civil::Date;
use ledgerline_proto::Unit;

use crate::exact::Exact;

/// One thing wrong in a price file, in words for the person who edits it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}: {}{field}: {message}", .model.as_ref().map(|model| format!("{model}: ")).unwrap_or_default())]
pub struct PriceBookProblem {
    /// The name of the file.
    pub file: String,
    /// The model the problem is in; `None` outside the list of models.
    pub model: Option<String>,
    /// The path of the field, for instance `prices[1].valid_from`.
    pub field: String,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// A price for every class that has one, pico-dollars per million tokens.
pub(crate) type Table = Box<[Option<i64>; Unit::ALL.len()]>;

/// A price list: its table, and what happens to long prompts, thresholds rising.
#[derive(Clone, Debug)]
pub(crate) struct Rates {
    pub(crate) table: Table,
    pub(crate) steps: Vec<Step>,
}

/// A dearer price for the whole call once the prompt, caches included, is long enough.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// The first prompt length, in tokens, that pays it.
    pub(crate) first_token: u64,
    /// `above_200000`: only more than that many (OpenAI, Anthropic, Google). `from_200000`: that many and more (xAI).
    pub(crate) name: String,
    pub(crate) price: StepPrice,
}

#[derive(Clone, Debug)]
pub(crate) enum StepPrice {
    Multipliers { input: Exact, output: Exact },
    Table(Table),
}

/// The price in one service tier or at one speed.
#[derive(Clone, Debug)]
pub(crate) struct Tier {
    pub(crate) price: TierPrice,
    /// Named by [`Period::name_rules`]; index: step * (regions + 1) + region, 0 standing for none of either.
    pub(crate) rules: Vec<Arc<str>>,
}

#[derive(Clone, Debug)]
pub(crate) enum TierPrice {
    /// The standard price times this.
    Multiplier(Exact),
    /// A list of its own; what it does not name has no price in this tier.
    Table(Rates),
}

/// The prices of a model between two moments.
#[derive(Clone, Debug)]
pub(crate) struct Period {
    pub(crate) from: Option<Date>,
    /// The first nanosecond it holds.
    pub(crate) from_unix_ns: u64,
    /// The first nanosecond it no longer holds.
    pub(crate) until_unix_ns: u64,
    pub(crate) rates: Rates,
    /// Pico-dollars per thousand web searches.
    pub(crate) web_searches: Option<i64>,
    pub(crate) inference_geo: Vec<(String, Exact)>,
    pub(crate) standard: Tier,
    pub(crate) service_tiers: Vec<(String, Tier)>,
    pub(crate) speeds: Vec<(String, Tier)>,
}

impl Period {
    fn name_rules(&mut self, prefix: &str) {
        let from = self.from.map_or_else(|| "start".to_owned(), |date| date.to_string());
        let base_steps = &self.rates.steps;
        let regions = none_and(self.inference_geo.iter().map(|(region, _)| region));
        let name = |tier: &mut Tier, tier_name: &str| {
            let steps = match &tier.price {
                TierPrice::Multiplier(_) => base_steps,
                TierPrice::Table(rates) => &rates.steps,
            };
            tier.rules.clear();
            for step in none_and(steps.iter().map(|step| &step.name)) {
                let rule = |region| format!("{prefix}@{from}/{tier_name}{step}{region}").into();
                tier.rules.extend(regions.iter().map(rule));
            }
        };
        name(&mut self.standard, "standard");
        for (tier_name, tier) in self.service_tiers.iter_mut().chain(&mut self.speeds) {
            name(tier, tier_name);
        }
    }
}

/// Nothing, then each of these names, as parts of a rule.
fn none_and<'a>(names: impl Iterator<Item = &'a String>) -> Vec<String> {
    std::iter::once(String::new()).chain(names.map(|name| format!("/{name}"))).collect()
}

/// A model, the names it answers to, and its prices in the order of time.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) exact_names: Vec<String>,
    /// Names that may carry the date of a snapshot; kept without it.
    pub(crate) dated_names: Vec<String>,
    pub(crate) periods: Vec<Period>,
}

/// What holds for all models of a provider.
#[derive(Clone, Debug, Default)]
pub(crate) struct Settings {
    pub(crate) strip_prefixes: Vec<String>,
    pub(crate) http_errors_are_free: Option<bool>,
    pub(crate) service_tier_aliases: BTreeMap<String, String>,
    /// For a class without a price of its own: the class it is billed as, and the multiplier.
    pub(crate) class_defaults: BTreeMap<Unit, (Unit, Exact)>,
}

impl Settings {
    /// Adds what `other` states and this does not.
    pub(crate) fn complete_from(&mut self, other: &Self) {
        for prefix in &other.strip_prefixes {
            if !self.strip_prefixes.contains(prefix) {
                self.strip_prefixes.push(prefix.clone());
            }
        }
        self.http_errors_are_free = self.http_errors_are_free.or(other.http_errors_are_free);
        for (alias, tier) in &other.service_tier_aliases {
            self.service_tier_aliases.entry(alias.clone()).or_insert_with(|| tier.clone());
        }
        for (&class, &default) in &other.class_defaults {
            self.class_defaults.entry(class).or_insert(default);
        }
    }
}

/// One price file.
#[derive(Clone, Debug)]
pub(crate) struct Provider {
    pub(crate) name: String,
    pub(crate) settings: Settings,
    /// Sorted by name.
    pub(crate) models: Vec<Model>,
    pub(crate) by_exact_name: BTreeMap<String, usize>,
    pub(crate) by_dated_name: BTreeMap<String, usize>,
}

impl Provider {
    pub(crate) fn name_rules(&mut self, prefix: &str) {
        for model in &mut self.models {
            let prefix = format!("{prefix}{}/{}", self.name, model.name);
            for period in &mut model.periods {
                period.name_rules(&prefix);
            }
        }
    }
}

/// Price files by provider.
pub(crate) type Layer = BTreeMap<String, Provider>;
