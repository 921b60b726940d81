//! The whole collector on free ports over the real engine, spoken to as other people's senders speak to it.

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client as HttpClient;
use hyper_util::rt::TokioExecutor;
use ledgerline_collector::app::{Addresses, App, BuildError};
use ledgerline_collector::config::Config;
use ledgerline_collector::limits;
use ledgerline_process::config::parse;
use ledgerline_process::{Clock, SystemClock};
use ledgerline_proto::otlp::{ExportTraceServiceRequest, ExportTraceServiceResponse, export_request};
use ledgerline_proto::producer::{EPOCH_KEY, PRODUCER_ID_KEY, SEQUENCE_KEY};
use ledgerline_store::Store;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use prost::Message;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;

use crate::engine::{self, ask};
use crate::spans::{TIERS, call, sums_of};

pub struct Collector {
    pub addresses: Addresses,
    pub storage: Store,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Collector {
    pub async fn start(storage: &str, more: &str) -> Self {
        Self::start_at(storage, more, Arc::new(SystemClock)).await.unwrap()
    }

    /// With a clock of the test's. It runs on the runtime of the caller.
    pub async fn start_at(storage: &str, more: &str, clock: Arc<dyn Clock>) -> Result<Self, BuildError> {
        let yaml = format!(
            "listen: {{grpc: '127.0.0.1:0', http: '127.0.0.1:0', api: '127.0.0.1:0'}}\nstorage: {storage}\n{more}"
        );
        let settings = parse::<Config>("test", &yaml).unwrap();
        let app = App::build(settings, clock).await?;
        let (addresses, storage) = (app.addresses(), app.storage.clone());
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(app.run(shutdown.clone()));
        Ok(Self { addresses, storage, shutdown, running })
    }

    /// On the engine that all tests share.
    async fn on_shared_engine(database: &str) -> Self {
        Self::start(&section(database), "").await
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(60), self.running).await.unwrap().unwrap();
    }

    pub async fn post(&self, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        post(&format!("http://{}/v1/traces", self.addresses.http), headers, body.into()).await
    }

    pub async fn grpc(&self) -> TraceServiceClient<tonic::transport::Channel> {
        TraceServiceClient::connect(format!("http://{}", self.addresses.grpc)).await.unwrap()
    }

    pub async fn metrics(&self) -> String {
        get(&format!("http://{}/metrics", self.addresses.api)).await.text()
    }

    /// The value of an instant query that answers one series; what it answered otherwise.
    pub async fn query(&self, text: &str, at_s: u64) -> String {
        let query: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let url = format!("http://{}/prometheus/api/v1/query?query={query}&time={at_s}", self.addresses.api);
        let answer = get(&url).await;
        match answer.json()["data"]["result"].as_array().map(Vec::as_slice) {
            Some([one]) => one["value"][1].as_str().unwrap().to_owned(),
            _ => answer.text(),
        }
    }

    /// The status of `/ready`, and its text.
    pub async fn ready(&self) -> (u16, String) {
        let answer = get(&format!("http://{}/ready", self.addresses.api)).await;
        (answer.status, answer.text())
    }

