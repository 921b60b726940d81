//! Receivers that misbehave, played by a local listener.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::http::StatusCode;
use ledgerline_collector::alerting::ReceiverKind;
use ledgerline_collector::alerting::fingerprint;
use ledgerline_process::config::Secret;
use serde_json::{Value, json};

use crate::world::{Listener, Received, Running, receiver, until};

const RULES: &str = "groups: [{name: g, rules: [
    {alert: A, expr: one, annotations: {text: 'at {{ $value }}'}}]}]";

fn key(received: &Received) -> String {
    received.headers["idempotency-key"].to_str().unwrap().to_owned()
}

/// Guarantees: whoever looks at health sees that a receiver takes nothing, and that it does again.
#[tokio::test]
async fn a_receiver_is_failing_until_it_takes_alerts() {
    let is_up = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&is_up);
    let hook = Listener::start(move |_, _| match answers.load(Ordering::SeqCst) {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    })
    .await;
    let running = Running::start(RULES, vec![receiver("hook", ReceiverKind::Webhook, hook.url())]);
    until("an attempt failed", || running.failures("hook") > 0 && running.is_failing("hook")).await;
    is_up.store(true, Ordering::SeqCst);
    until("it is taken", || running.sent("hook") == 1 && !running.is_failing("hook")).await;
    running.stop().await;
}

/// Scenario: a webhook fails twice, then works; the alert fires, resolves and fires again.
/// Guarantees: retries repeat body and key, each transition is told once and has its own key, the secret is sent.
#[tokio::test]
async fn webhook_retries_keep_their_key_and_transitions_have_their_own() {
    let mut hook = Listener::start(
        |_, number| if number < 2 { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK },
    )
    .await;
    let mut secret = tempfile::NamedTempFile::new().unwrap();
    writeln!(secret, "Bearer s3cret").unwrap();
    let mut config = receiver("hook", ReceiverKind::Webhook, format!("{}/llm?x=1", hook.url()));
    config.authorization = Some(Secret::File(secret.path().to_owned()));
    assert!(!format!("{config:?}").contains("s3cret"));
    let running = Running::start(RULES, vec![config]);

    let mut attempts = Vec::new();
    for _ in 0..3 {
        attempts.push(hook.wait_for("attempt", |_| true).await);
    }
    let first = attempts[0].clone();
    for attempt in &attempts {
        assert_eq!((key(attempt), &attempt.body), (key(&first), &first.body));
        assert_eq!(attempt.headers["authorization"], "Bearer s3cret");
        assert_eq!(attempt.path, "/llm");
    }
    check_body(&first.body);
    until("two counted failures", || running.failures("hook") == 2 && running.sent("hook") == 1).await;

    running.turn(false);
    let resolved = hook.wait_for("next request", |_| true).await;
    assert_eq!(resolved.body["status"], "resolved");
    assert_eq!(resolved.body["alerts"][0]["startsAt"], first.body["alerts"][0]["startsAt"]);
    running.turn(true);
    let again = hook.wait_for("next request", |_| true).await;
    assert_eq!(again.body["status"], "firing");
    let mut keys = vec![key(&first), key(&resolved), key(&again)];
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3);
    running.stop().await;
}

fn check_body(body: &Value) {
    let labels = json!({"alertname": "A", "metric": "one", "team": "search"});
    let alert = &body["alerts"][0];
    for (path, want) in [
        ("version", json!("4")),
        ("receiver", json!("hook")),
        ("status", json!("firing")),
        ("truncatedAlerts", json!(0)),
        ("groupKey", json!("{}:{alertname=\"A\", metric=\"one\", team=\"search\"}")),
        ("groupLabels", labels.clone()),
        ("commonLabels", labels.clone()),
        ("commonAnnotations", json!({"text": "at 612.5"})),
        ("externalURL", json!("http://ledgerline.example")),
    ] {
        assert_eq!(body[path], want, "{path}");
    }
    assert_eq!(alert["status"], "firing");
    assert_eq!(alert["labels"], labels);
    assert_eq!(alert["endsAt"], "0001-01-01T00:00:00Z");
    let want = fingerprint(&serde_json::from_value(labels).unwrap());
    assert_eq!(alert["fingerprint"], format!("{want:016x}"));
}

/// Scenario: one receiver accepts connections and never answers, another works.
/// Guarantees: evaluation goes on at its pace and the other receiver hears everything at once.
#[tokio::test]
async fn a_receiver_that_hangs_delays_nobody() {
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut hook = Listener::start(|_, _| StatusCode::OK).await;
    let url = format!("http://{}", deaf.local_addr().unwrap());
    let running = Running::start(
        RULES,
        vec![
            receiver("deaf", ReceiverKind::Webhook, url),
            receiver("hook", ReceiverKind::Webhook, hook.url()),
        ],
    );
    hook.wait_for("firing", |received| received.body["status"] == "firing").await;
    running.turn(false);
    hook.wait_for("resolved", |received| received.body["status"] == "resolved").await;
    assert_eq!((running.sent("deaf"), running.sent("hook") >= 1), (0, true));
    let metrics = running.metrics.clone();
    running.stop().await;
    // Both of its notifications are accounted for when the process ends.
    assert_eq!(metrics.notifications_dropped.of(["deaf", "shutdown"]).get(), 2);
    drop(deaf);
}

/// Scenario: an Alertmanager answers 400 to every request that contains one particular alert of five.
/// Guarantees: the four others arrive; the one is dropped and counted, not repeated for ever.
#[tokio::test]
async fn a_refused_alert_is_found_and_does_not_hold_up_the_others() {
    let poisoned = |received: &Received| received.body.to_string().contains("\"metric\":\"three\"");
    let mut alertmanager =
        Listener::start(
            move |received, _| if poisoned(received) { StatusCode::BAD_REQUEST } else { StatusCode::OK },
        )
        .await;
    let rules: Vec<Value> = ["one", "two", "three", "four", "five"]
        .iter()
        .map(|expr| json!({"alert": "A", "expr": expr}))
        .collect();
    let text = json!({"groups": [{"name": "g", "rules": rules}]}).to_string();
    let running = Running::start(
        &text,
        vec![receiver("am", ReceiverKind::Alertmanager, format!("{}/", alertmanager.url()))],
    );
    for expr in ["one", "two", "four", "five"] {
        let want = format!("\"metric\":\"{expr}\"");
        // Batches differ from run to run; each good alert is told again every second, so waiting for each in turn is safe.
        let got = alertmanager
            .wait_for(expr, |received| received.body.to_string().contains(&want) && !poisoned(received))
            .await;
        assert_eq!(got.path, "/api/v2/alerts");
    }
    until("the refused alert to be counted", || running.dropped("am", "rejected") >= 1).await;
    running.stop().await;
}
