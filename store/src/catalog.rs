//! Pure: the metrics we answer for, in one table. Each is derived from the ledger as increments; nothing is scraped.
//!
//! Every metric has the dimensions of a call as labels, and some have more; the tenant is never a label. Sums are signed, so a series is
//! there when there are rows of it, whatever they add up to: a call that was taken back is 0 and not absent. (But where days are read whole that
//! an edge cuts, nobody knows in which part the rows were of which nothing is left: then a series of nothing else may be absent.)

use ledgerline_proto::dimension::Dimension;
use ledgerline_proto::{Unit, UsageSource};

/// The values of the label `status`.
pub const STATUSES: [&str; 2] = ["error", "ok"];

/// The values of the label `le`, in seconds: 10 ms times a power of two, which are edges of the stored buckets, so that the counts are
/// exact.
pub const BOUNDS: [&str; 18] = [
    "0.01", "0.02", "0.04", "0.08", "0.16", "0.32", "0.64", "1.28", "2.56", "5.12", "10.24", "20.48",
    "40.96", "81.92", "163.84", "327.68", "655.36", "+Inf",
];

/// A time of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// From the first byte of the request to the last byte of the answer.
    Duration,
    /// To the first token, of streams that gave one.
    FirstToken,
}

impl Time {
    /// How the names of its columns begin.
    pub const fn column(self) -> &'static str {
        match self {
            Self::Duration => "duration",
            Self::FirstToken => "ttft",
        }
    }
}

/// What a metric adds up, over rows of its [`Ledger`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is explained by the help of its metric")]
pub enum Measure {
    Calls,
    Errors,
    Cost,
    Quantity,
    Corrections,
    CorrectedCost,
    /// Those that took up to the bound at this place of [`BOUNDS`].
    Bucket(Time, usize),
    TimeSum(Time),
    TimeCount(Time),
}

/// Which tables hold a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ledger {
    /// Of calls, by the model of the call.
    Calls,
    /// Of lines of bills, by the model of the line.
    Spend,
    /// What was booked otherwise than it was seen, as it is recorded, by the model of the call.
    Corrections,
}

/// Which of the rows a metric is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Rows {
    All,
    Priced,
    Unpriced,
    Tokens,
    /// Lines that count something else than tokens.
    OtherUnits,
}

/// A label that not every metric has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "docs/metrics.md explains each")]
pub enum Label {
    TokenClass,
    /// What is billed and no token.
    OtherUnit,
    /// What is billed.
    Unit,
    UsageSource,
    UnpricedReason,
    CorrectionReason,
    Bound,
}

impl Label {
    /// Its name in queries.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TokenClass => "token_class",
            Self::OtherUnit | Self::Unit => "unit",
            Self::UsageSource => "usage_source",
            Self::UnpricedReason | Self::CorrectionReason => "reason",
            Self::Bound => "le",
        }
    }

    /// The column that holds it; `None` for what is a measure of its own for each value.
    pub const fn column(self) -> Option<&'static str> {
        match self {
            Self::TokenClass | Self::OtherUnit | Self::Unit => Some("unit"),
            Self::UsageSource => Some("usage_source"),
            Self::UnpricedReason => Some("unpriced_reason"),
            Self::CorrectionReason => Some("reason"),
            Self::Bound => None,
        }
    }

    /// Every value it can have, where that is a short list.
    pub fn values(self) -> Option<Vec<&'static str>> {
        let units = |tokens: bool| Unit::ALL.into_iter().filter(move |unit| unit.is_token() == tokens);
        match self {
            Self::TokenClass => Some(units(true).map(Unit::name).collect()),
            Self::OtherUnit => Some(units(false).map(Unit::name).collect()),
            Self::Unit => Some(Unit::ALL.map(Unit::name).to_vec()),
            Self::UsageSource => Some(UsageSource::ALL.into_iter().map(UsageSource::name).collect()),
            Self::Bound => Some(BOUNDS.to_vec()),
            Self::UnpricedReason | Self::CorrectionReason => None,
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The name, `__name__`.
    pub name: &'static str,
    /// Where it is.
    pub ledger: Ledger,
    /// Which rows.
    pub rows: Rows,
    /// Its labels beside the dimensions.
    pub more_labels: &'static [Label],
    /// What it adds up: one, or one for each of [`BOUNDS`].
    pub measures: &'static [Measure],
    /// The unit's name in OpenMetrics, empty for counts.
    pub unit: &'static str,
    /// One sentence for people, the same for all metrics of a family.
    pub help: &'static str,
}

