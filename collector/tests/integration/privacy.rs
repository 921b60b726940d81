//! What senders say about prompts, answers and keys stays out of everything the collector writes.

use std::io;
use std::sync::{Arc, Mutex};

use ledgerline_process::{Clock, SystemClock};
use ledgerline_proto::otlp::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use prost::Message;
use serde_json::json;
use tracing_subscriber::fmt::MakeWriter;

use crate::engine::ask;
use crate::ingest::{Collector, JSON, PROTOBUF, section};

/// Attributes in which instrumentations of 2026 send prompts, answers, tools, headers, URLs, settings and errors.
const NAMES: &[&str] = &[
    "input.value",
    "output.value",
    "llm.input_messages.0.message.content",
    "llm.output_messages.0.message.contents.0.message_content.text",
    "llm.invocation_parameters",
    "llm.prompts.0",
    "llm.tools.0.tool.json_schema",
    "llm.prompt_template.variables",
    "langfuse.observation.input",
    "langfuse.observation.output",
    "langfuse.observation.metadata.note",
    "langfuse.observation.model.parameters",
    "langfuse.observation.status_message",
    "langfuse.trace.name",
    "pydantic_ai.all_messages",
    "final_result",
    "model_request_parameters",
    "logfire.msg",
    "request_data",
    "ai.prompt",
    "ai.prompt.messages",
    "ai.response.text",
    "ai.response.toolCalls",
    "ai.toolCall.args",
    "ai.telemetry.metadata.note",
    "url.full",
    "url.query",
    "url.path",
    "http.url",
    "http.target",
    "http.request.header.authorization",
    "http.request.header.x-api-key",
    "http.response.header.set-cookie",
    "gen_ai.headers",
    "gen_ai.input.messages",
    "gen_ai.output.messages",
    "gen_ai.system_instructions",
    "gen_ai.prompt",
    "gen_ai.prompt.0.content",
    "gen_ai.prompt.variable.name",
    "gen_ai.completion.0.content",
    "gen_ai.request.stop_sequences",
    "gen_ai.retrieval.query.text",
    "gen_ai.tool.definitions",
    "gen_ai.tool.description",
    "gen_ai.tool.call.arguments",
    "gen_ai.tool.call.result",
    "gen_ai.tool.args",
    "gen_ai.evaluation.explanation",
    "traceloop.entity.input",
    "traceloop.entity.output",
    "traceloop.association.properties.note",
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "retrieval.documents.0.document.content",
    "embedding.embeddings.0.embedding.text",
    "tool.parameters",
    "metadata",
    "metadata.user_api_key_hash",
    "error.message",
    "error.stack_trace",
    "exception.message",
    "exception.stacktrace",
    "db.query.text",
    "brand.new",
];

/// What a value must say to be found, in the clear and as base64.
const CANARY: &str = "CANARY";
const CANARY_BASE64: &str = "Q0FOQVJZ";
/// What must be found, because the configuration keeps it: otherwise this test looks into the wrong places.
const KEPT: &str = "PARROT";

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..Default::default() }
}

/// The same secret in each of the forms that a value has.
fn canaries(names: &[&str]) -> Vec<KeyValue> {
    let text = || Value::StringValue(format!("{CANARY} says sk-proj-0123"));
    let of = |(index, name): (usize, &&str)| {
        let value = match index % 4 {
            0 => text(),
            1 => Value::ArrayValue(ArrayValue { values: vec![any(text())] }),
            2 => Value::KvlistValue(KeyValueList { values: vec![attribute(CANARY, text())] }),
            _ => Value::BytesValue(CANARY.as_bytes().to_vec()),
        };
        [attribute(name, text()), attribute(name, value)]
    };
    names.iter().enumerate().flat_map(of).collect()
}

