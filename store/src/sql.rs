//! The store as a source: each request becomes one parameterised statement whose rows become series of increments.
//!
//! Values are always bound parameters; identifiers come from the tables below and from the dimensions, never from a query. What
//! executes the statement is the storage module's business, behind [`SqlRunner`].

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

    /// The TTL of the table, days; `None`: kept without end. A test holds the migrations to it.
    const fn kept_days(self) -> Option<i64> {
        match self {
            Self::Day => None,
            Self::Hour => Some(400),
            Self::Minute => Some(35),
            Self::Spans => Some(90),
        }
    }

    const fn kept_ms(self) -> i64 {
        match self.kept_days() {
            Some(days) => days * 86_400_000,
            None => i64::MAX,
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
