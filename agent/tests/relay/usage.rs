//! Asking for usage in an `OpenAI` stream, and hiding that we asked.

use std::sync::{Arc, Mutex};

use ledgerline_agent::app::Parts;

use crate::support::*;

const REQUEST: &str = r#"{"model":"gpt-4o","stream":true,"messages":[]}"#;

/// [`delta`] as the provider sends it to who does not ask for usage.
fn unasked(text: &str) -> String {
    delta(text).replace(",\"usage\":null", "")
}

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
    let expected = [unasked("Hel"), unasked("lo"), event("[DONE]")].concat();
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

/// Scenario: finding M7: a client closes its connection after the finish reason, before the usage that it did not ask for.
/// Guarantees: the rest is read for it, and the call is billed with what the provider counted.
#[tokio::test]
async fn a_client_that_leaves_behind_the_finish_reason_is_billed_as_counted() {
    let finish = event(
        r#"{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
    );
    let gone = Arc::new(tokio::sync::Notify::new());
    let wait = gone.clone();
    let upstream = Upstream::start(move |mut message| {
        let (wait, finish) = (wait.clone(), finish.clone());
        async move {
            let begin = [delta("Hi"), finish].map(|data| String::from_utf8(chunk(data)).unwrap()).concat();
            message.connection.send(format!("{STREAM_HEAD}{begin}")).await;
            wait.notified().await;
            let rest = [usage_event(), event("[DONE]")].map(|data| String::from_utf8(chunk(data)).unwrap());
            message.connection.send(format!("{}0\r\n\r\n", rest.concat())).await;
        }
    })
    .await;
    let collector = Collector::start().await;
    let agent = Agent::before(upstream.address, collector.address).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    client.send(post(CHAT, "", REQUEST)).await;
    client.read_head().await.unwrap();
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains("\"stop\"") {
        read.extend(client.read_chunk().await.unwrap().unwrap());
    }
    drop(client);
    eventually("the client has gone", || agent.counted("relay_connections") == 0).await;
    gone.notify_one();
    let span = collector.spans(1).await.remove(0);
    let text = |name| attribute(&span, name);
    assert_eq!(text("gen_ai.usage.input_tokens").as_deref(), Some("10"));
    assert_eq!(text("gen_ai.usage.output_tokens").as_deref(), Some("2"));
    assert_eq!(text("ledgerline.usage.source").as_deref(), Some("drained"));
    assert_eq!(text("ledgerline.end_of_stream").as_deref(), Some("complete"));
    agent.stop().await;
}

/// Guarantees: what must not or cannot be changed passes as it is: signed, encoded, of unknown length, another media type.
#[tokio::test]
async fn requests_that_must_not_be_changed_are_not() {
    let (upstream, requests) = Upstream::fixed(stream(&[delta("Hi"), event("[DONE]")])).await;
    let agent = Agent::alone(upstream.address).await;
    for header in
        ["content-digest: sha-256=:x:\r\n", "x-amz-content-sha256: 1\r\n", "content-encoding: gzip\r\n"]
    {
        agent.call(post(CHAT, header, REQUEST)).await;
    }
    agent.call(post(CHAT, "", REQUEST).replace("application/json", "text/plain")).await;
    let head = post(CHAT, "", "").replace("content-length: 0", "transfer-encoding: chunked");
    agent.call([head.as_bytes(), &chunk(REQUEST), b"0\r\n\r\n"].concat()).await;
    assert_eq!(agent.metric("ledgerline_agent_relay_usage_not_injected_total").await, 5);
    let requests = requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 5);
    for (head, body) in requests {
        assert_eq!(String::from_utf8(body).unwrap(), REQUEST, "{head}");
    }
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

    let yaml = openai(upstream.address, "", nobody)
        .replace("flush_timeout_seconds: 5", "flush_timeout_seconds: 0")
        + "relay: {usage_injection: false}\n";
    let agent = Agent::configured(&yaml, Parts::default()).await;
    let answer = agent.call(post(CHAT, "", REQUEST)).await;
    assert_eq!(String::from_utf8(answer.body).unwrap(), parts.concat());
    let requests = requests.lock().unwrap().clone();
    assert_eq!(requests[0].1, asked.as_bytes());
    assert_eq!(header(&requests[0].0, "accept-encoding"), ["gzip"]);
    assert_eq!(requests[1].1, REQUEST.as_bytes());
    agent.stop().await;
}