/// A span that says it wherever a span can: `chat` with a model, or a plain one.
fn telling_span(number: u8, is_call: bool) -> Span {
    let now = SystemClock.now_unix_ns();
    let said = format!("{CANARY} is what the user asked, with the key sk-proj-0123");
    let mut attributes = canaries(NAMES);
    attributes.push(attribute("app.kept", Value::StringValue(KEPT.to_owned())));
    for name in ["error.type", "gen_ai.response.finish_reasons"] {
        attributes.push(attribute(name, Value::StringValue(said.clone())));
    }
    if is_call {
        for (name, value) in
            [("operation.name", "chat"), ("provider.name", "openai"), ("request.model", "gpt-4.1")]
        {
            attributes.push(attribute(&format!("gen_ai.{name}"), Value::StringValue(value.to_owned())));
        }
    } else {
        attributes.push(attribute("gen_ai.operation.name", Value::StringValue(said.clone())));
    }
    Span {
        trace_id: vec![number; 16],
        span_id: vec![number; 8],
        trace_state: format!("a={CANARY}"),
        name: said.clone(),
        start_time_unix_nano: now - 2_000_000_000,
        end_time_unix_nano: now,
        attributes,
        events: vec![span::Event { name: said.clone(), attributes: canaries(NAMES), ..Default::default() }],
        links: vec![span::Link {
            trace_state: said.clone(),
            attributes: canaries(NAMES),
            ..Default::default()
        }],
        status: Some(Status { code: 2, message: said }),
        ..Default::default()
    }
}

fn telling_request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope =
        InstrumentationScope { name: "app".into(), attributes: canaries(NAMES), ..Default::default() };
    let resource = Resource { attributes: canaries(NAMES), ..Default::default() };
    let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, schema_url: CANARY.into() }];
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans,
            schema_url: CANARY.into(),
        }],
    }
}

/// Spans that are stored, and spans that are refused for each reason a sender can bring about.
fn spans() -> Vec<Span> {
    let mut spans: Vec<Span> = (1..=5).map(|number| telling_span(number, number != 2)).collect();
    spans[2].trace_id = CANARY.as_bytes().to_vec();
    spans[3].end_time_unix_nano -= 40 * 86_400_000_000_000;
    spans[4].attributes.push(attribute("gen_ai.usage.input_tokens", Value::IntValue(1 << 60)));
    spans[4].attributes.push(attribute("gen_ai.usage.output_tokens", Value::IntValue(1)));
    spans
}

/// The text of a log, from all collectors of this process.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// How often each of these texts is in each column of each table: `table.column`, then a count for each.
async fn occurrences(collector: &Collector, texts: &[&str]) -> Vec<(String, Vec<u64>)> {
    let columns = "SELECT table, name FROM system.columns WHERE database = currentDatabase() AND type NOT LIKE 'AggregateFunction%'";
    let mut found = Vec::new();
    for line in ask(&collector.storage, columns).await.lines() {
        let (table, column) = line.split_once('\t').unwrap();
        // Ids are raw bytes; as text they may be anything.
        let counts: Vec<String> =
            texts.iter().map(|text| format!("countIf(position(toString({column}), '{text}') > 0)")).collect();
        let row = ask(&collector.storage, &format!("SELECT {} FROM {table}", counts.join(", "))).await;
        found.push((
            format!("{table}.{column}"),
            row.split('\t').map(|count| count.parse().unwrap()).collect(),
        ));
    }
    found
}

async fn start(database: &str) -> Collector {
    // A beginning that holds half of the names keeps none of the content.
    let keep = "ingest: {attributes: {keep: ['app.*', 'gen_ai.input.m*', 'http.request.header.*']}}";
    Collector::start(&section(database), keep).await
}

