//! The bodies of answers, written by hand because order and notation matter: `resultType` stands before `result` (Grafana buffers
//! the whole answer otherwise), values are strings, exact values are printed as the decimals they are.

use std::fmt::Write as _;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use ledgerline_promql::{Labels, Point, QueryResult, QueryValue, format_number};

use crate::query::querier::{RunError, RunErrorKind};

/// Notices beside an answer.
#[derive(Debug, Default)]
pub(super) struct Notices {
    pub warnings: Vec<String>,
    pub infos: Vec<String>,
}

/// An error in Prometheus's shape.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    kind: &'static str,
    message: String,
}

impl ApiError {
    pub fn bad_data(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, kind: "bad_data", message: message.into() }
    }

    /// A request that came past the check of credentials, which is a defect of ours: nobody's data is shown.
    pub fn unauthenticated() -> Self {
        let message = "nobody has said who asks".to_owned();
        Self { status: StatusCode::UNAUTHORIZED, kind: "unauthorized", message }
    }
}

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        let (status, kind) = match error.kind() {
            RunErrorKind::BadData => (StatusCode::BAD_REQUEST, "bad_data"),
            RunErrorKind::Execution => (StatusCode::UNPROCESSABLE_ENTITY, "execution"),
            RunErrorKind::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "timeout"),
            RunErrorKind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            RunErrorKind::Internal => {
                // The one place that knows the answer is our fault and nobody else will report it.
                tracing::error!(%error, "a query failed through a defect");
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        };
        Self { status, kind, message: error.to_string() }
    }
}

/// The response to an answer or an error.
pub(super) fn respond(answer: Result<String, ApiError>) -> Response {
    let (status, body) = match answer {
        Ok(body) => (StatusCode::OK, body),
        Err(error) => {
            let (kind, message) = (string(error.kind), string(&error.message));
            (error.status, format!("{{\"status\":\"error\",\"errorType\":{kind},\"error\":{message}}}"))
        }
    };
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// `{"status":"success","data":...}` around a value that is JSON already.
pub(super) fn data(value: &str, notices: &Notices) -> String {
    let mut out = format!("{{\"status\":\"success\",\"data\":{value}");
    for (name, texts) in [("warnings", &notices.warnings), ("infos", &notices.infos)] {
        if !texts.is_empty() {
            // Writing to a String cannot fail.
            let _ = write!(out, ",\"{name}\":{}", strings(texts));
        }
    }
    out.push('}');
    out
}

/// A JSON string.
pub(super) fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A JSON array of strings.
pub(super) fn strings(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| string(text)).collect();
    format!("[{}]", quoted.join(","))
}

/// A JSON array of label sets.
pub(super) fn label_sets(sets: &[Labels]) -> String {
    let mut out = String::from("[");
    for (at, labels) in sets.iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_labels(&mut out, labels);
    }
    out.push(']');
    out
}

fn push_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (at, (name, value)) in labels.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        let _ = write!(out, "{comma}{}:{}", string(name), string(value));
    }
    out.push('}');
}

/// `[seconds,"value"]`.
fn push_point(out: &mut String, point: &Point) {
    out.push('[');
    push_seconds(out, point.time_ms);
    let _ = write!(out, ",\"{}\"]", format_number(point.value));
}

/// Milliseconds as seconds, without a fraction where there is none.
fn push_seconds(out: &mut String, time_ms: i64) {
    let sign = if time_ms < 0 { "-" } else { "" };
    let magnitude = time_ms.unsigned_abs();
    let _ = write!(out, "{sign}{}", magnitude / 1000);
    if !magnitude.is_multiple_of(1000) {
        let _ = write!(out, ".{:03}", magnitude % 1000);
    }
}

/// The body of an answered query.
pub(super) fn query_result(result: &QueryResult) -> String {
    let mut out = String::from("{\"resultType\":");
    match &result.value {
        QueryValue::Scalar(point) => {
            out.push_str("\"scalar\",\"result\":");
            push_point(&mut out, point);
        }
        QueryValue::Text { time_ms, text } => {
            out.push_str("\"string\",\"result\":[");
            push_seconds(&mut out, *time_ms);
            let _ = write!(out, ",{}]", string(text));
        }
        QueryValue::Vector(samples) => {
            out.push_str("\"vector\",\"result\":[");
            for (at, sample) in samples.iter().enumerate() {
                out.push_str(if at == 0 { "{\"metric\":" } else { ",{\"metric\":" });
                push_labels(&mut out, &sample.labels);
                out.push_str(",\"value\":");
                push_point(&mut out, &sample.point);
                out.push('}');
            }
            out.push(']');
        }
        QueryValue::Matrix(series) => {
            out.push_str("\"matrix\",\"result\":[");
            for (at, series) in series.iter().enumerate() {
                out.push_str(if at == 0 { "{\"metric\":" } else { ",{\"metric\":" });
                push_labels(&mut out, &series.labels);
                out.push_str(",\"values\":[");
                for (at, point) in series.points.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    push_point(&mut out, point);
                }
                out.push_str("]}");
            }
            out.push(']');
        }
    }
    out.push('}');
    data(&out, &Notices { warnings: result.warnings.clone(), infos: result.infos.clone() })
}
