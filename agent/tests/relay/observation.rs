//! What reaches the collector, and how often.

use ledgerline_agent::app::Parts;
use ledgerline_proto::otlp::{ExportTracePartialSuccess, ExportTraceServiceResponse};

use crate::support::*;

/// Scenario: the collector refuses twice for now, then stores.
/// Guarantees: each attempt carries the same spans under the same identity, and the call is counted as exported once.
#[tokio::test]
async fn a_request_is_repeated_unchanged_until_it_is_acknowledged() {
    let (upstream, _) = Upstream::fixed(completion()).await;
    let collector = Collector::scripted("127.0.0.1:0".parse().unwrap(), |attempt| match attempt {
        1 | 2 => Err(tonic::Status::unavailable("restarting")),
        _ => Ok(ExportTraceServiceResponse::default()),
    })
    .await;
    let yaml =
        openai(upstream.address, "", collector.address).replace("export: {", "export: {compression: zstd, ");
    let agent = Agent::configured(&yaml, Parts::default()).await;
    agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
    eventually("exported", || agent.counted("calls_exported_total") == 1).await;
    let received = collector.received.lock().unwrap().clone();
    assert_eq!(received.len(), 3);
    assert!(received.iter().all(|attempt| *attempt == received[0]), "{received:#?}");
    assert_eq!(received[0].sequence, 1);
    assert_eq!(received[0].producer.len(), 36);
    assert_eq!(agent.metric("ledgerline_agent_calls_waiting").await, 0);
    agent.stop().await;
}

