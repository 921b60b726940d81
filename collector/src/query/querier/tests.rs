//! The bounds that selectors share, and what is reported of a query's end.

use std::sync::Mutex;

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, pending, ready};
use ledgerline_promql::source::{SeriesFilter, Tenant};
use ledgerline_promql::{Labels, Point, Samples, SelectorRequest, Series};

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
                let samples = Samples::Gauge((1..=10).map(point).collect());
                ready(Ok(vec![Series { labels: Labels::from_pairs([("__name__", "some")]), samples }]))
                    .boxed()
            }
            Some("away") => ready(Err(SourceError::Unavailable { reason: "gone".to_owned() })).boxed(),
            _ => pending().boxed(),
        }
    }

    fn label_names<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<String>, SourceError>> {
        pending().boxed()
    }

    fn label_values<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a str,
        _: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<String>, SourceError>> {
        pending().boxed()
    }

    fn series<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a SeriesFilter,
    ) -> BoxFuture<'a, Result<Vec<Labels>, SourceError>> {
        pending().boxed()
    }
}

#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(&'static str, Duration)>>>);

impl QueryEvents for Heard {
    fn ended(&self, outcome: Outcome, took: Duration) {
        self.0.lock().unwrap().push((outcome.name(), took));
    }
}

const AT: QueryParams = QueryParams::Instant { time_ms: 11 };

fn scope() -> Scope {
    Scope { tenant: Tenant("acme".into()), timeout: Duration::from_secs(30) }
}

/// Guarantees: selectors that are too much together end the query at once, not when the last one has been read.
#[tokio::test(start_paused = true)]
async fn selectors_share_the_bound_on_samples() {
    let limits = Limits { samples_max: 15, ..Limits::default() };
    let querier = Querier::with_limits(Arc::new(Uneven), limits);
    let error = querier.run(&scope(), "some + some{a=\"\"} + slow", AT).await.unwrap_err();
    assert!(matches!(error, RunError::Query(QueryError::TooManySamples { limit: 15 })), "{error}");
}

/// Guarantees: every query is reported once with its outcome and its time, also one that nobody waited for.
#[tokio::test(start_paused = true)]
async fn the_end_of_every_query_is_reported() {
    let heard = Heard::default();
    let querier = Querier::new(Arc::new(Uneven)).reporting(Box::new(heard.clone()));
    querier.run(&scope(), "some", AT).await.unwrap();
    querier.run(&scope(), "some +", AT).await.unwrap_err();
    querier.run(&scope(), "away", AT).await.unwrap_err();
    querier.run(&scope(), "slow", AT).await.unwrap_err();
    let gone = tokio::time::timeout(Duration::from_secs(5), querier.run(&scope(), "slow", AT)).await;
    gone.unwrap_err();
    let heard = heard.0.lock().unwrap().clone();
    let names: Vec<&str> = heard.iter().map(|(name, _)| *name).collect();
    assert_eq!(names, ["ok", "bad_data", "unavailable", "timeout", "abandoned"]);
    let seconds: Vec<u64> = heard[3..].iter().map(|(_, took)| took.as_secs()).collect();
    assert_eq!(seconds, [30, 5]);
}
