//! Clients that say less, or wait for more, than most do.

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::support::*;

/// The head of the response, behind what interim responses there are.
async fn final_head(client: &mut Connection) -> (String, Vec<String>) {
    let mut interim = Vec::new();
    loop {
        let head = client.read_head().await.expect("a response");
        if !head.starts_with("HTTP/1.1 1") {
            return (head, interim);
        }
        interim.push(head);
    }
}

/// Scenario: clients that close their sending side behind the request, with a body and without, streamed and not.
/// Guarantees: they get their responses whole.
#[tokio::test]
async fn a_client_that_only_listens_any_more_gets_its_response() {
    let (closed, mut half_closed) = mpsc::channel(1);
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let opened = gate.clone();
    let upstream = Upstream::start(move |mut message| {
        let (closed, gate) = (closed.clone(), gate.clone());
        async move {
            closed.send(()).await.unwrap();
            gate.acquire().await.unwrap().forget();
            message.connection.send(STREAM_HEAD).await;
            for part in ["data: 1\n\n", "data: 2\n\n"] {
                message.connection.send(chunk(part)).await;
            }
            message.connection.send("0\r\n\r\n").await;
        }
    })
    .await;
    let agent = Agent::alone(upstream.address).await;
    for request in [
        post(CHAT, "", r#"{"model":"gpt-4o"}"#),
        post("/openai/v1/x", "", "{}"),
        "GET /openai/v1/models HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(),
    ] {
        let mut client = Connection::open(agent.addresses.relay).await;
        client.send(&request).await;
        client.close_sending().await;
        within(half_closed.recv()).await.unwrap();
        // The agent has looked whether the client listens when this has come.
        let probe = client.read_head().await.unwrap();
        assert_eq!(probe, "HTTP/1.1 100 Continue\r\n\r\n");
        opened.add_permits(1);
        let (head, interim) = final_head(&mut client).await;
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert!(interim.iter().all(|interim| *interim == probe), "{interim:?}");
        assert_eq!(client.read_body(&head).await, (b"data: 1\n\ndata: 2\n\n".to_vec(), true), "{request}");
        client.closed().await;
    }
    agent.stop().await;
}

/// Scenario: a client closes its sending side, listens for a while, and goes.
/// Guarantees: the call is cancelled at the upstream.
#[tokio::test]
async fn a_client_that_stops_listening_cancels_its_call() {
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
    client.send(post("/openai/v1/x", "", "{}")).await;
    client.close_sending().await;
    within(upstream_asked.recv()).await.unwrap();
    client.read_head().await.unwrap();
    assert!(upstream_closed.try_recv().is_err());
    drop(client);
    within(upstream_closed.recv()).await.unwrap();
    agent.stop().await;
}

/// Guarantees: interim responses pass with their headers, in order, before the response; not to an HTTP/1.0 client.
#[tokio::test]
async fn interim_responses_pass() {
    let hints = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\nconnection: close\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
    let (upstream, _) = Upstream::fixed(format!("{hints}{}", completion())).await;
    let agent = Agent::alone(upstream.address).await;
    let request = post(CHAT, "", r#"{"model":"gpt-4o"}"#);
    let mut client = Connection::open(agent.addresses.relay).await;
    client.send(&request).await;
    let (head, interim) = final_head(&mut client).await;
    assert_eq!(
        interim,
        [
            "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n".to_owned(),
            "HTTP/1.1 102 Processing\r\n\r\n".to_owned()
        ]
    );
    assert_eq!(client.read_body(&head).await, (COMPLETION.as_bytes().to_vec(), true));
    let mut old = Connection::open(agent.addresses.relay).await;
    old.send(request.replace("HTTP/1.1", "HTTP/1.0")).await;
    let head = old.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.0 200 ") || head.starts_with("HTTP/1.1 200 "), "{head}");
    agent.stop().await;
}

fn waiting(path: &str) -> String {
    post(path, "expect: 100-continue\r\n", "").replace("content-length: 0", "content-length: 2")
}

/// Scenario: a client waits with its body for the word to go on.
/// Guarantees: the upstream says it, or refuses before it has seen the body; the agent says nothing of its own.
#[tokio::test]
async fn the_upstream_says_whether_to_go_on() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let agent = Agent::alone(listener.local_addr().unwrap()).await;
    for refuses in [false, true] {
        let mut client = Connection::open(agent.addresses.relay).await;
        client.send(waiting("/openai/v1/x")).await;
        let mut upstream = Connection::from(within(listener.accept()).await.unwrap().0);
        let head = upstream.read_head().await.unwrap();
        assert_eq!(header(&head, "expect"), ["100-continue"]);
        if refuses {
            upstream.send("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n").await;
        } else {
            upstream.send("HTTP/1.1 100 Continue\r\nx-from: upstream\r\n\r\n").await;
            let go_on = client.read_head().await.unwrap();
            assert_eq!(go_on, "HTTP/1.1 100 Continue\r\nx-from: upstream\r\n\r\n");
            client.send("{}").await;
            assert_eq!(upstream.read_body(&head).await, (b"{}".to_vec(), true));
            upstream.send(completion()).await;
        }
        let head = client.read_head().await.unwrap();
        assert!(head.starts_with(if refuses { "HTTP/1.1 417 " } else { "HTTP/1.1 200 " }), "{head}");
    }
    agent.stop().await;
}

/// Guarantees: where the agent needs the body before it can ask the upstream, it tells the client to go on itself.
#[tokio::test]
async fn a_body_that_the_agent_collects_is_called_for_by_the_agent() {
    let (upstream, requests) = Upstream::fixed(completion()).await;
    let agent = Agent::alone(upstream.address).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    client.send(waiting(CHAT)).await;
    assert_eq!(client.read_head().await.unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("{}").await;
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    assert!(header(&requests.lock().unwrap()[0].0, "expect").is_empty());
    agent.stop().await;
}

/// Guarantees: a request that cannot be read is told what is wrong with it, and is counted.
#[tokio::test]
async fn malformed_requests_are_told_why() {
    let (upstream, requests) = Upstream::fixed(completion()).await;
    let agent = Agent::alone(upstream.address).await;
    let many: String = (0..3_000).map(|number| format!("x-{number}: 1\r\n")).collect();
    for (request, status, class, text) in [
        (post("/openai/v1/`", "", ""), "400", "malformed_request", "percent-encoded"),
        (post("/openai/v1/x?a=\"b\"", "", ""), "400", "malformed_request", "percent-encoded"),
        (post("/openai/v1/x", "no header\r\n", ""), "400", "malformed_request", "header"),
        (post("/openai/v1/x", &many, ""), "431", "headers_too_large", "2,000"),
        (post(&format!("/openai/{}", "x".repeat(70_000)), "", ""), "414", "path_too_long", "too long"),
    ] {
        let answer = agent.call(request).await;
        assert!(answer.head.starts_with(&format!("HTTP/1.1 {status} ")), "{}", answer.head);
        assert_eq!(answer.header("x-ledgerline-error"), [class]);
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert!(body["error"]["message"].as_str().unwrap().contains(text), "{body}");
    }
    assert_eq!(agent.counted(r#"relay_requests_total{upstream="",outcome="refused"}"#), 5);
    assert!(requests.lock().unwrap().is_empty());
    for path in ["/openai/v1/\"^{}|", "/openai/v1/x?a=^`{}|"] {
        agent.call(post(path, "", "{}")).await;
        let head = requests.lock().unwrap().last().unwrap().0.clone();
        assert!(head.starts_with(&format!("POST {} HTTP/1.1\r\n", &path[7..])), "{head}");
    }
    agent.stop().await;
}

/// Guarantees: an empty refusal of the provider passes as it is.
#[tokio::test]
async fn an_empty_refusal_of_the_provider_is_not_explained() {
    let refusal = "HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    let (upstream, _) = Upstream::fixed(refusal).await;
    let agent = Agent::alone(upstream.address).await;
    let answer = agent.call(post("/openai/v1/x", "", "{}")).await;
    assert_eq!((answer.head.as_str(), answer.body.as_slice()), (refusal, &b""[..]));
    agent.stop().await;
}
