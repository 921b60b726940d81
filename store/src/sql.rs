//! The store as a source: each request becomes one parameterised statement whose rows become series of increments.
//!
//! Values are always bound parameters; identifiers come from the tables below and from the dimensions, never from a query.

mod points;
mod source;
mod statement;
#[cfg(test)]
mod tests;
mod tiers;

use std::future::Future;

use ledgerline_promql::Charge;
use ledgerline_promql::source::SourceError;

use crate::Store;
use crate::client::StoreError;
use crate::rows::{Row, Select, select};

pub use source::SqlSource;
pub(crate) use statement::{matcher_condition, matcher_value};

/// ClickHouse's codes for a bound that was exceeded (`src/Common/ErrorCodes.cpp`): TIMEOUT_EXCEEDED, TOO_SLOW.
const OUT_OF_TIME: [i32; 2] = [159, 160];
/// TOO_MANY_ROWS, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES, MEMORY_LIMIT_EXCEEDED.
const TOO_MUCH: [i32; 4] = [158, 307, 396, 241];

/// Executes statements. Must be read-only, must bind the parameters and apply the settings, and must cancel the statement in the
/// store when the future is dropped.
pub trait SqlRunner: Send + Sync {
    /// All rows of a statement. The bytes of the response are added to `held`.
    fn rows(
        &self,
        statement: &Select,
        held: &mut Charge,
    ) -> impl Future<Output = Result<Vec<Row>, SourceError>> + Send;
}

impl SqlRunner for Store {
    async fn rows(&self, statement: &Select, held: &mut Charge) -> Result<Vec<Row>, SourceError> {
        let take = |more| Ok(held.grow(more)?);
        select(self.client(), statement, take).await.map_err(source_error)
    }
}

/// Why a statement failed, in the query's words.
fn source_error(error: StoreError) -> SourceError {
    let reason = error.to_string();
    match error {
        StoreError::Late(_) => SourceError::TimedOut,
        StoreError::Unreachable(_) | StoreError::Partial { .. } => SourceError::Unavailable(reason),
        StoreError::Memory(error) => error.into(),
        StoreError::Exception { code, .. } if OUT_OF_TIME.contains(&code) => SourceError::TimedOut,
        StoreError::Exception { code, .. } if TOO_MUCH.contains(&code) => {
            SourceError::Refused(format!("{reason}; shorten the range, raise the step or add matchers"))
        }
        StoreError::Exception { .. } | StoreError::Request(_) | StoreError::TooLarge(_) => {
            SourceError::Refused(reason)
        }
        StoreError::Response(_) => SourceError::Malformed(reason),
    }
}
