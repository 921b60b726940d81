//! Pure: what the evaluator reads from: a source of series. The store is one, a test's memory another.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::labels::Labels;
use super::matcher::Matcher;
use super::plan::SelectorRequest;
use super::pool::{MemoryError, QueryMemory};
use super::series::Series;
use super::syntax::Grouping;

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
    /// The sets of matchers of which any may accept: one that accepts everything if there are none.
    #[must_use]
    pub fn sets(&self) -> &[Vec<Matcher>] {
        const EVERYTHING: &[Vec<Matcher>] = &[Vec::new()];
        if self.any_of.is_empty() { EVERYTHING } else { &self.any_of }
    }
}

/// Why a source gave no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[allow(
    missing_docs,
    reason = "each text says what is wrong; what a text does not say of its values is said here"
)]
pub enum SourceError {
    /// It cannot be reached or is overloaded, as it said; the same request may succeed later.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    #[error("the store did not answer in time")]
    TimedOut,
    #[error("the query would read more than {0} rows; shorten the range, raise the step or add matchers")]
    TooManyRows(usize),
    #[error(transparent)]
    Memory(#[from] MemoryError),
    #[error("the query touches more than {0} series; add matchers or aggregate by fewer labels")]
    TooManySeries(usize),
    /// It refused the request for this reason; the request is at fault, or we are.
    #[error("the store refused the query: {0}")]
    Refused(String),
    /// Its answer does not have the form we asked for, as told here: a defect.
    #[error("the store's answer cannot be read: {0}")]
    Malformed(String),
}

/// A store of series. All methods only read; dropping a future cancels it.
pub trait SeriesSource: Send + Sync {
    /// Whether what a request asks for is stored as increments, with data or without: functions of single samples are then refused
    /// from the text of the query alone.
    fn are_increments(&self, _request: &SelectorRequest) -> bool {
        false
    }

    /// What whoever asked should know of the answer to a request, such as that old samples are less precise.
    fn info(&self, _request: &SelectorRequest) -> Option<String> {
        None
    }

    /// The samples one selector needs, each series with the labels the matchers accept.
    fn select<'a>(
        &'a self,
        scope: &'a Scope,
        request: &'a SelectorRequest,
    ) -> BoxFuture<'a, Result<Vec<Series>, SourceError>>;

    /// The labels of the series a filter accepts; with a grouping no others are needed than those that it keeps.
    fn labels<'a>(
        &'a self,
        scope: &'a Scope,
        filter: &'a SeriesFilter,
        grouping: Option<Grouping>,
    ) -> BoxFuture<'a, Result<BTreeSet<Labels>, SourceError>>;

    /// The names of labels in use, `__name__` among them, sorted.
    fn label_names<'a>(
        &'a self,
        scope: &'a Scope,
        filter: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<String>, SourceError>> {
        Box::pin(async move {
            let found = self.labels(scope, filter, None).await?;
            let names: BTreeSet<&str> = found.iter().flat_map(Labels::iter).map(|(name, _)| name).collect();
            Ok(names.into_iter().map(str::to_owned).collect())
        })
    }

    /// The values of a label, sorted; none for a label that does not exist.
    fn label_values<'a>(
        &'a self,
        scope: &'a Scope,
        label: &'a str,
        filter: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<String>, SourceError>> {
        Box::pin(async move {
            let found = self.labels(scope, filter, Some(Grouping::By(vec![label.into()]))).await?;
            let values = found.iter().map(|labels| labels.get(label));
            let values: BTreeSet<&str> = values.filter(|value| !value.is_empty()).collect();
            Ok(values.into_iter().map(str::to_owned).collect())
        })
    }
}
