//! Pure: the metrics we answer for, in one table. Each is derived from stored spans as increments; nothing is scraped.
//!
//! The labels of every metric are the dimensions of a call; the tenant is never a label.

use ledgerline_proto::Unit;
use ledgerline_proto::dimension::Dimension;

/// The label of [`Measure::Tokens`] that names the class.
pub const TOKEN_CLASS: &str = "token_class";

/// The values of the label `status`.
pub const STATUSES: [&str; 2] = ["error", "ok"];

/// What a metric adds up; each has an expression over the spans and one over the rollups. All are of finished calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is explained by the help of its metric")]
pub enum Measure {
    Calls,
    Errors,
    Cost,
    UnpricedCalls,
    Tokens(Unit),
    DurationSum,
    DurationCount,
    FirstTokenSum,
    FirstTokenCount,
}

/// Which of the two families of tables holds a measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ledger {
    /// Of calls, by the model of the call.
    Calls,
    /// Of lines of bills, by the model of the line.
    Spend,
}

impl Ledger {
    /// How the names of its tables begin.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Spend => "spend",
        }
    }
}

impl Measure {
    /// The family it is in.
    pub const fn ledger(self) -> Ledger {
        match self {
            Self::Cost | Self::Tokens(_) => Ledger::Spend,
            _ => Ledger::Calls,
        }
    }
}

/// One metric.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// The name, `__name__`.
    pub name: &'static str,
    /// What it adds up; several for a metric with one series per token class.
    pub measures: &'static [Measure],
    /// The unit's name in OpenMetrics, empty for counts.
    pub unit: &'static str,
    /// One sentence for people.
    pub help: &'static str,
}

impl Metric {
    /// Its labels beside the name, in the order of the columns.
    pub fn labels(&self) -> impl Iterator<Item = &'static str> {
        let class = matches!(self.measures, [Measure::Tokens(_), ..]).then_some(TOKEN_CLASS);
        Dimension::ALL.into_iter().map(Dimension::name).chain(class)
    }
}

/// Prometheus's type of every metric in the table.
pub const METRIC_TYPE: &str = "counter";

/// Every unit that is a token; they stand first in the table of units, which a test holds.
const TOKENS: [Measure; Unit::Request as usize] = {
    let mut tokens = [Measure::Calls; Unit::Request as usize];
    let mut at = 0;
    while at < tokens.len() {
        tokens[at] = Measure::Tokens(Unit::ALL[at]);
        at += 1;
    }
    tokens
};

/// Every metric, in order of name.
pub const METRICS: [Metric; 9] = [
    counter(
        "llm_call_duration_seconds_count",
        &[Measure::DurationCount],
        "",
        "Calls counted in llm_call_duration_seconds_sum.",
    ),
    counter(
        "llm_call_duration_seconds_sum",
        &[Measure::DurationSum],
        "seconds",
        "Time from the first byte of the request to the last byte of the answer, summed over calls.",
    ),
    counter("llm_calls_total", &[Measure::Calls], "", "Calls that ended."),
    counter(
        "llm_cost_usd_total",
        &[Measure::Cost],
        "usd",
        "Cost of the priced calls in US dollars, exact to the pico-dollar.",
    ),
    counter("llm_errors_total", &[Measure::Errors], "", "Calls that ended with status error."),
    counter(
        "llm_time_to_first_token_seconds_count",
        &[Measure::FirstTokenCount],
        "",
        "Calls counted in llm_time_to_first_token_seconds_sum: streams that gave a token.",
    ),
    counter(
        "llm_time_to_first_token_seconds_sum",
        &[Measure::FirstTokenSum],
        "seconds",
        "Time from the first byte of the request to the first token, summed over streams.",
    ),
    counter(
        "llm_tokens_total",
        &TOKENS,
        "tokens",
        "Tokens by class; the classes are disjoint, so their sum is the total.",
    ),
    counter(
        "llm_unpriced_calls_total",
        &[Measure::UnpricedCalls],
        "",
        "Calls whose cost is unknown and therefore not in llm_cost_usd_total.",
    ),
];

const fn counter(
    name: &'static str,
    measures: &'static [Measure],
    unit: &'static str,
    help: &'static str,
) -> Metric {
    Metric { name, measures, unit, help }
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
            let ends = ["_total", "_sum", "_count"].iter().any(|end| metric.name.ends_with(end));
            assert!(ends, "{}", metric.name);
            assert!(!metric.labels().any(|label| label == "tenant"), "{}", metric.name);
        }
        let tokens =
            TOKENS.map(|measure| if let Measure::Tokens(unit) = measure { Some(unit) } else { None });
        assert!(tokens.into_iter().flatten().eq(Unit::ALL.into_iter().filter(|unit| unit.is_token())));
        assert!(metric("llm_tokens_total").unwrap().labels().any(|label| label == TOKEN_CLASS));
        assert!(metric("llm_cost_usd_total").unwrap().labels().all(|label| label != TOKEN_CLASS));
    }
}
