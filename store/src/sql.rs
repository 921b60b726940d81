//! The store as a source: each request becomes one parameterised statement whose rows become series of increments.
//!
//! Values are always bound parameters; identifiers come from the tables below and from the dimensions, never from a query.

mod runner;
mod source;
mod statement;
#[cfg(test)]
mod tests;

use futures_util::future::BoxFuture;
use ledgerline_promql::Charge;
use ledgerline_promql::source::SourceError;

use crate::rows::{Row, Select};

pub use source::SqlSource;
pub use statement::check_kept;

/// Executes statements. Must be read-only, must bind the parameters and apply the settings, and must cancel the statement in the
/// store when the future is dropped.
pub trait SqlRunner: Send + Sync {
    /// All rows of a statement. The bytes of the response are added to `held`.
    fn rows<'a>(
        &'a self,
        statement: &'a Select,
        held: &'a mut Charge,
    ) -> BoxFuture<'a, Result<Vec<Row>, SourceError>>;
}

/// A table that can answer. A rollup's `bucket` is the start of an interval open at its start and closed at its end, as a PromQL
/// window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tier {
    table: &'static str,
    /// The TTL of the table; `None`: kept without end. A test holds the migrations to it.
    kept_days: Option<i64>,
    /// Length of a bucket in microseconds; a span is its own.
    bucket_us: i64,
}

impl Tier {
    const DAY: Self = Self { table: "calls_day", kept_days: None, bucket_us: 86_400_000_000 };
    const HOUR: Self = Self { table: "calls_hour", kept_days: Some(400), bucket_us: 3_600_000_000 };
    const MINUTE: Self = Self { table: "calls_minute", kept_days: Some(35), bucket_us: 60_000_000 };
    /// The record itself, by `end_time` in microseconds.
    const SPANS: Self = Self { table: "spans", kept_days: Some(90), bucket_us: 1 };
    /// From the coarsest.
    const ALL: [Self; 4] = [Self::DAY, Self::HOUR, Self::MINUTE, Self::SPANS];
}