    pub async fn metric(&self, line: &str) -> u64 {
        let text = self.metrics().await;
        let value = text.lines().find_map(|found| found.strip_prefix(line)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("no {line} in\n{text}")).parse().unwrap()
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn send(request: Request<Full<Bytes>>) -> Answer {
    try_send(request).await.unwrap()
}

async fn try_send(request: Request<Full<Bytes>>) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let client = HttpClient::builder(TokioExecutor::new()).build_http();
    let (head, body) = client.request(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

pub async fn get(url: &str) -> Answer {
    send(Request::get(url).body(Full::default()).unwrap()).await
}

pub async fn post(url: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
    let mut request = Request::post(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request.body(Full::new(body)).unwrap()).await
}

pub const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
pub const JSON: (&str, &str) = ("content-type", "application/json");

fn request(numbers: std::ops::Range<u64>) -> ExportTraceServiceRequest {
    let now = SystemClock.now_unix_ns();
    export_request(&numbers.map(|number| call(number, now)).collect::<Vec<_>>())
}

fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..Default::default() }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// A JSON request as OpenTelemetry's JavaScript exporter writes it.
fn json_request(end_unix_ns: u64) -> String {
    let start = end_unix_ns - 2_000_000_000;
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"web"}}}}],"droppedAttributesCount":0}},
        "scopeSpans":[{{"scope":{{"name":"openai","version":"1"}},"spans":[{{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174",
        "name":"chat gpt-4.1","kind":3,"startTimeUnixNano":"{start}","endTimeUnixNano":"{end_unix_ns}","attributes":[
        {{"key":"gen_ai.operation.name","value":{{"stringValue":"chat"}}}},{{"key":"gen_ai.provider.name","value":{{"stringValue":"openai"}}}},
        {{"key":"gen_ai.request.model","value":{{"stringValue":"gpt-4.1"}}}},{{"key":"gen_ai.usage.input_tokens","value":{{"intValue":1000}}}},
        {{"key":"gen_ai.usage.output_tokens","value":{{"intValue":"100"}}}},{{"key":"gen_ai.input.messages","value":{{"stringValue":"hush"}}}},
        {{"key":"app.route","value":{{"stringValue":"/buy"}}}}],"droppedAttributesCount":0,"events":[],"links":[],"status":{{"code":0}}}}]}}]}}]}}"#
    )
}

/// Scenario: the official gRPC client sends with each compression, and repeats one request as after a lost answer.
/// Guarantees: every call is stored once, and the sums of all tables agree.
#[tokio::test]
async fn grpc_requests_are_stored_once_whatever_their_compression() {
    let collector = Collector::on_shared_engine("grpc").await;
    let mut client = collector.grpc().await;
    let plain = client.export(request(0..100)).await.unwrap().into_inner();
    assert_eq!(plain, ExportTraceServiceResponse::default());
    for (encoding, numbers) in [(CompressionEncoding::Gzip, 100..200), (CompressionEncoding::Zstd, 200..300)]
    {
        let mut client = collector.grpc().await.send_compressed(encoding);
        client.export(request(numbers)).await.unwrap();
    }
    let again = request(300..400);
    for _ in 0..3 {
        let mut request = tonic::Request::new(again.clone());
        let metadata = request.metadata_mut();
        metadata.insert(PRODUCER_ID_KEY, "01890000-0000-7000-8000-000000000000".parse().unwrap());
        metadata.insert(EPOCH_KEY, "1".parse().unwrap());
        metadata.insert(SEQUENCE_KEY, "9".parse().unwrap());
        client.export(request).await.unwrap();
    }
    let spans = ask(&collector.storage, &sums_of("spans")).await;
    assert!(spans.starts_with("400\t"), "{spans}");
    for table in TIERS {
        assert_eq!(ask(&collector.storage, &sums_of(table)).await, spans, "{table}");
    }
    assert_eq!(collector.metric("ledgerline_collector_spans_received_total").await, 600);
    assert_eq!(collector.metric("ledgerline_collector_spans_stored_total").await, 600);
    assert_eq!(collector.metric("ledgerline_collector_spans_waiting").await, 0);
    collector.stop().await;
}

