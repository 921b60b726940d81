//! Runs one query from text to answer: plan, fetch what it needs side by side, evaluate off the runtime's threads. Used by the HTTP
//! API and by the rules alike, so that both see the same numbers and obey the same bounds.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::try_join_all;
use ledgerline_promql::source::{Scope, SeriesSource, SourceError, Tenant};
use ledgerline_promql::syntax::ParseError;
use ledgerline_promql::{
    self as promql, Budget, Fetched, Matcher, MemoryPool, Plan, QueryError, QueryParams, QueryResult,
};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::limits::{CONCURRENT_QUERIES_MAX, SELECTORS_MAX};
use crate::metrics::Metrics;
use crate::query::error::{ABANDONED, RunError};

/// Reports a query's end, also when its future is dropped.
struct Ending<'a> {
    metrics: &'a Metrics,
    begun: Instant,
    outcome: &'static str,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.metrics.queries.of([self.outcome]).inc();
        self.metrics.query_seconds.observe(self.begun.elapsed().as_secs_f64());
    }
}

/// Runs queries over one source.
pub struct Querier {
    metrics: Metrics,
    /// What the queries read from.
    pub source: Arc<dyn SeriesSource>,
    slots: Semaphore,
    memory: Arc<MemoryPool>,
}

impl Querier {
    /// A querier whose queries share that memory and are counted there, with the bounds of `limits.rs`.
    pub fn new(source: Arc<dyn SeriesSource>, memory: Arc<MemoryPool>, metrics: Metrics) -> Self {
        Self { metrics, source, slots: Semaphore::new(CONCURRENT_QUERIES_MAX), memory }
    }

    /// What one request of a tenant may use.
    pub fn scope(&self, tenant: Tenant, timeout: Duration) -> Scope {
        Scope { tenant, timeout, memory: self.memory.share() }
    }

    /// Answers a query. Dropping the future stops the evaluation at its next check.
    #[tracing::instrument(name = "query", skip_all, fields(outcome))]
    pub async fn run(
        &self,
        scope: &Scope,
        query: &str,
        params: QueryParams,
    ) -> Result<QueryResult, RunError> {
        let mut ending = Ending { metrics: &self.metrics, begun: Instant::now(), outcome: ABANDONED };
        let answer = self.answer(scope, query, params).await;
        ending.outcome = answer.as_ref().map_or_else(|error| error.outcome().0, |_| "ok");
        tracing::Span::current().record("outcome", ending.outcome);
        answer
    }

    async fn answer(&self, scope: &Scope, query: &str, params: QueryParams) -> Result<QueryResult, RunError> {
        let deadline = Instant::now() + scope.timeout;
        let _slot = self.slot(deadline).await?;
        let text = query.to_owned();
        let plan = Self::blocking(scope, deadline, move |budget| promql::plan_within(budget, &text, params));
        let plan = plan.await?;
        plan.check_increments(&|request| self.source.are_increments(request))?;
        if plan.requests.len() > SELECTORS_MAX {
            let (what, found) = ("its number of selectors", plan.requests.len());
            return Err(QueryError::from(ParseError::TooLarge { what, found, limit: SELECTORS_MAX }).into());
        }
        let fetched = tokio::time::timeout_at(deadline, self.fetch(scope, &plan)).await;
        let fetched = fetched.map_err(|_| SourceError::TimedOut)??;
        Self::blocking(scope, deadline, move |budget| promql::evaluate(&plan, &fetched, budget)).await
    }

    /// Reads the selectors of a metadata request, whose regular expressions are work like a query's.
    pub async fn selectors(&self, scope: &Scope, texts: Vec<String>) -> Result<Vec<Vec<Matcher>>, RunError> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let deadline = Instant::now() + scope.timeout;
        let _slot = self.slot(deadline).await?;
        Self::blocking(scope, deadline, move |budget| {
            texts.iter().map(|text| promql::parse_selector(budget, text)).collect()
        })
        .await
    }

    async fn slot(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, RunError> {
        match tokio::time::timeout_at(deadline, self.slots.acquire()).await {
            Ok(Ok(slot)) => Ok(slot),
            _ => Err(RunError::Queue),
        }
    }

    /// All selectors side by side. What they bring shares the query's memory, so the one that exceeds it stops the rest.
    async fn fetch(&self, scope: &Scope, plan: &Plan) -> Result<Fetched, RunError> {
        let fetched = Mutex::new(Fetched::default());
        let selects = plan.requests.iter().map(|request| async {
            let series = self.source.select(scope, request).await?;
            let mut fetched = fetched.lock().unwrap_or_else(PoisonError::into_inner);
            fetched.insert(&scope.memory, request.selector, series).map_err(QueryError::from)?;
            self.source.info(request).into_iter().for_each(|info| fetched.inform(info));
            Ok::<(), RunError>(())
        });
        try_join_all(selects).await?;
        Ok(fetched.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does work that keeps a thread busy on a thread for that, until it is done, the deadline has passed or nobody waits.
    async fn blocking<T: Send + 'static>(
        scope: &Scope,
        deadline: Instant,
        work: impl FnOnce(&Budget<'_>) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, RunError> {
        let memory = Arc::clone(&scope.memory);
        let cancelled = CancellationToken::new();
        let _cancels = cancelled.clone().drop_guard();
        let work = tokio::task::spawn_blocking(move || {
            let stopped = || cancelled.is_cancelled() || Instant::now() >= deadline;
            work(&Budget::new(memory, &stopped))
        });
        let result = work.await.map_err(|error| RunError::Evaluation { reason: error.to_string() })?;
        Ok(result?)
    }
}
