//! Runs one query from text to answer: plan, fetch what it needs side by side, evaluate off the runtime's threads. Used by the HTTP
//! API and by the rules alike, so that both see the same numbers and obey the same bounds.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use ledgerline_promql::source::{Scope, SeriesSource, SourceError};
use ledgerline_promql::{
    self as promql, ErrorKind, Fetched, Limits, Plan, QueryError, QueryParams, QueryResult,
};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::limits::{CONCURRENT_QUERIES_MAX, SELECTORS_MAX};

/// Why a query got no answer.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The query itself.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// What it reads from.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// Too many queries run already and none ended in time.
    #[error("query timed out in query queue: {CONCURRENT_QUERIES_MAX} queries are running")]
    Queue,
    /// The evaluation stopped without an answer: a defect.
    #[error("the evaluation of the query failed: {reason}")]
    Evaluation {
        /// What is known.
        reason: String,
    },
}

impl RunError {
    /// How Prometheus's API would call it.
    pub fn kind(&self) -> RunErrorKind {
        match self {
            Self::Query(error) => match error.kind() {
                ErrorKind::BadData => RunErrorKind::BadData,
                ErrorKind::Execution => RunErrorKind::Execution,
                ErrorKind::Timeout => RunErrorKind::Timeout,
            },
            Self::Source(SourceError::TimedOut) | Self::Queue => RunErrorKind::Timeout,
            Self::Source(SourceError::Unavailable { .. }) => RunErrorKind::Unavailable,
            Self::Source(
                SourceError::NotKept { .. }
                | SourceError::TooManyBytes { .. }
                | SourceError::TooManyRows { .. }
                | SourceError::TooManySeries { .. }
                | SourceError::Refused { .. },
            ) => RunErrorKind::Execution,
            Self::Source(SourceError::Malformed { .. }) | Self::Evaluation { .. } => RunErrorKind::Internal,
        }
    }
}

/// The kinds of failure the API distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunErrorKind {
    /// The request is malformed.
    BadData,
    /// The query has no answer over this data.
    Execution,
    /// Out of time.
    Timeout,
    /// The store is away.
    Unavailable,
    /// Our defect.
    Internal,
}

/// How a query ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer.
    Answered,
    /// Without one.
    Failed(RunErrorKind),
    /// Whoever asked went away first.
    Abandoned,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 7] = [
        Self::Answered,
        Self::Failed(RunErrorKind::BadData),
        Self::Failed(RunErrorKind::Execution),
        Self::Failed(RunErrorKind::Timeout),
        Self::Failed(RunErrorKind::Unavailable),
        Self::Failed(RunErrorKind::Internal),
        Self::Abandoned,
    ];

    /// The word in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answered => "ok",
            Self::Failed(RunErrorKind::BadData) => "bad_data",
            Self::Failed(RunErrorKind::Execution) => "execution",
            Self::Failed(RunErrorKind::Timeout) => "timeout",
            Self::Failed(RunErrorKind::Unavailable) => "unavailable",
            Self::Failed(RunErrorKind::Internal) => "internal",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Hears how queries end.
pub trait QueryEvents: Send + Sync {
    /// A query ended so, that long after it was asked.
    fn ended(&self, outcome: Outcome, took: Duration);
}

/// Reports a query's end, also when its future is dropped.
struct Ending<'a> {
    events: Option<&'a dyn QueryEvents>,
    begun: Instant,
    outcome: Outcome,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if let Some(events) = self.events {
            events.ended(self.outcome, self.begun.elapsed());
        }
    }
}

/// Runs queries over one source.
pub struct Querier {
    events: Option<Box<dyn QueryEvents>>,
    source: Arc<dyn SeriesSource>,
    slots: Semaphore,
    limits: Limits,
}

impl Querier {
    /// A querier with the bounds of `limits.rs`.
    pub fn new(source: Arc<dyn SeriesSource>) -> Self {
        Self::with_limits(source, Limits::default())
    }

    /// A querier with bounds of its own, for tests of the bounds.
    pub fn with_limits(source: Arc<dyn SeriesSource>, limits: Limits) -> Self {
        Self { events: None, source, slots: Semaphore::new(CONCURRENT_QUERIES_MAX), limits }
    }

    /// Reports the end of every query from now on.
    #[must_use]
    pub fn reporting(self, events: Box<dyn QueryEvents>) -> Self {
        Self { events: Some(events), ..self }
    }

    /// What the queries read from.
    pub fn source(&self) -> &dyn SeriesSource {
        &*self.source
    }

    /// Answers a query. Dropping the future stops the evaluation at its next check.
    pub async fn run(
        &self,
        scope: &Scope,
        query: &str,
        params: QueryParams,
    ) -> Result<QueryResult, RunError> {
        let events = self.events.as_deref();
        let mut ending = Ending { events, begun: Instant::now(), outcome: Outcome::Abandoned };
        let answer = self.answer(scope, query, params).await;
        ending.outcome = match &answer {
            Ok(_) => Outcome::Answered,
            Err(error) => Outcome::Failed(error.kind()),
        };
        answer
    }

    async fn answer(&self, scope: &Scope, query: &str, params: QueryParams) -> Result<QueryResult, RunError> {
        let deadline = Instant::now() + scope.timeout;
        let plan = promql::plan(query, params)?;
        if plan.requests.len() > SELECTORS_MAX {
            let (what, found) = ("its number of selectors", plan.requests.len());
            return Err(QueryError::TooLarge { what, found, limit: SELECTORS_MAX }.into());
        }
        let slot = tokio::time::timeout_at(deadline, self.slots.acquire()).await;
        let Ok(Ok(_slot)) = slot else { return Err(RunError::Queue) };
        let fetched = tokio::time::timeout_at(deadline, self.fetch(scope, &plan)).await;
        let fetched = fetched.map_err(|_| SourceError::TimedOut)??;
        self.evaluate(plan, fetched, deadline).await
    }

    /// All selectors side by side. Their samples share the query's bound, so the one that exceeds it stops the rest.
    async fn fetch(&self, scope: &Scope, plan: &Plan) -> Result<Fetched, RunError> {
        let (held, limit) = (&AtomicUsize::new(0), self.limits.samples_max);
        let selects = plan.requests.iter().map(|request| async move {
            let series = self.source.select(scope, request).await?;
            let samples: usize = series.iter().map(|series| series.samples.len()).sum();
            let total = held.fetch_add(samples, Ordering::Relaxed).saturating_add(samples);
            if total > limit {
                return Err(RunError::from(QueryError::TooManySamples { limit }));
            }
            Ok(series)
        });
        let answers = try_join_all(selects).await?;
        let mut fetched = Fetched::default();
        for (request, series) in plan.requests.iter().zip(answers) {
            fetched.insert(request.selector, Arc::new(series));
        }
        Ok(fetched)
    }

    async fn evaluate(
        &self,
        plan: Plan,
        fetched: Fetched,
        deadline: Instant,
    ) -> Result<QueryResult, RunError> {
        let limits = self.limits;
        let abandoned = Abandoned::default();
        let seen = Arc::clone(&abandoned.0);
        let work = tokio::task::spawn_blocking(move || {
            let expired = || seen.load(Ordering::Relaxed) || Instant::now() >= deadline;
            promql::evaluate(&plan, &fetched, limits, &expired)
        });
        let result = work.await.map_err(|error| RunError::Evaluation { reason: error.to_string() })?;
        Ok(result?)
    }
}

/// Says, once dropped, that nobody waits for the answer any more.
#[derive(Default)]
struct Abandoned(Arc<AtomicBool>);

impl Drop for Abandoned {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
