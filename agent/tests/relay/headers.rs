//! Which headers cross, which do not, and where a path leads.

use ledgerline_agent::app::{Parts, RelayLimits};

use crate::support::*;

/// Guarantees: everything a provider may need passes, in values as they came; what is for the connection or for us does
/// not; the upstream's name replaces ours.
#[tokio::test]
async fn headers_pass_but_those_of_the_connection_and_of_us() {
    let (upstream, requests) = Upstream::fixed(
        "HTTP/1.1 429 Slow Down\r\ncontent-length: 2\r\nretry-after-ms: 20\r\nset-cookie: a=1\r\n\
         set-cookie: b=2\r\nkeep-alive: timeout=5\r\nconnection: x-private\r\nx-private: 1\r\n\r\n{}",
    )
    .await;
    let agent = Agent::alone(upstream.address).await;
    let headers = "authorization: Bearer sk-test\r\nx-stainless-lang: python\r\naccept-encoding: gzip, br\r\n\
                   user-agent: OpenAI/Python\r\nx-empty:\r\nx-two: 1\r\nx-two: 2\r\nproxy-authorization: Basic x\r\n\
                   connection: keep-alive, X-Hop , authorization\r\nx-hop: 1\r\nx-ledgerline-team: search\r\n\
                   x-ledgerline-user: ada\r\nupgrade: h2c\r\nte: gzip, Trailers\r\nkeep-alive: timeout=5\r\n\
                   trailer: x-checksum\r\ncookie: a=1\r\ncookie: b=2\r\n";
    let answer = agent.call(post("/openai/v1/x?api-version=1&q=%2F", headers, "{}")).await;
    let (head, _) = requests.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST /v1/x?api-version=1&q=%2F HTTP/1.1\r\n"), "{head}");
    let mut names: Vec<&str> =
        head.lines().skip(1).filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    names.sort_unstable();
    let expected = [
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "te",
        "trailer",
        "user-agent",
        "x-empty",
        "x-stainless-lang",
        "x-two",
        "x-two",
    ];
    assert_eq!(names, expected);
    assert_eq!(header(&head, "host"), [upstream.address.to_string()]);
    assert_eq!(header(&head, "authorization"), ["Bearer sk-test"]);
    assert_eq!(header(&head, "x-two"), ["1", "2"]);
    assert_eq!((header(&head, "te"), header(&head, "cookie")), (vec!["trailers"], vec!["a=1; b=2"]));

    assert!(answer.head.starts_with("HTTP/1.1 429 Slow Down\r\n"), "{}", answer.head);
    assert_eq!(answer.header("set-cookie"), ["a=1", "b=2"]);
    assert_eq!(answer.header("retry-after-ms"), ["20"]);
    for gone in ["keep-alive", "x-private", "date"] {
        assert!(answer.header(gone).is_empty(), "{gone} in {}", answer.head);
    }
    agent.stop().await;
}

