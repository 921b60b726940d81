//! Pure: what the evaluator reads from: a source of series. The store is one, a test's memory another.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::labels::Labels;
use super::matcher::Matcher;
use super::plan::SelectorRequest;
use super::pool::{MemoryError, QueryMemory};
use super::series::Series;

/// What a source returns: the alias of `futures`, spelled out because this crate needs nothing else of it.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whose data is read. Comes from the credential, never from a query.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tenant(pub Arc<str>);

/// On whose behalf, for how long and in what memory one request reads.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Whose data.
    pub tenant: Tenant,
    /// After this long the reader has given up.
    pub timeout: Duration,
    /// What is held in memory for it, from the store's answer to ours.
    pub memory: Arc<QueryMemory>,
}

/// The series a metadata request is about.
#[derive(Debug, Clone, Default)]
pub struct SeriesFilter {
    /// Series that match any of these; all series when empty.
    pub any_of: Vec<Vec<Matcher>>,
    /// Series with a sample after this time, milliseconds.
    pub start_ms: Option<i64>,
    /// Series with a sample at or before this time, milliseconds.
    pub end_ms: Option<i64>,
}

impl SeriesFilter {
    /// Whether a series' labels are asked for.
    pub fn accepts(&self, labels: &Labels) -> bool {
        self.any_of.is_empty() || self.any_of.iter().any(|matchers| Matcher::all_match(matchers, labels))
    }
}

/// Why a source gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// It cannot be reached or is overloaded; the same request may succeed later.
    #[error("the store is not available: {reason}")]
    Unavailable {
        /// What it said.
        reason: String,
    },
    /// It took longer than the scope allows.
    #[error("the store did not answer in time")]
    TimedOut,
    /// More rows than one query may read.
    #[error("the query would read more than {limit} rows; shorten the range, raise the step or add matchers")]
    TooManyRows {
        /// Rows that one query may read.
        limit: usize,
    },
    /// The exact answer needs rows that are no longer kept.
    #[error("the query reads {days} days back at times that are not kept so long: {kept}")]
    NotKept {
        /// How far back the query reads.
        days: i64,
        /// What is kept for how long, and so what to do.
        kept: String,
    },
    /// More memory than the query can have.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// More series than one query may touch.
    #[error("the query touches more than {limit} series; add matchers or aggregate by fewer labels")]
    TooManySeries {
        /// Series that one query may touch.
        limit: usize,
    },
    /// It refused the request; the request is at fault, or we are.
    #[error("the store refused the query: {reason}")]
    Refused {
        /// What it said.
        reason: String,
    },
    /// Its answer does not have the form we asked for: a defect.
    #[error("the store's answer cannot be read: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
}

/// A store of series. All methods only read; dropping a future cancels it.
pub trait SeriesSource: Send + Sync {
    /// Whether what a request asks for is stored as increments, with data or without: functions of single samples are then refused
    /// from the text of the query alone.
    fn are_increments(&self, _request: &SelectorRequest) -> bool {
        false
    }

    /// The samples one selector needs, each series with the labels the matchers accept.
    fn select<'a>(
        &'a self,
        scope: &'a Scope,
        request: &'a SelectorRequest,
    ) -> BoxFuture<'a, Result<Vec<Series>, SourceError>>;

    /// The names of labels in use, `__name__` among them, sorted.
    fn label_names<'a>(
        &'a self,
        scope: &'a Scope,
        filter: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<String>, SourceError>>;

    /// The values of a label, sorted; none for a label that does not exist.
    fn label_values<'a>(
        &'a self,
        scope: &'a Scope,
        label: &'a str,
        filter: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<String>, SourceError>>;

    /// The series, sorted by labels.
    fn series<'a>(
        &'a self,
        scope: &'a Scope,
        filter: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<Labels>, SourceError>>;
}
