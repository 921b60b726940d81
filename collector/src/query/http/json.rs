//! The bodies of responses. Order and notation matter: `resultType` stands before `result` (Grafana buffers the whole response
//! otherwise), values are strings, exact values are printed as the decimals they are. A body is charged to its query's memory
//! while it grows, and until it is sent.

use std::io::{self, Write};
use std::sync::Arc;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use ledgerline_promql::{
    Charge, Labels, MemoryError, Point, QueryError, QueryMemory, QueryResult, QueryValue, format_number,
};
use serde::ser::{Error as _, SerializeMap as _, SerializeStruct as _};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::query::querier::{RunError, RunErrorKind};

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
                // The one place that knows that the failure is our fault and that nobody else will report it.
                tracing::error!(%error, "a query failed through a defect");
                (StatusCode::INTERNAL_SERVER_ERROR, "internal")
            }
        };
        Self { status, kind, message: error.to_string() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Body<'a> {
            status: &'a str,
            error_type: &'a str,
            error: &'a str,
        }
        let body = Body { status: "error", error_type: self.kind, error: &self.message };
        (self.status, axum::Json(body)).into_response()
    }
}

/// A response that succeeded: what was asked for, and notices beside it.
#[derive(Debug, Serialize)]
pub(super) struct Success<T> {
    status: &'static str,
    data: T,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    infos: Vec<String>,
}

impl<T: Serialize> Success<T> {
    pub fn new(data: T) -> Self {
        Self { status: "success", data, warnings: Vec::new(), infos: Vec::new() }
    }

    pub fn with_warnings(data: T, warnings: Vec<String>) -> Self {
        Self { warnings, ..Self::new(data) }
    }

    /// The response, its body charged to `memory`.
    pub fn respond(&self, memory: &Arc<QueryMemory>) -> Result<Response, ApiError> {
        let memory_error = |error: MemoryError| ApiError::from(RunError::from(QueryError::from(error)));
        let charge = memory.charge(0).map_err(memory_error)?;
        let mut body = ChargedText { text: Vec::new(), charge, refused: None };
        if let Err(error) = serde_json::to_writer(&mut body, self) {
            return Err(body
                .refused
                .map_or_else(|| RunError::Evaluation { reason: error.to_string() }.into(), memory_error));
        }
        Ok(([(CONTENT_TYPE, "application/json")], Bytes::from_owner(body)).into_response())
    }
}

/// A text that is charged for before it grows, and until it is dropped.
struct ChargedText {
    text: Vec<u8>,
    charge: Charge,
    refused: Option<MemoryError>,
}

impl Write for ChargedText {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        if self.text.capacity() - self.text.len() < part.len() {
            let more = part.len().max(self.text.capacity()).max(1024);
            if let Err(error) = self.charge.grow(more) {
                self.refused = Some(error);
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            self.text.reserve_exact(self.text.capacity() - self.text.len() + more);
        }
        self.text.extend_from_slice(part);
        Ok(part.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsRef<[u8]> for ChargedText {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

/// A label set as a JSON object.
pub(super) struct Metric<'a>(pub &'a Labels);

impl Serialize for Metric<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

/// `[seconds,"value"]`.
struct Sample(Point);

impl Serialize for Sample {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (Seconds(self.0.time_ms), format_number(self.0.value)).serialize(serializer)
    }
}

/// Milliseconds as seconds: three decimals, or none where they would be zeros.
struct Seconds(i64);

impl Serialize for Seconds {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % 1000 == 0 {
            return serializer.serialize_i64(self.0 / 1000);
        }
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let decimal = format!("{sign}{}.{:03}", magnitude / 1000, magnitude % 1000);
        RawValue::from_string(decimal).map_err(S::Error::custom)?.serialize(serializer)
    }
}

/// One series of a result: its labels, and what `values` calls its samples.
struct Row<'a, T> {
    labels: &'a Labels,
    values: (&'static str, T),
}

impl<T: Serialize> Serialize for Row<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("metric", &Metric(self.labels))?;
        map.serialize_entry(self.values.0, &self.values.1)?;
        map.end()
    }
}

/// Elements that are made while they are written.
struct Sequence<F>(F);

impl<F, I> Serialize for Sequence<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

struct Value<'a>(&'a QueryValue);

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut out = serializer.serialize_struct("", 2)?;
        match self.0 {
            QueryValue::Scalar(point) => {
                out.serialize_field("resultType", "scalar")?;
                out.serialize_field("result", &Sample(*point))?;
            }
            QueryValue::Text { time_ms, text } => {
                out.serialize_field("resultType", "string")?;
                out.serialize_field("result", &(Seconds(*time_ms), text))?;
            }
            QueryValue::Vector(samples) => {
                let rows = || {
                    samples
                        .iter()
                        .map(|one| Row { labels: &one.labels, values: ("value", Sample(one.point)) })
                };
                out.serialize_field("resultType", "vector")?;
                out.serialize_field("result", &Sequence(rows))?;
            }
            QueryValue::Matrix(series) => {
                let rows = || {
                    series.iter().map(|one| {
                        let values = Sequence(|| one.points().map(Sample));
                        Row { labels: &one.labels, values: ("values", values) }
                    })
                };
                out.serialize_field("resultType", "matrix")?;
                out.serialize_field("result", &Sequence(rows))?;
            }
        }
        out.end()
    }
}

/// The response to a query.
pub(super) fn query_result(result: &QueryResult, memory: &Arc<QueryMemory>) -> Result<Response, ApiError> {
    let (warnings, infos) = (result.warnings.clone(), result.infos.clone());
    Success { warnings, infos, ..Success::new(Value(&result.value)) }.respond(memory)
}