/// Guarantees: HTTP takes both formats and every encoding on both paths, prices exactly, and keeps no message content.
#[tokio::test]
async fn http_takes_both_formats_and_every_encoding() {
    let keep = "ingest: {attributes: {keep: ['app.*']}}";
    let collector = Collector::start(&section("http"), keep).await;
    let now = SystemClock.now_unix_ns();
    let answer = collector.post(&[JSON], json_request(now)).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    assert_eq!(answer.headers[CONTENT_TYPE], "application/json");
    let stored = ask(
        &collector.storage,
        "SELECT service, model, cost, bill.rule[1] != '', attrs['app.route'], arrayStringConcat(mapValues(attrs)), hex(trace_id) FROM spans",
    )
    .await;
    // gpt-4.1: 1,000 tokens at 2.00 and 100 at 8.00 USD per million.
    assert!(stored.starts_with("web\tgpt-4.1\t0.0028\t1\t"), "{stored}");
    assert!(
        stored.ends_with("\t5B8EFFF798038103D269B633813FC60C") && stored.contains("\t/buy\t"),
        "{stored}"
    );
    assert!(!stored.contains("hush"), "{stored}");
    let body = request(0..10).encode_to_vec();
    let answer = collector.post(&[PROTOBUF], body.clone()).await;
    assert_eq!((answer.status, answer.body.len()), (200, 0));
    for (encoding, numbers) in [("gzip", 10..20), ("zstd", 20..30), ("deflate", 30..40)] {
        let body = request(numbers).encode_to_vec();
        let packed = match encoding {
            "gzip" => gzip(&body),
            "zstd" => zstd::encode_all(&*body, 3).unwrap(),
            _ => {
                let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&body).unwrap();
                encoder.finish().unwrap()
            }
        };
        let answer = collector.post(&[PROTOBUF, ("content-encoding", encoding)], packed).await;
        assert_eq!(answer.status, 200, "{encoding}");
    }
    let alias = format!("http://{}/api/public/otel/v1/traces", collector.addresses.http);
    assert_eq!(post(&alias, &[PROTOBUF], request(40..50).encode_to_vec().into()).await.status, 200);
    assert_eq!(
        ask(
            &collector.storage,
            "SELECT count(), sum(calls) FROM (SELECT count() AS calls FROM spans GROUP BY span_id)"
        )
        .await,
        "51\t51"
    );
    collector.stop().await;
}

/// Scenario: some spans of a request cannot be kept.
/// Guarantees: the rest is stored, the sender is told how many and why, and the refused ones are in the quarantine.
#[tokio::test]
async fn a_partial_success_counts_and_explains() {
    let collector = Collector::on_shared_engine("partial").await;
    let mut request = request(0..10);
    {
        let spans = &mut request.resource_spans[0].scope_spans[0].spans;
        spans[0].trace_id.clear();
        spans[1].end_time_unix_nano -= 40 * 86_400_000_000_000;
        // A clock that is an hour ahead costs no call.
        spans[2].end_time_unix_nano += 3_600_000_000_000;
    }
    for _ in 0..2 {
        let partial = collector
            .grpc()
            .await
            .export(request.clone())
            .await
            .unwrap()
            .into_inner()
            .partial_success
            .unwrap();
        assert_eq!(partial.rejected_spans, 2);
        for part in ["2 of 10 spans", "1 identity", "1 too_old"] {
            assert!(partial.error_message.contains(part), "{part} in {}", partial.error_message);
        }
    }
    let quarantine =
        "SELECT count(), arrayStringConcat(arraySort(groupArray(toString(reason))), ',') FROM quarantine";
    assert_eq!(ask(&collector.storage, quarantine).await, "2\tidentity,too_old");
    assert_eq!(ask(&collector.storage, "SELECT count() FROM spans").await, "8");
    let skewed = "SELECT count(), any(toInt64(attrs['ledgerline.clock_skew_ms']) > 3500000), any(end_time <= now64(6)), \
        any(duration_us IS NULL), sum(is_call) FROM spans WHERE mapContains(attrs, 'ledgerline.clock_skew_ms')";
    assert_eq!(ask(&collector.storage, skewed).await, "1\t1\t1\t0\t1");
    let line = "ledgerline_collector_spans_quarantined_total{reason=\"too_old\"}";
    assert_eq!(collector.metric(line).await, 2);
    collector.stop().await;
}