/// Scenario: senders put a secret wherever a span has room for one, in spans that are stored and in spans that are refused,
/// over every transport; and they send what no reader takes.
/// Guarantees: the secret is in no column of any table, in no log line and in no metric; what the configuration keeps is there.
#[tokio::test]
async fn no_canary_reaches_a_table_a_log_or_a_metric() {
    let log = Log::default();
    let subscriber =
        tracing_subscriber::fmt().with_writer(log.clone()).with_max_level(tracing::Level::DEBUG).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    assert!(NAMES.len() >= 28);
    let collector = start("canaries").await;
    let request = telling_request(spans());
    let partial =
        collector.grpc().await.export(request.clone()).await.unwrap().into_inner().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 3, "{}", partial.error_message);
    assert!(!partial.error_message.contains(CANARY), "{}", partial.error_message);
    let mut again = request.clone();
    again.resource_spans[0].scope_spans[0].spans.iter_mut().for_each(|span| span.span_id = vec![9; 8]);
    let json = serde_json::to_vec(&again).unwrap();
    assert_eq!(collector.post(&[PROTOBUF], again.encode_to_vec()).await.status, 200);
    assert_eq!(collector.post(&[JSON], json.clone()).await.status, 200);
    // Neither do errors of reading go anywhere but to the sender.
    for body in [json[..json.len() / 2].to_vec(), json!({ "resourceSpans": CANARY }).to_string().into_bytes()]
    {
        assert_eq!(collector.post(&[JSON], body).await.status, 400);
    }
    let found = occurrences(&collector, &[CANARY, CANARY_BASE64, KEPT]).await;
    let kept: Vec<&str> =
        found.iter().filter(|(_, counts)| counts[2] > 0).map(|(column, _)| column.as_str()).collect();
    assert_eq!(kept, ["quarantine.payload", "spans.attrs"]);
    for (column, counts) in &found {
        assert_eq!(counts[..2], [0, 0], "{column}");
    }
    assert!(found.len() > 100, "{}", found.len());
    let metrics = collector.metrics().await;
    assert!(
        !metrics.contains(CANARY) && metrics.contains("attributes_dropped_total{name=\"input.value\"}"),
        "{metrics}"
    );
    collector.stop().await;
    let log = String::from_utf8_lossy(&log.0.lock().unwrap()).into_owned();
    assert!(log.contains("the collector is up"), "{log}");
    let line = log.lines().find(|line| line.contains(CANARY) || line.contains(CANARY_BASE64));
    assert_eq!(line, None);
}

/// Scenario: 277 spans as eleven instrumentations sent them, with prompt, answer, tool arguments and tool results in them.
/// Guarantees: none of these is stored, whether the span is or is refused; the usage they state is.
#[tokio::test]
async fn recorded_instrumentations_leave_no_content() {
    let collector = start("instrumentations").await;
    let now = SystemClock.now_unix_ns();
    let mut sent = 0;
    for (index, line) in crate::recorded::SPANS.lines().enumerate() {
        let mut request: serde_json::Value = serde_json::from_str(line).unwrap();
        for spoilt in [false, true] {
            for span in request["resourceSpans"].as_array_mut().unwrap().iter_mut().flat_map(|resource| {
                resource["scopeSpans"]
                    .as_array_mut()
                    .unwrap()
                    .iter_mut()
                    .flat_map(|scope| scope["spans"].as_array_mut().unwrap())
            }) {
                span["startTimeUnixNano"] = (now - 2_000_000_000).to_string().into();
                span["endTimeUnixNano"] = (now - index as u64).to_string().into();
                if spoilt {
                    span["traceId"] = "".into();
                }
                sent += 1;
            }
            let answer = collector.post(&[JSON], request.to_string()).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
    }
    let stored = "SELECT (SELECT count() FROM spans), (SELECT count() FROM quarantine), (SELECT countIf(has(bill.unit, 'output_text')) > 50 FROM spans)";
    assert_eq!(ask(&collector.storage, stored).await, format!("{}\t{}\t1", sent / 2, sent / 2));
    for (column, counts) in
        occurrences(&collector, &["SC:", "Hello there", "Rome", "sunny", "Rate limit reached"]).await
    {
        assert_eq!(counts, [0; 5], "{column}");
    }
    collector.stop().await;
}
