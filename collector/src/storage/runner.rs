//! The store as what the query layer runs its statements on.

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use super::Storage;
use super::client::StoreError;
use super::rows::{Select, Value, select};
use crate::limits::QUERY_ANSWER_BYTES_MAX;
use crate::query::limits::ROWS_MAX;
use crate::query::source::SourceError;
use crate::query::sql::{SqlRow, SqlRunner, SqlStatement, SqlValue};

impl SqlRunner for Storage {
    fn rows(&self, statement: SqlStatement) -> BoxFuture<'_, Result<Vec<SqlRow>, SourceError>> {
        async move {
            let parameters: Vec<(String, Value)> = statement
                .parameters
                .into_iter()
                .map(|(name, value)| match value {
                    SqlValue::Text(text) => (name, Value::Text(text)),
                    SqlValue::Integer(number) => (name, Value::Integer(number)),
                })
                .collect();
            let query = Select {
                text: &statement.text,
                parameters: &parameters,
                settings: &statement.settings,
                timeout: statement.timeout,
                bytes_max: QUERY_ANSWER_BYTES_MAX,
            };
            select(self.client(), &query).await.map_err(|error| source_error(&error))
        }
        .boxed()
    }
}

/// ClickHouse's codes for a query that ran out of its time.
const TIMED_OUT: [i32; 2] = [159, 160];
/// ClickHouse's codes for a query that read or gave more than it may.
const TOO_MUCH: [i32; 3] = [158, 307, 396];
/// ClickHouse's codes for a server that has no room now: too many queries, a shutdown, a network error behind it.
const BUSY: [i32; 3] = [202, 236, 210];

fn source_error(error: &StoreError) -> SourceError {
    let reason = error.to_string();
    match error {
        StoreError::Late(_) => SourceError::TimedOut,
        StoreError::Unreachable(_) | StoreError::Cut(_) | StoreError::Partial { .. } => {
            SourceError::Unavailable { reason }
        }
        StoreError::TooLarge(_) => SourceError::TooManyRows { limit: ROWS_MAX },
        StoreError::Exception { code, .. } if TIMED_OUT.contains(code) => SourceError::TimedOut,
        StoreError::Exception { code, .. } if TOO_MUCH.contains(code) => {
            SourceError::TooManyRows { limit: ROWS_MAX }
        }
        // 0: no code at all, which is a proxy or a server on its way up or down.
        StoreError::Exception { code, .. } if *code == 0 || BUSY.contains(code) => {
            SourceError::Unavailable { reason }
        }
        StoreError::Exception { .. } | StoreError::Request(_) => SourceError::Refused { reason },
        StoreError::Answer(_) => SourceError::Malformed { reason },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_failure_says_whose_fault_it_is() {
        let exception = |code| source_error(&StoreError::Exception { code, message: String::new() });
        assert!(matches!(source_error(&StoreError::Late(Duration::ZERO)), SourceError::TimedOut));
        assert!(matches!(exception(159), SourceError::TimedOut));
        assert!(matches!(exception(202), SourceError::Unavailable { .. }));
        assert!(matches!(exception(0), SourceError::Unavailable { .. }));
        assert!(matches!(exception(158), SourceError::TooManyRows { .. }));
        assert!(matches!(exception(62), SourceError::Refused { .. }));
        assert!(matches!(source_error(&StoreError::Answer(String::new())), SourceError::Malformed { .. }));
    }
}