/// Guarantees: a call whose price is not known has a reason and no cost, never a zero; a failed one that costs nothing does.
#[tokio::test]
async fn an_unknown_price_is_never_zero() {
    let collector = Collector::on_shared_engine("unpriced").await;
    let body = request(0..400).encode_to_vec();
    assert_eq!(collector.post(&[PROTOBUF], body).await.status, 200);
    let rows = ask(
        &collector.storage,
        "SELECT count(), countIf(cost IS NULL) > 0, countIf((cost IS NULL) != (unpriced_reason != '')), \
        countIf(cost = 0 AND not_billed != 'http_error'), countIf(model = 'no-such-model' AND cost > 0), \
        countIf(usage_source = 'missing' AND cost > 0) FROM spans",
    )
    .await;
    assert_eq!(rows, "400\t1\t0\t0\t0\t0");
    let unpriced = ask(&collector.storage, "SELECT countIf(cost IS NULL) FROM spans").await;
    assert_eq!(
        ask(&collector.storage, "SELECT sumIf(calls, unpriced_reason != '') FROM calls_day").await,
        unpriced
    );
    collector.stop().await;
}

/// Scenario: what a receiver on a network gets: noise, wrong types, wrong encodings, bodies that are too large, bombs.
/// Guarantees: each has a clear answer in the format of its request and a code no client repeats, and the collector goes on.
#[tokio::test]
async fn bad_requests_have_clear_answers_and_harm_nobody() {
    let collector = Collector::on_shared_engine("bad").await;
    let body = request(0..10).encode_to_vec();
    let bomb = gzip(&vec![0; limits::DECODED_BYTES_MAX + 1]);
    let huge = vec![b'x'; limits::REQUEST_BYTES_MAX + 1];
    type Case<'a> = (&'a [(&'a str, &'a str)], Vec<u8>, u16, i64, &'a str);
    let cases: [Case<'_>; 10] = [
        (&[JSON], b"{\"resourceSpans\":[{".to_vec(), 400, 3, "not OTLP JSON"),
        (&[JSON], b"{\"resourceLogs\":[]}".to_vec(), 400, 3, "takes traces"),
        (&[JSON], b"\xff\xfe".to_vec(), 400, 3, "not OTLP JSON"),
        (&[JSON, ("content-encoding", "gzip")], b"{}".to_vec(), 400, 3, "not Gzip"),
        (&[JSON, ("content-encoding", "br")], b"{}".to_vec(), 415, 12, "content encoding `br`"),
        (&[("content-type", "text/plain")], b"hello".to_vec(), 415, 12, "content type `text/plain`"),
        (&[], b"hello".to_vec(), 415, 12, "content type ``"),
        (&[JSON, ("content-encoding", "gzip")], bomb, 413, 3, "decompressed larger than"),
        (&[JSON], huge, 413, 3, "as sent larger than"),
        (&[JSON, ("content-encoding", "gzip")], gzip(&body)[..60].to_vec(), 400, 3, "not Gzip"),
    ];
    for (headers, body, status, code, part) in cases {
        let answer = collector.post(headers, body).await;
        assert_eq!(answer.status, status, "{part}");
        let json = answer.json();
        assert_eq!(json["code"], code, "{part}");
        assert!(json["message"].as_str().unwrap().contains(part), "{json}");
        assert!(!answer.headers.contains_key("retry-after"), "{part}");
    }
    // In Protocol Buffers the failure is a google.rpc.Status: field 1 is the code.
    let answer = collector.post(&[PROTOBUF], body[..body.len() / 2].to_vec()).await;
    assert_eq!((answer.status, &answer.body[..2]), (400, &b"\x08\x03"[..]));
    assert_eq!(answer.headers[CONTENT_TYPE], "application/x-protobuf");
    for (path, status, part) in
        [("/v1/traces", 405, "POST only"), ("/v1/logs", 404, "there is no /v1/logs here")]
    {
        let answer = get(&format!("http://{}{path}", collector.addresses.http)).await;
        assert_eq!((answer.status, &answer.json()["code"]), (status, &12.into()), "{path}");
        assert!(answer.json()["message"].as_str().unwrap().contains(part), "{path}: {}", answer.text());
        assert_eq!(answer.headers.contains_key("allow"), status == 405, "{path}");
    }
    assert_eq!(collector.metric("ledgerline_collector_requests_refused_total{reason=\"path\"}").await, 2);
    // gRPC: noise in a well-formed frame, and a message that is too large.
    let mut client = collector.grpc().await;
    let mut large = request(0..1);
    large.resource_spans[0].scope_spans[0].spans[0].name = "n".repeat(limits::REQUEST_BYTES_MAX);
    let status = client.export(large).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status}");
    client.export(request(0..10)).await.unwrap();
    assert_eq!(ask(&collector.storage, "SELECT count() FROM spans").await, "10");
    assert_eq!(
        collector.metric("ledgerline_collector_requests_refused_total{reason=\"too_large\"}").await,
        3
    );
    assert_eq!(collector.metric("ledgerline_collector_spans_unacknowledged_total").await, 0);
    collector.stop().await;
}

