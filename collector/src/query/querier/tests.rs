//! The bounds that selectors share, and what is reported of a query's end.

use std::collections::BTreeSet;

use prometheus_client::registry::Registry;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, pending, ready};
use ledgerline_promql::limits::{MEMORY_BYTES_DEFAULT, QUERY_SHARES};
use ledgerline_promql::source::{SeriesFilter, Tenant};
use ledgerline_promql::{Grouping, Labels, MemoryError, Point, Samples, SelectorRequest, Series};

use super::*;

/// Gives ten samples of the metric `some`, is away for `away`, and never ends for anything else.
struct Uneven;

impl SeriesSource for Uneven {
    fn select<'a>(
        &'a self,
        _: &'a Scope,
        request: &'a SelectorRequest,
    ) -> BoxFuture<'a, Result<Vec<Series>, SourceError>> {
        match request.matchers.iter().find(|matcher| matcher.name == "__name__").map(|name| &*name.value) {
            Some("some") => {
                let point = |time_ms| Point { time_ms, value: promql::Number::whole(1) };
                let samples = Samples::Points((1..=10).map(point).collect());
                ready(Ok(vec![Series { labels: Labels::from_pairs([("__name__", "some")]), samples }]))
                    .boxed()
            }
            Some("away") => ready(Err(SourceError::Unavailable("gone".to_owned()))).boxed(),
            _ => pending().boxed(),
        }
    }

    fn labels<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a SeriesFilter,
        _: Option<Grouping>,
    ) -> BoxFuture<'a, Result<BTreeSet<Labels>, SourceError>> {
        pending().boxed()
    }
}

const AT: QueryParams = QueryParams::Instant { time_ms: 11 };

async fn run(querier: &Querier, query: &str) -> Result<QueryResult, RunError> {
    querier.run(&querier.scope(Tenant("acme".into()), Duration::from_secs(30)), query, AT).await
}

/// Guarantees: selectors that are too much together end the query at once, not when the last one has been read, and all memory is
/// given back.
#[tokio::test(start_paused = true)]
async fn selectors_share_the_memory_of_their_query() {
    let memory = MemoryPool::new(QUERY_SHARES * 900);
    let querier = Querier::new(Arc::new(Uneven), Arc::clone(&memory), Metrics::default());
    // Ten samples of 48 bytes, a series and its label: one answer fits into 900 bytes, two do not.
    let error = run(&querier, "some + some{a=\"\"} + slow").await.unwrap_err();
    assert!(matches!(error, RunError::Query(QueryError::Memory(MemoryError::Query(900)))), "{error}");
    assert_eq!(memory.used(), 0);
}

/// Scenario: a long evaluation; whoever asked goes away while it runs.
/// Guarantees: the thread stops, and its memory is given back.
#[tokio::test]
async fn an_evaluation_that_nobody_waits_for_stops() {
    let memory = MemoryPool::new(MEMORY_BYTES_DEFAULT);
    let querier = Querier::new(Arc::new(Uneven), Arc::clone(&memory), Metrics::default());
    // 9,700 quantiles over 2,000 values each.
    let query = "quantile_over_time(0.5, vector(1)[2000:1])";
    let params = QueryParams::Range { start_ms: 0, end_ms: 97_000_000, step_ms: 10_000 };
    let scope = querier.scope(Tenant("acme".into()), Duration::from_secs(3000));
    let mut asked = Box::pin(querier.run(&scope, query, params));
    // Memory in use says that the evaluation has begun.
    while memory.used() == 0 {
        assert!(futures_util::poll!(&mut asked).is_pending());
        tokio::task::yield_now().await;
    }
    drop(asked);
    while memory.used() > 0 {
        tokio::task::yield_now().await;
    }
    let slots = querier.slots.available_permits();
    assert_eq!(slots, CONCURRENT_QUERIES_MAX);
}

/// Guarantees: every query is reported once with its outcome and its time, also one that nobody waited for.
#[tokio::test(start_paused = true)]
async fn the_end_of_every_query_is_reported() {
    let mut registry = Registry::default();
    let metrics = Metrics::register(&mut registry);
    let querier = Querier::new(Arc::new(Uneven), MemoryPool::new(MEMORY_BYTES_DEFAULT), metrics.clone());
    run(&querier, "some").await.unwrap();
    run(&querier, "some +").await.unwrap_err();
    run(&querier, "away").await.unwrap_err();
    run(&querier, "slow").await.unwrap_err();
    let gone = tokio::time::timeout(Duration::from_secs(5), run(&querier, "slow")).await;
    gone.unwrap_err();
    for (outcome, count) in
        [("ok", 1), ("bad_data", 1), ("unavailable", 1), ("timeout", 1), ("abandoned", 1), ("execution", 0)]
    {
        assert_eq!(metrics.queries.of([outcome]).get(), count, "{outcome}");
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
    let took = |seconds| format!("ledgerline_collector_query_seconds_bucket{{le=\"{seconds}\"}}");
    let count = |seconds| {
        text.lines().find_map(|line| line.strip_prefix(&took(seconds))).unwrap_or_else(|| panic!("{text}"))
    };
    // One of 5 and one of 30 seconds.
    assert_eq!([count("4.096"), count("8.192"), count("32.768")], [" 3", " 4", " 5"]);
}
