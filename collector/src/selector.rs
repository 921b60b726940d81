//! Which calls are meant, as PromQL selects series: `{team="search",model=~"gpt-5.*"}`.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_promql::{self as promql, Budget, METRIC_NAME, MatchKind, Matcher, MemoryPool};
use ledgerline_proto::dimension::Dimension;
use serde_json::json;

/// What must hold of the dimensions of a call. Nothing: all calls.
#[derive(Clone, Debug, Default)]
pub struct Selector(pub Vec<(Dimension, Matcher)>);

/// Any metric of calls. With a name a selector may consist of `!=` alone.
const METRIC: &str = "llm_calls_total";

impl Selector {
    /// What PromQL's parser is to read: the series of a metric, or why that is no selector of calls.
    pub fn of_series(text: &str) -> Result<String, String> {
        match text.trim_start().starts_with('{') {
            true => Ok(format!("{METRIC}{text}")),
            false => Err("calls have no metric name; write {team=\"search\"}".to_owned()),
        }
    }

    /// Of the matchers that it has read.
    pub fn of(mut matchers: Vec<Matcher>) -> Result<Self, String> {
        matchers.retain(|matcher| matcher.name != METRIC_NAME);
        let known = || Dimension::ALL.map(Dimension::name).join(", ");
        let of_dimension = |matcher: Matcher| match Dimension::from_name(&matcher.name) {
            Some(dimension) => Ok((dimension, matcher)),
            None => Err(format!("calls have no label {}; they have: {}", matcher.name, known())),
        };
        matchers.into_iter().map(of_dimension).collect::<Result<_, _>>().map(Self)
    }
}

impl FromStr for Selector {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let budget = Budget::new(MemoryPool::new(MEMORY_BYTES_DEFAULT).share(), &|| false);
        let series = Self::of_series(text)?;
        Self::of(promql::parse_selector(&budget, &series).map_err(|error| error.to_string())?)
    }
}

/// As it may stand behind a metric's name.
impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (at, (dimension, matcher)) in self.0.iter().enumerate() {
            let operator = match matcher.kind {
                MatchKind::Equal => "=",
                MatchKind::NotEqual => "!=",
                MatchKind::Regex => "=~",
                MatchKind::NotRegex => "!~",
            };
            let comma = if at > 0 { "," } else { "" };
            // A string of JSON is one of PromQL.
            write!(f, "{comma}{}{operator}{}", dimension.name(), json!(matcher.value))?;
        }
        f.write_str("}")
    }
}
