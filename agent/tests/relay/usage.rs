//! Asking for usage in an `OpenAI` stream, and hiding that we asked.

use ledgerline_agent::app::Parts;

use crate::support::*;

const REQUEST: &str = r#"{"model":"gpt-4o","stream":true,"messages":[]}"#;

fn usage_event() -> String {
    event(
        r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":2,"total_tokens":12}}"#,
    )
}

fn stream(chunks: &[String]) -> String {
    let chunks: Vec<String> = chunks.iter().map(|data| String::from_utf8(chunk(data)).unwrap()).collect();
    format!("{STREAM_HEAD}{}0\r\n\r\n", chunks.concat())
}

/// Guarantees: the upstream is asked for usage, uncompressed; the client sees the stream it would have seen without us;
/// the record has the counts.
#[tokio::test]
async fn usage_is_asked_for_and_hidden() {
    let parts = [delta("Hel"), delta("lo"), usage_event(), event("[DONE]")];
    let (upstream, requests) = Upstream::fixed(stream(&parts)).await;
    let collector = Collector::start().await;
    let agent = Agent::before(upstream.address, collector.address).await;
    let answer = agent.call(post(CHAT, "accept-encoding: gzip\r\n", REQUEST)).await;
    let expected = [delta("Hel"), delta("lo"), event("[DONE]")].concat();
    assert_eq!(String::from_utf8(answer.body).unwrap(), expected);

    let (head, body) = requests.lock().unwrap()[0].clone();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["stream_options"]["include_usage"], true);
    assert_eq!(header(&head, "accept-encoding"), ["identity"]);

    let span = collector.spans(1).await.remove(0);
    assert_eq!(attribute(&span, "gen_ai.usage.input_tokens").as_deref(), Some("10"));
    assert_eq!(attribute(&span, "gen_ai.usage.output_tokens").as_deref(), Some("2"));
    agent.stop().await;
}

/// Guarantees: a client that asked for usage itself gets its chunk; a switched-off injection changes nothing.
#[tokio::test]
async fn who_asks_for_usage_gets_it_and_off_is_off() {
    let parts = [delta("Hi"), usage_event(), event("[DONE]")];
    let (upstream, requests) = Upstream::fixed(stream(&parts)).await;
    let nobody = dead_address().await;
    let asked = r#"{"model":"m","stream":true,"stream_options":{"include_usage":true}}"#;
    let agent = Agent::alone(upstream.address).await;
    let answer = agent.call(post(CHAT, "accept-encoding: gzip\r\n", asked)).await;
    assert_eq!(String::from_utf8(answer.body).unwrap(), parts.concat());
    agent.stop().await;

    let yaml = openai(upstream.address, "", nobody) + "relay: {usage_injection: false}\n";
    let agent = Agent::configured(&yaml, Parts::default()).await;
    let answer = agent.call(post(CHAT, "", REQUEST)).await;
    assert_eq!(String::from_utf8(answer.body).unwrap(), parts.concat());
    let requests = requests.lock().unwrap().clone();
    assert_eq!(requests[0].1, asked.as_bytes());
    assert_eq!(header(&requests[0].0, "accept-encoding"), ["gzip"]);
    assert_eq!(requests[1].1, REQUEST.as_bytes());
    agent.stop().await;
}

async fn upstream_that_refuses(
    text: &'static str,
) -> (Upstream, std::sync::Arc<std::sync::Mutex<Vec<Vec<u8>>>>) {
    let requests = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = requests.clone();
    let upstream = Upstream::start(move |mut message| {
        let seen = seen.clone();
        async move {
            let asked = String::from_utf8_lossy(&message.body).contains("stream_options");
            seen.lock().unwrap().push(message.body.clone());
            if asked {
                let head = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n", text.len());
                message.connection.send(head + text).await;
            } else {
                message.connection.send(stream(&[delta("Hi"), event("[DONE]")])).await;
            }
        }
    })
    .await;
    (upstream, requests)
}

/// Guarantees: an upstream that does not know the field gets the request again as the client made it.
#[tokio::test]
async fn a_refused_field_is_taken_back() {
    let (upstream, requests) =
        upstream_that_refuses(r#"{"error":{"message":"Unrecognized request argument: stream_options"}}"#)
            .await;
    let agent = Agent::alone(upstream.address).await;
    let answer = agent.call(post(CHAT, "", REQUEST)).await;
    assert!(answer.head.starts_with("HTTP/1.1 200 OK"), "{}", answer.head);
    assert_eq!(String::from_utf8(answer.body).unwrap(), [delta("Hi"), event("[DONE]")].concat());
    assert_eq!(requests.lock().unwrap().len(), 2);
    assert_eq!(requests.lock().unwrap()[1], REQUEST.as_bytes());
    agent.stop().await;
}

/// Guarantees: a 400 for any other reason reaches the client as it is, and is not repeated.
#[tokio::test]
async fn any_other_refusal_passes() {
    let text = r#"{"error":{"message":"messages: too short"}}"#;
    let (upstream, requests) = upstream_that_refuses(text).await;
    let agent = Agent::alone(upstream.address).await;
    let answer = agent.call(post(CHAT, "", REQUEST)).await;
    assert!(answer.head.starts_with("HTTP/1.1 400 Bad Request"), "{}", answer.head);
    assert_eq!(answer.body, text.as_bytes());
    assert_eq!(requests.lock().unwrap().len(), 1);
    agent.stop().await;
}

/// Scenario: the refusal itself breaks off in the middle, or is longer than we read.
/// Guarantees: the client sees just that.
#[tokio::test]
async fn a_broken_or_long_refusal_passes_as_it_is() {
    let long = "x".repeat(200_000);
    let answer = format!("HTTP/1.1 400 Bad Request\r\ncontent-length: {}\r\n\r\n{long}", long.len());
    let (upstream, _) = Upstream::fixed(answer).await;
    let agent = Agent::alone(upstream.address).await;
    assert_eq!(agent.call(post(CHAT, "", REQUEST)).await.body, long.as_bytes());
    agent.stop().await;

    let (upstream, _) = Upstream::fixed("HTTP/1.1 400 Bad Request\r\ncontent-length: 50\r\n\r\nhalf").await;
    let agent = Agent::alone(upstream.address).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    client.send(post(CHAT, "", REQUEST)).await;
    let head = client.read_head().await.unwrap();
    assert_eq!(client.read_body(&head).await, (b"half".to_vec(), false));
    agent.stop().await;
}

/// Guarantees: a request that breaks off while it is collected never reaches the upstream.
#[tokio::test]
async fn half_a_request_is_not_sent() {
    let (upstream, requests) = Upstream::fixed(completion()).await;
    let collector = Collector::start().await;
    let agent = Agent::before(upstream.address, collector.address).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    let request = post(CHAT, "", REQUEST);
    client.send(&request[..request.len() - 5]).await;
    drop(client);
    let span = collector.spans(1).await.remove(0);
    assert_eq!(attribute(&span, ledgerline_proto::attribute::END_OF_STREAM).as_deref(), Some("client_gone"));
    assert!(requests.lock().unwrap().is_empty());
    agent.stop().await;
}