/// Scenario: a program cuts texts in the middle of an emoji and escapes the half that is left, as JavaScript and Python do.
/// Guarantees: the request is taken, and the half is stored as U+FFFD, wherever the text goes.
#[tokio::test]
async fn half_a_surrogate_character_is_stored_as_a_replacement() {
    let collector = Collector::on_shared_engine("surrogate").await;
    let halves =
        json_request(SystemClock.now_unix_ns()).replace("\"web\"", r#""web \ud83d, \ude00 \ud83d\ude00""#);
    let answer = collector.post(&[JSON], halves).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    let stored = "SELECT hex(service), toString(cost) FROM spans";
    // U+FFFD is EF BF BD; the whole pair is U+1F600. 1,000 tokens at 2.00 and 100 at 8.00 USD per million.
    let expected = "77656220EFBFBD2C20EFBFBD20F09F9880\t0.0028";
    assert_eq!(ask(&collector.storage, stored).await, expected);
    collector.stop().await;
}

/// Scenario: 300 spans that share a prompt of 16 kB, compressed more than 100 times; and a request without spans.
/// Guarantees: what is honest is taken, however well it compresses.
#[tokio::test]
async fn honest_batches_are_taken_however_well_they_compress() {
    let collector = Collector::on_shared_engine("compressible").await;
    let mut request = request(0..300);
    let prompt = "You are a careful assistant of a bank. ".repeat(420);
    for span in request.resource_spans.iter_mut().flat_map(|spans| &mut spans.scope_spans[0].spans) {
        span.attributes.push(key_value("input.value", Value::StringValue(prompt.clone())));
    }
    let body = request.encode_to_vec();
    let compressed = zstd::encode_all(&*body, 3).unwrap();
    assert!(body.len() > 100 * compressed.len(), "{} of {}", compressed.len(), body.len());
    assert_eq!(collector.post(&[PROTOBUF, ("content-encoding", "zstd")], compressed).await.status, 200);
    let answer = collector.post(&[JSON], "{}").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    assert_eq!(ask(&collector.storage, "SELECT count() FROM spans").await, "300");
    collector.stop().await;
}

/// Scenario: web pages send, of an origin that is named in the configuration and of others.
/// Guarantees: a page may send exactly when its origin is named, and programs, which have none, always may.
#[tokio::test]
async fn pages_may_send_when_their_origin_is_named() {
    let cors = "ingest: {cors: {allowed_origins: ['https://app.example.com']}}";
    let named = Collector::start(&section("cors"), cors).await;
    let unnamed = Collector::on_shared_engine("cors").await;
    for (collector, origin, allowed) in [
        (&named, "https://app.example.com", true),
        (&named, "https://evil.example", false),
        (&named, "null", false),
        (&unnamed, "https://app.example.com", false),
        (&unnamed, "http://127.0.0.1:4318", false),
    ] {
        let preflight = Request::options(format!("http://{}/v1/traces", collector.addresses.http))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        let answer = send(preflight.body(Full::default()).unwrap()).await;
        let header = |name: &str| answer.headers.get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header("access-control-allow-origin"), allowed.then_some(origin), "{origin}");
        if allowed {
            assert_eq!((answer.status, header("access-control-allow-methods")), (200, Some("POST")));
            assert!(header("access-control-allow-headers").unwrap().contains("content-type"));
        }
        let answer = collector.post(&[JSON, ("origin", origin)], "{}").await;
        assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{origin}");
        assert_eq!(answer.headers.contains_key("access-control-allow-origin"), allowed, "{origin}");
    }
    assert_eq!(named.post(&[JSON], "{}").await.status, 200);
    named.stop().await;
    unnamed.stop().await;
}

