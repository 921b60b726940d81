//! Spans of other senders, as OTLP/JSON.

use ledgerline_mock_provider::hexadecimal;
use ledgerline_process::{Clock as _, SystemClock};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// A span of somebody's instrumentation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Span {
    /// The name of the instrumentation scope.
    scope: String,
    #[serde(default = "name")]
    name: String,
    /// The span above it, by its place in the case.
    under: Option<usize>,
    /// It comes in a request of its own, after those before it.
    #[serde(default)]
    later: bool,
    /// It is that span of the case, sent again.
    again: Option<usize>,
    /// Its status is that of a failure.
    #[serde(default)]
    failed: bool,
    attributes: Map<String, Value>,
}

fn name() -> String {
    "chat".to_owned()
}

fn id(case: &str, part: &str, digits: usize) -> String {
    hexadecimal(&Sha256::digest(format!("{case} {part}")))[..digits].to_owned()
}

fn trace_id(case: &str) -> String {
    id(case, "trace", 32)
}

fn span_id(case: &str, place: usize) -> String {
    id(case, &place.to_string(), 16)
}

/// Puts a call of the agent under a span of the case.
pub fn traceparent(case: &str, place: usize) -> String {
    format!("00-{}-{}-01", trace_id(case), span_id(case, place))
}

/// The bodies of the requests that bring these spans, in order.
pub fn requests(case: &str, spans: &[Span]) -> Vec<String> {
    let mut requests: Vec<Vec<Value>> = Vec::new();
    let now = SystemClock.now_unix_ns();
    for (place, span) in spans.iter().enumerate() {
        let mut attributes = span.attributes.clone();
        attributes.insert("ledgerline.feature".to_owned(), json!(case));
        let identity = span.again.unwrap_or(place);
        let body = json!({
            "traceId": trace_id(case),
            "spanId": span_id(case, identity),
            "parentSpanId": span.under.map(|above| span_id(case, above)).unwrap_or_default(),
            "name": span.name,
            "kind": 3,
            // A span lies within the one above it.
            "startTimeUnixNano": (now - 9_000_000_000 + identity as u64 * 1_000_000).to_string(),
            "endTimeUnixNano": (now - 1_000_000_000 - identity as u64 * 1_000_000).to_string(),
            "attributes": attributes.iter().map(attribute).collect::<Vec<_>>(),
            "status": if span.failed { json!({"code": 2}) } else { json!({}) },
        });
        let of_scope = json!({"scope": {"name": span.scope}, "spans": [body]});
        match requests.last_mut() {
            Some(request) if !span.later => request.push(of_scope),
            _ => requests.push(vec![of_scope]),
        }
    }
    let resource = json!({"attributes": [attribute((&"service.name".to_owned(), &json!("cost-bugs")))]});
    let body = |scopes: Vec<Value>| json!({"resourceSpans": [{"resource": resource, "scopeSpans": scopes}]});
    requests.into_iter().map(|scopes| body(scopes).to_string()).collect()
}

fn attribute((key, value): (&String, &Value)) -> Value {
    json!({"key": key, "value": any_value(value)})
}

fn any_value(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({"stringValue": text}),
        Value::Bool(is) => json!({"boolValue": is}),
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Array(items) => {
            json!({"arrayValue": {"values": items.iter().map(any_value).collect::<Vec<_>>()}})
        }
        Value::Null | Value::Object(_) => panic!("no attribute value: {value}"),
    }
}
