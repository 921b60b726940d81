//! HTTP/2 and TLS on both sides.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use ledgerline_agent::app::Parts;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::support::*;

/// A body that a test feeds frame by frame.
struct Fed(mpsc::Receiver<Result<Frame<Bytes>, std::io::Error>>);

impl Body for Fed {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(context)
    }
}

pub type Feed = mpsc::Sender<Result<Frame<Bytes>, std::io::Error>>;

/// An HTTP/2 upstream in plain text: hands out each request's head and body, and the feed of its answer.
pub async fn http2_upstream() -> (SocketAddr, mpsc::Receiver<(http::request::Parts, Bytes, Feed)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (requests, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let requests = requests.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let requests = requests.clone();
                async move {
                    let (feed, body) = mpsc::channel(1);
                    let (parts, incoming) = request.into_parts();
                    let bytes = incoming.collect().await.unwrap().to_bytes();
                    requests.send((parts, bytes, feed)).await.unwrap();
                    Ok::<_, Infallible>(Response::new(Fed(body)))
                }
            });
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move {
                let _how = connection.await;
            });
        }
    });
    (address, receiver)
}

pub async fn http2_client(address: SocketAddr, header_list_bytes_max: u32) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(header_list_bytes_max)
        .handshake(TokioIo::new(stream))
        .await
        .unwrap();
    tokio::spawn(async move {
        let _how = connection.await;
    });
    sender
}

fn request(agent: SocketAddr, path: &str, body: &'static str) -> Request<Full<Bytes>> {
    Request::post(format!("http://{agent}{path}"))
        .header("content-type", "application/json")
        .header("x-ledgerline-user", "ada")
        .body(Full::new(Bytes::from_static(body.as_bytes())))
        .unwrap()
}

/// Guarantees: HTTP/2 from end to end: each frame passes before the next is sent, trailers pass, the authority is the
/// upstream's, calls share a connection.
#[tokio::test]
async fn frames_and_trailers_pass_over_http2() {
    let (upstream, mut requests) = http2_upstream().await;
    let agent =
        Agent::configured(&openai(upstream, ", http_version: http2", dead_address().await), Parts::default())
            .await;
    let mut client = http2_client(agent.addresses.relay, 16 << 10).await;
    let call = client.send_request(request(agent.addresses.relay, "/openai/v1/x?a=b", "{\"model\":\"m\"}"));
    let (answer, received) = tokio::join!(within(call), within(requests.recv()));
    let (parts, body, feed) = received.unwrap();
    assert_eq!(parts.uri.to_string(), format!("http://{upstream}/v1/x?a=b"));
    assert_eq!((parts.version, parts.headers.get("host")), (Version::HTTP_2, None));
    assert!(!parts.headers.contains_key("x-ledgerline-user"));
    assert_eq!(body, "{\"model\":\"m\"}");
    let mut answer = answer.unwrap().into_body();
    for part in ["data: 1\n\n", "data: 2", "\n\n"] {
        feed.send(Ok(Frame::data(Bytes::from(part)))).await.unwrap();
        let frame = within(answer.frame()).await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), part);
    }
    let trailers = HeaderMap::from_iter([("x-checksum".parse().unwrap(), "abc".parse().unwrap())]);
    feed.send(Ok(Frame::trailers(trailers.clone()))).await.unwrap();
    assert_eq!(within(answer.frame()).await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    agent.shutdown.cancel();
}

/// Guarantees: a broken upstream stream breaks the client's stream, and a client that drops its stream drops the
/// upstream's, while other streams of the same connections go on.
#[tokio::test]
async fn streams_break_alone_over_http2() {
    let (upstream, mut requests) = http2_upstream().await;
    let agent =
        Agent::configured(&openai(upstream, ", http_version: http2", dead_address().await), Parts::default())
            .await;
    let mut client = http2_client(agent.addresses.relay, 16 << 10).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let call = client.send_request(request(agent.addresses.relay, "/openai/v1/x", "{}"));
        let (answer, received) = tokio::join!(within(call), within(requests.recv()));
        let feed = received.unwrap().2;
        feed.send(Ok(Frame::data(Bytes::from("start")))).await.unwrap();
        let mut body = answer.unwrap().into_body();
        assert_eq!(within(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "start");
        streams.push((body, feed));
    }
    let (third, third_feed) = streams.pop().unwrap();
    let (second, second_feed) = streams.pop().unwrap();
    let (mut first, first_feed) = streams.pop().unwrap();
    first_feed.send(Err(std::io::Error::other("broken"))).await.unwrap();
    assert!(within(first.frame()).await.unwrap().is_err());
    drop(second);
    within(second_feed.closed()).await;
    third_feed.send(Ok(Frame::data(Bytes::from("end")))).await.unwrap();
    drop(third_feed);
    assert_eq!(within(third.collect()).await.unwrap().to_bytes(), "end");
    agent.shutdown.cancel();
}

