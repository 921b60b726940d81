//! What leaves, and where it must not go.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use tokio::sync::mpsc;

use super::*;
use crate::logging::{LogFormat, LogSettings, subscriber};

#[test]
fn a_process_is_not_its_own_endpoint() {
    for (endpoint, listener, is_own) in [
        ("http://127.0.0.1:4318", "127.0.0.1:4318", true),
        ("http://localhost:4318/", "127.0.0.1:4318", true),
        ("http://[::1]:4318", "[::]:4318", true),
        ("http://127.0.0.1:4318", "0.0.0.0:4318", true),
        ("http://10.0.0.7:4318", "10.0.0.7:4318", true),
        ("http://10.0.0.8", "10.0.0.8:80", true),
        ("http://127.0.0.1:4319", "127.0.0.1:4318", false),
        ("http://10.0.0.8:4318", "10.0.0.7:4318", false),
        ("https://otel.example.com:4318", "127.0.0.1:4318", false),
    ] {
        let config = TelemetryConfig { endpoint: Some(Endpoint::try_from(endpoint.to_owned()).unwrap()) };
        let mut problems = Problems::default();
        config.check(&["127.0.0.1:1".parse().unwrap(), listener.parse().unwrap()], &mut problems);
        assert_eq!(problems.into_result(Some(())).is_err(), is_own, "{endpoint} {listener}");
    }
    for text in ["4318", "http://user@host:4318", "grpc://127.0.0.1:4317"] {
        assert!(Endpoint::try_from(text.to_owned()).is_err(), "{text}");
    }
}

/// Scenario: one span of ours with a log line in it, one of a library, both within the filter of the log.
#[tokio::test(flavor = "multi_thread")]
async fn only_our_spans_leave_and_no_log_line_with_them() {
    let (sender, mut bodies) = mpsc::channel::<Bytes>(8);
    let take = move |body: Bytes| {
        sender.try_send(body).unwrap();
        std::future::ready(StatusCode::OK)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = Endpoint::try_from(format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let server = axum::serve(listener, Router::new().route("/v1/traces", post(take))).into_future();
    let server = tokio::spawn(server);
    let config = TelemetryConfig { endpoint: Some(endpoint) };
    let telemetry = Telemetry::start(&config, "ledgerline-test", &Handle::current()).unwrap();
    let log = LogSettings::new(LogFormat::Text, "off").unwrap();
    tracing::subscriber::with_default(subscriber(&log, &telemetry), || {
        tracing::info_span!("our span", rows = 7).in_scope(|| tracing::error!("a log line"));
        tracing::info_span!(target: "h2::codec", "library span").in_scope(|| {});
    });
    tokio::task::spawn_blocking(|| telemetry.stop()).await.unwrap();
    let body = bodies.recv().await.unwrap();
    server.abort();
    // Protobuf holds text as it is.
    let text = String::from_utf8_lossy(&body);
    for part in ["our span", "rows", "ledgerline-test"] {
        assert!(text.contains(part), "{part}");
    }
    for part in ["library span", "a log line"] {
        assert!(!text.contains(part), "{part}");
    }
}
