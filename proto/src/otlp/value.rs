//! Attribute values: building them, and reading them from senders that are free with types.

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
use serde::ser::{self, Serialize, Serializer};

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(super) fn key_value(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..Default::default() }
}

pub(super) fn text(text: &str) -> Value {
    Value::StringValue(text.to_owned())
}

/// Token counts beyond `i64::MAX` do not exist; saturating keeps the function total.
pub(super) fn integer(number: u64) -> Value {
    Value::IntValue(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn texts(items: &[String]) -> Value {
    Value::ArrayValue(ArrayValue { values: items.iter().map(|item| any(text(item))).collect() })
}

/// A count. Senders write counts as integers, as whole doubles and as text; a negative or fractional one is not a count.
pub(super) fn count(value: &Value) -> Option<u64> {
    match value {
        Value::IntValue(number) => u64::try_from(*number).ok(),
        Value::DoubleValue(number) => format!("{number}").parse().ok(),
        Value::StringValue(text) => text.parse().ok(),
        _ => None,
    }
}

pub(super) fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::BoolValue(flag) => Some(*flag),
        // Python writes it with a capital.
        Value::StringValue(text) => text.to_ascii_lowercase().parse().ok(),
        _ => None,
    }
}

/// A time in so many units a second, in nanoseconds.
pub(super) fn nanoseconds(value: &Value, per_second: u32) -> Option<u64> {
    let seconds = match value {
        Value::DoubleValue(number) => *number,
        Value::IntValue(number) => f64::from(u32::try_from(*number).ok()?),
        Value::StringValue(text) => text.parse().ok()?,
        _ => return None,
    };
    let time = Duration::try_from_secs_f64(seconds / f64::from(per_second)).ok()?;
    u64::try_from(time.as_nanos()).ok()
}

/// A list of texts, or one text. Senders that have no lists write one as JSON text.
pub(super) fn list_of_texts(value: &Value) -> Vec<String> {
    match value {
        Value::ArrayValue(array) => {
            let text = |item: &AnyValue| match &item.value {
                Some(Value::StringValue(text)) => Some(text.clone()),
                _ => None,
            };
            array.values.iter().filter_map(text).collect()
        }
        Value::StringValue(text) if text.starts_with(['[', '"']) => serde_json::from_str(text)
            .or_else(|_| serde_json::from_str(text).map(|text| vec![text]))
            .unwrap_or_else(|_| vec![text.clone()]),
        Value::StringValue(text) => vec![text.clone()],
        _ => Vec::new(),
    }
}

/// The bounds of what is kept of one span's attributes.
#[derive(Clone, Copy, Debug)]
pub struct AttributeLimits {
    /// So many attributes; the rest is dropped and counted.
    pub count: usize,
    /// Bytes of a name; a longer one is dropped and counted.
    pub name_bytes: usize,
    /// Bytes of a value as text. A longer text is cut; a list or map whose JSON is longer is dropped and counted.
    pub value_bytes: usize,
    /// Lists and maps within each other; what is deeper is dropped and counted.
    pub depth: usize,
}

/// A value as text: texts as they are, bytes as base64, lists and maps as JSON. `None` for no value, and for a list or map that
/// is beyond the limits. It is written straight into a buffer that cannot exceed them, whatever the value unfolds to.
pub(super) fn display(value: &Value, limits: AttributeLimits) -> Option<String> {
    match value {
        Value::StringValue(text) => Some(cut(text, limits.value_bytes).to_owned()),
        Value::BoolValue(flag) => Some(flag.to_string()),
        Value::IntValue(number) => Some(number.to_string()),
        // The shorter form: `{}` writes 1e308 with all of its zeros.
        Value::DoubleValue(number) if number.abs() < 1e15 => Some(number.to_string()),
        Value::DoubleValue(number) => Some(format!("{number:?}")),
        Value::BytesValue(bytes) => {
            // Whole groups of three bytes, so that what is cut is still base64.
            let bytes = &bytes[..bytes.len().min(limits.value_bytes / 4 * 3)];
            Some(BASE64_STANDARD.encode(bytes))
        }
        Value::ArrayValue(_) | Value::KvlistValue(_) => {
            let mut buffer = vec![0; limits.value_bytes];
            let mut left = buffer.as_mut_slice();
            serde_json::to_writer(&mut left, &Json { value: Some(value), depth: limits.depth }).ok()?;
            let written = limits.value_bytes - left.len();
            String::from_utf8(buffer[..written].to_vec()).ok()
        }
        _ => None,
    }
}

/// The beginning of a text, up to a character's edge.
pub(super) fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

/// A value as JSON, so many lists and maps deep.
struct Json<'a> {
    value: Option<&'a Value>,
    depth: usize,
}

impl Json<'_> {
    /// The depth that is left within this list or map.
    fn within<E: ser::Error>(&self) -> Result<usize, E> {
        self.depth.checked_sub(1).ok_or_else(|| E::custom("nested too deeply"))
    }
}

fn json(value: Option<&AnyValue>, depth: usize) -> Json<'_> {
    Json { value: value.and_then(|value| value.value.as_ref()), depth }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Some(Value::StringValue(text)) => to.serialize_str(text),
            Some(Value::BoolValue(flag)) => to.serialize_bool(*flag),
            Some(Value::IntValue(number)) => to.serialize_i64(*number),
            Some(Value::DoubleValue(number)) if number.is_finite() => to.serialize_f64(*number),
            // As the JSON mapping of Protocol Buffers writes them.
            Some(Value::DoubleValue(number)) if number.is_nan() => to.serialize_str("NaN"),
            Some(Value::DoubleValue(number)) => {
                to.serialize_str(if *number > 0.0 { "Infinity" } else { "-Infinity" })
            }
            Some(Value::BytesValue(bytes)) => to.serialize_str(&BASE64_STANDARD.encode(bytes)),
            Some(Value::ArrayValue(list)) => {
                let depth = self.within()?;
                to.collect_seq(list.values.iter().map(|item| json(Some(item), depth)))
            }
            Some(Value::KvlistValue(map)) => {
                let depth = self.within()?;
                to.collect_map(map.values.iter().map(|entry| (&entry.key, json(entry.value.as_ref(), depth))))
            }
            _ => to.serialize_unit(),
        }
    }
}