/// Refuses with this answer whatever asks for usage, and answers the rest with a stream.
async fn upstream_that_refuses(refusal: impl Into<Vec<u8>>) -> (Upstream, Arc<Mutex<Vec<Vec<u8>>>>) {
    let refusal: Arc<[u8]> = refusal.into().into();
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = requests.clone();
    let upstream = Upstream::start(move |mut message| {
        let (seen, refusal) = (seen.clone(), refusal.clone());
        async move {
            let asked = String::from_utf8_lossy(&message.body).contains("stream_options");
            seen.lock().unwrap().push(message.body.clone());
            if asked {
                // The agent may have turned away already.
                let _how = message.connection.try_send(&refusal).await;
            } else {
                message.connection.send(stream(&[delta("Hi"), event("[DONE]")])).await;
            }
        }
    })
    .await;
    (upstream, requests)
}

fn refusal(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    // As it is: a connection to this upstream takes one request.
    let head =
        format!("HTTP/1.1 {status}\r\n{headers}connection: close\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// Scenario: upstreams that do not know the field, each with its own way to say so.
/// Guarantees: the request goes again as the client made it, the client never learns; the model is not asked again, at once
/// where the refusal named the field, else after three of them, while another model is.
#[tokio::test]
async fn a_refused_field_is_taken_back_and_the_refusal_remembered() {
    let openai_like = br#"{"error":{"message":"Unrecognized request argument: stream_options"}}"#;
    let fastapi =
        br#"{"detail":[{"type":"extra_forbidden","loc":["body","options"],"msg":"not permitted"}]}"#;
    let long = vec![b'x'; 200_000];
    for (times, refusal) in [
        (1, refusal("400 Bad Request", "", openai_like)),
        (3, refusal("422 Unprocessable Entity", "content-type: application/json\r\n", fastapi)),
        (
            3,
            refusal(
                "400 Bad Request",
                "content-encoding: gzip\r\n",
                b"\x1f\x8b\x08 in a client's own tongue",
            ),
        ),
        (3, refusal("400 Bad Request", "", &long)),
        (3, b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 50\r\n\r\nhalf".to_vec()),
    ] {
        let (upstream, requests) = upstream_that_refuses(refusal).await;
        let agent = Agent::alone(upstream.address).await;
        for _ in 0..times + 2 {
            let answer = agent.call(post(CHAT, "", REQUEST)).await;
            assert!(answer.head.starts_with("HTTP/1.1 200 OK"), "{}", answer.head);
            assert_eq!(String::from_utf8(answer.body).unwrap(), [delta("Hi"), event("[DONE]")].concat());
        }
        let seen = requests.lock().unwrap().clone();
        let as_it_came = seen.iter().filter(|body| *body == REQUEST.as_bytes()).count();
        assert_eq!(
            (seen.len() - as_it_came, as_it_came),
            (times, times + 2),
            "asked, and as the client made it"
        );
        assert_eq!(agent.metric("ledgerline_agent_relay_usage_refused_total").await, times as u64);
        assert_eq!(agent.metric("ledgerline_agent_relay_usage_not_injected_total").await, 2);
        agent.call(post(CHAT, "", &REQUEST.replace("gpt-4o", "another"))).await;
        assert_eq!(agent.metric("ledgerline_agent_relay_usage_refused_total").await, times as u64 + 1);
        agent.stop().await;
    }
}

/// Guarantees: a refusal for any other reason reaches the client as the upstream said it to the client's own request, and
/// says nothing about the field: the next stream is asked again.
#[tokio::test]
async fn any_other_refusal_passes() {
    let text = br#"{"error":{"message":"messages: too short"}}"#;
    let (upstream, requests) = Upstream::fixed(refusal("400 Bad Request", "", text)).await;
    let agent = Agent::alone(upstream.address).await;
    for _ in 0..2 {
        let answer = agent.call(post(CHAT, "", REQUEST)).await;
        assert!(answer.head.starts_with("HTTP/1.1 400 Bad Request"), "{}", answer.head);
        assert_eq!(answer.body, text);
    }
    let asked: Vec<bool> = {
        let requests = requests.lock().unwrap();
        requests.iter().map(|(_, body)| body.as_slice() != REQUEST.as_bytes()).collect()
    };
    assert_eq!(asked, [true, false, true, false]);
    agent.stop().await;
}

/// Scenario: the refusal of the client's own request breaks off in the middle.
/// Guarantees: the client sees just that.
#[tokio::test]
async fn a_broken_refusal_passes_as_it_is() {
    let (upstream, _) = Upstream::fixed("HTTP/1.1 400 Bad Request\r\ncontent-length: 50\r\n\r\nhalf").await;
    let agent = Agent::alone(upstream.address).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    client.send(post(CHAT, "", REQUEST)).await;
    let head = client.read_head().await.unwrap();
    assert_eq!(client.read_body(&head).await, (b"half".to_vec(), false));
    agent.stop().await;
}

/// Scenario: a request that was refused for our field and went again.
/// Guarantees: its record has the client's request once, and the second answer.
#[tokio::test]
async fn a_call_that_went_again_is_recorded_once() {
    let (upstream, _) = upstream_that_refuses(refusal("422 Unprocessable Entity", "", b"no")).await;
    let collector = Collector::start().await;
    let agent = Agent::before(upstream.address, collector.address).await;
    let request = r#"{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"abcdefgh"}]}"#;
    agent.call(post(CHAT, "", request)).await;
    agent.stop().await;
    let spans = collector.spans(1).await;
    assert_eq!(spans.len(), 1);
    let text = |name| attribute(&spans[0], name);
    assert_eq!(text(ledgerline_proto::attribute::HTTP_STATUS).as_deref(), Some("200"));
    assert_eq!(text("gen_ai.request.model").as_deref(), Some("gpt-4o"));
    let input: u64 = text("gen_ai.usage.input_tokens").unwrap().parse().unwrap();
    assert!((2..=4).contains(&input), "{input} tokens for 8 letters and a role");
}

/// Guarantees: one upstream can be left alone while the others are asked, and the other way round.
#[tokio::test]
async fn asking_is_configured_for_each_upstream() {
    let (upstream, requests) = Upstream::fixed(stream(&[delta("Hi"), event("[DONE]")])).await;
    for (own, all, expected) in [(false, true, false), (true, false, true)] {
        let yaml = openai(upstream.address, &format!(", usage_injection: {own}"), dead_address().await)
            + &format!("relay: {{usage_injection: {all}}}\n");
        let agent = Agent::configured(&yaml, Parts::default()).await;
        agent.call(post(CHAT, "", REQUEST)).await;
        let body = requests.lock().unwrap().last().unwrap().1.clone();
        assert_eq!(body != REQUEST.as_bytes(), expected);
        agent.shutdown.cancel();
    }
}

/// Scenario: upstreams that name no encoding in their own way, or call the stream something else.
/// Guarantees: the usage is stripped all the same, and recorded: what the one reads as a stream the other does too.
#[tokio::test]
async fn usage_is_stripped_and_recorded_whatever_the_headers_say() {
    let parts = [delta("Hi"), usage_event(), event("[DONE]")];
    for headers in [
        "content-type: text/event-stream\r\ncontent-encoding: identity\r\n",
        "content-type: text/event-stream\r\ncontent-encoding: none\r\n",
        "content-type: text/event-stream\r\ncontent-encoding:\r\n",
        "content-type: text/plain; charset=utf-8\r\n",
        "content-type: application/octet-stream\r\n",
        "content-type: application/json\r\n",
        "",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{headers}transfer-encoding: chunked\r\n\r\n");
        let (upstream, _) = Upstream::fixed(stream(&parts).replace(STREAM_HEAD, &head)).await;
        let collector = Collector::start().await;
        let agent = Agent::before(upstream.address, collector.address).await;
        let answer = agent.call(post(CHAT, "", REQUEST)).await;
        let expected = [unasked("Hi"), event("[DONE]")].concat();
        assert_eq!(String::from_utf8(answer.body).unwrap(), expected, "{headers}");
        let span = collector.spans(1).await.remove(0);
        assert_eq!(attribute(&span, "gen_ai.usage.output_tokens").as_deref(), Some("2"), "{headers}");
        agent.stop().await;
    }
}

/// Scenario: an upstream answers a stream with one document, with a length and without.
/// Guarantees: it passes as it is, its length included, and is recorded.
#[tokio::test]
async fn a_document_in_the_place_of_a_stream_passes() {
    for headers in ["content-type: application/json\r\n", "content-type: text/plain\r\n", ""] {
        for has_length in [true, false] {
            let body = if has_length {
                format!("content-length: {}\r\n\r\n{COMPLETION}", COMPLETION.len())
            } else {
                let chunk = String::from_utf8(chunk(COMPLETION)).unwrap();
                format!("transfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n")
            };
            let (upstream, _) = Upstream::fixed(format!("HTTP/1.1 200 OK\r\n{headers}{body}")).await;
            let collector = Collector::start().await;
            let agent = Agent::before(upstream.address, collector.address).await;
            let answer = agent.call(post(CHAT, "", REQUEST)).await;
            assert_eq!(answer.body, COMPLETION.as_bytes(), "{headers}");
            if has_length && headers.contains("json") {
                assert_eq!(answer.header("content-length"), [COMPLETION.len().to_string()]);
            }
            let span = collector.spans(1).await.remove(0);
            assert_eq!(attribute(&span, "gen_ai.usage.output_tokens").as_deref(), Some("3"), "{headers}");
            agent.stop().await;
        }
    }
}

/// Scenario: an upstream compresses its stream although it was told not to.
/// Guarantees: that answer passes as it is and is counted; the next stream is not asked.
#[tokio::test]
async fn what_cannot_be_filtered_is_counted_and_not_asked_again() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-encoding: gzip\r\n\
                content-length: 4\r\n\r\n\x1f\x08ab";
    let (upstream, requests) = Upstream::fixed(head).await;
    let agent = Agent::alone(upstream.address).await;
    for _ in 0..2 {
        assert_eq!(agent.call(post(CHAT, "", REQUEST)).await.body, b"\x1f\x08ab");
    }
    assert_eq!(agent.metric("ledgerline_agent_relay_usage_unstripped_total").await, 1);
    assert_eq!(requests.lock().unwrap()[1].1, REQUEST.as_bytes());
    agent.stop().await;
}

/// Scenario: a request so large that it is read on another thread.
/// Guarantees: it is asked like any other; one beyond the limit passes untouched and is counted.
#[tokio::test]
async fn large_requests_are_asked_up_to_a_limit() {
    let (upstream, requests) = Upstream::fixed(stream(&[delta("Hi"), event("[DONE]")])).await;
    let agent = Agent::alone(upstream.address).await;
    let request =
        |bytes: usize| format!(r#"{{"model":"gpt-4o","stream":true,"messages":["{}"]}}"#, "x".repeat(bytes));
    for (bytes, asked, not_requested) in [(1 << 20, true, 0), (5 << 20, false, 1)] {
        agent.call(post(CHAT, "", &request(bytes))).await;
        let body = requests.lock().unwrap().last().unwrap().1.clone();
        assert_eq!(body != request(bytes).as_bytes(), asked, "{bytes}");
        let counted = agent.metric("ledgerline_agent_relay_usage_not_injected_total").await;
        assert_eq!(counted, not_requested);
    }
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
