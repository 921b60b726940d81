//! The store as a source: each request becomes one parameterised statement whose rows become series of increments.
//!
//! Values are always bound parameters; identifiers come from the tables below and from the dimensions, never from a query. What
//! executes the statement is the storage module's business, behind [`SqlRunner`].

mod runner;
mod source;
mod statement;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use ledgerline_promql::source::SourceError;

use ledgerline_store::rows::Value;

pub use source::SqlSource;

/// A statement and all that belongs to its execution.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlStatement {
    /// The text, one SELECT. Every column is a String.
    pub text: String,
    /// Names and values of its parameters.
    pub parameters: Vec<(String, Value)>,
    /// Settings that bound it; ClickHouse's names.
    pub settings: Vec<(&'static str, u64)>,
    /// The reader gives up after this long.
    pub timeout: Duration,
    /// A larger answer is refused as [`SourceError::TooManyBytes`].
    pub bytes_max: usize,
}

/// One row: each column as text, as `FORMAT JSONCompactEachRow` gives it for columns of type String.
pub type SqlRow = Vec<String>;

/// Executes statements. Must be read-only, must bind the parameters and apply the settings, and must cancel the statement in the
/// store when the future is dropped.
pub trait SqlRunner: Send + Sync {
    /// All rows of a statement.
    fn rows(&self, statement: SqlStatement) -> BoxFuture<'_, Result<Vec<SqlRow>, SourceError>>;
}

impl<R: SqlRunner + ?Sized> SqlRunner for Arc<R> {
    fn rows(&self, statement: SqlStatement) -> BoxFuture<'_, Result<Vec<SqlRow>, SourceError>> {
        (**self).rows(statement)
    }
}

/// The tables that can answer, from the coarsest. A rollup's `bucket` is the start of an interval open at its start and closed at
/// its end, as a PromQL window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    Day,
    Hour,
    Minute,
    /// The record itself, by `end_time` in microseconds.
    Spans,
}

impl Tier {
    const ALL: [Self; 4] = [Self::Day, Self::Hour, Self::Minute, Self::Spans];

    const fn table(self) -> &'static str {
        match self {
            Self::Day => "calls_day",
            Self::Hour => "calls_hour",
            Self::Minute => "calls_minute",
            Self::Spans => "spans",
        }
    }

    /// How long rows are kept, milliseconds; the TTL of the migrations. Days are kept for ever.
    const fn kept_ms(self) -> i64 {
        const DAY_MS: i64 = 86_400_000;
        match self {
            Self::Day => i64::MAX,
            Self::Hour => 400 * DAY_MS,
            Self::Minute => 35 * DAY_MS,
            Self::Spans => 90 * DAY_MS,
        }
    }

    /// Length of a bucket in microseconds; a span is its own.
    const fn bucket_us(self) -> i64 {
        match self {
            Self::Day => 86_400_000_000,
            Self::Hour => 3_600_000_000,
            Self::Minute => 60_000_000,
            Self::Spans => 1,
        }
    }
}
