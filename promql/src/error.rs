//! Pure: why a query got no answer. Each variant knows whether the query is at fault as written (`bad_data`, HTTP 400), cannot be
//! computed over this data (`execution`, 422), ran out of time (`timeout`, 503) or found the memory in use (`unavailable`, 503).

use super::limits::LABEL_VALUE_BYTES_MAX;
use super::pool::MemoryError;
use super::syntax::ParseError;

/// Prometheus's `errorType`, as far as the evaluator can cause one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The query or a parameter is malformed: HTTP 400.
    BadData,
    /// The query is well-formed and has no answer over this data: HTTP 422.
    Execution,
    /// The deadline passed: HTTP 503.
    Timeout,
    /// The query may be answered when others have ended: HTTP 503.
    Unavailable,
}

/// What this crate computes, or why not.
pub(crate) type Result<T, E = QueryError> = std::result::Result<T, E>;

/// A query that got no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "each text says what is wrong; what a text does not say of its values is said here"
)]
pub enum QueryError {
    /// The text is not PromQL, or longer, deeper or wider than we read.
    #[error("invalid parameter \"query\": {0}")]
    Parse(ParseError),
    #[error(
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
    )]
    TooManyPoints,
    /// A regular expression, as the query has it, does not compile or is too large, and why.
    #[error("invalid regular expression {0:?}: {1}")]
    Regex(String, String),
    /// A range, offset, time or step, in milliseconds, outside what can be computed.
    #[error("invalid {0}: {1} ms is out of range")]
    TimeOutOfRange(&'static str, i64),
    /// A function or another construct that we do not have, and what to use.
    #[error("{0} is not supported; {1}")]
    Unsupported(String, String),
    #[error("invalid expression type {0:?} for range query, must be Scalar or instant Vector")]
    RangeQueryType(&'static str),
    /// This function, or what else needs stored samples, was applied to this metric, of which only increments are stored.
    #[error(
        "{0} is not defined for {1}, which is stored as increments; use increase() or rate(), or a subquery such as {0}(increase({1}[1m])[1h:1m])"
    )]
    DeltaCounter(String, String),
    #[error("vector cannot contain metrics with the same labelset")]
    DuplicateLabels,
    #[error(
        "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{first}, {second}];many-to-many matching not allowed: matching labels must be unique on one side"
    )]
    DuplicateMatch {
        group: String,
        /// left or right.
        side: &'static str,
        first: String,
        second: String,
    },
    #[error("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)")]
    ImplicitManyToOne,
    #[error("multiple matches for labels: grouping labels must ensure unique matches")]
    AmbiguousGrouping,
    /// A parameter of a function or an aggregation has no usable value, which is named.
    #[error("{0}")]
    Parameter(String),
    #[error("the query touches more than {0} series; add matchers or aggregate by fewer labels")]
    TooManySeries(usize),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error(
        "query processing would read more than {0} samples; shorten the range, raise the step of the query or of its subqueries, or add matchers"
    )]
    TooMuchWork(u64),
    #[error("{0} would give the label {1:?} a value of more than {LABEL_VALUE_BYTES_MAX} bytes")]
    LabelTooLong(&'static str, String),
    /// The caller said stop.
    #[error("query timed out in expression evaluation")]
    Deadline,
    /// The caller's fetched data does not belong to this plan: our own defect, never the user's.
    #[error("no data was fetched for selector {0}")]
    NotFetched(usize),
}

impl QueryError {
    /// How the HTTP API reports it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Parse(_)
            | Self::TooManyPoints
            | Self::Regex(..)
            | Self::TimeOutOfRange(..)
            | Self::Unsupported(..)
            | Self::RangeQueryType(_) => ErrorKind::BadData,
            Self::Deadline => ErrorKind::Timeout,
            Self::Memory(MemoryError::Process(_)) => ErrorKind::Unavailable,
            _ => ErrorKind::Execution,
        }
    }
}

impl From<ParseError> for QueryError {
    fn from(error: ParseError) -> Self {
        Self::Parse(error)
    }
}
