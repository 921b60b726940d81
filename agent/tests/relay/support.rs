//! What the tests of the relay stand on: a scripted upstream, a collector that records, an agent, a raw client.
//!
//! Both peers of the agent speak raw bytes where bytes and chunk boundaries are the point; a library would hide them.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ledgerline_agent::app::{Addresses, App, Parts};
use ledgerline_agent::config::{Config, Settings};
use ledgerline_proto::otlp::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// No step of a test takes longer; a test that would is a failure, not a hang.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.expect("the deadline of a test step passed")
}

/// Waits until the condition holds.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..2_000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never happened: {what}");
}

/// One message as it came: its head and its body, and the connection it came on.
pub struct Message {
    pub head: String,
    pub body: Vec<u8>,
    pub connection: Connection,
}

impl Message {
    /// The values of a header, in order.
    pub fn header(&self, name: &str) -> Vec<&str> {
        header(&self.head, name)
    }
}

pub fn header<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}

/// A connection of raw bytes.
pub struct Connection(BufStream<TcpStream>);

impl From<TcpStream> for Connection {
    fn from(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        Self(BufStream::new(stream))
    }
}

impl Connection {
    pub async fn open(address: SocketAddr) -> Self {
        Self::from(TcpStream::connect(address).await.unwrap())
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).await.unwrap();
    }

    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.0.write_all(bytes.as_ref()).await?;
        self.0.flush().await
    }

    /// Says that nothing more is sent.
    pub async fn close_sending(&mut self) {
        self.0.shutdown().await.unwrap();
    }

    pub async fn read_head(&mut self) -> Option<String> {
        let mut head = String::new();
        loop {
            if within(self.0.read_line(&mut head)).await.ok()? == 0 {
                return None;
            }
            if head.ends_with("\r\n\r\n") {
                return Some(head);
            }
        }
    }

    /// One chunk of a chunked body; `None` after the last. Trailers are left to be read.
    pub async fn read_chunk(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        let mut line = String::new();
        if within(self.0.read_line(&mut line)).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let length = usize::from_str_radix(line.trim(), 16).expect("a chunk's length");
        if length == 0 {
            return Ok(None);
        }
        let mut chunk = vec![0; length + 2];
        within(self.0.read_exact(&mut chunk)).await?;
        chunk.truncate(length);
        Ok(Some(chunk))
    }

    /// The body that follows this head, and whether it came whole.
    pub async fn read_body(&mut self, head: &str) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        if let Some(length) = header(head, "content-length").first() {
            let length: u64 = length.parse().unwrap();
            let whole = within((&mut self.0).take(length).read_to_end(&mut body)).await.is_ok();
            let complete = whole && body.len() as u64 == length;
            return (body, complete);
        }
        if header(head, "transfer-encoding").is_empty() {
            return (body, true);
        }
        loop {
            match self.read_chunk().await {
                Ok(Some(chunk)) => body.extend(chunk),
                Ok(None) => return (body, true),
                Err(_) => return (body, false),
            }
        }
    }

    pub async fn read_line(&mut self) -> String {
        let mut line = String::new();
        within(self.0.read_line(&mut line)).await.unwrap();
        line
    }

    /// Resolves when the peer has closed or reset the connection.
    pub async fn closed(&mut self) {
        let mut rest = Vec::new();
        let _how = within(self.0.read_to_end(&mut rest)).await;
    }
}

/// An HTTP/1.1 server whose answers the test writes byte by byte.
pub struct Upstream {
    pub address: SocketAddr,
    pub connections: Arc<AtomicU32>,
    task: JoinHandle<()>,
}

impl Upstream {
    pub async fn start<F, Answer>(answer: F) -> Self
    where
        F: Fn(Message) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = ()> + Send + 'static,
    {
        Self::start_at("127.0.0.1:0".parse().unwrap(), answer).await
    }

