//! Whose data a token opens, over the whole of Prometheus's API.

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, ready};
use http_body_util::BodyExt as _;
use ledgerline_process::config::{Problems, Secret, SecretText};
use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::*;
use crate::access::Principal;
use crate::alerting::{Alerting, AlertingConfig, Forgetful, InstantQuery, Sample, UnixMs};
use crate::metrics::Metrics;
use crate::query::memory_source::MemorySource;

/// One series over every threshold.
struct Spent;

impl InstantQuery for Spent {
    fn query<'a>(&'a self, _: &'a str, _: UnixMs) -> BoxFuture<'a, Result<Vec<Sample>, String>> {
        let labels = [("team".to_owned(), "search".to_owned())].into();
        ready(Ok(vec![Sample { labels, value: 612.5 }])).boxed()
    }
}

/// Wall time that moves with the runtime's.
struct Following(Instant);

impl Clock for Following {
    fn now_unix_ns(&self) -> u64 {
        1_700_000_000_000_000_000 + u64::try_from(self.0.elapsed().as_nanos()).unwrap()
    }
}

fn secret(directory: &Path, text: &str) -> SecretText {
    let file = directory.join(text);
    std::fs::write(&file, text).unwrap();
    Secret::File(file).read().unwrap()
}

async fn get(api: &Router, path: &str, token: &str) -> (StatusCode, Value) {
    let path = if path.starts_with("/api/v1/spend") { path.to_owned() } else { format!("/prometheus{path}") };
    let request = Request::get(path).header(header::AUTHORIZATION, token);
    let answer = api.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Scenario: two tenants have a token each, one of them has the rules, and one of those fires.
/// Guarantees: the other's token reads neither rules nor alerts, with every parameter; no token reads nothing.
#[tokio::test(start_paused = true)]
async fn a_token_reads_the_rules_and_alerts_of_its_own_tenant_only() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.yaml");
    std::fs::write(&file, "groups: [{name: spend, rules: [{alert: OverBudget, expr: secret_spend}]}]")
        .unwrap();
    let config = AlertingConfig { rule_files: vec![file], ..AlertingConfig::default() };
    let settings = config.resolve(&|_| Ok(()), None, &mut Problems::default()).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(Following(Instant::now()));
    let (metrics, owner) = (Metrics::default(), Principal::of("owner"));
    let alerting = Alerting::new(
        settings,
        owner.clone(),
        Arc::new(Spent),
        Arc::new(Forgetful),
        Arc::clone(&clock),
        metrics,
    )
    .unwrap();
    let view = alerting.view.clone();
    let access = Access::Tokens(vec![
        (secret(directory.path(), "token-of-owner-1"), owner),
        (secret(directory.path(), "token-of-other-1"), Principal::of("other")),
    ]);
    let memory = MemoryPool::new(MEMORY_BYTES_DEFAULT);
    let querier = Arc::new(Querier::new(Arc::new(MemorySource::default()), memory, Metrics::default()));
    let ledger = Ledger {
        source: Arc::new(MemorySource::default()),
        budgets: Arc::default(),
        owner: Principal::of("owner").tenant,
        crossings: Arc::default(),
        clock,
    };
    let api = answers(querier, ledger, view, Arc::new(access), Router::new());
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(alerting.run(shutdown.clone()));
    tokio::time::sleep(Duration::from_secs(60)).await;

    let (status, rules) = get(&api, "/api/v1/rules", "Bearer token-of-owner-1").await;
    assert_eq!(
        (status, &rules["data"]["groups"][0]["rules"][0]["query"]),
        (StatusCode::OK, &json!("secret_spend"))
    );
    let (_, alerts) = get(&api, "/api/v1/alerts", "Bearer token-of-owner-1").await;
    assert_eq!(alerts["data"]["alerts"][0]["labels"]["team"], "search", "{alerts}");
    for path in ["/api/v1/rules", "/api/v1/rules?type=alert", "/api/v1/rules?rule_group[]=spend"] {
        let answer = get(&api, path, "Bearer token-of-other-1").await;
        assert_eq!(answer, (StatusCode::OK, json!({"status": "success", "data": {"groups": []}})), "{path}");
    }
    let answer = get(&api, "/api/v1/alerts", "Bearer token-of-other-1").await;
    assert_eq!(answer, (StatusCode::OK, json!({"status": "success", "data": {"alerts": []}})));
    for path in ["/api/v1/rules", "/api/v1/alerts", "/api/v1/spend?month=2026-11"] {
        assert_eq!(get(&api, path, "Bearer nobody").await.0, StatusCode::UNAUTHORIZED, "{path}");
    }
    shutdown.cancel();
    running.await.unwrap();
}