/// Scenario: a tenant has as many teams as it may; the collector is started again, and another team comes.
/// Guarantees: the cap holds over a restart; what is beyond it is counted as `other` and keeps its name on the span.
#[tokio::test]
async fn the_cap_of_a_dimension_holds_over_a_restart() {
    let (storage, cap) = (section("caps"), "ingest: {dimension_values_max: 3}");
    // The models are four, and the teams three.
    let first = Collector::start(&storage, cap).await;
    assert_eq!(first.post(&[PROTOBUF], request(0..40).encode_to_vec()).await.status, 200);
    first.stop().await;
    let second = Collector::start(&storage, cap).await;
    let mut late = request(40..41);
    for attribute in &mut late.resource_spans[0].scope_spans[0].spans[0].attributes {
        if attribute.key == "ledgerline.team" {
            attribute.value = Some(AnyValue { value: Some(Value::StringValue("late".to_owned())) });
        }
    }
    assert_eq!(second.post(&[PROTOBUF], late.encode_to_vec()).await.status, 200);
    let teams = "SELECT arrayStringConcat(arraySort(groupUniqArray(toString(team))), ','), max(attrs['ledgerline.other.team']) FROM spans";
    assert_eq!(ask(&second.storage, teams).await, "other,team-0,team-1,team-2\tlate");
    let models = "SELECT uniqExact(model), countIf(model = 'other') FROM spans";
    assert_eq!(ask(&second.storage, models).await, "4\t10");
    assert_eq!(second.metric("ledgerline_collector_dimension_overflows_total{dimension=\"team\"}").await, 1);
    second.stop().await;
}

/// Guarantees: with tokens configured the token decides the tenant, whatever the payload says, and nothing else is let in.
#[tokio::test]
async fn the_token_decides_the_tenant() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "0123456789abcdef\n").unwrap();
    let auth = format!("auth: {{tokens: [{{token: {{file: {}}}, tenant: acme}}]}}", token.display());
    let collector = Collector::start(&section("tokens"), &auth).await;
    let body = request(0..5).encode_to_vec();
    let refused =
        collector.post(&[PROTOBUF, ("authorization", "Bearer 0123456789abcdeX")], body.clone()).await;
    assert_eq!((refused.status, &refused.headers["www-authenticate"]), (401, &"Bearer".parse().unwrap()));
    let status = collector.grpc().await.export(request(0..5)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unauthenticated);
    let taken = collector
        .post(&[PROTOBUF, ("authorization", "Bearer 0123456789abcdef"), ("x-tenant", "other")], body)
        .await;
    assert_eq!(taken.status, 200);
    assert_eq!(ask(&collector.storage, "SELECT count(), any(tenant) FROM spans").await, "5\tacme");
    collector.stop().await;
}

/// Scenario: a collector stores a request and dies before its answer arrives; the sender repeats it to the next collector.
/// Guarantees: the request is counted once, and the next collector acknowledges it.
#[tokio::test]
async fn a_repeat_to_another_collector_is_counted_once() {
    let first = Collector::on_shared_engine("handover").await;
    let request = request(0..50);
    first.grpc().await.export(request.clone()).await.unwrap();
    let second = Collector::on_shared_engine("handover").await;
    first.stop().await;
    second.grpc().await.export(request).await.unwrap();
    let spans = ask(&second.storage, &sums_of("spans")).await;
    assert!(spans.starts_with("50\t"), "{spans}");
    assert_eq!(ask(&second.storage, &sums_of("day")).await, spans);
    second.stop().await;
}

