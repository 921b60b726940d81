//! Garbage, bombs and oversized input to the collector: a clear answer, nothing lost, nothing crashed.

use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::Method;
use ledgerline_testkit::http::{Answer, send};
use ledgerline_testkit::stack::{Stack, StackOptions};
use opentelemetry::KeyValue;
use opentelemetry::trace::{Span as _, SpanKind, Status, Tracer, TracerProvider};
use opentelemetry_otlp::{
    Compression as OtlpCompression, Protocol, WithExportConfig, WithHttpConfig, WithTonicConfig,
};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const JSON: (&str, &str) = ("content-type", "application/json");

async fn post(stack: &Stack, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
    send(Method::POST, &format!("{}/v1/traces", stack.otlp_http()), headers, body).await.unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A request with one call as OTLP JSON, as a person with curl writes it.
fn one_call_json(span_id: &str, end_seconds: u64) -> String {
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"shop"}}}}]}},
        "scopeSpans":[{{"spans":[{{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"{span_id}","name":"chat gpt-4o","kind":3,
        "startTimeUnixNano":"{0}000000000","endTimeUnixNano":"{1}000000000","attributes":[
        {{"key":"gen_ai.operation.name","value":{{"stringValue":"chat"}}}},
        {{"key":"gen_ai.provider.name","value":{{"stringValue":"openai"}}}},
        {{"key":"gen_ai.request.model","value":{{"stringValue":"gpt-4o"}}}},
        {{"key":"gen_ai.usage.input_tokens","value":{{"intValue":"1000"}}}},
        {{"key":"gen_ai.usage.output_tokens","value":{{"intValue":100}}}}],"status":{{}}}}]}}]}}]}}"#,
        end_seconds - 1,
        end_seconds
    )
}

async fn now(stack: &Stack) -> u64 {
    stack.sql("SELECT toUnixTimestamp(now())").await.unwrap().trim().parse().unwrap()
}

/// Scenario: OTLP over HTTP that is not protobuf, not JSON, cut short, wrongly encoded, of an unknown type, or too large
/// before or after decompression; then a good request.
/// Guarantees: 4xx with a text, never 5xx, never a crash; the good request is stored.
#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_refused_and_the_next_request_is_taken() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let bomb = gzip(&vec![0_u8; 200 << 20]);
    for (what, headers, body) in [
        ("garbage protobuf", vec![PROTOBUF], vec![0xff; 1_000]),
        ("truncated protobuf", vec![PROTOBUF], vec![0x0a, 0xff, 0x01, 0x00]),
        ("garbage JSON", vec![JSON], b"{\"resourceSpans\": [{".to_vec()),
        ("JSON of another shape", vec![JSON], b"{\"resourceSpans\": 7}".to_vec()),
        ("invalid UTF-8", vec![JSON], vec![0x7b, 0x22, 0xff, 0xfe]),
        ("not gzip", vec![PROTOBUF, ("content-encoding", "gzip")], b"plain".to_vec()),
        ("not zstd", vec![PROTOBUF, ("content-encoding", "zstd")], b"plain".to_vec()),
        ("unknown encoding", vec![PROTOBUF, ("content-encoding", "rot13")], b"plain".to_vec()),
        ("unknown type", vec![("content-type", "text/plain")], b"hello".to_vec()),
        ("a bomb", vec![PROTOBUF, ("content-encoding", "gzip")], bomb),
    ] {
        let answer = post(&stack, &headers, body).await;
        assert!(answer.status.is_client_error(), "{what}: {} {}", answer.status, answer.text());
        assert!(!answer.body.is_empty(), "{what} is refused without a word");
    }
    // More than may be sent packed: read to its end and refused, so that the sender hears why.
    let refused = post(&stack, &[PROTOBUF], vec![0; 40 << 20]).await;
    assert_eq!(refused.status, 413, "{}", refused.text());
    let good = post(&stack, &[JSON], one_call_json("eee19b7ec3c1b174", now(&stack).await)).await;
    assert_eq!((good.status.as_u16(), good.text().as_str()), (200, "{}"));
    let row = stack
        .sql("SELECT service, model, bill.quantity[1], bill.quantity[2], toString(cost) FROM spans")
        .await;
    // 1,000 x 2.50 USD/M + 100 x 10.00 USD/M
    assert_eq!(row.unwrap(), "shop\tgpt-4o\t1000\t100\t0.0035\n");
    assert!(
        ledgerline_testkit::http::get(&format!("{}/ready", stack.api())).await.unwrap().status.is_success()
    );
}

