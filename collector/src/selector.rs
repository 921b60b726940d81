//! Which calls are meant, as PromQL selects series: `{team="search",model=~"gpt-5.*"}`.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_promql::source::Scope;
use ledgerline_promql::syntax::ParseError;
use ledgerline_promql::{
    self as promql, Budget, ErrorKind, METRIC_NAME, MatchKind, Matcher, MemoryPool, QueryError,
};
use ledgerline_proto::dimension::Dimension;
use serde_json::json;

use crate::prometheus::{ApiError, Params};
use crate::query::error::RunError;
use crate::query::querier::Querier;

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

    /// The parameter `match` of a request, read within the bounds of queries; all calls where there is none.
    pub async fn asked(params: &Params, querier: &Querier, scope: &Scope) -> Result<Self, ApiError> {
        let text = params.first("match");
        if text.is_empty() {
            return Ok(Self::default());
        }
        let wrong = |wrong: String| ApiError::parameter("match", &wrong);
        let series = vec![Self::of_series(text).map_err(wrong)?];
        let read = querier.selectors(scope, series).await.map_err(|error| match error {
            RunError::Query(error) if error.kind() == ErrorKind::BadData => wrong(as_typed(error)),
            other => other.into(),
        })?;
        Self::of(read.into_iter().flatten().collect()).map_err(wrong)
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
        Self::of(promql::parse_selector(&budget, &series).map_err(as_typed)?)
    }
}

/// Why it is no selector, with the place in the text as it was typed: without the metric that was put before it.
fn as_typed(error: QueryError) -> String {
    match error {
        QueryError::Parse(ParseError::Syntax(mut error)) => {
            if let Some((1, column)) = &mut error.position {
                *column = column.saturating_sub(METRIC.len()).max(1);
            }
            error.to_string()
        }
        QueryError::Parse(error) => error.to_string(),
        other => other.to_string(),
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
