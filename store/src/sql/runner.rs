//! Executes statements in the store, and says in the query's words why one failed.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use ledgerline_promql::Charge;
use ledgerline_promql::source::SourceError;

use super::SqlRunner;
use crate::Store;
use crate::client::StoreError;
use crate::rows::{Row, Select, select};

/// ClickHouse's codes for a bound that was exceeded (`src/Common/ErrorCodes.cpp`): TIMEOUT_EXCEEDED, TOO_SLOW.
const OUT_OF_TIME: [i32; 2] = [159, 160];
/// TOO_MANY_ROWS, TOO_MANY_BYTES, TOO_MANY_ROWS_OR_BYTES, MEMORY_LIMIT_EXCEEDED.
const TOO_MUCH: [i32; 4] = [158, 307, 396, 241];

impl SqlRunner for Store {
    fn rows<'a>(
        &'a self,
        statement: &'a Select,
        held: &'a mut Charge,
    ) -> BoxFuture<'a, Result<Vec<Row>, SourceError>> {
        let take = |more| Ok(held.grow(more)?);
        async move { select(self.client(), statement, take).await.map_err(source_error) }.boxed()
    }
}

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
