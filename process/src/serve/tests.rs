//! Strangers at a port: real sockets that say nothing, or not enough.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;
use crate::tls::{TlsConfig, client_config};

const STEP: Duration = Duration::from_secs(20);

/// A port whose every answer is `ok`.
struct Port {
    address: SocketAddr,
    counters: ConnectionCounters,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

fn options() -> Options {
    Options {
        http: auto::Builder::new(TokioExecutor::new()),
        tls: None,
        connections_max: 8,
        first_head_timeout: Duration::from_secs(3_600),
        drain_timeout: STEP,
        cut: CancellationToken::new(),
        counters: ConnectionCounters::default(),
    }
}

impl Port {
    fn open(options: Options) -> Self {
        let listener = listen("listen", SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let counters = options.counters.clone();
        let service = service_fn(|_: Request<Incoming>| async {
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
        });
        let listener = TcpListener::from_std(listener).unwrap();
        let server = Server::new(move |stream, _| (stream, service), options);
        let task = tokio::spawn(server.run(listener, shutdown.clone()));
        Self { address, counters, shutdown, task }
    }

    async fn send(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }

    async fn answers(&self) -> String {
        let mut stream = self.send(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
        let mut answer = String::new();
        timeout(STEP, stream.read_to_string(&mut answer)).await.expect("an answer in time").unwrap();
        answer
    }

    async fn stop(self) {
        self.shutdown.cancel();
        timeout(STEP, self.task).await.expect("an end in time").unwrap();
        assert_eq!(self.counters.open.get(), 0);
    }
}

async fn is_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // Closed or reset, both are an end.
    let _how = timeout(STEP, stream.read_to_end(&mut rest)).await.expect("closed in time");
}

const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Scenario: a port of 8 places; 20 connections say nothing, one byte, half a head, or HTTP/2's preface, and stay.
/// Guarantees: a request that comes then is answered, at the cost of the oldest of them.
#[tokio::test]
async fn silent_connections_make_room_for_a_request() {
    for bytes in [&b""[..], b"G", b"GET / HTTP/1.1\r\nhost: x\r\n", HTTP2_PREFACE] {
        let port = Port::open(options());
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(port.send(bytes).await);
        }
        assert!(port.answers().await.ends_with("\r\n\r\nok"), "{bytes:?}");
        is_closed(&mut silent[0]).await;
        assert!(port.counters.silent_closed.get() >= 13, "{}", port.counters.silent_closed.get());
        port.stop().await;
    }
}

/// Scenario: all places are taken by connections that had an answer, and one more comes.
/// Guarantees: none of them is closed for it; it gets a place when one of them ends.
#[tokio::test]
async fn connections_that_sent_a_request_are_not_evicted() {
    let port = Port::open(options());
    let mut busy = Vec::new();
    for _ in 0..8 {
        let mut stream = port.send(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await;
        let mut first = [0];
        timeout(STEP, stream.read_exact(&mut first)).await.unwrap().unwrap();
        busy.push(stream);
    }
    let mut waiting = port.send(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await;
    let mut answer = String::new();
    let early = timeout(Duration::from_millis(300), waiting.read_to_string(&mut answer)).await;
    assert!(early.is_err(), "{answer}");
    drop(busy.pop());
    timeout(STEP, waiting.read_to_string(&mut answer)).await.unwrap().unwrap();
    assert!(answer.ends_with("ok"), "{answer}");
    assert_eq!(port.counters.silent_closed.get(), 0);
    drop(busy);
    port.stop().await;
}

/// Scenario: connections that say nothing, one byte, HTTP/2's preface, or half a TLS hello, on a port with places left.
/// Guarantees: each is closed at the deadline, whatever it speaks.
#[tokio::test]
async fn a_first_request_has_a_deadline_whatever_the_protocol() {
    let first_head_timeout = Duration::from_millis(200);
    for bytes in [&b""[..], b"G", HTTP2_PREFACE] {
        let port = Port::open(Options { first_head_timeout, ..options() });
        is_closed(&mut port.send(bytes).await).await;
        assert_eq!(port.counters.silent_closed.get(), 1, "{bytes:?}");
        port.stop().await;
    }
    let (tls, _ca) = tls();
    let port = Port::open(Options { first_head_timeout, tls: Some(tls), ..options() });
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"] {
        is_closed(&mut port.send(bytes).await).await;
    }
    assert_eq!(port.counters.silent_closed.get(), 2);
    port.stop().await;
}

fn tls() -> (ServerTls, tempfile::NamedTempFile) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (tempfile::NamedTempFile::new().unwrap(), tempfile::NamedTempFile::new().unwrap());
    std::fs::write(cert.path(), made.cert.pem()).unwrap();
    std::fs::write(key.path(), made.signing_key.serialize_pem()).unwrap();
    let config = TlsConfig { cert_file: cert.path().to_owned(), key_file: key.path().to_owned() };
    (ServerTls::load(&config).unwrap(), cert)
}

/// Scenario: a client that trusts the certificate asks over TLS, once with each HTTP version.
/// Guarantees: it is answered.
#[tokio::test]
async fn a_port_with_a_certificate_answers_over_tls() {
    use crate::connect::{Offer, connector};
    let (tls, ca) = tls();
    let port = Port::open(Options { tls: Some(tls), ..options() });
    for (offer, version) in [(Offer::Http1, http::Version::HTTP_11), (Offer::Both, http::Version::HTTP_2)] {
        let trusting = client_config(crate::tls::Roots::Webpki, Some(ca.path())).unwrap();
        let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new())
            .build::<_, Full<Bytes>>(connector(trusting, offer, STEP));
        let url = format!("https://localhost:{}/", port.address.port());
        let answer = timeout(STEP, client.get(url.parse().unwrap())).await.unwrap().unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    }
    port.stop().await;
}
