//! OTLP's JSON: Protocol Buffers' JSON mapping with hexadecimal ids. Pure.
//!
//! Our own reader, because senders use all the freedom the mapping gives (64-bit integers as text or number, enums by name
//! or number, camelCase or snake_case, nulls, unknown fields) and the generated one does not take all of it. It reads
//! what is stored and skips the rest; nesting is bounded by `serde_json` (128).
//!
//! Source: opentelemetry-proto docs/specification.md, "JSON Protobuf Encoding"; protobuf.dev, "ProtoJSON Format".

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
use ledgerline_proto::json::mend_surrogates;
use ledgerline_proto::otlp::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1 as trace;
use serde::Deserialize;
use serde::de::{self, Deserializer, IgnoredAny};
use serde_json::value::RawValue;

/// Senders cut texts in the middle of a character and escape the half that is left. One such text must not cost its request,
/// so what is no JSON is mended and read again.
pub(super) fn decode(body: &[u8]) -> Result<ExportTraceServiceRequest, serde_json::Error> {
    read(body).or_else(|error| {
        let mut mended = if error.is_syntax() { body.to_vec() } else { Vec::new() };
        if mend_surrogates(&mut mended) { read(&mended) } else { Err(error) }
    })
}

fn read(body: &[u8]) -> Result<ExportTraceServiceRequest, serde_json::Error> {
    // A reader of structs takes a list for an object, and an empty one would pass for an empty request.
    if body.trim_ascii_start().first() == Some(&b'[') {
        return Err(de::Error::custom("expected an object"));
    }
    let Request { resource_spans, resource_logs, resource_metrics } = serde_json::from_slice(body)?;
    if resource_logs.or(resource_metrics).is_some() {
        return Err(de::Error::custom("this is a request with logs or metrics; this path takes traces"));
    }
    Ok(ExportTraceServiceRequest { resource_spans: list(resource_spans) })
}

/// What is kept of a span while it is read, and of an attribute, or of a value in a list of them.
pub(in crate::ingest) const SPAN_BYTES: usize = size_of::<Span>();
pub(in crate::ingest) const ATTRIBUTE_BYTES: usize = size_of::<KeyValue>();

/// Unknown fields are skipped, as the mapping asks, so `{}` is a request without spans. But another signal's request, which
/// is a request without spans too, is refused: a success would hide that nothing of it is kept.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Request {
    #[serde(alias = "resource_spans")]
    resource_spans: Option<Vec<ResourceSpans>>,
    #[serde(alias = "resource_logs")]
    resource_logs: Option<IgnoredAny>,
    #[serde(alias = "resource_metrics")]
    resource_metrics: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceSpans {
    resource: Option<Resource>,
    #[serde(alias = "scope_spans")]
    scope_spans: Option<Vec<ScopeSpans>>,
}

#[derive(Deserialize)]
struct Resource {
    attributes: Option<Vec<KeyValue>>,
}

#[derive(Deserialize)]
struct Scope {
    name: Option<String>,
    version: Option<String>,
}

#[derive(Deserialize)]
struct ScopeSpans {
    scope: Option<Scope>,
    spans: Option<Vec<Span>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span {
    #[serde(alias = "trace_id")]
    trace_id: Option<Hex>,
    #[serde(alias = "span_id")]
    span_id: Option<Hex>,
    #[serde(alias = "parent_span_id")]
    parent_span_id: Option<Hex>,
    name: Option<String>,
    #[serde(alias = "start_time_unix_nano")]
    start_time_unix_nano: Option<Integer>,
    #[serde(alias = "end_time_unix_nano")]
    end_time_unix_nano: Option<Integer>,
    attributes: Option<Vec<KeyValue>>,
    status: Option<Status>,
}

#[derive(Deserialize)]
struct Status {
    code: Option<StatusCode>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct KeyValue {
    key: Option<String>,
    value: Option<AnyValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
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
struct List<T> {
    values: Option<Vec<T>>,
}

/// An id. What is no hexadecimal becomes empty, so that one bad span is quarantined and its request is not refused.
#[derive(Default)]
struct Hex(Vec<u8>);

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let byte = |pair: &[u8]| match *pair {
            [high, low] => Some(digit(high)? << 4 | digit(low)?),
            _ => None,
        };
        Ok(Self(text.as_bytes().chunks(2).map(byte).collect::<Option<_>>().unwrap_or_default()))
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

/// Reads what may be a number or a text, from its characters and whether they stood in quotation marks.
fn scalar<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &str,
    read: impl FnOnce(&str, bool) -> Option<T>,
) -> Result<T, D::Error> {
    let json = <&RawValue>::deserialize(deserializer)?.get();
    let text = json.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    read(text.unwrap_or(json), text.is_some())
        .ok_or_else(|| de::Error::custom(format!("expected {expected}, found {json:.80}")))
}

/// A 64-bit integer, signed or not, as a number or as text.
struct Integer(i128);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // `{}` prints a whole double without a point and without an exponent.
        let whole = |text: &str| text.parse::<f64>().ok()?.to_string().parse().ok();
        scalar(deserializer, "an integer as a number or as text", |text, _| {
            text.parse().ok().or_else(|| whole(text)).map(Self)
        })
    }
}