/// Guarantees: `check-config` names every mistake with its place, starts nothing, and tells by its exit code.
#[test]
fn check_config_names_every_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("collector.yaml");
    let check = |yaml: &str| {
        std::fs::write(&file, yaml).unwrap();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ledgerline-collector"));
        command.arg("check-config").arg("--config").arg(&file).output().unwrap()
    };
    let wrong = check("listne: {}\nstorage: {url: ftp://x}\n");
    assert_eq!(wrong.status.code(), Some(1));
    let text = String::from_utf8(wrong.stderr).unwrap();
    assert!(text.contains("listne: is not a key") && text.contains("storage.url: must be"), "{text}");
    let right = check(&format!(
        "tenant: acme\nstorage: {{engine: {{binary: '{}'}}}}\n",
        crate::engine::binary().display()
    ));
    assert_eq!(right.status.code(), Some(0));
    assert!(right.stdout.ends_with(b": the configuration is valid\n"), "{:?}", right.stdout);
}

/// Scenario: an agent sends requests in order and repeats each until it is acknowledged, while the engine is killed again
/// and again with signal 9.
/// Guarantees: every acknowledged call is in spans and in every rollup exactly once; a refusal is one that clients repeat.
#[tokio::test(flavor = "multi_thread")]
async fn kills_of_the_engine_lose_and_double_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let storage = format!(
        "{{url: embedded, data_dir: {}, engine: {{binary: {}}}}}",
        directory.path().display(),
        engine::binary().display()
    );
    let collector = Collector::start(&storage, "").await;
    let killer = {
        let directory = directory.path().to_owned();
        let stop = collector.shutdown.clone();
        tokio::spawn(async move {
            let mut kills = 0;
            while !stop.is_cancelled() && kills < 4 {
                tokio::time::sleep(Duration::from_millis(300)).await;
                kills += kill_engine(&directory);
            }
            kills
        })
    };
    const REQUESTS: u64 = 120;
    for number in 0..REQUESTS {
        let request = request(number * 10..number * 10 + 10);
        loop {
            let mut client = collector.grpc().await;
            let mut attempt = tonic::Request::new(request.clone());
            attempt.metadata_mut().insert(SEQUENCE_KEY, number.to_string().parse().unwrap());
            match client.export(attempt).await {
                Ok(_) => break,
                Err(status) => assert_eq!(status.code(), tonic::Code::Unavailable, "{status}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(killer.await.unwrap() > 0, "the engine was never killed");
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !collector.storage.check().await {
        assert!(tokio::time::Instant::now() < deadline, "the engine did not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let spans = ask(&collector.storage, &sums_of("spans")).await;
    assert!(spans.starts_with(&format!("{}\t", REQUESTS * 10)), "{spans}");
    for table in TIERS {
        assert_eq!(ask(&collector.storage, &sums_of(table)).await, spans, "{table}");
    }
    collector.stop().await;
}

/// Spans in Protocol Buffers to that address; the status, or `None` where there was no answer.
pub async fn try_post(http: SocketAddr, body: Bytes) -> Option<u16> {
    let request = Request::post(format!("http://{http}/v1/traces")).header(PROTOBUF.0, PROTOBUF.1);
    try_send(request.body(Full::new(body)).ok()?).await.ok().map(|answer| answer.status)
}

/// The engine that all tests share, as the `storage` section of a collector's configuration.
pub fn section(database: &str) -> String {
    let ledgerline_store::client::Target { url, user, password, .. } = engine::target(database);
    // Whoever writes it writes the same.
    let file = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join(format!("password-{}", std::process::id()));
    std::fs::write(&file, password.unwrap().expose()).unwrap();
    let (user, file) = (user.unwrap(), file.display());
    format!("{{url: '{url}', database: {database}, user: {user}, password: {{file: '{file}'}}}}")
}

/// Sends signal 9 to the engine of that data directory; 1 if there was one.
pub fn kill_engine(data_dir: &std::path::Path) -> u32 {
    let Ok(processes) = std::fs::read_dir("/proc") else { return 0 };
    for process in processes.flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let arguments: Vec<&[u8]> = command.split(|byte| *byte == 0).collect();
        let ours = arguments.contains(&data_dir.as_os_str().as_encoded_bytes());
        if ours && arguments[0].ends_with(b"ledgerline-engine") {
            let killed = std::process::Command::new("kill").arg("-9").arg(process.file_name()).status();
            return u32::from(killed.is_ok_and(|status| status.success()));
        }
    }
    0
}