/// Scenario: a good span, one from 1970, one from 2106, one of 40 days ago and one without a trace id.
/// Guarantees: a wrong clock costs no call, it counts when it came in; the last two are counted in partial_success with the
/// reason, and kept in quarantine.
#[tokio::test(flavor = "multi_thread")]
async fn spans_that_cannot_be_kept_are_quarantined_and_said() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let now = now(&stack).await;
    for (span_id, end, rejected) in [
        ("eee19b7ec3c1b174", now, 0),
        ("eee19b7ec3c1b175", 1_000, 0),
        ("eee19b7ec3c1b176", 4_290_000_000, 0),
        ("eee19b7ec3c1b178", now - 40 * 86_400, 1),
    ] {
        let answer = post(&stack, &[JSON], one_call_json(span_id, end)).await;
        let json = answer.json().unwrap();
        let said = &json["partialSuccess"]["rejectedSpans"];
        let count = said.as_str().map_or_else(|| said.as_i64().unwrap_or(0), |text| text.parse().unwrap());
        assert_eq!((answer.status.as_u16(), count), (200, rejected), "{json}");
        assert_eq!(
            json["partialSuccess"]["errorMessage"].as_str().is_some_and(|text| !text.is_empty()),
            rejected > 0,
            "{json}"
        );
    }
    let no_trace = one_call_json("eee19b7ec3c1b177", now).replace("5b8efff798038103d269b633813fc60c", "");
    let answer = post(&stack, &[JSON], no_trace).await;
    assert!(answer.text().contains("trace id"), "{}", answer.text());
    let stored = "SELECT count(), countIf(mapContains(attrs, 'ledgerline.clock_skew_ms')), countIf(end_time <= now64(6)) FROM spans";
    assert_eq!(stack.sql(stored).await.unwrap(), "3\t2\t3\n");
    assert_eq!(stack.sql("SELECT count(), countIf(reason = '') FROM quarantine").await.unwrap(), "2\t0\n");
}

/// Scenario: the same request three times, as a sender repeats it that did not hear the answer.
/// Guarantees: counted once, in the spans and in every rollup.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_counts_once() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let body = one_call_json("eee19b7ec3c1b174", now(&stack).await);
    for _ in 0..3 {
        assert!(post(&stack, &[JSON], body.clone()).await.status.is_success());
    }
    for query in [
        "SELECT count() FROM spans",
        "SELECT sum(calls) FROM calls_minute",
        "SELECT sum(calls) FROM calls_quarter",
        "SELECT sum(calls) FROM calls_day",
    ] {
        assert_eq!(stack.sql(query).await.unwrap(), "1\n", "{query}");
    }
}

fn send_span(provider: &SdkTracerProvider) {
    let tracer = provider.tracer("somebody-else");
    let mut span = tracer
        .span_builder("chat claude-sonnet-4-5")
        .with_kind(SpanKind::Client)
        .with_attributes([
            KeyValue::new("gen_ai.operation.name", "chat"),
            KeyValue::new("gen_ai.system", "anthropic"),
            KeyValue::new("gen_ai.request.model", "claude-sonnet-4-5"),
            KeyValue::new("gen_ai.usage.input_tokens", 1_200_i64),
            KeyValue::new("gen_ai.usage.cache_read.input_tokens", 1_000_i64),
            KeyValue::new("gen_ai.usage.output_tokens", 10_i64),
            KeyValue::new("gen_ai.input.messages", "CANARY-PROMPT"),
        ])
        .start(&tracer);
    span.set_status(Status::Ok);
    span.end();
    provider.force_flush().unwrap();
    provider.shutdown().unwrap();
}

fn provider_with(exporter: opentelemetry_otlp::SpanExporter) -> SdkTracerProvider {
    SdkTracerProvider::builder()
        .with_batch_exporter(exporter)
        .with_resource(Resource::builder().with_service_name("third-party").build())
        .build()
}

/// Scenario: the OpenTelemetry SDK's own exporters: gRPC plain, gzip and zstd; HTTP protobuf, HTTP JSON, HTTP gzip.
/// Guarantees: each span is stored and priced; its prompt is not stored, because content capture is off.
#[tokio::test(flavor = "multi_thread")]
async fn opentelemetry_exporters_are_understood() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let traces = format!("{}/v1/traces", stack.otlp_http());
    let grpc = stack.otlp_grpc();
    // Off the runtime, as in a program that knows nothing of tokio; gRPC still finds the runtime it was made in.
    tokio::task::spawn_blocking(move || {
        let builder = opentelemetry_otlp::SpanExporter::builder;
        let exporters = [
            builder().with_tonic().with_endpoint(&grpc).build(),
            builder().with_tonic().with_endpoint(&grpc).with_compression(OtlpCompression::Gzip).build(),
            builder().with_http().with_endpoint(&traces).with_protocol(Protocol::HttpBinary).build(),
            builder().with_http().with_endpoint(&traces).with_protocol(Protocol::HttpJson).build(),
            builder().with_http().with_endpoint(&traces).with_compression(OtlpCompression::Gzip).build(),
            builder().with_http().with_endpoint(&traces).with_compression(OtlpCompression::Zstd).build(),
        ];
        for exporter in exporters {
            send_span(&provider_with(exporter.unwrap()));
        }
    })
    .await
    .unwrap();
    let rows = stack
        .sql("SELECT service, provider, bill.quantity[1], bill.quantity[2], toString(cost), count() FROM spans GROUP BY ALL")
        .await
        .unwrap();
    // 200 x 3.00 USD/M + 1,000 x 0.30 USD/M + 10 x 15.00 USD/M
    assert_eq!(rows, "third-party\tanthropic\t200\t1000\t0.00105\t6\n");
    assert_eq!(
        stack.sql("SELECT count() FROM spans WHERE toString(attrs) LIKE '%CANARY%'").await.unwrap(),
        "0\n"
    );
}
