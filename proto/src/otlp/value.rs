//! Attribute values: building them, and reading them from senders that are free with types.

use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};

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

/// The attributes of one span or resource, looked up by name.
#[derive(Clone, Copy)]
pub(super) struct Attributes<'a>(pub &'a [KeyValue]);

impl<'a> Attributes<'a> {
    pub(super) fn value(self, name: &str) -> Option<&'a Value> {
        self.0.iter().find(|attribute| attribute.key == name)?.value.as_ref()?.value.as_ref()
    }

    fn first<T>(self, names: &[&str], read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
        names.iter().find_map(|name| self.value(name).and_then(&read))
    }

    /// The first of these that is a non-empty text.
    pub(super) fn text(self, names: &[&str]) -> Option<&'a str> {
        self.first(names, |value| match value {
            Value::StringValue(text) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        })
    }

    /// The first of these that is a count. Senders write counts as integers, as whole doubles and as text; a
    /// negative or fractional one is not a count.
    pub(super) fn count(self, names: &[&str]) -> Option<u64> {
        self.first(names, |value| match value {
            Value::IntValue(number) => u64::try_from(*number).ok(),
            Value::DoubleValue(number) => format!("{number}").parse().ok(),
            Value::StringValue(text) => text.parse().ok(),
            _ => None,
        })
    }

    pub(super) fn boolean(self, name: &str) -> Option<bool> {
        match self.value(name)? {
            Value::BoolValue(flag) => Some(*flag),
            Value::StringValue(text) => text.parse().ok(),
            _ => None,
        }
    }

    /// Seconds as a double, in nanoseconds.
    pub(super) fn seconds_as_ns(self, name: &str) -> Option<u64> {
        match self.value(name)? {
            Value::DoubleValue(seconds) => nanoseconds(*seconds),
            Value::IntValue(seconds) => u64::try_from(*seconds).ok()?.checked_mul(1_000_000_000),
            _ => None,
        }
    }

    /// A list of texts, or one text.
    pub(super) fn texts(self, name: &str) -> Vec<String> {
        match self.value(name) {
            Some(Value::ArrayValue(array)) => array
                .values
                .iter()
                .filter_map(|item| match &item.value {
                    Some(Value::StringValue(text)) => Some(text.clone()),
                    _ => None,
                })
                .collect(),
            Some(Value::StringValue(text)) => vec![text.clone()],
            _ => Vec::new(),
        }
    }
}

fn nanoseconds(seconds: f64) -> Option<u64> {
    std::time::Duration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|duration| u64::try_from(duration.as_nanos()).ok())
}

/// Any value as text, for the columns that keep attributes we have no name for. Lists and maps become JSON.
pub(super) fn display(value: &Value) -> String {
    match value {
        Value::StringValue(text) => text.clone(),
        Value::BoolValue(flag) => flag.to_string(),
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BytesValue(bytes) => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
        Value::ArrayValue(array) => {
            let items: Vec<String> = array.values.iter().map(json).collect();
            format!("[{}]", items.join(","))
        }
        Value::KvlistValue(list) => {
            let items: Vec<String> = list
                .values
                .iter()
                .map(|pair| {
                    format!("{:?}:{}", pair.key, pair.value.as_ref().map_or_else(|| "null".into(), json))
                })
                .collect();
            format!("{{{}}}", items.join(","))
        }
        _ => String::new(),
    }
}

fn json(value: &AnyValue) -> String {
    match &value.value {
        Some(Value::StringValue(text)) => format!("{text:?}"),
        Some(other) => display(other),
        None => "null".into(),
    }
}