/// A double as a number, or as text: the mapping writes `NaN` and `Infinity` so. A number too large for a double is no value:
/// whoever wrote `1e400` did not mean infinity.
struct Double(Option<f64>);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = |text: &str| {
            let number: f64 = text.parse().ok()?;
            let is_meant = !number.is_infinite() || text.ends_with("Infinity");
            Some(Self(is_meant.then_some(number)))
        };
        scalar(deserializer, "a number, or a number as text", |text, _| read(text))
    }
}

/// An enum value by number or by name. An unknown one counts as unset, as the mapping asks of open enums.
struct StatusCode(i32);

impl<'de> Deserialize<'de> for StatusCode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let named = |name: &str| trace::status::StatusCode::from_str_name(name).map_or(0, Into::into);
        scalar(deserializer, "a status code by number or by name", |text, is_name| {
            if is_name { Some(Self(named(text))) } else { text.parse().ok().map(Self) }
        })
    }
}

fn list<A, B: From<A>>(items: Option<Vec<A>>) -> Vec<B> {
    items.unwrap_or_default().into_iter().map(Into::into).collect()
}

impl From<ResourceSpans> for trace::ResourceSpans {
    fn from(spans: ResourceSpans) -> Self {
        let resource = |Resource { attributes }| resource::Resource {
            attributes: list(attributes),
            ..Default::default()
        };
        let (resource, scope_spans) = (spans.resource.map(resource), list(spans.scope_spans));
        Self { resource, scope_spans, ..Default::default() }
    }
}

impl From<ScopeSpans> for trace::ScopeSpans {
    fn from(spans: ScopeSpans) -> Self {
        let scope = |scope: Scope| common::InstrumentationScope {
            name: scope.name.unwrap_or_default(),
            version: scope.version.unwrap_or_default(),
            ..Default::default()
        };
        Self { scope: spans.scope.map(scope), spans: list(spans.spans), schema_url: String::new() }
    }
}

impl From<Span> for trace::Span {
    fn from(span: Span) -> Self {
        // Out of range becomes 0, which a span without an end has: it is quarantined and not guessed.
        let time =
            |integer: Option<Integer>| integer.map_or(0, |Integer(time)| u64::try_from(time).unwrap_or(0));
        let id = |id: Option<Hex>| id.unwrap_or_default().0;
        let status = |Status { code, message }| trace::Status {
            code: code.map_or(0, |StatusCode(code)| code),
            message: message.unwrap_or_default(),
        };
        Self {
            trace_id: id(span.trace_id),
            span_id: id(span.span_id),
            parent_span_id: id(span.parent_span_id),
            name: span.name.unwrap_or_default(),
            start_time_unix_nano: time(span.start_time_unix_nano),
            end_time_unix_nano: time(span.end_time_unix_nano),
            attributes: list(span.attributes),
            status: span.status.map(status),
            ..Default::default()
        }
    }
}

impl From<KeyValue> for common::KeyValue {
    fn from(pair: KeyValue) -> Self {
        let (key, value) = (pair.key.unwrap_or_default(), pair.value.map(Into::into));
        Self { key, value, ..Default::default() }
    }
}

impl From<AnyValue> for common::AnyValue {
    fn from(value: AnyValue) -> Self {
        let array = |array: List<_>| Value::ArrayValue(common::ArrayValue { values: list(array.values) });
        let map = |map: List<_>| Value::KvlistValue(common::KeyValueList { values: list(map.values) });
        let value = (value.string_value.map(Value::StringValue))
            .or(value.bool_value.map(Value::BoolValue))
            .or(value.int_value.and_then(|Integer(number)| number.try_into().ok()).map(Value::IntValue))
            .or(value.double_value.and_then(|Double(number)| number).map(Value::DoubleValue))
            .or(value.array_value.map(array))
            .or(value.kvlist_value.map(map))
            .or(value.bytes_value.and_then(|Base64(bytes)| bytes).map(Value::BytesValue));
        Self { value }
    }
}

#[cfg(test)]
mod tests;
