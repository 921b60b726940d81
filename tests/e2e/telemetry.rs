//! The product's spans of its own work: told apart from calls, and as silent about them as everything else.

use std::time::Duration;

use bytes::Bytes;
use http::Method;
use ledgerline_testkit::http::send;
use ledgerline_testkit::stack::{Stack, StackOptions};

const CALLS: u64 = 5;

async fn call(stack: &Stack) {
    let headers = [
        ("content-type", "application/json"),
        ("authorization", "Bearer sk-proj-CANARYKEY0123456789abcdefghij"),
        ("x-ledgerline-user", "CANARYUSER"),
    ];
    let body = r#"{"model":"gpt-4o","messages":[{"role":"user","content":"CANARYPROMPT"}]}"#;
    let url = format!("{}/v1/chat/completions?key=CANARYQUERY", stack.openai());
    assert!(send(Method::POST, &url, &headers, Bytes::from(body)).await.unwrap().status.is_success());
}

/// Scenario: agent, collector and engine of one stack send their spans to the collector of another, whose record has a call of
/// its own; calls with canaries in key, query, prompt and user; a query; the first stack is stopped.
/// Guarantees: every part's work is in the other record, one span for each relayed call, and none of it as a call; no canary
/// in any of it.
#[tokio::test(flavor = "multi_thread")]
async fn spans_of_our_own_work_are_no_calls() {
    let other = Stack::start(StackOptions::default()).await.unwrap();
    call(&other).await;
    assert_eq!(other.wait_recorded(Duration::from_secs(60)).await.unwrap(), 1);
    let telemetry = format!("telemetry: {{endpoint: '{}'}}\n", other.otlp_http());
    let options =
        StackOptions { agent_yaml: telemetry.clone(), collector_yaml: telemetry, ..StackOptions::default() };
    let mut stack = Stack::start(options).await.unwrap();
    for _ in 0..CALLS {
        call(&stack).await;
    }
    assert_eq!(stack.wait_recorded(Duration::from_secs(60)).await.unwrap(), CALLS);
    stack.promql("llm_calls_total").await.unwrap();
    // What is not sent yet is sent at the end, and stored when the other collector acknowledges it.
    stack.agent.terminate().await.unwrap();
    stack.collector.terminate().await.unwrap();

    let ours = "FROM spans WHERE startsWith(service, 'ledgerline-')";
    let work = other.sql(&format!("SELECT DISTINCT service, name, is_call {ours}")).await.unwrap();
    for row in [
        "ledgerline-agent\trelay call",
        "ledgerline-agent\texport",
        "ledgerline-collector\tingest",
        "ledgerline-collector\tinsert",
        "ledgerline-collector\tquery",
        "ledgerline-engine\tstatement",
    ] {
        assert!(work.lines().any(|line| line == format!("{row}\t0")), "{row} in\n{work}");
    }
    let relayed =
        format!("SELECT count(), min(http_status), max(http_status) {ours} AND name = 'relay call'");
    assert_eq!(other.sql(&relayed).await.unwrap().trim(), format!("{CALLS}\t200\t200"));
    assert_eq!(other.sql("SELECT count() FROM spans WHERE is_call").await.unwrap().trim(), "1");
    let calls = other.promql("sum(llm_calls_total)").await.unwrap();
    assert_eq!(calls[0]["value"][1], "1", "{calls}");
    let rows = other.sql(&format!("SELECT * {ours} FORMAT JSONEachRow")).await.unwrap();
    assert!(!rows.is_empty() && !rows.contains("CANARY"), "{rows}");
}
