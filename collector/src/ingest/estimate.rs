//! Estimates the size of a request once it is decoded, without decoding it.
//!
//! On the wire a span or an attribute may be two bytes; in memory it is hundreds, and again in its record and its row. So the
//! bytes of a body do not bound its memory. Here the messages in it are counted, with nothing allocated, and each is charged
//! the sizes of the types it becomes. The charge is an upper bound for what is many and small; texts are charged by
//! [`limits::MEMORY_PER_DECODED_BYTE`] already.
//!
//! Source: protobuf.dev, "Encoding"; opentelemetry-proto trace.proto, resource.proto, common.proto.

use std::mem::size_of;

use ledgerline_proto::otlp::SpanRecord;
use opentelemetry_proto::tonic::{common::v1 as common, trace::v1 as trace};

use super::decode::{Format, json};
use super::refusal::Refusal;
use crate::limits;
use ledgerline_store::quarantine::QuarantineRow;
use ledgerline_store::spans::SpanRow;

/// A list that grows has up to twice the room it needs.
const GROWTH: usize = 2;

/// A span's record and its row, in whichever table.
const ROW_BYTES: usize = {
    let (stored, refused) = (size_of::<SpanRow>(), size_of::<QuarantineRow>());
    size_of::<SpanRecord>() + GROWTH * if stored > refused { stored } else { refused } + TEXTS_BYTES
};

/// The short texts of a row that its span does not carry: names of its resource, ids in hexadecimal, a reason.
const TEXTS_BYTES: usize = 512;

/// An attribute as the pair of texts in a record.
const PAIR_BYTES: usize = GROWTH * size_of::<(String, String)>();

/// What a byte of a list or map may become as JSON: a control character is six.
const JSON_GROWTH: usize = 6;

/// Objects and lists around a span in OTLP's JSON, the span's own included. What is deeper is no span.
const SPAN_DEPTH: usize = 7;

/// Nested messages. `prost` refuses more than 100.
const DEPTH_MAX: usize = 128;

/// The bytes that decoding this body will take, beyond those of its texts. Refuses more spans than a request may have, and what is
/// no Protocol Buffers.
pub fn decoded_size(format: Format, body: &[u8]) -> Result<usize, Refusal> {
    match format {
        Format::Protobuf => {
            let mut estimate = Estimate::default();
            walk(body, Kind::Request, 0, &mut estimate)?;
            Ok(estimate.bytes)
        }
        Format::Json => Ok(json_bytes(body)),
    }
}

#[derive(Default)]
struct Estimate {
    spans: usize,
    bytes: usize,
    /// How many lists and maps are open.
    nesting: usize,
}

/// The messages of OTLP that may repeat, or hold some that do.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Request,
    ResourceSpans,
    Resource,
    Entity,
    ScopeSpans,
    Scope,
    Span,
    Event,
    Link,
    KeyValue,
    AnyValue,
    List,
    Map,
    Text,
}

impl Kind {
    /// The bytes of one once it is decoded, and the fields that hold messages; all others are scalars or unknown to us.
    const fn parts(self) -> (usize, &'static [(u64, Self)]) {
        match self {
            Self::Request => (0, &[(1, Self::ResourceSpans)]),
            Self::ResourceSpans => {
                (GROWTH * size_of::<trace::ResourceSpans>(), &[(1, Self::Resource), (2, Self::ScopeSpans)])
            }
            Self::Resource => (0, &[(1, Self::KeyValue), (3, Self::Entity)]),
            Self::Entity => (GROWTH * size_of::<common::EntityRef>(), &[(3, Self::Text), (4, Self::Text)]),
            Self::ScopeSpans => {
                (GROWTH * size_of::<trace::ScopeSpans>(), &[(1, Self::Scope), (2, Self::Span)])
            }
            Self::Scope => (0, &[(3, Self::KeyValue)]),
            Self::Span => (
                GROWTH * size_of::<trace::Span>() + ROW_BYTES,
                &[(9, Self::KeyValue), (11, Self::Event), (13, Self::Link)],
            ),
            Self::Event => (GROWTH * size_of::<trace::span::Event>(), &[(3, Self::KeyValue)]),
            Self::Link => (GROWTH * size_of::<trace::span::Link>(), &[(4, Self::KeyValue)]),
            Self::KeyValue => (GROWTH * size_of::<common::KeyValue>() + PAIR_BYTES, &[(2, Self::AnyValue)]),
            Self::AnyValue => (GROWTH * size_of::<common::AnyValue>(), &[(5, Self::List), (6, Self::Map)]),
            Self::List => (0, &[(1, Self::AnyValue)]),
            Self::Map => (0, &[(1, Self::KeyValue)]),
            Self::Text => (GROWTH * size_of::<String>(), &[]),
        }
    }

    const fn bytes(self) -> usize {
        self.parts().0
    }
}

