//! Pure: why a query got no answer. Each variant knows whether the query is at fault as written (`bad_data`, HTTP 400), cannot be
//! computed over this data (`execution`, 422), ran out of time (`timeout`, 503) or found the memory in use (`unavailable`, 503).

use super::functions::supported_functions;
use super::pool::MemoryError;
use super::syntax::{ParseError, SyntaxError};

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

/// A query that got no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum QueryError {
    /// The text is not PromQL.
    #[error("invalid parameter \"query\": {0}")]
    Syntax(SyntaxError),
    /// The text is longer, deeper or wider than we read.
    #[error("invalid parameter \"query\": {what} is {found}, the limit is {limit}; split the query")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// How much there is.
        found: usize,
        /// How much there may be.
        limit: usize,
    },
    /// More points per series than Grafana or Prometheus handle.
    #[error(
        "exceeded maximum resolution of 11,000 points per timeseries. Try decreasing the query resolution (?step=XX)"
    )]
    TooManyPoints,
    /// A regular expression does not compile or is too large.
    #[error("invalid regular expression {pattern:?}: {reason}")]
    Regex {
        /// The pattern as the query has it, without its quotes.
        pattern: String,
        /// What is wrong.
        reason: String,
    },
    /// A range, offset, time or step outside what can be computed.
    #[error("invalid {what}: {value} ms is out of range")]
    TimeOutOfRange {
        /// Which figure.
        what: &'static str,
        /// Its value in milliseconds.
        value: i128,
    },
    /// A function we do not have.
    #[error("function {name:?} is not supported; supported functions: {}", supported_functions().join(", "))]
    UnsupportedFunction {
        /// The function.
        name: String,
    },
    /// A construct we do not have.
    #[error("{what} is not supported; {instead}")]
    Unsupported {
        /// The construct.
        what: String,
        /// What to use.
        instead: String,
    },
    /// A range query over something that is not a scalar or an instant vector.
    #[error("invalid expression type {found:?} for range query, must be Scalar or instant Vector")]
    RangeQueryType {
        /// The type of the expression.
        found: &'static str,
    },
    /// A function that needs stored samples was applied to a counter of which only increments are stored.
    #[error(
        "{function} is not defined for {metric}, which is stored as increments; use increase() or rate(), or a subquery such as {function}(increase({metric}[1m])[1h:1m])"
    )]
    DeltaCounter {
        /// The function.
        function: String,
        /// The metric.
        metric: String,
    },
    /// Two results would carry the same labels at one time.
    #[error("vector cannot contain metrics with the same labelset")]
    DuplicateLabels,
    /// A match group is not unique on the side that must be.
    #[error(
        "found duplicate series for the match group {group} on the {side} hand-side of the operation: [{first}, {second}];many-to-many matching not allowed: matching labels must be unique on one side"
    )]
    DuplicateMatch {
        /// The matching labels.
        group: String,
        /// left or right.
        side: &'static str,
        /// One series.
        first: String,
        /// The other.
        second: String,
    },
    /// Several elements of the many side matched without group_left or group_right.
    #[error("multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)")]
    ImplicitManyToOne,
    /// group_left or group_right results collide.
    #[error("multiple matches for labels: grouping labels must ensure unique matches")]
    AmbiguousGrouping,
    /// A parameter of a function or an aggregation has no usable value.
    #[error("{message}")]
    Parameter {
        /// What is wrong, with the value.
        message: String,
    },
    /// The query needs more series than one query may.
    #[error("the query touches more than {limit} series; add matchers or aggregate by fewer labels")]
    TooManySeries {
        /// Series that one query may touch.
        limit: usize,
    },
    /// The query needs more memory than it can have.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The query would take too long for any deadline.
    #[error(
        "query processing would read more than {limit} samples; shorten the range, raise the step of the query or of its subqueries, or add matchers"
    )]
    TooMuchWork {
        /// The bound, in cells.
        limit: u64,
    },
    /// A function would build a label value that is too long.
    #[error("{function} would give the label {label:?} a value of more than {limit} bytes")]
    LabelTooLong {
        /// The function.
        function: &'static str,
        /// The label.
        label: String,
        /// Bytes that a label may have.
        limit: usize,
    },
    /// The caller said stop.
    #[error("query timed out in expression evaluation")]
    Deadline,
    /// The caller's fetched data does not belong to this plan: our own defect, never the user's.
    #[error("no data was fetched for selector {selector}")]
    NotFetched {
        /// Which selector.
        selector: usize,
    },
}

impl QueryError {
    /// How the HTTP API reports it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Syntax(_)
            | Self::TooLarge { .. }
            | Self::TooManyPoints
            | Self::Regex { .. }
            | Self::TimeOutOfRange { .. }
            | Self::UnsupportedFunction { .. }
            | Self::Unsupported { .. }
            | Self::RangeQueryType { .. } => ErrorKind::BadData,
            Self::Deadline => ErrorKind::Timeout,
            Self::Memory(MemoryError::Process { .. }) => ErrorKind::Unavailable,
            _ => ErrorKind::Execution,
        }
    }
}

impl From<ParseError> for QueryError {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Syntax(error) => Self::Syntax(error),
            ParseError::TooLarge { what, found, limit } => Self::TooLarge { what, found, limit },
        }
    }
}
