//! A call as an OTLP span, and back.
//!
//! [`write`] makes what an agent sends. [`read`] takes what anybody sends: our agents, and instrumentations that
//! follow OpenTelemetry GenAI in either dialect. What we write, we read back without loss.

mod allow_list;
mod facts;
mod foreign;
mod kind;
mod names;
mod provider;
mod read;
mod usage;
mod usage_text;
mod value;
mod write;

#[cfg(test)]
mod tests;

pub use allow_list::{AllowList, DroppedNames, Pattern, PatternError};
pub use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
pub use read::{Keep, Resource, SpanError, SpanRecord, allowed_attributes, read_span, stored_name};
pub use value::AttributeLimits;
pub use write::{SCOPE_NAME, export_request};
