//! A refused span as JSON, for the person who looks into the quarantine. Pure. Message content never gets in.

use ledgerline_proto::attribute;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Map, json};

use crate::limits::{ATTRIBUTE_NAME_BYTES_MAX, ATTRIBUTE_VALUE_BYTES_MAX, ATTRIBUTES_MAX, NAME_BYTES_MAX};

pub(super) fn of(span: &Span) -> String {
    json!({
        "name": clip(&span.name, NAME_BYTES_MAX),
        "start_unix_ns": span.start_time_unix_nano,
        "end_unix_ns": span.end_time_unix_nano,
        "attributes": object(&span.attributes),
    })
    .to_string()
}

fn object(attributes: &[KeyValue]) -> serde_json::Value {
    let kept = attributes.iter().filter(|attribute| !attribute::is_content(&attribute.key));
    let pairs = kept.take(ATTRIBUTES_MAX).map(|attribute| {
        (clip(&attribute.key, ATTRIBUTE_NAME_BYTES_MAX).to_owned(), value(attribute.value.as_ref()))
    });
    serde_json::Value::Object(pairs.collect::<Map<_, _>>())
}

/// Its depth is that of the decoded request, which its reader has bounded.
fn value(of: Option<&AnyValue>) -> serde_json::Value {
    match of.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => clip(text, ATTRIBUTE_VALUE_BYTES_MAX).into(),
        Some(Value::BoolValue(flag)) => (*flag).into(),
        Some(Value::IntValue(number)) => (*number).into(),
        Some(Value::DoubleValue(number)) => (*number).into(),
        Some(Value::ArrayValue(list)) => {
            list.values.iter().take(ATTRIBUTES_MAX).map(|item| value(Some(item))).collect()
        }
        Some(Value::KvlistValue(list)) => object(&list.values),
        Some(Value::BytesValue(bytes)) => json!({ "bytes": bytes.len() }),
        _ => serde_json::Value::Null,
    }
}

fn clip(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}
