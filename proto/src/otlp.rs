//! A call as an OTLP span, and back.
//!
//! [`write`] makes what an agent sends. [`read`] takes what anybody sends: our agents, and instrumentations that
//! follow OpenTelemetry GenAI in either dialect. What we write, we read back without loss.

mod read;
mod usage;
mod value;
mod write;

#[cfg(test)]
mod tests;

pub use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
pub use read::{Resource, SpanError, SpanRecord, read_span};
pub use write::{SCOPE_NAME, export_request};
