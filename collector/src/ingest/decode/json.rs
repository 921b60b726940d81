//! OTLP's JSON: Protocol Buffers' JSON mapping with hexadecimal ids. Pure.
//!
//! Our own reader, because senders use all the freedom the mapping gives (64-bit integers as text or number, enums by name
//! or number, camelCase or snake_case, nulls, unknown fields) and the generated one does not take all of it. It reads
//! what is stored and skips the rest; nesting is bounded by `serde_json` (128).
//!
//! Source: opentelemetry-proto docs/specification.md, "JSON Protobuf Encoding"; protobuf.dev, "ProtoJSON Format".

use std::fmt;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
use ledgerline_proto::otlp::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use serde::Deserialize;
use serde::de::{self, Deserializer, Visitor};

pub(super) fn decode(body: &[u8]) -> Result<ExportTraceServiceRequest, serde_json::Error> {
    // A reader of structs takes a list for an object, and an empty one would pass for an empty request.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(de::Error::custom("expected an object"));
    }
    serde_json::from_slice::<Request>(body).map(Into::into)
}

/// What is kept of a span while it is read.
pub(in crate::ingest) const SPAN_BYTES: usize = size_of::<Span>();

/// What is kept of an attribute, or of a value in a list of them.
pub(in crate::ingest) const ATTRIBUTE_BYTES: usize = size_of::<KeyValue>();

/// Null is the field's default, as in the mapping.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Unknown fields are skipped, as the mapping asks, so `{}` is a request without spans. But another signal's request, which
/// is a request without spans too, is refused: a success would hide that nothing of it is kept.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Request {
    #[serde(alias = "resource_spans", deserialize_with = "nullable")]
    resource_spans: Vec<ResourceSpans>,
    #[serde(alias = "resource_logs")]
    resource_logs: NotTraces,
    #[serde(alias = "resource_metrics")]
    resource_metrics: NotTraces,
}

#[derive(Default)]
struct NotTraces;

impl<'de> Deserialize<'de> for NotTraces {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(de::Error::custom("this is a request with logs or metrics; this path takes traces"))
    }
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ResourceSpans {
    #[serde(deserialize_with = "nullable")]
    resource: Resource,
    #[serde(alias = "scope_spans", deserialize_with = "nullable")]
    scope_spans: Vec<ScopeSpans>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resource {
    #[serde(deserialize_with = "nullable")]
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Scope {
    #[serde(deserialize_with = "nullable")]
    name: String,
    #[serde(deserialize_with = "nullable")]
    version: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ScopeSpans {
    #[serde(deserialize_with = "nullable")]
    scope: Scope,
    #[serde(deserialize_with = "nullable")]
    spans: Vec<Span>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Span {
    #[serde(alias = "trace_id", deserialize_with = "nullable")]
    trace_id: Hex,
    #[serde(alias = "span_id", deserialize_with = "nullable")]
    span_id: Hex,
    #[serde(alias = "parent_span_id", deserialize_with = "nullable")]
    parent_span_id: Hex,
    #[serde(deserialize_with = "nullable")]
    name: String,
    #[serde(alias = "start_time_unix_nano", deserialize_with = "nullable")]
    start_time_unix_nano: Integer,
    #[serde(alias = "end_time_unix_nano", deserialize_with = "nullable")]
    end_time_unix_nano: Integer,
    #[serde(deserialize_with = "nullable")]
    attributes: Vec<KeyValue>,
    #[serde(deserialize_with = "nullable")]
    status: Status,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Status {
    #[serde(deserialize_with = "nullable")]
    code: StatusCode,
    #[serde(deserialize_with = "nullable")]
    message: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct KeyValue {
    #[serde(deserialize_with = "nullable")]
    key: String,
    #[serde(deserialize_with = "nullable")]
    value: AnyValue,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct AnyValue {
    #[serde(alias = "string_value")]
    string_value: Option<String>,
    #[serde(alias = "bool_value")]
    bool_value: Option<bool>,
    #[serde(alias = "int_value")]
    int_value: Option<Integer>,
    #[serde(alias = "double_value")]
    double_value: Option<Double>,
    #[serde(alias = "array_value")]
    array_value: Option<List<AnyValue>>,
    #[serde(alias = "kvlist_value")]
    kvlist_value: Option<List<KeyValue>>,
    #[serde(alias = "bytes_value")]
    bytes_value: Option<Base64>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
struct List<T> {
    #[serde(default = "Vec::new", deserialize_with = "nullable")]
    values: Vec<T>,
}

/// An id. What is no hexadecimal becomes empty, so that one bad span is quarantined and its request is not refused.
#[derive(Default)]
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes: Option<Vec<u8>> = if text.len().is_multiple_of(2) {
            text.as_bytes().chunks_exact(2).map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?)).collect()
        } else {
            None
        };
        Ok(Self(bytes.unwrap_or_default()))
    }
}

/// Bytes, in any of the alphabets and paddings that the mapping allows. What is none of them is no value.
struct Base64(Option<Vec<u8>>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const LENIENT: GeneralPurposeConfig =
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
        const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
        let text = String::deserialize(deserializer)?;
        Ok(Self(STANDARD.decode(&text).or_else(|_| URL_SAFE.decode(&text)).ok()))
    }
}

/// A 64-bit integer, signed or not, as a number or as text.
#[derive(Default, Clone, Copy)]
struct Integer(i128);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Integer;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an integer as a number or as text")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Integer, E> {
                Ok(Integer(number.into()))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Integer, E> {
                Ok(Integer(number.into()))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Integer, E> {
                // `{}` prints a whole double without a point and without an exponent.
                format!("{number}")
                    .parse()
                    .map(Integer)
                    .map_err(|_| E::invalid_value(de::Unexpected::Float(number), &self))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Integer, E> {
                text.parse().map(Integer).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

/// A double as a number, or as text: the mapping writes `NaN` and `Infinity` so.
struct Double(f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl Visitor<'_> for Read {
            type Value = Double;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a number as text")
            }
            fn visit_f64<E>(self, number: f64) -> Result<Double, E> {
                Ok(Double(number))
            }
            fn visit_u64<E>(self, number: u64) -> Result<Double, E> {
                Ok(Double(number as f64))
            }
            fn visit_i64<E>(self, number: i64) -> Result<Double, E> {
                Ok(Double(number as f64))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Double, E> {
                text.parse().map(Double).map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_any(Read)
    }
}

/// An enum value by number or by name. An unknown one counts as unset, as the mapping asks of open enums.
#[derive(Default)]
struct StatusCode(i32);

impl<'de> Deserialize<'de> for StatusCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i32),
            Name(String),
        }
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Number(number) => number,
            Written::Name(name) => trace::status::StatusCode::from_str_name(&name).map_or(0, Into::into),
        }))
    }
}

