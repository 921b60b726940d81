//! What the provider sends is what the client gets, when it is sent.

use std::sync::{Arc, Mutex};

use tokio::sync::mpsc;

use crate::support::*;

/// Scenario: the upstream sends each chunk only after the client has received the one before, with odd boundaries.
/// Guarantees: no chunk waits for another, none is merged or split, trailers pass.
#[tokio::test]
async fn chunks_arrive_one_by_one_as_they_were_sent() {
    let chunks: Vec<Vec<u8>> = vec![
        b"data: {\"a\":1}\n\ndata: {\"b".to_vec(),
        b"\":2}\n\n".to_vec(),
        b"\xff\xfe not utf-8 \r".to_vec(),
        b"\n".to_vec(),
        vec![b'x'; 5_000],
        b"data: [DONE]\n\n".to_vec(),
    ];
    let (received, may_go_on) = mpsc::channel::<()>(1);
    let may_go_on = Arc::new(tokio::sync::Mutex::new(may_go_on));
    let sent = chunks.clone();
    let upstream = Upstream::start(move |mut message| {
        let (chunks, may_go_on) = (sent.clone(), may_go_on.clone());
        async move {
            let head = STREAM_HEAD.replace("\r\n\r\n", "\r\ntrailer: x-checksum\r\n\r\n");
            message.connection.send(head).await;
            for bytes in chunks {
                message.connection.send(chunk(bytes)).await;
                within(may_go_on.lock().await.recv()).await.unwrap();
            }
            message.connection.send("0\r\nx-checksum: abc\r\n\r\n").await;
        }
    })
    .await;
    let agent = Agent::alone(upstream.address).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    client.send(post("/openai/v1/responses", "te: trailers\r\n", r#"{"model":"m","stream":true}"#)).await;
    let head = client.read_head().await.unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert_eq!(header(&head, "content-type"), ["text/event-stream"]);
    for expected in &chunks {
        let chunk = client.read_chunk().await.unwrap().unwrap();
        assert_eq!(String::from_utf8_lossy(&chunk), String::from_utf8_lossy(expected));
        received.send(()).await.unwrap();
    }
    assert_eq!(client.read_chunk().await.unwrap(), None);
    assert_eq!(client.read_line().await, "x-checksum: abc\r\n");
    agent.stop().await;
}

/// Guarantees: a large body passes whole in both directions, whatever its bytes, with and without a known length.
#[tokio::test]
async fn large_bodies_pass_both_ways() {
    let body: Vec<u8> = (0..3_000_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let upstream = Upstream::start(|mut message| async move {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", message.body.len());
        message.connection.send(head).await;
        let echo = std::mem::take(&mut message.body);
        message.connection.send(echo).await;
    })
    .await;
    let agent = Agent::alone(upstream.address).await;
    let known = format!("POST /openai/x HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
    let answer = agent.call([known.as_bytes(), &body].concat()).await;
    assert!(answer.body == body, "known length");
    let mut request = b"POST /openai/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    body.chunks(70_001).for_each(|part| request.extend(chunk(part)));
    request.extend(b"0\r\n\r\n");
    let answer = agent.call(request).await;
    assert!(answer.body == body, "unknown length");
    assert_eq!(header(&answer.head, "content-length"), [body.len().to_string()]);
    agent.stop().await;
}

/// Scenario: the client sends the second half of its request after the upstream has seen the first.
/// Guarantees: requests are not buffered on their way.
#[tokio::test]
async fn a_request_streams_while_it_is_written() {
    let (seen, mut first_half) = mpsc::channel::<Vec<u8>>(1);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let mut connection = Connection::from(listener.accept().await.unwrap().0);
        connection.read_head().await.unwrap();
        seen.send(connection.read_chunk().await.unwrap().unwrap()).await.unwrap();
        assert_eq!(connection.read_chunk().await.unwrap().unwrap(), b"second");
        assert_eq!(connection.read_chunk().await.unwrap(), None);
        connection.send("HTTP/1.1 204 No Content\r\n\r\n").await;
    });
    let agent = Agent::alone(address).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    client.send("POST /openai/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").await;
    client.send(chunk("first")).await;
    assert_eq!(within(first_half.recv()).await.unwrap(), b"first");
    client.send([chunk("second"), b"0\r\n\r\n".to_vec()].concat()).await;
    assert!(client.read_head().await.unwrap().starts_with("HTTP/1.1 204 No Content"));
    within(server).await.unwrap();
    agent.stop().await;
}

/// Guarantees: HEAD, OPTIONS and GET are forwarded; a HEAD answer keeps its length.
#[tokio::test]
async fn every_method_passes() {
    let methods = Arc::new(Mutex::new(Vec::new()));
    let seen = methods.clone();
    let upstream = Upstream::start(move |mut message| {
        let seen = seen.clone();
        async move {
            let method = message.head.split(' ').next().unwrap().to_owned();
            let body = if method == "HEAD" { "" } else { "five!" };
            seen.lock().unwrap().push(method);
            message.connection.send(format!("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{body}")).await;
        }
    })
    .await;
    let agent = Agent::alone(upstream.address).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    for method in ["GET", "HEAD", "OPTIONS", "DELETE"] {
        client.send(format!("{method} /openai/v1/models HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        let head = client.read_head().await.unwrap();
        assert_eq!(header(&head, "content-length"), ["5"], "{method}");
        if method != "HEAD" {
            assert_eq!(client.read_body(&head).await, (b"five!".to_vec(), true));
        }
    }
    assert_eq!(*methods.lock().unwrap(), ["GET", "HEAD", "OPTIONS", "DELETE"]);
    agent.stop().await;
}

/// Guarantees: a client that waits for permission to send its body gets it.
#[tokio::test]
async fn expect_100_continue_is_answered() {
    let (upstream, requests) = Upstream::fixed(completion()).await;
    let agent = Agent::alone(upstream.address).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    let body = r#"{"model":"m"}"#;
    let request = post(CHAT, "expect: 100-continue\r\n", body);
    client.send(request.strip_suffix(body).unwrap()).await;
    assert_eq!(client.read_head().await.unwrap(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send(body).await;
    assert!(client.read_head().await.unwrap().starts_with("HTTP/1.1 200 OK"));
    let (head, received) = requests.lock().unwrap()[0].clone();
    assert_eq!((header(&head, "expect"), received), (vec![], body.as_bytes().to_vec()));
    agent.stop().await;
}

/// Scenario: two calls one after the other on an upstream that keeps its connection, which then closes while idle.
/// Guarantees: the first two share a connection; the third finds another one and does not fail.
#[tokio::test]
async fn upstream_connections_are_kept_and_replaced() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (accepted, mut connections) = mpsc::channel(8);
    let server = tokio::spawn(async move {
        for requests in [2, 1] {
            let mut connection = Connection::from(listener.accept().await.unwrap().0);
            accepted.send(()).await.unwrap();
            for _ in 0..requests {
                let head = connection.read_head().await.unwrap();
                connection.read_body(&head).await;
                connection.send(completion()).await;
            }
        }
    });
    let agent = Agent::alone(address).await;
    for _ in 0..3 {
        assert_eq!(agent.call(post(CHAT, "", r#"{"model":"m"}"#)).await.body, COMPLETION.as_bytes());
    }
    within(server).await.unwrap();
    let mut opened = 0;
    while connections.recv().await.is_some() {
        opened += 1;
    }
    assert_eq!(opened, 2);
    agent.stop().await;
}

/// Scenario: a client stops reading in the middle of 32 MiB.
/// Guarantees: what a slow reader leaves unread stops the upstream (flow control end to end), and nothing is lost.
#[tokio::test]
async fn a_slow_reader_slows_the_upstream_down() {
    const CHUNKS: usize = 2_000;
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = sent.clone();
    let upstream = Upstream::start(move |mut message| {
        let counter = counter.clone();
        async move {
            message.connection.send(STREAM_HEAD).await;
            let bytes = chunk(vec![b'x'; 16 << 10]);
            for _ in 0..CHUNKS {
                message.connection.send(&bytes).await;
                counter.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            }
            message.connection.send("0\r\n\r\n").await;
        }
    })
    .await;
    let agent = Agent::alone(upstream.address).await;
    let mut client = Connection::open(agent.addresses.relay).await;
    client.send("GET /openai/v1/x HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let head = client.read_head().await.unwrap();
    // The upstream comes to a stop: kernel buffers and ours are full, and ours are small.
    let mut before = 0;
    loop {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        let now = sent.load(std::sync::atomic::Ordering::SeqCst);
        if now == before && now > 0 {
            break;
        }
        before = now;
    }
    assert!(before < CHUNKS, "32 MiB were taken from the upstream for a client that reads nothing");
    let (body, whole) = client.read_body(&head).await;
    assert_eq!((body.len(), whole), (CHUNKS * (16 << 10), true));
    agent.stop().await;
}