fn walk(mut bytes: &[u8], kind: Kind, depth: usize, estimate: &mut Estimate) -> Result<(), Refusal> {
    if depth > DEPTH_MAX {
        return Err(malformed("its messages are nested too deeply"));
    }
    let (_, messages) = kind.parts();
    while !bytes.is_empty() {
        let key = varint(&mut bytes)?;
        match key & 7 {
            0 => {
                varint(&mut bytes)?;
            }
            1 => skip(&mut bytes, 8)?,
            5 => skip(&mut bytes, 4)?,
            2 => {
                let length = varint(&mut bytes)?;
                let field = usize::try_from(length).ok().and_then(|length| bytes.split_at_checked(length));
                let Some((field, rest)) = field else {
                    return Err(malformed("a field is longer than what is left"));
                };
                bytes = rest;
                if let Some((_, child)) = messages.iter().find(|(number, _)| *number == key >> 3) {
                    let child = *child;
                    estimate.bytes = estimate.bytes.saturating_add(child.bytes());
                    estimate.spans += usize::from(child == Kind::Span);
                    if estimate.spans > limits::SPANS_MAX {
                        return Err(Refusal::TooMany(limits::SPANS_MAX));
                    }
                    let is_nested = matches!(child, Kind::List | Kind::Map);
                    if is_nested && estimate.nesting == 0 {
                        // Its JSON. One that would exceed the bound is dropped.
                        let json = field.len().saturating_mul(JSON_GROWTH);
                        let json = json.min(limits::ATTRIBUTE_VALUE_BYTES_MAX);
                        estimate.bytes = estimate.bytes.saturating_add(json);
                    }
                    if child != Kind::Text {
                        estimate.nesting += usize::from(is_nested);
                        walk(field, child, depth + 1, estimate)?;
                        estimate.nesting -= usize::from(is_nested);
                    }
                }
            }
            // Groups, which OTLP has never had.
            _ => return Err(malformed("a field has a wire type that OTLP does not use")),
        }
    }
    Ok(())
}

/// Keys and most lengths are one byte; a call for each would cost more than all else here.
#[inline(always)]
fn varint(bytes: &mut &[u8]) -> Result<u64, Refusal> {
    match bytes.split_first() {
        Some((&first @ ..0x80, rest)) => {
            *bytes = rest;
            Ok(first.into())
        }
        _ => long_varint(bytes),
    }
}

#[inline(never)]
fn long_varint(bytes: &mut &[u8]) -> Result<u64, Refusal> {
    prost::encoding::decode_varint(bytes).map_err(|error| Refusal::Malformed(format!("{NOT_OTLP}: {error}")))
}

fn skip(bytes: &mut &[u8], count: usize) -> Result<(), Refusal> {
    *bytes = bytes.get(count..).ok_or_else(|| malformed("its last field is cut short"))?;
    Ok(())
}

const NOT_OTLP: &str = "not an OTLP trace request";

fn malformed(what: &str) -> Refusal {
    Refusal::Malformed(format!("{NOT_OTLP}: {what}"))
}

/// JSON is read into types of our own first, and those become the types of Protocol Buffers. A reader of structs takes a list
/// for an object, so both count.
fn json_bytes(body: &[u8]) -> usize {
    let span = json::SPAN_BYTES * GROWTH + Kind::Span.bytes();
    let attribute = json::ATTRIBUTE_BYTES * GROWTH + Kind::KeyValue.bytes();
    let (mut total, mut depth, mut text, mut escaped) = (0_usize, 0_usize, false, false);
    for byte in body {
        if text {
            (text, escaped) = (*byte != b'"' || escaped, *byte == b'\\' && !escaped);
            continue;
        }
        match byte {
            b'"' => text = true,
            b'{' | b'[' => {
                depth += 1;
                total = total.saturating_add(if depth <= SPAN_DEPTH { span } else { attribute });
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    total
}

#[cfg(test)]
mod tests {
    use ledgerline_proto::otlp::{ExportTraceServiceRequest, export_request};
    use prost::Message;

    use super::*;
    use crate::ingest::testing::call;

    #[test]
    fn a_request_is_charged_by_its_spans_and_attributes() {
        let of = |spans: usize| {
            let body = export_request(&vec![call("gpt-4.1"); spans]).encode_to_vec();
            decoded_size(Format::Protobuf, &body).unwrap()
        };
        let (one, two) = (of(1), of(2));
        let attributes =
            export_request(&[call("gpt-4.1")]).resource_spans[0].scope_spans[0].spans[0].attributes.len();
        let value = Kind::AnyValue.bytes() + Kind::KeyValue.bytes();
        // The finish reasons are a list of one: 8 bytes on the wire.
        let list = Kind::AnyValue.bytes() + JSON_GROWTH * 8;
        assert_eq!(two - one, Kind::Span.bytes() + attributes * value + list);
    }

    #[test]
    fn what_prost_takes_is_weighed_and_what_is_cut_short_is_malformed() {
        let body = export_request(&[call("gpt-4.1"), call("gpt-4o")]).encode_to_vec();
        for end in 0..body.len() {
            let read = ExportTraceServiceRequest::decode(&body[..end]);
            let estimated = decoded_size(Format::Protobuf, &body[..end]);
            assert_eq!(read.is_ok(), estimated.is_ok(), "{end}");
        }
        for bytes in [&b"\x0b\x0c"[..], b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", b"\x0d\x00"] {
            assert!(matches!(decoded_size(Format::Protobuf, bytes), Err(Refusal::Malformed(_))), "{bytes:?}");
        }
    }

    #[test]
    fn braces_in_json_texts_cost_nothing() {
        let size = |text: &str| decoded_size(Format::Json, text.as_bytes()).unwrap();
        assert_eq!(size(r#"{"a":"{[\"{\\\\\"{,"#), size(r#"{"a":""#));
        assert!(size(r#"{"a":"\\"}{"#) > size(r#"{"a":"\\"}"#));
    }
}
