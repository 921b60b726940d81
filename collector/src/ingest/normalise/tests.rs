//! What is kept, what is cut, and what is refused for which reason.

use std::time::Duration;

use ledgerline_proto::otlp::export_request;

use super::*;
use crate::ingest::testing::{NOW_NS, call};

fn with(change: impl Fn(&mut Span)) -> Normalised {
    let mut request = export_request(&[call("gpt-4.1"), call("gpt-4.1")]);
    change(&mut request.resource_spans[0].scope_spans[0].spans[0]);
    normalise(&request, NOW_NS)
}

fn attribute(key: &str, text: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(text.into())) });
    KeyValue { key: key.into(), value, ..Default::default() }
}

#[test]
fn each_reason_spoils_its_span_and_no_other() {
    let ns = |duration: Duration| duration.as_nanos() as u64;
    let day = Duration::from_secs(86_400);
    let check = |reason: Reason, part: &str, change: &dyn Fn(&mut Span)| {
        let normalised = with(change);
        assert_eq!(normalised.accepted.len(), 1, "{reason:?}");
        let rejected = &normalised.rejected[0];
        assert_eq!(rejected.reason, reason);
        assert!(rejected.detail.contains(part), "{}", rejected.detail);
    };
    check(Reason::Identity, "trace id", &|span| span.trace_id = vec![0; 16]);
    check(Reason::Identity, "span id", &|span| span.span_id.clear());
    check(Reason::Time, "no end", &|span| span.end_time_unix_nano = 0);
    check(Reason::Time, "before it starts", &|span| span.start_time_unix_nano = NOW_NS + 1);
    check(Reason::Time, "no start", &|span| span.start_time_unix_nano = 0);
    check(Reason::Implausible, "output", &|span| {
        span.attributes.retain(|attribute| !attribute.key.contains("usage"));
        for (key, tokens) in [("input", 1), ("output", limits::TOKENS_MAX as i64 + 1)] {
            let value = Some(AnyValue { value: Some(Value::IntValue(tokens)) });
            let key = format!("gen_ai.usage.{key}_tokens");
            span.attributes.push(KeyValue { key, value, ..Default::default() });
        }
    });
    check(Reason::TooOld, "31 days", &|span| {
        span.start_time_unix_nano = 1;
        span.end_time_unix_nano = NOW_NS - ns(day * 31) - 1;
    });
    check(Reason::InTheFuture, "clock", &|span| {
        span.end_time_unix_nano = NOW_NS + ns(Duration::from_secs(600)) + 1;
    });
    let edges = with(|span| {
        span.start_time_unix_nano = 1;
        span.end_time_unix_nano = NOW_NS - ns(day * 31);
    });
    assert_eq!(edges.accepted.len(), 2);
}

#[test]
fn long_texts_are_cut_on_a_character_and_surplus_attributes_counted() {
    let normalised = with(|span| {
        span.name = "\u{e9}".repeat(200);
        span.attributes.push(attribute(&"n".repeat(257), "x"));
        span.attributes.push(attribute("big", &"v".repeat(limits::ATTRIBUTE_VALUE_BYTES_MAX + 1)));
        for number in 0..300 {
            span.attributes.push(attribute(&format!("a{number}"), "x"));
        }
    });
    let record = &normalised.accepted[0].record;
    assert_eq!(record.name, "\u{e9}".repeat(128));
    let of =
        |name: &str| record.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(of("big").map(str::len), Some(limits::ATTRIBUTE_VALUE_BYTES_MAX));
    assert_eq!(record.attributes.len(), limits::ATTRIBUTES_MAX + 1);
    let dropped: usize = of(limits::DROPPED_ATTRIBUTES).unwrap().parse().unwrap();
    // The sender's raw usage stays among the attributes, so the number depends on what the agent writes.
    assert!(dropped >= 46, "{dropped}");
}

#[test]
fn a_long_text_of_the_resource_is_not_copied_into_every_span() {
    let mut request = export_request(&[call("gpt-4.1"), call("gpt-4.1")]);
    for span in &mut request.resource_spans[0].scope_spans[0].spans {
        span.attributes.retain(|attribute| attribute.key != "service.name");
    }
    let resource = request.resource_spans[0].resource.as_mut().unwrap();
    resource.attributes = vec![attribute("service.name", &"s".repeat(1 << 20))];
    for accepted in normalise(&request, NOW_NS).accepted {
        let service = accepted.record.call.identity.service;
        assert_eq!(service, "s".repeat(limits::NAME_BYTES_MAX));
        assert!(service.capacity() <= 2 * limits::NAME_BYTES_MAX, "{}", service.capacity());
    }
}

#[test]
fn a_refused_span_is_kept_without_what_was_said() {
    let normalised = with(|span| {
        span.trace_id = vec![0xab; 3];
        span.attributes.push(attribute("gen_ai.prompt.0.content", "my secret"));
        span.attributes.push(attribute("kept", "value"));
    });
    let rejected = &normalised.rejected[0];
    assert_eq!(rejected.trace_id, "ababab");
    assert!(!rejected.payload.contains("secret") && rejected.payload.contains(r#""kept":"value""#));
}
