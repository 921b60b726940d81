//! What a rule has seen, of series that are known in advance.

use axum::body::Body;
use axum::extract::Request;
use http_body_util::BodyExt as _;
use ledgerline_process::clock::ManualClock;
use ledgerline_process::config::Problems;
use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_promql::source::Tenant;
use ledgerline_promql::{MemoryPool, Number, Point, Samples, Series};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::alerting::{Alerting, AlertingConfig, Forgetful, InstantQuery, Sample};
use crate::metrics::Metrics;
use crate::query::memory_source::MemorySource;

/// 2023-11-14 22:13:20 UTC; the last whole minute is 20 s before.
const NOW_MS: i64 = 1_700_000_000_000;
const THROUGH_MS: i64 = NOW_MS - 20_000;

/// Nobody evaluates rules here.
struct Never;

impl InstantQuery for Never {
    fn query<'a>(
        &'a self,
        _: &'a str,
        _: UnixMs,
    ) -> futures_util::future::BoxFuture<'a, Result<Vec<Sample>, String>> {
        Box::pin(std::future::pending())
    }
}

/// Thirteen teams of which each always has its number; but `t11` had 5 at the places 100 to 109, and `t12` no number at 200.
fn pressures() -> MemorySource {
    let mut source = MemorySource::default();
    for team in 0..13_u32 {
        let value = |place: i64| match (team, place) {
            (11, 100..=109) => 5.0,
            (12, 200) => f64::NAN,
            _ => f64::from(team),
        };
        let point = |place: i64| Point {
            time_ms: THROUGH_MS - (288 - place) * 300_000,
            value: Number::Float(value(place)),
        };
        let labels = [("__name__", "pressure".to_owned()), ("team", format!("t{team:02}"))];
        let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
        let samples = Samples::Points((0..289).map(point).collect());
        source.push(
            Tenant("acme".into()),
            Series { labels: ledgerline_promql::Labels::from_pairs(labels), samples },
        );
    }
    source
}

async fn seen(rules: Value, alert: &str, reader: &str) -> (StatusCode, Value) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.yaml");
    std::fs::write(&file, json!({"groups": [{"name": "all", "rules": rules}]}).to_string()).unwrap();
    let config = AlertingConfig { rule_files: vec![file], query_offset_ms: 0, ..AlertingConfig::default() };
    let settings = config.resolve(&|_| Ok(()), None, &mut Problems::default()).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(NOW_MS.unsigned_abs() * 1_000_000));
    let (owner, metrics) = (Principal::of("acme"), Metrics::default());
    let alerting = Alerting::new(
        settings,
        owner,
        Arc::new(Never),
        Arc::new(Forgetful),
        Arc::clone(&clock),
        metrics.clone(),
    )
    .unwrap();
    let querier =
        Arc::new(Querier::new(Arc::new(pressures()), MemoryPool::new(MEMORY_BYTES_DEFAULT), metrics));
    let state = SeenState { querier, rules: alerting.view.clone(), clock };
    let routes = router(state).layer(Extension(Principal::of(reader)));
    let request = Request::get(format!("/api/v1/alerts/{alert}")).body(Body::empty()).unwrap();
    let answer = routes.oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

/// Scenario: nine rules of one name over thirteen series, of which two are over the limit.
/// Guarantees: the first eight rules and the first twelve series are told, those first that were over it the longest, and how many more there
/// are; each stretch in which the condition held has its ends; no number is nothing.
#[tokio::test]
async fn the_longest_and_the_highest_come_first_and_the_rest_is_counted() {
    let rule = |_| json!({"alert": "Pressed", "expr": "pressure > 10 and pressure < 100", "for": "5m"});
    let (status, body) = seen((0..9).map(rule).collect(), "Pressed", "acme").await;
    assert_eq!(status, StatusCode::OK, "{body}");
    assert_eq!(
        (&body["from"], &body["through"]),
        (&json!("2023-11-13T22:13:00Z"), &json!("2023-11-14T22:13:00Z"))
    );
    assert_eq!((body["rules"].as_array().unwrap().len(), &body["more_rules"]), (8, &json!(1)));
    let rule = &body["rules"][7];
    assert_eq!(
        (&rule["watched"], &rule["limit"], &rule["for_seconds"]),
        (&json!("pressure"), &json!(10.0), &json!(300))
    );
    let series = rule["series"].as_array().unwrap();
    let teams: Vec<&str> = series.iter().map(|one| one["labels"]["team"].as_str().unwrap()).collect();
    assert_eq!(teams, ["t12", "t11", "t10", "t09", "t08", "t07", "t06", "t05", "t04", "t03", "t02", "t01"]);
    assert_eq!(rule["more_series"], 1);
    let held: Vec<&Value> = series.iter().map(|one| &one["held"]).take(3).collect();
    assert_eq!(held, [&json!([[0, 199], [201, 288]]), &json!([[0, 99], [110, 288]]), &json!([])]);
    let values = |at: usize| series[at]["values"].as_array().unwrap();
    assert_eq!((values(0).len(), &values(0)[199], &values(0)[200]), (289, &json!(12.0), &Value::Null));
    assert_eq!((&values(1)[99], &values(1)[100], &values(11)[288]), (&json!(11.0), &json!(5.0), &json!(1.0)));
}

#[tokio::test]
async fn a_name_that_is_no_rule_of_the_reader_is_not_found() {
    let rules = || json!([{"alert": "Pressed", "expr": "pressure > 10"}]);
    for (alert, reader) in [("Depressed", "acme"), ("Pressed", "globex")] {
        let (status, body) = seen(rules(), alert, reader).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{body}");
        assert!(body.to_string().contains(alert), "{body}");
    }
}
