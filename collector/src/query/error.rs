//! Why a query got no answer, and how each end of one is called.

use axum::http::StatusCode;
use ledgerline_promql::source::SourceError;
use ledgerline_promql::{ErrorKind, MemoryError, QueryError};

use crate::limits::CONCURRENT_QUERIES_MAX;

/// Why a query got no answer.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum RunError {
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("query timed out in query queue: {CONCURRENT_QUERIES_MAX} queries are running")]
    Queue,
    /// The evaluation stopped without an answer: a defect.
    #[error("the evaluation of the query failed: {reason}")]
    Evaluation { reason: String },
}

impl From<MemoryError> for RunError {
    fn from(error: MemoryError) -> Self {
        Self::Query(error.into())
    }
}

impl RunError {
    /// The word for every end of a query, that with an answer first.
    pub const OUTCOMES: [&str; 7] =
        ["ok", ABANDONED, "bad_data", "execution", "timeout", "unavailable", "internal"];

    /// How a query ends for this reason: the word in metrics and in Prometheus's API, and the status there.
    pub fn outcome(&self) -> (&'static str, StatusCode) {
        const EXECUTION: (&str, StatusCode) = ("execution", StatusCode::UNPROCESSABLE_ENTITY);
        const TIMEOUT: (&str, StatusCode) = ("timeout", StatusCode::SERVICE_UNAVAILABLE);
        const UNAVAILABLE: (&str, StatusCode) = ("unavailable", StatusCode::SERVICE_UNAVAILABLE);
        match self {
            Self::Query(error) => match error.kind() {
                ErrorKind::BadData => ("bad_data", StatusCode::BAD_REQUEST),
                ErrorKind::Execution => EXECUTION,
                ErrorKind::Timeout => TIMEOUT,
                ErrorKind::Unavailable => UNAVAILABLE,
            },
            Self::Source(SourceError::TimedOut) | Self::Queue => TIMEOUT,
            Self::Source(SourceError::Unavailable(_) | SourceError::Memory(MemoryError::Process(_))) => {
                UNAVAILABLE
            }
            Self::Source(
                SourceError::Memory(MemoryError::Query(_))
                | SourceError::TooManyRows(_)
                | SourceError::TooManySeries(_)
                | SourceError::Refused(_),
            ) => EXECUTION,
            Self::Source(SourceError::Malformed(_)) | Self::Evaluation { .. } => {
                ("internal", StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }
}

/// Whoever asked went away first.
pub const ABANDONED: &str = "abandoned";