/// Guarantees: identity comes from configured headers, else from the configuration; the caller's trace goes on.
#[tokio::test]
async fn identity_and_trace_reach_the_record_and_the_upstream_sees_our_span() {
    let (upstream, requests) = Upstream::fixed(completion()).await;
    let collector = Collector::start().await;
    let yaml = openai(upstream.address, "", collector.address)
        + "identity: {service: shop, environment: production, team: payments}\n\
           identity_headers: {feature: x-feature}\n";
    let agent = Agent::configured(&yaml, Parts::default()).await;
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let headers = format!(
        "traceparent: 00-{trace}-00f067aa0ba902b7-01\r\ntracestate: vendor=1\r\nx-ledgerline-team: search\r\n\
         x-feature: answers\r\nx-ledgerline-session: s-1\r\n"
    );
    let answer = agent.call(post(CHAT, &headers, r#"{"model":"gpt-4o"}"#)).await;
    assert_eq!(answer.body, COMPLETION.as_bytes());
    agent.call(post(CHAT, "", r#"{"model":"gpt-4o"}"#)).await;

    let spans = collector.spans(2).await;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    assert_eq!(hex(&spans[0].trace_id), trace);
    assert_eq!(hex(&spans[0].parent_span_id), "00f067aa0ba902b7");
    assert!(spans[1].parent_span_id.is_empty() && hex(&spans[1].trace_id) != trace);
    assert_eq!(attribute(&spans[0], ledgerline_proto::attribute::TEAM).as_deref(), Some("search"));
    assert_eq!(attribute(&spans[0], ledgerline_proto::attribute::FEATURE).as_deref(), Some("answers"));
    assert_eq!(attribute(&spans[1], ledgerline_proto::attribute::TEAM).as_deref(), Some("payments"));
    assert_eq!(attribute(&spans[0], "gen_ai.response.id").as_deref(), Some("chatcmpl-1"));

    let requests = requests.lock().unwrap().clone();
    assert_eq!(header(&requests[0].0, "traceparent"), [format!("00-{trace}-{}-01", hex(&spans[0].span_id))]);
    assert_eq!(header(&requests[0].0, "tracestate"), ["vendor=1"]);
    assert!(header(&requests[0].0, "x-feature").is_empty());
    assert!(header(&requests[1].0, "traceparent").is_empty());
    agent.stop().await;
}

/// Scenario: requests that are not recorded: no call by method or path, an upstream without a dialect, a full queue.
/// Guarantees: the caller's trace passes as it came, so that it does not point to a span that nobody records; headers
/// that are for us are taken away all the same.
#[tokio::test]
async fn the_trace_of_what_is_not_recorded_passes_as_it_came() {
    let (upstream, requests) = Upstream::fixed(completion()).await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers = format!("traceparent: {trace}\r\nx-ledgerline-user: ada\r\n");
    let yaml = openai(upstream.address, "", dead_address().await)
        .replace(
            "upstreams: [",
            &format!("upstreams: [{{name: plain, prefix: /plain, url: \"http://{}\"}}, ", upstream.address),
        )
        .replace("flush_timeout_seconds: 5", "flush_timeout_seconds: 0");
    let agent = Agent::configured(&yaml, Parts::default()).await;
    agent.call(format!("GET {CHAT} HTTP/1.1\r\nhost: a\r\n{headers}\r\n")).await;
    agent.call(post("/openai/v1/moderations", &headers, "{}")).await;
    agent.call(post("/plain/v1/chat/completions", &headers, "{}")).await;
    agent.stop().await;

    let limits = RelayLimits { observations_max: 1, observed_bytes_max: 1, ..RelayLimits::PRODUCT };
    let agent = Agent::configured(&yaml, Parts { limits, ..Parts::default() }).await;
    agent.call(post(CHAT, &headers, "{}")).await;
    agent.stop().await;

    let requests = requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 4);
    for (head, _) in requests {
        assert_eq!(header(&head, "traceparent"), [trace], "{head}");
        assert!(header(&head, "x-ledgerline-user").is_empty(), "{head}");
    }
}

/// Guarantees: an unknown path is answered by the agent with what it does know; nothing reaches an upstream.
#[tokio::test]
async fn an_unknown_path_is_told_the_prefixes() {
    let (upstream, requests) = Upstream::fixed(completion()).await;
    let agent = Agent::alone(upstream.address).await;
    let answer = agent.call(post("/v1/chat/completions", "", "{}")).await;
    assert!(answer.head.starts_with("HTTP/1.1 404 "), "{}", answer.head);
    assert_eq!(answer.header("x-ledgerline-error"), ["unknown_path"]);
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let message = body["error"]["message"].as_str().unwrap();
    assert!(message.contains("/v1/chat/completions") && message.contains("prefixes: /openai"), "{message}");
    assert!(requests.lock().unwrap().is_empty());
    agent.stop().await;
}

/// Guarantees: a websocket and a CONNECT tunnel are refused in plain words.
#[tokio::test]
async fn tunnels_are_refused() {
    let (upstream, requests) = Upstream::fixed(completion()).await;
    let agent = Agent::alone(upstream.address).await;
    let websocket =
        "GET /openai/v1/realtime HTTP/1.1\r\nhost: a\r\nconnection: Upgrade\r\nupgrade: WebSocket\r\n\r\n";
    for (request, word) in
        [(websocket, "websockets"), ("CONNECT api:443 HTTP/1.1\r\nhost: a\r\n\r\n", "CONNECT")]
    {
        let answer = agent.call(request).await;
        assert!(answer.head.starts_with("HTTP/1.1 501 "), "{}", answer.head);
        assert!(String::from_utf8_lossy(&answer.body).contains(word));
    }
    assert!(requests.lock().unwrap().is_empty());
    agent.stop().await;
}

/// Scenario: requests whose end two parsers could see differently.
/// Guarantees: they are refused, or reach the upstream as exactly one request with one framing.
#[tokio::test]
async fn ambiguous_framing_is_not_passed_on() {
    let (upstream, requests) = Upstream::fixed(completion()).await;
    let agent = Agent::alone(upstream.address).await;
    let start = "POST /openai/x HTTP/1.1\r\nhost: a\r\n";
    for (name, rest) in [
        ("two lengths", "content-length: 5\r\ncontent-length: 6\r\n\r\nhello!"),
        ("no number", "content-length: +5\r\n\r\nhello"),
        ("gzip, no chunks", "transfer-encoding: gzip\r\n\r\nhello"),
        ("folded header", "x-a: 1\r\n folded\r\ncontent-length: 0\r\n\r\n"),
        ("space before colon", "content-length : 5\r\n\r\nhello"),
    ] {
        let mut client = Connection::open(agent.addresses.relay).await;
        client.send(format!("{start}{rest}")).await;
        let head = client.read_head().await.unwrap_or_default();
        assert!(head.starts_with("HTTP/1.1 400 "), "{name}: {head}");
    }
    assert!(requests.lock().unwrap().is_empty());

    // Both framings: RFC 9112 section 6.3 lets chunked win, and the connection must close after it.
    let both = "content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\nGET /openai/smuggled HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut client = Connection::open(agent.addresses.relay).await;
    client.send(format!("{start}{both}")).await;
    let head = client.read_head().await.unwrap();
    client.read_body(&head).await;
    client.closed().await;
    let requests = requests.lock().unwrap().clone();
    assert_eq!(requests.len(), 1);
    assert!(header(&requests[0].0, "content-length").is_empty());
    assert_eq!(requests[0].1, b"hi");
    agent.stop().await;
}
