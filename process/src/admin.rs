//! The admin port: `/health`, `/ready`, `/metrics`.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::registry::Registry;

/// Says whether the process can do its work now; the text tells what is in the way.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The routes. `/health` answers 200 while the process runs; `/ready` 200 or 503 with the reason as text; `/metrics`
/// OpenMetrics text, which Prometheus reads.
pub fn router(readiness: Readiness, registry: Arc<Registry>) -> Router {
    Router::new()
        .route("/health", get(|| async { "ok\n" }))
        .route("/ready", get(ready).with_state(readiness))
        .route("/metrics", get(metrics).with_state(registry))
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    match readiness() {
        Ok(()) => "ready\n".into_response(),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}\n")).into_response(),
    }
}

async fn metrics(State(registry): State<Arc<Registry>>) -> Response {
    match encode(&registry) {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

/// The registry as OpenMetrics text.
pub fn encode(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    Ok(text)
}

/// Names, types and help of every metric, for the committed list that makes a rename visible in review.
pub fn describe(registry: &Registry) -> Result<String, std::fmt::Error> {
    let text = encode(registry)?;
    let lines = text.split_inclusive('\n');
    Ok(lines.filter(|line| line.starts_with("# HELP") || line.starts_with("# TYPE")).collect())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt;

    use super::*;

    async fn fetch(router: Router, path: &str) -> (u16, String) {
        let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn the_three_paths_answer_as_documented() {
        let mut registry = Registry::default();
        let calls = Counter::<u64>::default();
        calls.inc();
        registry.register("ledgerline_test_calls", "Calls seen", calls);
        let registry = Arc::new(registry);
        let ready = router(Arc::new(|| Ok(())), registry.clone());
        let blocked = router(Arc::new(|| Err("storage does not answer".into())), registry.clone());
        assert_eq!(fetch(ready.clone(), "/health").await, (200, "ok\n".into()));
        assert_eq!(fetch(ready.clone(), "/ready").await.0, 200);
        assert_eq!(fetch(blocked, "/ready").await, (503, "not ready: storage does not answer\n".into()));
        let (status, text) = fetch(ready, "/metrics").await;
        assert_eq!(status, 200);
        assert!(text.contains("ledgerline_test_calls_total 1\n") && text.ends_with("# EOF\n"), "{text}");
        assert_eq!(describe(&registry).unwrap().lines().count(), 2);
    }
}
