//! What breaks on one side is seen on the other, and what breaks inside is seen by nobody.

use std::sync::Arc;

use ledgerline_agent::app::{Parts, RelayLimits};
use ledgerline_agent::dialect::{Endpoint, Purpose, Reader, Response, Spec, TextSink, Unreadable};
use ledgerline_agent::wire::sse::Event;
use tokio::sync::mpsc;

use crate::support::*;

/// Guarantees: when the client goes away in the middle of a stream, the upstream connection is closed at once and the
/// call is recorded as ended by the client.
#[tokio::test]
async fn a_client_that_leaves_a_stream_cancels_it_upstream() {
    let (closed, mut upstream_closed) = mpsc::channel(1);
    let upstream = Upstream::start(move |mut message| {
        let closed = closed.clone();
        async move {
            message.connection.send(STREAM_HEAD).await;
            message.connection.send(chunk(delta("Hel"))).await;
            message.connection.closed().await;
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let collector = Collector::start().await;
    let agent = Agent::before(upstream.address, collector.address).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    client.send(post(CHAT, "", r#"{"model":"gpt-4o","stream":true}"#)).await;
    client.read_head().await.unwrap();
    client.read_chunk().await.unwrap().unwrap();
    drop(client);
    within(upstream_closed.recv()).await.unwrap();
    let span = collector.spans(1).await.remove(0);
    assert_eq!(attribute(&span, ledgerline_proto::attribute::END_OF_STREAM).as_deref(), Some("client_gone"));
    agent.stop().await;
}

/// Guarantees: the same before the answer has begun.
#[tokio::test]
async fn a_client_that_leaves_before_the_answer_cancels_it_upstream() {
    let (asked, mut upstream_asked) = mpsc::channel(1);
    let (closed, mut upstream_closed) = mpsc::channel(1);
    let upstream = Upstream::start(move |mut message| {
        let (asked, closed) = (asked.clone(), closed.clone());
        async move {
            asked.send(()).await.unwrap();
            message.connection.closed().await;
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let agent = Agent::alone(upstream.address).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    client.send(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
    within(upstream_asked.recv()).await.unwrap();
    drop(client);
    within(upstream_closed.recv()).await.unwrap();
    let gone = r#"relay_requests_total{upstream="openai",outcome="client_gone"}"#;
    eventually("counted", || agent.counted(gone) == 1).await;
    agent.stop().await;
}

/// Guarantees: an answer that is cut short upstream is cut short for the client, whatever its framing, and never looks
/// complete; what came before the cut arrives.
#[tokio::test]
async fn an_answer_cut_short_is_cut_short_for_the_client() {
    let upstream = Upstream::start(|mut message| async move {
        if message.head.contains("/chunked") {
            message.connection.send(STREAM_HEAD).await;
            message.connection.send(chunk("data: half")).await;
        } else {
            message.connection.send("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\ndata: half").await;
        }
        // Closed in the middle.
        drop(message);
    })
    .await;
    let collector = Collector::start().await;
    let agent = Agent::before(upstream.address, collector.address).await;
    for path in ["/openai/chunked/chat/completions", "/openai/length/chat/completions"] {
        let mut client = Connection::open(agent.addresses.relay).await;
        client.send(post(path, "", r#"{"model":"gpt-4o","stream":true}"#)).await;
        let head = client.read_head().await.unwrap();
        let (body, complete) = client.read_body(&head).await;
        assert_eq!((String::from_utf8_lossy(&body).as_ref(), complete), ("data: half", false), "{path}");
    }
    for span in collector.spans(2).await {
        let end = attribute(&span, ledgerline_proto::attribute::END_OF_STREAM);
        assert_eq!(end.as_deref(), Some("provider_error"));
        assert_eq!(attribute(&span, "error.type").as_deref(), Some("upstream_reset"));
    }
    agent.stop().await;
}

/// Guarantees: without a connection the client gets a 502 in its provider's shape that says what to look at, and the
/// call is recorded with our class of error.
#[tokio::test]
async fn an_unreachable_upstream_is_a_502_in_the_providers_shape() {
    let collector = Collector::start().await;
    let nobody = dead_address().await;
    let yaml = openai(nobody, "", collector.address).replace(
        "upstreams: [",
        &format!(
            "upstreams: [{{name: claude, prefix: /anthropic, url: \"http://{nobody}\", dialect: anthropic}}, "
        ),
    );
    let agent = Agent::configured(&yaml, Parts::default()).await;
    let answer = agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
    assert!(answer.head.starts_with("HTTP/1.1 502 "), "{}", answer.head);
    assert_eq!(answer.header("x-ledgerline-error"), ["connect"]);
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains(&format!("'openai' (http://{nobody})")), "{message}");
    assert!(message.contains("Connection refused"), "{message}");
    assert_eq!(body["error"]["code"], "connect");

    let answer = agent.call(post("/anthropic/v1/messages", "", r#"{"model":"claude"}"#)).await;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((body["type"].as_str(), body["error"]["type"].as_str()), (Some("error"), Some("api_error")));

    for span in collector.spans(2).await {
        assert_eq!(attribute(&span, "error.type").as_deref(), Some("connect"));
    }
    agent.stop().await;
}

/// Scenario: the client gives up while the connection to the upstream is still being made.
/// Guarantees: the record claims no usage: the upstream never got a byte of the request.
#[tokio::test]
async fn a_call_that_was_never_sent_costs_nothing() {
    // Takes connections and never speaks TLS.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let collector = Collector::start().await;
    let yaml = openai(silent.local_addr().unwrap(), "", collector.address).replacen("http://", "https://", 1);
    let agent = Agent::configured(&yaml, Parts::default()).await;
    for stream in [true, false] {
        let mut client = Connection::open(agent.addresses.relay).await;
        let body = format!(r#"{{"model":"gpt-4o","stream":{stream},"messages":[{{"content":"abcdefgh"}}]}}"#);
        client.send(post(CHAT, "", &body)).await;
        let _connecting = within(silent.accept()).await.unwrap();
        drop(client);
    }
    for span in collector.spans(2).await {
        let end = attribute(&span, ledgerline_proto::attribute::END_OF_STREAM);
        assert_eq!(end.as_deref(), Some("client_gone"));
        assert_eq!(attribute(&span, "gen_ai.usage.input_tokens"), None);
    }
    agent.stop().await;
}

/// Guarantees: an upstream that hangs up before it answers is a 502 and is not asked again.
#[tokio::test]
async fn a_call_is_sent_once() {
    let upstream = Upstream::start(|message| async move { drop(message) }).await;
    let agent = Agent::alone(upstream.address).await;
    let answer = agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
    assert!(answer.head.starts_with("HTTP/1.1 502 "), "{}", answer.head);
    assert_eq!(answer.header("x-ledgerline-error"), ["upstream_reset"]);
    assert_eq!(upstream.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
    agent.stop().await;
}

/// Reads nothing, and panics instead.
struct Explosive;

impl Reader for Explosive {
    fn read_event(&mut self, _: Event<'_>, _: &mut Response, _: &mut dyn TextSink) -> Result<(), Unreadable> {
        panic!("a fault of the worker")
    }

    fn read_body(&mut self, _: &[u8], _: &mut Response, _: &mut dyn TextSink) -> Result<(), Unreadable> {
        panic!("a fault of the worker")
    }
}

/// The first dialect with other readers.
const fn with_endpoints(endpoints: &'static [Endpoint]) -> Spec {
    Spec {
        name: "faulty",
        provider: "faulty",
        regions: &[],
        endpoints,
        free: &[],
        error_body: |_, message| serde_json::json!(message),
        header_prefixes: &[],
    }
}

const fn chat(reader: fn() -> Box<dyn Reader>) -> Endpoint {
    Endpoint {
        method: http::Method::POST,
        path: "/chat/completions",
        purpose: Purpose::Call,
        operation: ledgerline_proto::Operation::Chat,
        injects_usage: false,
        finish_field: None,
        reader,
    }
}

static READING: [Endpoint; 1] = [chat(|| Box::new(Explosive))];
static READING_PANICS: Spec = with_endpoints(&READING);
static MAKING: [Endpoint; 1] = [chat(|| panic!("a fault of the worker"))];
static MAKING_PANICS: Spec = with_endpoints(&MAKING);

/// Scenario: reading any answer panics.
/// Guarantees: bytes pass, every call is recorded with what is certain, the fault is counted.
#[tokio::test]
async fn a_panicking_worker_harms_no_call() {
    let (upstream, _) = Upstream::fixed(completion()).await;
    let collector = Collector::start().await;
    let mut settings = settings(&openai(upstream.address, "", collector.address));
    settings.upstreams[0].route.dialect = Some(&READING_PANICS);
    let agent = Agent::of(settings, Parts::default()).await;
    for _ in 0..3 {
        let answer = agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
        assert_eq!(answer.body, COMPLETION.as_bytes());
    }
    for span in collector.spans(3).await {
        assert_eq!(attribute(&span, ledgerline_proto::attribute::HTTP_STATUS).as_deref(), Some("200"));
        assert_eq!(attribute(&span, "gen_ai.response.id"), None);
    }
    assert!(agent.metric("ledgerline_agent_worker_panics_total").await >= 3);
    agent.stop().await;
}

/// Scenario: even making the reader of a call panics.
/// Guarantees: bytes pass, the calls are recorded with what is certain.
#[tokio::test]
async fn a_worker_that_cannot_even_start_a_call_harms_none() {
    let (upstream, _) = Upstream::fixed(completion()).await;
    let collector = Collector::start().await;
    let mut settings = settings(&openai(upstream.address, "", collector.address));
    settings.upstreams[0].route.dialect = Some(&MAKING_PANICS);
    let agent = Agent::of(settings, Parts::default()).await;
    for _ in 0..3 {
        let answer = agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
        assert_eq!(answer.body, COMPLETION.as_bytes());
    }
    assert_eq!(collector.spans(3).await.len(), 3);
    agent.stop().await;
}

/// Scenario: there is no room at all between relay and worker.
/// Guarantees: bytes pass, each call is counted as unobserved.
#[tokio::test]
async fn without_room_for_observation_calls_pass_and_are_counted() {
    let (upstream, _) = Upstream::fixed(completion()).await;
    let limits = RelayLimits { observations_max: 1, observed_bytes_max: 1, ..RelayLimits::PRODUCT };
    let parts = Parts { limits, ..Parts::default() };
    let agent = Agent::configured(&openai(upstream.address, "", dead_address().await), parts).await;
    for _ in 0..3 {
        assert_eq!(agent.call(post(CHAT, "", r#"{"model":"m"}"#)).await.body, COMPLETION.as_bytes());
    }
    assert_eq!(agent.metric("ledgerline_agent_calls_observed_total").await, 3);
    assert_eq!(agent.metric("ledgerline_agent_calls_unobserved_total").await, 3);
    agent.stop().await;
}

/// Scenario: told to stop in the middle of a stream.
/// Guarantees: no new connection, the stream ends as it should, then the agent ends.
#[tokio::test]
async fn a_stream_finishes_while_the_agent_drains() {
    let (go_on, wait) = mpsc::channel::<()>(1);
    let wait = Arc::new(tokio::sync::Mutex::new(wait));
    let upstream = Upstream::start(move |mut message| {
        let wait = wait.clone();
        async move {
            message.connection.send([STREAM_HEAD.as_bytes(), &chunk("one")].concat()).await;
            within(wait.lock().await.recv()).await.unwrap();
            message.connection.send([&chunk("two")[..], b"0\r\n\r\n"].concat()).await;
        }
    })
    .await;
    let agent = Agent::alone(upstream.address).await;
    let mut idle = Connection::open(agent.addresses.relay).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    client.send("GET /openai/v1/x HTTP/1.1\r\nhost: a\r\n\r\n").await;
    client.read_head().await.unwrap();
    assert_eq!(client.read_chunk().await.unwrap().unwrap(), b"one");
    agent.shutdown.cancel();
    idle.closed().await;
    assert!(tokio::net::TcpStream::connect(agent.addresses.relay).await.is_err());
    go_on.send(()).await.unwrap();
    assert_eq!(client.read_chunk().await.unwrap().unwrap(), b"two");
    assert_eq!(client.read_chunk().await.unwrap(), None);
    within(agent.task).await.unwrap();
}

/// Scenario: a stream outlives the drain timeout.
/// Guarantees: it is broken off, visibly, and recorded as broken off by the agent before the agent ends.
#[tokio::test]
async fn what_outlives_the_drain_is_broken_off_and_recorded() {
    let upstream = Upstream::start(|mut message| async move {
        message.connection.send([STREAM_HEAD.as_bytes(), &chunk(delta("one"))].concat()).await;
        message.connection.closed().await;
    })
    .await;
    let collector = Collector::start().await;
    let yaml = openai(upstream.address, "", collector.address) + "relay: {drain_timeout_seconds: 0}\n";
    let agent = Agent::configured(&yaml, Parts::default()).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    client.send(post(CHAT, "", r#"{"model":"gpt-4o","stream":true}"#)).await;
    let head = client.read_head().await.unwrap();
    client.read_chunk().await.unwrap();
    agent.stop().await;
    assert!(!client.read_body(&head).await.1, "a stream that was broken off looks complete");
    let span = collector.spans(1).await.remove(0);
    assert_eq!(attribute(&span, ledgerline_proto::attribute::END_OF_STREAM).as_deref(), Some("relay_killed"));
}