/// Scenario: nobody listens where the collector should be; it comes later.
/// Guarantees: calls pass and readiness holds meanwhile, and all calls arrive afterwards, each once.
#[tokio::test]
async fn calls_survive_a_dead_collector_and_arrive_when_it_is_back() {
    let (upstream, _) = Upstream::fixed(completion()).await;
    let address = dead_address().await;
    let agent = Agent::before(upstream.address, address).await;
    for _ in 0..20 {
        assert_eq!(agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await.body, COMPLETION.as_bytes());
    }
    let retried = r#"export_requests_total{result="retried"}"#;
    eventually("an attempt failed", || agent.counted(retried) > 0).await;
    let mut admin = Connection::open(agent.addresses.admin).await;
    admin.send("GET /ready HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(admin.read_head().await.unwrap().starts_with("HTTP/1.1 200 "));

    let collector = Collector::scripted(address, |_| Ok(ExportTraceServiceResponse::default())).await;
    let spans = collector.spans(20).await;
    let ids: std::collections::HashSet<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    assert_eq!((spans.len(), ids.len()), (20, 20));
    agent.stop().await;
}

/// Scenario: told to stop right after a call, with the collector there, and with none.
/// Guarantees: the last call is flushed; without a collector it is counted as dropped and the agent ends in time.
#[tokio::test]
async fn stopping_flushes_or_counts_what_is_left() {
    let (upstream, _) = Upstream::fixed(completion()).await;
    let collector = Collector::start().await;
    let agent = Agent::before(upstream.address, collector.address).await;
    agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
    agent.stop().await;
    assert_eq!(collector.spans(1).await.len(), 1);

    let yaml = openai(upstream.address, "", dead_address().await)
        .replace("flush_timeout_seconds: 5", "flush_timeout_seconds: 0");
    let agent = Agent::configured(&yaml, Parts::default()).await;
    agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
    let registry = agent.registry.clone();
    agent.stop().await;
    assert_eq!(counted(&registry, r#"calls_dropped_total{reason="shutdown"}"#), 1);
    assert_eq!(counted(&registry, "calls_waiting"), 0);
}

/// Guarantees: what the collector refuses for good is counted and let go; the next request goes on.
#[tokio::test]
async fn a_permanent_refusal_is_counted_and_not_repeated() {
    let (upstream, _) = Upstream::fixed(completion()).await;
    let collector = Collector::scripted("127.0.0.1:0".parse().unwrap(), |attempt| match attempt {
        1 => Err(tonic::Status::invalid_argument("a span without an id")),
        _ => Ok(ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess {
                rejected_spans: 1,
                error_message: "a span from 1970".into(),
            }),
        }),
    })
    .await;
    let agent = Agent::before(upstream.address, collector.address).await;
    let rejected = || agent.counted("spans_rejected_total");
    agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
    eventually("the first is rejected", || rejected() == 1).await;
    agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
    eventually("the second is rejected in part", || rejected() == 2).await;
    let sequences: Vec<u64> =
        collector.received.lock().unwrap().iter().map(|received| received.sequence).collect();
    assert_eq!(sequences, [1, 2]);
    assert_eq!(agent.counted("calls_exported_total"), 0);
    assert_eq!(agent.metric("ledgerline_agent_calls_dropped_total").await, 2);
    agent.stop().await;
}

/// Scenario: the collector refuses one request for each reason, and takes what comes again.
/// Guarantees: whatever may pass is sent again and arrives; only what the collector calls invalid is let go.
#[tokio::test]
async fn only_an_invalid_request_is_not_sent_again() {
    use tonic::Code;
    let passing =
        [Code::Unavailable, Code::Unauthenticated, Code::Unimplemented, Code::Internal, Code::Unknown];
    let (upstream, _) = Upstream::fixed(completion()).await;
    let collector = Collector::scripted("127.0.0.1:0".parse().unwrap(), move |attempt| {
        // Each is followed by a success, and the last by nothing.
        match passing.iter().chain([&Code::InvalidArgument]).nth(attempt / 2) {
            Some(code) if attempt % 2 == 1 => Err(tonic::Status::new(*code, "")),
            _ => Ok(ExportTraceServiceResponse::default()),
        }
    })
    .await;
    let agent = Agent::before(upstream.address, collector.address).await;
    for (before, code) in passing.iter().enumerate() {
        agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
        eventually(&format!("{code:?} passes"), || {
            agent.counted("calls_exported_total") == before as u64 + 1
        })
        .await;
        let retried = agent.counted(r#"export_requests_total{result="retried"}"#);
        assert_eq!(retried, before as u64 + 1, "{code:?}");
    }
    agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
    let rejected = || agent.counted(r#"calls_dropped_total{reason="rejected"}"#);
    eventually("the invalid one is let go", || rejected() == 1).await;
    assert_eq!(agent.counted("calls_exported_total"), passing.len() as u64);
    let attempts: Vec<u64> = collector.received.lock().unwrap().iter().map(|it| it.sequence).collect();
    assert_eq!(attempts, [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6]);
    agent.stop().await;
}

/// Guarantees: only POSTs to an upstream with a dialect are observed, and the books add up.
#[tokio::test]
async fn the_books_of_observation_add_up() {
    let (upstream, _) = Upstream::fixed(completion()).await;
    let collector = Collector::start().await;
    let yaml = openai(upstream.address, "", collector.address).replace(
        "upstreams: [",
        &format!("upstreams: [{{name: plain, prefix: /plain, url: \"http://{}\"}}, ", upstream.address),
    );
    let agent = Agent::configured(&yaml, Parts::default()).await;
    agent.call("GET /openai/v1/chat/completions HTTP/1.1\r\nhost: a\r\n\r\n").await;
    agent.call(post("/plain/v1/chat/completions", "", r#"{"model":"m"}"#)).await;
    agent.call(post("/openai/v1/moderations", "", r#"{"input":"x"}"#)).await;
    agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;
    eventually("exported", || agent.counted("calls_exported_total") == 1).await;
    let name = |part: &str| format!("ledgerline_agent_{part}_total");
    assert_eq!(agent.metric(&name("relay_requests")).await, 4);
    assert_eq!(agent.metric(&name("calls_observed")).await, 2);
    assert_eq!(agent.metric(&name("calls_ignored")).await, 1);
    assert_eq!(agent.metric(&name("calls_recorded")).await, 1);
    assert_eq!(agent.metric(&name("calls_unobserved")).await, 0);
    assert_eq!(agent.metric("ledgerline_agent_relay_requests_running").await, 0);
    assert_eq!(agent.metric("ledgerline_agent_observed_bytes").await, 0);
    agent.stop().await;
}

/// Scenario: requests that carry a model to paths that the dialect of their upstream does not read.
/// Guarantees: each is forwarded, recorded as unread with upstream, path and model, without usage; what carries no model
/// is not recorded.
#[tokio::test]
async fn what_carries_a_model_and_is_not_read_is_recorded_as_unread() {
    let (upstream, _) = Upstream::fixed(completion()).await;
    let collector = Collector::start().await;
    let agent = Agent::before(upstream.address, collector.address).await;
    for (path, body) in [
        ("/openai/v1/messages", r#"{"model":"claude-opus-5","max_tokens":5,"messages":[]}"#),
        ("/openai/v1beta/models/gemini-3:generateContent", r#"{"contents":[]}"#),
        ("/openai/v1/vector_stores", r#"{"name":"docs"}"#),
        ("/openai/v1/messages/count_tokens", r#"{"model":"claude-opus-5","messages":[]}"#),
    ] {
        assert_eq!(agent.call(post(path, "", body)).await.body, COMPLETION.as_bytes(), "{path}");
    }
    let spans = collector.spans(2).await;
    let facts = |name| {
        let mut found: Vec<_> = spans.iter().filter_map(|span| attribute(span, name)).collect();
        found.sort();
        found
    };
    assert_eq!(facts("gen_ai.operation.name"), ["unread", "unread"]);
    assert_eq!(facts("gen_ai.request.model"), ["claude-opus-5", "gemini-3"]);
    assert_eq!(facts("ledgerline.upstream"), ["openai", "openai"]);
    assert_eq!(facts("url.template"), ["/v1/messages", "/v1beta/models/*:generateContent"]);
    assert_eq!(facts("ledgerline.usage.source"), ["missing", "missing"]);
    assert_eq!(facts("gen_ai.usage.input_tokens"), Vec::<String>::new());
    assert_eq!(agent.metric("ledgerline_agent_calls_unread_total").await, 2);
    assert_eq!(agent.metric("ledgerline_agent_calls_ignored_total").await, 2);
    agent.stop().await;
}

/// Scenario: a response is created in the background and asked for twice.
/// Guarantees: one call is recorded, when its end is known, with its usage and the span that the client was told of.
#[tokio::test]
async fn a_response_in_the_background_is_recorded_when_it_is_fetched() {
    let upstream = Upstream::start(|mut message| async move {
        let usage = r#"{"input_tokens":40,"output_tokens":7,"total_tokens":47}"#;
        let (status, usage) =
            if message.head.starts_with("GET ") { ("completed", usage) } else { ("queued", "null") };
        let body = format!(
            r#"{{"id":"resp_1","status":"{status}","background":true,"model":"o3","usage":{usage}}}"#
        );
        let length = body.len();
        message
            .connection
            .send(format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
            ))
            .await;
    })
    .await;
    let collector = Collector::start().await;
    let agent = Agent::before(upstream.address, collector.address).await;
    agent.call(post("/openai/v1/responses", "", r#"{"model":"o3","background":true,"input":"Dig"}"#)).await;
    for _ in 0..2 {
        agent.call("GET /openai/v1/responses/resp_1 HTTP/1.1\r\nhost: a\r\n\r\n").await;
    }
    let spans = collector.spans(1).await;
    assert_eq!(spans.len(), 1);
    assert_eq!(attribute(&spans[0], "gen_ai.response.id").as_deref(), Some("resp_1"));
    assert_eq!(attribute(&spans[0], "gen_ai.usage.input_tokens").as_deref(), Some("40"));
    eventually("the second poll was read", || agent.counted("calls_exported_total") == 1).await;
    assert_eq!(agent.metric("ledgerline_agent_calls_observed_total").await, 3);
    assert_eq!(agent.metric("ledgerline_agent_calls_recorded_total").await, 1);
    agent.stop().await;
}
