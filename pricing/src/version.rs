//! The identity of a price book: two books that price every call alike have one version. Pure.

use std::fmt::{self, Write as _};

use ledgerline_proto::Unit;
use xxhash_rust::xxh3::xxh3_128;

use crate::model::{Layer, Model, Period, Rates, Settings, StepPrice, Table, Tier, TierPrice};

/// Which prices a cost was computed with: a hash of what decides a price and of nothing else, such as comments, order,
/// formatting and the day the price page was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceVersion(u128);

impl PriceVersion {
    pub(crate) fn of(layers: &[Layer]) -> Self {
        let mut text = Canonical(String::from("ledgerline prices 1\n"));
        for layer in layers {
            text.line("layer", "");
            for provider in layer.values() {
                text.line("provider", &provider.name);
                text.settings(&provider.settings);
                provider.models.iter().for_each(|model| text.model(model));
            }
        }
        Self(xxh3_128(text.0.as_bytes()))
    }
}

impl fmt::Display for PriceVersion {
    /// 32 hexadecimal digits, as stored in the column `price_version`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// The normalised text that is hashed. One fact per line, names quoted, so that no two books read the same.
struct Canonical(String);

impl Canonical {
    fn line(&mut self, key: &str, value: impl fmt::Debug) {
        // Writing to a String cannot fail.
        let _infallible = writeln!(self.0, "{key} {value:?}");
    }

    fn settings(&mut self, settings: &Settings) {
        let mut prefixes = settings.strip_prefixes.clone();
        prefixes.sort_unstable();
        self.line("strip", prefixes);
        self.line("http_errors_are_free", settings.http_errors_are_free);
        for alias in &settings.service_tier_aliases {
            self.line("alias", alias);
        }
        for (class, (billed_as, multiplier)) in &settings.class_defaults {
            self.line("default", (class.name(), billed_as.name(), multiplier.canonical()));
        }
    }

    fn model(&mut self, model: &Model) {
        self.line("model", &model.name);
        let (mut exact, mut dated) = (model.exact_names.clone(), model.dated_names.clone());
        exact.sort_unstable();
        dated.sort_unstable();
        self.line("names", (exact, dated));
        model.periods.iter().for_each(|period| self.period(period));
    }

    fn period(&mut self, period: &Period) {
        self.line("period", (period.from_unix_ns, period.until_unix_ns));
        self.line("web_searches", period.web_searches);
        self.rates(&period.rates);
        let mut regions: Vec<_> =
            period.inference_geo.iter().map(|(name, by)| (name, by.canonical())).collect();
        regions.sort_unstable();
        self.line("inference_geo", regions);
        self.tiers("service_tier", &period.service_tiers);
        self.tiers("speed", &period.speeds);
    }

    fn tiers(&mut self, kind: &str, tiers: &[(String, Tier)]) {
        let mut tiers: Vec<_> = tiers.iter().collect();
        tiers.sort_unstable_by(|left, right| left.0.cmp(&right.0));
        for (name, tier) in tiers {
            self.line(kind, name);
            match &tier.price {
                TierPrice::Multiplier(multiplier) => self.line("multiplier", multiplier.canonical()),
                TierPrice::Table(rates) => self.rates(rates),
            }
        }
    }

    fn rates(&mut self, rates: &Rates) {
        self.table(&rates.table);
        for step in &rates.steps {
            self.line("step", &step.name);
            match &step.price {
                StepPrice::Multipliers { input, output } => {
                    self.line("multipliers", (input.canonical(), output.canonical()));
                }
                StepPrice::Table(table) => self.table(table),
            }
        }
    }

    fn table(&mut self, table: &Table) {
        for (class, price) in Unit::ALL.into_iter().zip(table.iter()) {
            if let Some(price) = price {
                self.line(class.name(), price);
            }
        }
    }
}
