//! Spans as an OpenTelemetry SDK sends them: OTLP over HTTP as JSON, each request repeated to nobody and acknowledged or failed.

use anyhow::ensure;
use http::Method;
use ledgerline_testkit::http::send;
use serde_json::{Value, json};

/// What spans of one process have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Resource {
    /// `service.name`.
    pub service: String,
    /// `deployment.environment.name`.
    pub environment: String,
    /// The instrumentation that made the spans.
    pub scope: &'static str,
}

/// One span.
#[derive(Clone, Debug)]
pub struct Span {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// 16 of them.
    pub span_id: String,
    /// The same, or empty.
    pub parent_span_id: String,
    /// Its name.
    pub name: String,
    /// Nanoseconds since 1970.
    pub start_unix_ns: u64,
    /// Likewise.
    pub end_unix_ns: u64,
    /// Names and values: texts, whole numbers, fractions, truth.
    pub attributes: Vec<(String, Value)>,
}

impl Span {
    /// Adds an attribute.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.attributes.push((name.into(), value.into()));
    }
}

fn attribute(name: &str, value: &Value) -> Value {
    let typed = match value {
        Value::Bool(truth) => json!({ "boolValue": truth }),
        Value::Number(number) if number.is_u64() => json!({ "intValue": number.to_string() }),
        Value::Number(number) => json!({ "doubleValue": number }),
        Value::Array(list) => {
            let texts: Vec<Value> = list.iter().map(|text| json!({ "stringValue": text })).collect();
            json!({ "arrayValue": { "values": texts } })
        }
        other => json!({ "stringValue": other }),
    };
    json!({ "key": name, "value": typed })
}

fn span(span: &Span) -> Value {
    let attributes: Vec<Value> = span.attributes.iter().map(|(name, value)| attribute(name, value)).collect();
    let has_failed = span.attributes.iter().any(|(name, _)| name == "error.type");
    json!({
        "traceId": span.trace_id,
        "spanId": span.span_id,
        "parentSpanId": span.parent_span_id,
        "name": span.name,
        "kind": 3,
        "startTimeUnixNano": span.start_unix_ns.to_string(),
        "endTimeUnixNano": span.end_unix_ns.to_string(),
        "attributes": attributes,
        "status": { "code": if has_failed { 2 } else { 0 } },
    })
}

/// One resource with its spans, as it stands in a request.
#[must_use]
pub fn resource(resource: &Resource, spans: &[Span]) -> Value {
    let attributes =
        [("service.name", &resource.service), ("deployment.environment.name", &resource.environment)];
    let attributes = attributes.map(|(name, value)| attribute(name, &Value::from(value.as_str())));
    let spans: Vec<Value> = spans.iter().map(span).collect();
    json!({
        "resource": { "attributes": attributes },
        "scopeSpans": [{ "scope": { "name": resource.scope, "version": "demo" }, "spans": spans }],
    })
}

/// Sends one request and waits until it is stored: the collector acknowledges nothing before.
///
/// # Errors
/// When it is refused, in whole or in part; the error quotes the answer.
pub async fn export(otlp_http: &str, resources: &[Value]) -> anyhow::Result<()> {
    let body = json!({ "resourceSpans": resources }).to_string();
    let headers = [("content-type", "application/json")];
    let answer = send(Method::POST, &format!("{otlp_http}/v1/traces"), &headers, body).await?;
    let is_whole = answer.json().is_ok_and(|answer| answer["partialSuccess"]["rejectedSpans"].is_null());
    ensure!(
        answer.status.is_success() && is_whole,
        "spans were refused: {} {}",
        answer.status,
        answer.text()
    );
    Ok(())
}
