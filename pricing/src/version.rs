//! The identity of a price book: two books that price every call alike have one version. Pure.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_128;

use crate::model::{Layer, Model, Settings};

/// Which prices a cost was computed with: a hash of what decides a price and of nothing else, such as comments, order of models,
/// formatting and the day the price page was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceVersion(u128);

impl PriceVersion {
    pub(crate) fn of(overrides: &[Arc<Layer>], published: &[Arc<Layer>]) -> Self {
        let mut text = Canonical(String::from("ledgerline prices 2\n"));
        for (kind, layers) in [("override", overrides), ("published", published)] {
            for layer in layers {
                text.layer(kind, layer);
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

    fn layer(&mut self, kind: &str, layer: &Layer) {
        for (tenant, scope) in layer {
            self.line(kind, tenant);
            for discount in &scope.discounts {
                self.line("discount", discount);
            }
            for provider in scope.providers.values() {
                self.line("provider", (&provider.name, &provider.inherits, &provider.currency));
                self.line("all models", &provider.clauses);
                self.settings(&provider.settings);
                provider.models.values().for_each(|model| self.model(model));
            }
        }
    }

    /// All but the hosts, which decide no price.
    fn settings(&mut self, settings: &Settings) {
        self.line("within", &settings.names_within);
        self.line("aliases", (&settings.aliases, &settings.deployments));
        self.line("standard", (&settings.standard, &settings.same_as));
        self.line("billed_as", &settings.billed_as);
        self.line("booked", (settings.failed_requests_free, settings.booked));
    }

    fn model(&mut self, model: &Model) {
        let mut names = (model.exact_names.clone(), model.dated_names.clone(), model.patterns.clone());
        names.0.sort_unstable();
        names.1.sort_unstable();
        names.2.sort_unstable();
        self.line("model", (&model.name, names));
        for period in &model.periods {
            self.line("period", (&period.valid, &period.prices, &period.minimum, &period.rounded_up_to));
            period.clauses.iter().for_each(|clause| self.line("when", clause));
        }
    }
}
