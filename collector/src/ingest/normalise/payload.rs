//! A refused span as JSON, for the person who looks into the quarantine. Pure. It holds nothing that a stored span would not.

use ledgerline_proto::otlp::{AllowList, AttributeLimits, allowed_attributes, stored_name};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Map, json};

use crate::limits;

/// So bounded a payload is seldom cut, and no span's text is held twice.
const LIMITS: AttributeLimits = AttributeLimits {
    count: 64,
    value_bytes: 512,
    name_bytes: limits::ATTRIBUTE_NAME_BYTES_MAX,
    depth: limits::ATTRIBUTE_DEPTH_MAX,
};

pub(super) fn of(span: &Span, allowed: &AllowList) -> String {
    let attributes = allowed_attributes(span, allowed, LIMITS);
    json!({
        "name": super::cut(&stored_name(span), limits::NAME_BYTES_MAX),
        "start_unix_ns": span.start_time_unix_nano,
        "end_unix_ns": span.end_time_unix_nano,
        "attributes": attributes.into_iter().map(|(name, text)| (name, text.into())).collect::<Map<_, _>>(),
    })
    .to_string()
}