impl From<Request> for ExportTraceServiceRequest {
    fn from(request: Request) -> Self {
        Self { resource_spans: request.resource_spans.into_iter().map(Into::into).collect() }
    }
}

impl From<ResourceSpans> for trace::ResourceSpans {
    fn from(spans: ResourceSpans) -> Self {
        Self {
            resource: Some(resource::Resource {
                attributes: key_values(spans.resource.attributes),
                ..Default::default()
            }),
            scope_spans: spans.scope_spans.into_iter().map(Into::into).collect(),
            schema_url: String::new(),
        }
    }
}

impl From<ScopeSpans> for trace::ScopeSpans {
    fn from(spans: ScopeSpans) -> Self {
        Self {
            scope: Some(common::InstrumentationScope {
                name: spans.scope.name,
                version: spans.scope.version,
                ..Default::default()
            }),
            spans: spans.spans.into_iter().map(Into::into).collect(),
            schema_url: String::new(),
        }
    }
}

impl From<Span> for trace::Span {
    fn from(span: Span) -> Self {
        // Out of range becomes 0, which a span without an end has: it is quarantined and not guessed.
        let time = |integer: Integer| u64::try_from(integer.0).unwrap_or(0);
        Self {
            trace_id: span.trace_id.0,
            span_id: span.span_id.0,
            parent_span_id: span.parent_span_id.0,
            name: span.name,
            start_time_unix_nano: time(span.start_time_unix_nano),
            end_time_unix_nano: time(span.end_time_unix_nano),
            attributes: key_values(span.attributes),
            status: Some(trace::Status { code: span.status.code.0, message: span.status.message }),
            ..Default::default()
        }
    }
}

fn key_values(list: Vec<KeyValue>) -> Vec<common::KeyValue> {
    list.into_iter().map(Into::into).collect()
}

impl From<KeyValue> for common::KeyValue {
    fn from(pair: KeyValue) -> Self {
        Self { key: pair.key, value: Some(pair.value.into()), ..Default::default() }
    }
}

impl From<AnyValue> for common::AnyValue {
    fn from(value: AnyValue) -> Self {
        let integer = |integer: Integer| i64::try_from(integer.0).ok();
        let value = (value.string_value.map(Value::StringValue))
            .or(value.bool_value.map(Value::BoolValue))
            .or(value.int_value.and_then(integer).map(Value::IntValue))
            .or(value.double_value.map(|double| Value::DoubleValue(double.0)))
            .or(value.array_value.map(|list| {
                Value::ArrayValue(common::ArrayValue {
                    values: list.values.into_iter().map(Into::into).collect(),
                })
            }))
            .or(value
                .kvlist_value
                .map(|list| Value::KvlistValue(common::KeyValueList { values: key_values(list.values) })))
            .or(value.bytes_value.and_then(|bytes| bytes.0).map(Value::BytesValue));
        Self { value }
    }
}

#[cfg(test)]
mod tests;