impl Metric {
    /// The names of its labels, without its own.
    pub fn labels(&self) -> impl Iterator<Item = &'static str> {
        let more = self.more_labels.iter().map(|label| label.name());
        Dimension::ALL.into_iter().map(Dimension::name).chain(more)
    }

    /// The name and the type under which Prometheus's metadata describes it.
    pub fn family(&self) -> (&'static str, &'static str) {
        let parts = ["_bucket", "_count", "_sum"];
        let family = parts.into_iter().find_map(|part| self.name.strip_suffix(part));
        family.map_or((self.name, "counter"), |family| (family, "histogram"))
    }

    const fn with(self, more_labels: &'static [Label], rows: Rows) -> Self {
        Self { more_labels, rows, ..self }
    }
}

const DURATION: &str = "Time from the first byte of the request to the last byte of the answer, where it is known. Exact counts and sums; \
     a quantile is somewhere in its bucket.";
const FIRST_TOKEN: &str = "Time from the first byte of the request to the first token, of streams that gave one. Exact counts and sums; a \
     quantile is somewhere in its bucket.";
const COST: &str = "Cost of the priced calls in US dollars, corrections included, added up without rounding. Exact to the pico-dollar where \
     usage_source is provider, drained or counted; estimated is our estimate of the tokens, sender is what another program reported.";
const COST_BY_UNIT: &str =
    "llm_cost_usd_total by what the lines of bills count: a class of tokens, searches, images, seconds.";
const TOKENS: &str = "Tokens by class, of priced and unpriced calls; the classes are disjoint, so their sum is the total. Counted, but where \
     usage_source is estimated, and where it is sender as good as the sender's count.";
const UNITS: &str = "What bills count that is no token (searches, images, seconds), by unit, with usage_source as in llm_tokens_total.";
const UNPRICED: &str =
    "Calls whose cost is unknown and therefore not in llm_cost_usd_total, by the reason; never an estimate.";
const CORRECTIONS: &str = "Calls that were booked after the first time (1) or taken back (-1), by the reason; counted in llm_calls_total \
     already. It can fall.";
const CORRECTED_COST: &str = "What corrections added to llm_cost_usd_total and took from it, by the reason; in it already, there by the model \
     of the line and here by that of the call. It can fall.";

const DURATION_BUCKETS: [Measure; BOUNDS.len()] = buckets(Time::Duration);
const FIRST_TOKEN_BUCKETS: [Measure; BOUNDS.len()] = buckets(Time::FirstToken);