/// Guarantees: more calls than a server allows on one HTTP/2 connection do not wait for each other.
#[tokio::test]
async fn calls_beyond_one_connections_streams_do_not_wait() {
    let (upstream, mut requests) = http2_upstream().await;
    let agent =
        Agent::configured(&openai(upstream, ", http_version: http2", dead_address().await), Parts::default())
            .await;
    let client = http2_client(agent.addresses.relay, 16 << 10).await;
    // hyper allows 200 streams on a connection.
    let calls: Vec<_> = (0..300)
        .map(|_| {
            let mut client = client.clone();
            let request = request(agent.addresses.relay, "/openai/v1/x", "{}");
            tokio::spawn(async move { client.send_request(request).await.unwrap() })
        })
        .collect();
    let mut feeds = Vec::new();
    while feeds.len() < calls.len() {
        feeds.push(within(requests.recv()).await.unwrap().2);
    }
    for call in calls {
        within(call).await.unwrap();
    }
    agent.shutdown.cancel();
}

/// Scenario: told to stop while one HTTP/2 stream runs.
/// Guarantees: the stream ends as it should, then the agent ends.
#[tokio::test]
async fn an_http2_stream_finishes_while_the_agent_drains() {
    let (upstream, mut requests) = http2_upstream().await;
    let agent =
        Agent::configured(&openai(upstream, ", http_version: http2", dead_address().await), Parts::default())
            .await;
    let mut client = http2_client(agent.addresses.relay, 16 << 10).await;
    let call = client.send_request(request(agent.addresses.relay, "/openai/v1/x", "{}"));
    let (answer, received) = tokio::join!(within(call), within(requests.recv()));
    let (mut body, feed) = (answer.unwrap().into_body(), received.unwrap().2);
    feed.send(Ok(Frame::data(Bytes::from("one")))).await.unwrap();
    assert_eq!(within(body.frame()).await.unwrap().unwrap().into_data().unwrap(), "one");
    agent.shutdown.cancel();
    within(async { while TcpStream::connect(agent.addresses.relay).await.is_ok() {} }).await;
    feed.send(Ok(Frame::data(Bytes::from("two")))).await.unwrap();
    drop(feed);
    assert_eq!(within(body.collect()).await.unwrap().to_bytes(), "two");
    within(agent.task).await.unwrap();
}

/// Guarantees: an HTTP/2 client reaches an HTTP/1.1 upstream.
#[tokio::test]
async fn http2_in_http1_out() {
    let (upstream, requests) = Upstream::fixed(completion()).await;
    let agent = Agent::alone(upstream.address).await;
    let mut client = http2_client(agent.addresses.relay, 16 << 10).await;
    let call = client.send_request(request(agent.addresses.relay, CHAT, r#"{"model":"m"}"#));
    let answer = within(call).await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "r1");
    assert_eq!(within(answer.into_body().collect()).await.unwrap().to_bytes(), COMPLETION);
    let (head, body) = requests.lock().unwrap()[0].clone();
    assert!(head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{head}");
    assert_eq!(header(&head, "host"), [upstream.address.to_string()]);
    assert_eq!(body, br#"{"model":"m"}"#);
    agent.stop().await;
}

fn tls_file(name: &str) -> String {
    format!("{}/tests/relay/tls/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Scenario: two agents in a row, the second one behind TLS.
/// Guarantees: TLS works on both sides, HTTP/2 is negotiated, and a certificate of an unknown authority is a 502 that says
/// so.
#[tokio::test]
async fn tls_on_both_sides() {
    let versions = Arc::new(Mutex::new(Vec::new()));
    let seen = versions.clone();
    let upstream = Upstream::start(move |mut message| {
        let seen = seen.clone();
        async move {
            seen.lock().unwrap().push(message.head.clone());
            message.connection.send(completion()).await;
        }
    })
    .await;
    let nobody = dead_address().await;
    let (cert, key) = (tls_file("server.pem"), tls_file("server.key"));
    let yaml =
        openai(upstream.address, "", nobody) + &format!("tls: {{cert_file: {cert}, key_file: {key}}}\n");
    let behind = Agent::configured(&yaml, Parts::default()).await;
    let url = format!("https://localhost:{}", behind.addresses.relay.port());
    let yaml = |roots: &str| {
        openai(nobody, "", nobody)
            .replace(&format!("http://{nobody}\", dialect"), &format!("{url}/openai\", dialect"))
            + roots
    };
    let trusting = format!("relay: {{ca_file: {}}}\n", tls_file("ca.pem"));
    let before = Agent::configured(&yaml(&trusting), Parts::default()).await;
    let answer = before.call(post(CHAT, "", r#"{"model":"m"}"#)).await;
    assert_eq!(answer.body, COMPLETION.as_bytes(), "{}", String::from_utf8_lossy(&answer.body));
    assert!(versions.lock().unwrap()[0].starts_with("POST /v1/chat/completions "));

    let strict = Agent::configured(&yaml("relay: {roots: webpki}\n"), Parts::default()).await;
    let answer = strict.call(post(CHAT, "", r#"{"model":"m"}"#)).await;
    assert!(answer.head.starts_with("HTTP/1.1 502 "), "{}", answer.head);
    let message = String::from_utf8(answer.body).unwrap();
    assert!(message.contains("certificate"), "{message}");
    for agent in [before, behind, strict] {
        agent.shutdown.cancel();
    }
}
