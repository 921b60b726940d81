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
    Charge, Labels, MemoryError, Point, QueryError, QueryMemory, QueryResult, QueryValue, RangeSeries,
    VectorSample, format_number,
};
use serde::ser::Error as _;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::prometheus::{ApiError, Success};
use crate::query::error::RunError;

impl From<RunError> for ApiError {
    fn from(error: RunError) -> Self {
        let (kind, status) = error.outcome();
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            // The one place that knows that the failure is our fault and that nobody else will report it.
            tracing::error!(%error, "a query failed through a defect");
        }
        Self { status, kind, message: error.to_string() }
    }
}

/// The response, its body charged to `memory`.
pub fn respond(answer: &impl Serialize, memory: &Arc<QueryMemory>) -> Result<Response, ApiError> {
    let memory_error = |error: MemoryError| ApiError::from(RunError::from(QueryError::from(error)));
    let charge = memory.charge(0).map_err(memory_error)?;
    let mut body = ChargedText { text: Vec::new(), charge, refused: None };
    if let Err(error) = serde_json::to_writer(&mut body, answer) {
        let defect = || RunError::Evaluation { reason: error.to_string() }.into();
        return Err(body.refused.map_or_else(defect, memory_error));
    }
    Ok(([(CONTENT_TYPE, "application/json")], Bytes::from_owner(body)).into_response())
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

/// One series of a result with its one sample.
#[derive(Serialize)]
struct InstantRow<'a> {
    metric: Metric<'a>,
    value: Sample,
}

/// One series of a result with its samples.
#[derive(Serialize)]
struct RangeRow<'a> {
    metric: Metric<'a>,
    #[serde(serialize_with = "points")]
    values: &'a RangeSeries,
}

/// The types of Prometheus's results. Rows are made while they are written.
#[derive(Serialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Value<'a> {
    Scalar(Sample),
    String(Seconds, &'a str),
    Vector(#[serde(serialize_with = "vector")] &'a [VectorSample]),
    Matrix(#[serde(serialize_with = "matrix")] &'a [RangeSeries]),
}

fn vector<S: Serializer>(samples: &&[VectorSample], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(
        samples.iter().map(|one| InstantRow { metric: Metric(&one.labels), value: Sample(one.point) }),
    )
}

fn matrix<S: Serializer>(series: &&[RangeSeries], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(series.iter().map(|one| RangeRow { metric: Metric(&one.labels), values: one }))
}

fn points<S: Serializer>(series: &&RangeSeries, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(series.points().map(Sample))
}

pub(super) fn query_result(result: &QueryResult, memory: &Arc<QueryMemory>) -> Result<Response, ApiError> {
    let value = match &result.value {
        QueryValue::Scalar(point) => Value::Scalar(Sample(*point)),
        QueryValue::Text { time_ms, text } => Value::String(Seconds(*time_ms), text),
        QueryValue::Vector(samples) => Value::Vector(samples),
        QueryValue::Matrix(series) => Value::Matrix(series),
    };
    let (warnings, infos) = (result.warnings.clone(), result.infos.clone());
    respond(&Success { warnings, infos, ..Success::new(value) }, memory)
}
