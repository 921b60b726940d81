//! What is kept, what is cut, and what is refused for which reason.

use std::time::Duration;

use ledgerline_proto::otlp::export_request;

use super::*;
use crate::ingest::testing::{NOW_NS, call, context};

fn allowed() -> AllowList {
    AllowList::new(&["app.*".parse().unwrap()])
}

fn with(change: impl Fn(&mut Span)) -> Normalised {
    let mut request = export_request(&[call("gpt-4.1"), call("gpt-4.1")]);
    change(&mut request.resource_spans[0].scope_spans[0].spans[0]);
    normalise(&request, &context(), &allowed())
}

fn attribute(key: &str, text: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(text.into())) });
    KeyValue { key: key.into(), value, ..Default::default() }
}

fn ns(duration: Duration) -> u64 {
    duration.as_nanos() as u64
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn each_reason_spoils_its_span_and_no_other() {
    let check = |reason: Reason, part: &str, change: &dyn Fn(&mut Span)| {
        let normalised = with(change);
        assert_eq!(normalised.accepted.len(), 1, "{reason:?}");
        let rejected = &normalised.rejected[0];
        assert_eq!(rejected.reason, reason);
        assert!(rejected.detail.contains(part), "{}", rejected.detail);
    };
    check(Reason::Identity, "trace id", &|span| span.trace_id = vec![0; 16]);
    check(Reason::Identity, "span id", &|span| span.span_id.clear());
    check(Reason::Implausible, "output", &|span| {
        span.attributes.retain(|attribute| !attribute.key.contains("usage"));
        for (key, tokens) in [("input", 1), ("output", limits::TOKENS_MAX as i64 + 1)] {
            let value = Some(AnyValue { value: Some(Value::IntValue(tokens)) });
            let key = format!("gen_ai.usage.{key}_tokens");
            span.attributes.push(KeyValue { key, value, ..Default::default() });
        }
    });
    check(Reason::TooOld, "31 days", &|span| span.end_time_unix_nano = NOW_NS - ns(DAY * 31) - 1);
    let edge = with(|span| span.end_time_unix_nano = NOW_NS - ns(DAY * 31));
    assert_eq!(edge.accepted.len(), 2);
}

const MS: u64 = 1_000_000;

/// Start and end before now, duration, time to the first token, all in milliseconds; clock skew and corrections.
type Times<'a> = (i64, i64, Option<u64>, Option<u64>, Option<&'a str>, &'a [TimeCorrection]);

/// What is stored of a span with this start, end and time to the first token in seconds.
fn check_times(name: &str, (start, end, first_s): (u64, u64, f64), expected: Times<'_>) {
    let normalised = with(|span| {
        (span.start_time_unix_nano, span.end_time_unix_nano) = (start, end);
        for attribute in span.attributes.iter_mut().filter(|found| found.key.ends_with("first_chunk")) {
            attribute.value = Some(AnyValue { value: Some(Value::DoubleValue(first_s)) });
        }
    });
    let record = &normalised.accepted[0].1;
    let before_now = |time: u64| (NOW_NS as i64 - time as i64) / MS as i64;
    let skew = record.attributes.iter().find(|(name, _)| name == limits::CLOCK_SKEW);
    let counted = [
        TimeCorrection::ClockAhead,
        TimeCorrection::ClockUnset,
        TimeCorrection::Duration,
        TimeCorrection::FirstToken,
    ]
    .into_iter()
    .zip(normalised.corrections)
    .filter(|(_, count)| *count == 1);
    let corrections: Vec<TimeCorrection> = counted.map(|(correction, _)| correction).collect();
    let stored = (
        before_now(record.call.start_unix_ns),
        before_now(record.call.end_unix_ns),
        record.duration_ns.map(|duration| duration / MS),
        record.call.time_to_first_token_ns.map(|first| first / MS),
        skew.map(|(_, skew)| skew.as_str()),
        &*corrections,
    );
    assert_eq!(stored, expected, "{name}");
    assert_eq!(normalised.accepted.len(), 2, "{name}");
}

#[test]
fn times_that_cannot_be_are_bounded_flagged_and_counted() {
    use TimeCorrection::{ClockAhead, ClockUnset, Duration as Length, FirstToken};
    let check = check_times;
    let (now, hour) = (NOW_NS, ns(DAY) / 24);
    let good = (now - 3_000 * MS, now - 1_000 * MS);
    check("good", (good.0, good.1, 0.25), (3_000, 1_000, Some(2_000), Some(250), None, &[]));
    let ahead = 900_000 * MS;
    check(
        "15 minutes ahead",
        (good.0 + ahead, good.1 + ahead, 0.25),
        (2_000, 0, Some(2_000), Some(250), Some("899000"), &[ClockAhead]),
    );
    let lead = ns(limits::SPAN_LEAD_MAX);
    check("just ahead", (now, now + lead, 1.0), (0, -10_000, Some(10_000), Some(1_000), None, &[]));
    check(
        "ahead",
        (now, now + lead + MS, 1.0),
        (10_001, 0, Some(10_001), Some(1_000), Some("10001"), &[ClockAhead]),
    );
    check(
        "end of time",
        (now, u64::MAX, 1.0),
        (0, 0, None, Some(1_000), Some("16651222473709"), &[ClockAhead, Length]),
    );
    check("1970", (1, 2 * MS, 0.001), (1, 0, Some(1), Some(1), Some("-1795521599998"), &[ClockUnset]));
    check(
        "no end",
        (good.0, 0, 0.25),
        (0, 0, None, Some(250), Some("-1795521600000"), &[ClockUnset, Length]),
    );
    check("no times", (0, 0, 0.25), (0, 0, None, Some(250), Some("-1795521600000"), &[ClockUnset, Length]));
    check("no start", (0, good.1, 0.25), (1_000, 1_000, None, Some(250), None, &[Length]));
    check("57 years", (1, good.1, 0.25), (1_000, 1_000, None, Some(250), None, &[Length]));
    check("end before start", (good.1, good.0, 0.25), (3_000, 3_000, None, Some(250), None, &[Length]));
    check(
        "a day",
        (good.1 - 24 * hour, good.1, 0.25),
        (86_401_000, 1_000, Some(86_400_000), Some(250), None, &[]),
    );
    check(
        "more than a day",
        (good.1 - 24 * hour - 1, good.1, 0.25),
        (1_000, 1_000, None, Some(250), None, &[Length]),
    );
    check(
        "token after the end",
        (good.0, good.1, 3.1),
        (3_000, 1_000, Some(2_000), None, None, &[FirstToken]),
    );
    check("token a little late", (good.0, good.1, 2.5), (3_000, 1_000, Some(2_000), Some(2_500), None, &[]));
    check("token in 57 years", (0, good.1, 1.8e9), (1_000, 1_000, None, None, None, &[Length, FirstToken]));
    for never in [-1.0, f64::NAN, f64::INFINITY, 1e300] {
        check("no time at all", (good.0, good.1, never), (3_000, 1_000, Some(2_000), None, None, &[]));
    }
}

#[test]
fn a_workflow_may_take_days() {
    let normalised = with(|span| {
        span.start_time_unix_nano = NOW_NS - ns(DAY * 3);
        for attribute in span.attributes.iter_mut().filter(|found| found.key == "gen_ai.operation.name") {
            attribute.value = Some(AnyValue { value: Some(Value::StringValue("invoke_workflow".into())) });
        }
    });
    assert_eq!(normalised.accepted[0].1.duration_ns, Some(ns(DAY * 3) - 1_000_000_000));
}

#[test]
fn long_texts_are_cut_on_a_character_and_surplus_attributes_counted() {
    let normalised = with(|span| {
        span.attributes.push(attribute(&format!("app.{}", "n".repeat(253)), "x"));
        for attribute in span.attributes.iter_mut().filter(|found| found.key == "gen_ai.request.model") {
            attribute.value = Some(AnyValue { value: Some(Value::StringValue("\u{e9}".repeat(200))) });
        }
        span.attributes.push(attribute("app.big", &"v".repeat(limits::ATTRIBUTE_VALUE_BYTES_MAX + 1)));
        for number in 0..300 {
            span.attributes.push(attribute(&format!("app.a{number}"), "x"));
        }
    });
    let record = &normalised.accepted[0].1;
    assert_eq!(record.name, format!("chat {}", "\u{e9}".repeat(125)));
    let of =
        |name: &str| record.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    assert_eq!(of("app.big").map(str::len), Some(limits::ATTRIBUTE_VALUE_BYTES_MAX));
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
    for (_, record) in normalise(&request, &context(), &allowed()).accepted {
        let service = record.call.identity.service;
        assert_eq!(service, "s".repeat(limits::NAME_BYTES_MAX));
        assert!(service.capacity() <= 2 * limits::NAME_BYTES_MAX, "{}", service.capacity());
    }
}

#[test]
fn a_refused_span_is_kept_without_what_was_said() {
    let normalised = with(|span| {
        span.trace_id = vec![0xab; 3];
        span.name = "my secret".into();
        for name in ["gen_ai.prompt.0.content", "input.value", "brand.new"] {
            span.attributes.push(attribute(name, "my secret"));
        }
        span.attributes.push(attribute("app.kept", "value"));
        span.attributes.push(attribute("app.long", &"v".repeat(100_000)));
    });
    let rejected = &normalised.rejected[0];
    assert_eq!(rejected.trace_id, "ababab");
    assert!(!rejected.payload.contains("secret"), "{}", rejected.payload);
    let payload: serde_json::Value = serde_json::from_str(&rejected.payload).unwrap();
    assert_eq!(
        (&payload["name"], &payload["attributes"]["app.kept"]),
        (&"chat gpt-4.1".into(), &"value".into())
    );
    assert_eq!(payload["attributes"]["gen_ai.request.model"], "gpt-4.1");
    assert!(rejected.payload.capacity() < 8 << 10, "{}", rejected.payload.capacity());
}
