//! Heads of messages: large ones, many headers, and those that are written badly or can be read in two ways.

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use ledgerline_agent::app::Parts;

use crate::protocols::http2_client;
use crate::support::*;

/// So many headers, each with a value of so many bytes.
fn many(count: usize, bytes: usize) -> String {
    let value = "v".repeat(bytes);
    (0..count).map(|number| format!("x-h-{number}: {value}\r\n")).collect()
}

fn answer_with(headers: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}content-length: 2\r\n\r\n{{}}")
}

fn own(head: &str) -> usize {
    head.lines().filter(|line| line.starts_with("x-h-")).count()
}

/// Guarantees: heads as large as any provider takes or sends pass both ways: 1,500 headers, 200 KB in many or in one.
#[tokio::test]
async fn large_heads_pass_both_ways() {
    for (count, bytes) in [(150, 10), (1_500, 10), (1_500, 120), (1, 200_000), (30, 7_000)] {
        let headers = many(count, bytes);
        let (upstream, requests) = Upstream::fixed(answer_with(&headers)).await;
        let agent = Agent::alone(upstream.address).await;
        let answer = agent.call(post("/openai/v1/x", &headers, "{}")).await;
        assert!(answer.head.starts_with("HTTP/1.1 200 "), "{count} x {bytes}: {}", &answer.head[..40]);
        assert_eq!(own(&answer.head), count);
        let (head, _) = requests.lock().unwrap()[0].clone();
        assert_eq!(own(&head), count);
        assert!(head.contains(&headers[..bytes]));
        agent.stop().await;
    }
}

/// Guarantees: the same for a client that speaks HTTP/2.
#[tokio::test]
async fn large_heads_pass_over_http2() {
    for (count, bytes) in [(1_500, 10), (30, 7_000)] {
        let (upstream, requests) = Upstream::fixed(answer_with(&many(count, bytes))).await;
        let agent = Agent::alone(upstream.address).await;
        let mut client = http2_client(agent.addresses.relay, 1 << 20).await;
        let mut request = Request::post(format!("http://{}/openai/v1/x", agent.addresses.relay));
        for number in 0..count {
            request = request.header(format!("x-h-{number}"), "v".repeat(bytes));
        }
        let answer = client.send_request(request.body(Full::new(Bytes::from_static(b"{}"))).unwrap());
        let answer = within(answer).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers().len(), count + 1);
        assert_eq!(within(answer.into_body().collect()).await.unwrap().to_bytes(), "{}");
        assert_eq!(own(&requests.lock().unwrap()[0].0), count);
        agent.stop().await;
    }
}

/// Guarantees: a response whose head is written badly was billed all the same and reaches the client: folded lines are
/// joined, spaces before a colon do not matter, a line that is no header is left out.
#[tokio::test]
async fn badly_written_heads_of_responses_pass() {
    for (line, expected) in [
        ("x-a: one\r\n two\r\n\tthree\r\n", "one two three"),
        ("x-a : one\r\n", "one"),
        ("x-a: one\r\nno header at all\r\nx b: 2\r\n", "one"),
    ] {
        let (upstream, _) = Upstream::fixed(answer_with(line)).await;
        let agent = Agent::alone(upstream.address).await;
        let answer = agent.call(post("/openai/v1/x", "", "{}")).await;
        assert!(answer.head.starts_with("HTTP/1.1 200 "), "{line:?}: {}", answer.head);
        let value = answer.header("x-a").concat();
        assert_eq!(value.split_whitespace().collect::<Vec<_>>().join(" "), expected);
        assert_eq!(answer.body, b"{}");
        agent.stop().await;
    }
}

/// Scenario: two `Host` headers, equal ones too; paths that lead out of a base path.
/// Guarantees: a 400 that says why; nothing reaches the upstream.
#[tokio::test]
async fn requests_that_two_readers_understand_differently_are_refused() {
    let (upstream, requests) = Upstream::fixed(completion()).await;
    let yaml = openai(upstream.address, "", dead_address().await)
        .replace("flush_timeout_seconds: 5", "flush_timeout_seconds: 0")
        .replace(&format!("http://{}\"", upstream.address), &format!("http://{}/tenant\"", upstream.address));
    let agent = Agent::configured(&yaml, Parts::default()).await;
    let refused = |answer: &Message, class: &str| {
        assert!(answer.head.starts_with("HTTP/1.1 400 "), "{}", answer.head);
        assert_eq!(answer.header("x-ledgerline-error"), [class]);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(body["error"]["message"].as_str().unwrap().len() > 20, "{body}");
    };
    for host in ["host: agent\r\n", "host: elsewhere\r\n"] {
        refused(&agent.call(post(CHAT, host, "{}")).await, "ambiguous_host");
    }
    for path in ["/openai/../other", "/openai/v1/%2e%2E/..%2fother", "/openai/..;/other"] {
        refused(&agent.call(post(path, "", "{}")).await, "path_escapes");
    }
    assert!(requests.lock().unwrap().is_empty());
    agent.call(post("/openai/v1/a..b/../chat/completions", "", "{}")).await;
    let (head, _) = requests.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST /tenant/v1/a..b/../chat/completions HTTP/1.1\r\n"), "{head}");
    agent.stop().await;
}

/// Scenario: a length and chunks; a target with a foreign host in it.
/// Guarantees: as RFC 9112 demands of who forwards them: the chunks count, the length is gone and the connection is closed
/// afterwards (section 6.3); the host in the target and that of the header mean nothing, the upstream is the configured one.
#[tokio::test]
async fn two_lengths_and_absolute_targets_pass_in_one_reading() {
    let (upstream, requests) = Upstream::fixed(completion()).await;
    let agent = Agent::alone(upstream.address).await;
    let head = post("/openai/v1/x", "transfer-encoding: chunked\r\n", "").replace("length: 0", "length: 3");
    let mut answer = agent.call([head.as_bytes(), &chunk("{\"a\":1}"), b"0\r\n\r\n"].concat()).await;
    answer.connection.closed().await;
    let absolute = post("http://user@elsewhere/openai/v1/y?a=b", "", "{}");
    agent.call(absolute).await;
    let requests = requests.lock().unwrap().clone();
    assert_eq!(requests[0].1, b"{\"a\":1}");
    assert!(header(&requests[0].0, "content-length").is_empty(), "{}", requests[0].0);
    assert!(requests[1].0.starts_with("POST /v1/y?a=b HTTP/1.1\r\n"), "{}", requests[1].0);
    for (head, _) in &requests {
        assert_eq!(header(head, "host"), [upstream.address.to_string()]);
    }
    agent.stop().await;
}

/// Guarantees: no header with our prefix reaches a provider, misspelled ones included; those are counted.
#[tokio::test]
async fn our_prefix_is_reserved() {
    let (upstream, requests) = Upstream::fixed(completion()).await;
    let agent = Agent::alone(upstream.address).await;
    let headers =
        "x-ledgerline-teem: a\r\nX-Ledgerline-Team: b\r\nx-ledgerline-error: c\r\nx-ledgerliner: d\r\n";
    agent.call(post(CHAT, headers, "{}")).await;
    agent.call(post("/openai/v1/models", headers, "{}")).await;
    for (head, _) in requests.lock().unwrap().iter() {
        assert!(!head.to_ascii_lowercase().contains("x-ledgerline-"), "{head}");
        assert_eq!(header(head, "x-ledgerliner"), ["d"]);
    }
    assert_eq!(agent.metric("ledgerline_agent_relay_unknown_headers_total").await, 4);
    agent.stop().await;
}