    pub async fn start_at<F, Answer>(address: SocketAddr, answer: F) -> Self
    where
        F: Fn(Message) -> Answer + Send + Sync + 'static,
        Answer: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicU32::new(0));
        let count = connections.clone();
        let answer = Arc::new(answer);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let answer = answer.clone();
                tokio::spawn(async move {
                    let mut connection = Connection::from(stream);
                    let Some(head) = connection.read_head().await else { return };
                    let (body, _) = connection.read_body(&head).await;
                    answer(Message { head, body, connection }).await;
                });
            }
        });
        Self { address, connections, task }
    }

    /// Always the same answer, and what it was asked.
    pub async fn fixed(answer: impl Into<Vec<u8>>) -> (Self, Arc<Mutex<Vec<(String, Vec<u8>)>>>) {
        let answer: Arc<[u8]> = answer.into().into();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        let upstream = Self::start(move |mut message| {
            let (answer, seen) = (answer.clone(), seen.clone());
            async move {
                seen.lock().unwrap().push((message.head.clone(), message.body.clone()));
                message.connection.send(&answer).await;
            }
        })
        .await;
        (upstream, requests)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A port where nobody listens.
pub async fn dead_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// An export request as it came, with its identity.
#[derive(Clone, Debug, PartialEq)]
pub struct Received {
    pub producer: String,
    pub epoch: u64,
    pub sequence: u64,
    pub request: ExportTraceServiceRequest,
}

type Script = dyn Fn(usize) -> Result<ExportTraceServiceResponse, tonic::Status> + Send + Sync;

#[derive(Clone)]
struct Recorder {
    received: Arc<Mutex<Vec<Received>>>,
    script: Arc<Script>,
}

#[tonic::async_trait]
impl TraceService for Recorder {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let text = |key: &str| request.metadata().get(key).unwrap().to_str().unwrap().to_owned();
        let received = Received {
            producer: text(ledgerline_proto::producer::PRODUCER_ID_KEY),
            epoch: text(ledgerline_proto::producer::EPOCH_KEY).parse().unwrap(),
            sequence: text(ledgerline_proto::producer::SEQUENCE_KEY).parse().unwrap(),
            request: request.into_inner(),
        };
        let attempt = {
            let mut list = self.received.lock().unwrap();
            list.push(received);
            list.len()
        };
        (self.script)(attempt).map(tonic::Response::new)
    }
}

/// A collector that keeps every attempt.
pub struct Collector {
    pub address: SocketAddr,
    pub received: Arc<Mutex<Vec<Received>>>,
    task: JoinHandle<()>,
}

impl Collector {
    pub async fn start() -> Self {
        Self::scripted("127.0.0.1:0".parse().unwrap(), |_| Ok(ExportTraceServiceResponse::default())).await
    }

    /// The script gets the number of the attempt, from 1.
    pub async fn scripted(
        address: SocketAddr,
        script: impl Fn(usize) -> Result<ExportTraceServiceResponse, tonic::Status> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let service =
            TraceServiceServer::new(Recorder { received: received.clone(), script: Arc::new(script) })
                .accept_compressed(tonic::codec::CompressionEncoding::Zstd);
        let task = tokio::spawn(async move {
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(tonic::transport::server::TcpIncoming::from(listener))
                .await
                .unwrap();
        });
        Self { address, received, task }
    }

    /// All spans, once there are that many.
    pub async fn spans(&self, count: usize) -> Vec<Span> {
        let all = || -> Vec<Span> {
            let received = self.received.lock().unwrap();
            let resources = received.iter().flat_map(|received| received.request.resource_spans.clone());
            resources.flat_map(|resource| resource.scope_spans).flat_map(|scope| scope.spans).collect()
        };
        eventually(&format!("{count} spans"), || all().len() >= count).await;
        all()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A span's attribute as text.
pub fn attribute(span: &Span, name: &str) -> Option<String> {
    let value = span.attributes.iter().find(|attribute| attribute.key == name)?.value.as_ref()?;
    Some(match value.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(flag) => flag.to_string(),
        other => format!("{other:?}"),
    })
}

/// A running agent.
pub struct Agent {
    pub addresses: Addresses,
    pub registry: Arc<Registry>,
    pub shutdown: CancellationToken,
    pub task: JoinHandle<()>,
}

impl Agent {
    /// One upstream at `/openai` in the dialect `openai`.
    pub async fn before(upstream: SocketAddr, collector: SocketAddr) -> Self {
        Self::configured(&openai(upstream, "", collector), Parts::default()).await
    }

