//! Provider keys and message bodies reach no span, no log and no metric.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use ledgerline_testkit::http::{get, send};
use ledgerline_testkit::stack::{Stack, StackOptions};

const KEYS: [&str; 2] = ["sk-proj-CANARYKEY0123456789abcdefghij", "sk-ant-api03-CANARYKEY0123456789"];
const PROMPT: &str = "CANARYPROMPT the patient's name is Ada";

fn every_file(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            every_file(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Scenario: calls of both dialects with canary keys in headers and canary text in the prompt, good and failing, streamed
/// and not, both logs at their loudest.
/// Guarantees: no canary in any column of the record, in any file of the stack (logs, the engine's data) or in any metric.
#[tokio::test(flavor = "multi_thread")]
async fn canaries_are_found_nowhere() {
    let loud = "log: {level: trace}\n";
    let options = StackOptions {
        agent_yaml: loud.to_owned(),
        collector_yaml: loud.to_owned(),
        ..StackOptions::default()
    };
    let mut stack = Stack::start(options).await.unwrap();
    let mut made = 0;
    for scenario in ["plain", "error_400", "midstream_error", "truncated"] {
        for stream in [false, true] {
            let openai = format!(
                r#"{{"model":"gpt-4o","stream":{stream},"messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#
            );
            let anthropic = format!(
                r#"{{"model":"claude-sonnet-4-5","max_tokens":64,"stream":{stream},"messages":[{{"role":"user","content":"{PROMPT}"}}]}}"#
            );
            let bearer = format!("Bearer {}", KEYS[0]);
            let common = [("content-type", "application/json"), ("x-mock-scenario", scenario)];
            let headers = [common[0], common[1], ("authorization", bearer.as_str())];
            let url = format!("{}/v1/chat/completions?api_key={}", stack.openai(), KEYS[0]);
            // A cut stream is an error of this client; what matters is what stays behind.
            let _ = send(Method::POST, &url, &headers, Bytes::from(openai)).await;
            let headers = [common[0], common[1], ("x-api-key", KEYS[1]), ("anthropic-version", "2023-06-01")];
            let _ = send(
                Method::POST,
                &format!("{}/v1/messages", stack.anthropic()),
                &headers,
                Bytes::from(anthropic),
            )
            .await;
            made += 2;
        }
    }
    assert_eq!(stack.wait_recorded(Duration::from_secs(60)).await.unwrap(), made);
    let rows = stack.sql("SELECT * FROM spans FORMAT JSONEachRow").await.unwrap();
    assert_eq!(rows.lines().count(), usize::try_from(made).unwrap());
    let agent_metrics = get(&format!("{}/metrics", stack.agent_admin())).await.unwrap().text();
    let collector_metrics = get(&format!("{}/metrics", stack.api())).await.unwrap().text();
    stack.agent.terminate().await.unwrap();
    stack.collector.terminate().await.unwrap();
    let mut files = Vec::new();
    every_file(stack.path(), &mut files);
    assert!(files.len() > 10, "the engine's data is not where it was looked for");
    let mut places: Vec<(String, Vec<u8>)> = files
        .iter()
        .map(|path| (path.display().to_string(), std::fs::read(path).unwrap_or_default()))
        .collect();
    places.push(("the record".into(), rows.into_bytes()));
    places.push(("the agent's metrics".into(), agent_metrics.into_bytes()));
    places.push(("the collector's metrics".into(), collector_metrics.into_bytes()));
    for (place, bytes) in places {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("CANARY"), "a canary is in {place}");
    }
}