/// Every metric, in order of name.
pub const METRICS: [Metric; 15] = [
    histogram("llm_call_duration_seconds_bucket", &DURATION_BUCKETS, DURATION)
        .with(&[Label::Bound], Rows::All),
    histogram("llm_call_duration_seconds_count", &[Measure::TimeCount(Time::Duration)], DURATION),
    histogram("llm_call_duration_seconds_sum", &[Measure::TimeSum(Time::Duration)], DURATION),
    counter("llm_calls_total", Ledger::Calls, &[Measure::Calls], "", "Calls that ended."),
    counter(
        "llm_corrected_cost_usd_total",
        Ledger::Corrections,
        &[Measure::CorrectedCost],
        "usd",
        CORRECTED_COST,
    )
    .with(&[Label::CorrectionReason], Rows::Priced),
    counter("llm_corrections_total", Ledger::Corrections, &[Measure::Corrections], "", CORRECTIONS)
        .with(&[Label::CorrectionReason], Rows::All),
    counter("llm_cost_by_unit_usd_total", Ledger::Spend, &[Measure::Cost], "usd", COST_BY_UNIT)
        .with(&[Label::Unit, Label::UsageSource], Rows::Priced),
    counter("llm_cost_usd_total", Ledger::Spend, &[Measure::Cost], "usd", COST)
        .with(&[Label::UsageSource], Rows::Priced),
    counter("llm_errors_total", Ledger::Calls, &[Measure::Errors], "", "Calls that ended with status error."),
    histogram("llm_time_to_first_token_seconds_bucket", &FIRST_TOKEN_BUCKETS, FIRST_TOKEN)
        .with(&[Label::Bound], Rows::All),
    histogram("llm_time_to_first_token_seconds_count", &[Measure::TimeCount(Time::FirstToken)], FIRST_TOKEN),
    histogram("llm_time_to_first_token_seconds_sum", &[Measure::TimeSum(Time::FirstToken)], FIRST_TOKEN),
    counter("llm_tokens_total", Ledger::Spend, &[Measure::Quantity], "tokens", TOKENS)
        .with(&[Label::TokenClass, Label::UsageSource], Rows::Tokens),
    counter("llm_units_total", Ledger::Spend, &[Measure::Quantity], "", UNITS)
        .with(&[Label::OtherUnit, Label::UsageSource], Rows::OtherUnits),
    counter("llm_unpriced_calls_total", Ledger::Calls, &[Measure::Calls], "", UNPRICED)
        .with(&[Label::UnpricedReason], Rows::Unpriced),
];

const fn counter(
    name: &'static str,
    ledger: Ledger,
    measures: &'static [Measure],
    unit: &'static str,
    help: &'static str,
) -> Metric {
    Metric { name, ledger, rows: Rows::All, more_labels: &[], measures, unit, help }
}

const fn histogram(name: &'static str, measures: &'static [Measure], help: &'static str) -> Metric {
    counter(name, Ledger::Calls, measures, "seconds", help)
}

const fn buckets(time: Time) -> [Measure; BOUNDS.len()] {
    let mut all = [Measure::Calls; BOUNDS.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = Measure::Bucket(time, at);
        at += 1;
    }
    all
}

/// The metric of that name.
pub fn metric(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_counters_end_as_counters_do() {
        assert!(METRICS.is_sorted_by_key(|metric| metric.name));
        for metric in METRICS {
            let ends = ["_total", "_sum", "_count", "_bucket"].iter().any(|end| metric.name.ends_with(end));
            assert!(ends, "{}", metric.name);
            assert!(!metric.labels().any(|label| label == "tenant"), "{}", metric.name);
            let of_family = METRICS.iter().filter(|other| other.family() == metric.family());
            assert!(of_family.clone().all(|other| (other.help, other.unit) == (metric.help, metric.unit)));
            assert_eq!(of_family.count(), if metric.family().1 == "histogram" { 3 } else { 1 });
        }
        let has = |name: &str, label: &str| metric(name).unwrap().labels().any(|known| known == label);
        assert!(has("llm_tokens_total", "token_class") && !has("llm_cost_usd_total", "token_class"));
    }

    #[test]
    fn bounds_are_ten_milliseconds_times_powers_of_two() {
        let hundredths = |text: &str| text.replace('.', "").parse::<u64>().unwrap();
        for (at, bound) in BOUNDS[..17].iter().enumerate() {
            assert_eq!(hundredths(bound), 1 << at, "{bound}");
            assert_eq!(bound.split('.').nth(1).map(str::len), Some(2), "{bound}");
        }
        assert_eq!(BOUNDS[17], "+Inf");
    }
}