    /// The same without a collector.
    pub async fn alone(upstream: SocketAddr) -> Self {
        let yaml = openai(upstream, "", dead_address().await)
            .replace("flush_timeout_seconds: 5", "flush_timeout_seconds: 0");
        Self::configured(&yaml, Parts::default()).await
    }

    pub async fn configured(yaml: &str, parts: Parts) -> Self {
        Self::of(settings(yaml), parts).await
    }

    pub async fn of(settings: Settings, parts: Parts) -> Self {
        let app = App::build(settings, parts).unwrap();
        let (addresses, registry) = (app.addresses(), app.registry());
        let shutdown = CancellationToken::new();
        let stop = shutdown.clone();
        let task = tokio::spawn(async move { app.run(stop).await.unwrap() });
        Self { addresses, registry, shutdown, task }
    }

    /// Sends one request on a connection of its own and reads the answer.
    pub async fn call(&self, request: impl AsRef<[u8]>) -> Message {
        let mut connection = Connection::open(self.addresses.relay).await;
        connection.send(request).await;
        let head = connection.read_head().await.expect("an answer");
        let (body, whole) = connection.read_body(&head).await;
        assert!(whole, "the answer is cut short: {head}");
        Message { head, body, connection }
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        within(self.task).await.unwrap();
    }

    /// The sum over a metric's labels.
    pub async fn metric(&self, name: &str) -> u64 {
        let mut connection = Connection::open(self.addresses.admin).await;
        connection.send("GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await;
        let head = connection.read_head().await.unwrap();
        let (body, _) = connection.read_body(&head).await;
        sum(&String::from_utf8(body).unwrap(), name)
    }

    /// The same without asking the agent.
    pub fn counted(&self, name: &str) -> u64 {
        counted(&self.registry, name)
    }
}

/// The sum over the labels of a metric, our prefix left out; with labels in the name, of that one alone.
pub fn counted(registry: &Registry, name: &str) -> u64 {
    sum(&ledgerline_process::admin::encode(registry).unwrap(), &format!("ledgerline_agent_{name}"))
}

fn sum(text: &str, name: &str) -> u64 {
    let lines = text.lines().filter(|line| {
        line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ') || rest.starts_with('{'))
    });
    lines.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
}

pub fn settings(yaml: &str) -> Settings {
    ledgerline_process::config::parse::<Config>("test.yaml", yaml).unwrap()
}

/// A configuration with one upstream at `/openai`; `more` is appended to its entry.
pub fn openai(upstream: SocketAddr, more: &str, collector: SocketAddr) -> String {
    format!(
        "listen: 127.0.0.1:0\nadmin: {{listen: \"127.0.0.1:0\"}}\n\
         upstreams: [{{name: openai, prefix: /openai, url: \"http://{upstream}\", dialect: openai{more}}}]\n\
         export: {{collector: \"http://{collector}\", flush_timeout_seconds: 5}}\n"
    )
}

/// A POST of JSON to a path.
pub fn post(path: &str, headers: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: agent\r\ncontent-type: application/json\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub const CHAT: &str = "/openai/v1/chat/completions";

/// A chat completion as OpenAI answers it.
pub const COMPLETION: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":1700000000,"model":"gpt-4o-2024-08-06","choices":[{"index":0,"message":{"role":"assistant","content":"Hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}}"#;

/// The same as an HTTP answer.
pub fn completion() -> String {
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nx-request-id: r1\r\ncontent-length: {}\r\n\r\n{COMPLETION}",
        COMPLETION.len()
    )
}

/// Bytes as one chunk of a chunked body.
pub fn chunk(data: impl AsRef<[u8]>) -> Vec<u8> {
    let data = data.as_ref();
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}

pub const STREAM_HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";

/// One event of an OpenAI stream.
pub fn event(json: &str) -> String {
    format!("data: {json}\n\n")
}

/// A chunk that carries text.
pub fn delta(text: &str) -> String {
    event(&format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06","choices":[{{"index":0,"delta":{{"content":"{text}"}},"finish_reason":null}}],"usage":null}}"#
    ))
}
