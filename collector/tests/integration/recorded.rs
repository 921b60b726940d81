//! Spans that real instrumentations sent, through the real collector and engine: each call is billed once, to the pico-dollar.
//!
//! What is expected was worked out apart from our code, by a script over the hand-made readings in
//! `proto/tests/fixtures/instrumentations.txt`: of the calls of a trace the lowest, of one response id one, whose source is better or which
//! began later; priced by hand. USD a million tokens: gpt-4.1-mini 0.40 in, 0.10 cached, 1.60 out; claude-sonnet-4-5 3.00 in, 0.30 cached, 3.75 and
//! 6.00 written for 5 minutes and 1 hour, 15.00 out; text-embedding-3-small 0.02.

use ledgerline_process::{Clock, SystemClock};
use ledgerline_proto::otlp::export_request;
use ledgerline_proto::{Call, Quantities, SpanId, TraceId, Unit, Usage, UsageSource};
use prost::Message;

use crate::engine::ask;
use crate::ingest::{Collector, JSON, PROTOBUF, section};
use crate::sights::gpt;

/// One request of OTLP/JSON a line; see the README beside the recordings.
pub const SPANS: &str = include_str!("../../../proto/tests/fixtures/instrumentations.jsonl");

/// By service: calls, their cost in USD, and those that succeeded and have no price: the sender counted nothing, or names no provider (all
/// of `langfuse-openai`). The failed call of `traceloop-anthropic` is two: its two
/// observers state no id of it. It costs nothing.
const ALONE: [(&str, u64, &str, u64); 13] = [
    ("genai-anthropic", 9, "0.0129", 1),
    ("genai-openai", 17, "0.0036528", 6),
    ("langfuse-openai", 18, "0", 17),
    ("litellm", 12, "0.0082512", 0),
    ("openai-v2", 15, "0.0035216", 6),
    ("openinference-anthropic", 9, "0.0129", 1),
    ("openinference-anthropic/semconv", 9, "0.0129", 1),
    ("openinference-openai", 17, "0.0036528", 6),
    ("openlit-anthropic", 7, "0.0111", 0),
    ("openlit-openai", 15, "0.003768", 0),
    ("pydantic-ai", 24, "0.0128972", 3),
    ("traceloop-anthropic", 10, "0.0129", 1),
    ("traceloop-openai", 17, "0.0036528", 6),
];

/// The recorded requests, as if the last of their spans ended now.
fn requests(now_unix_ns: u64) -> Vec<String> {
    let mut lines: Vec<serde_json::Value> =
        SPANS.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ended = |time: &serde_json::Value| time.as_str().unwrap().parse::<u64>().unwrap();
    let mut last = 0;
    for_each_span(&mut lines, |span| last = last.max(ended(&span["endTimeUnixNano"])));
    let later = now_unix_ns - last;
    for_each_span(&mut lines, |span| {
        for name in ["startTimeUnixNano", "endTimeUnixNano"] {
            span[name] = (ended(&span[name]) + later).to_string().into();
        }
    });
    lines.iter().map(ToString::to_string).collect()
}

fn for_each_span(lines: &mut [serde_json::Value], mut each: impl FnMut(&mut serde_json::Value)) {
    for line in lines {
        for resource in line["resourceSpans"].as_array_mut().unwrap() {
            for scope in resource["scopeSpans"].as_array_mut().unwrap() {
                scope["spans"].as_array_mut().unwrap().iter_mut().for_each(&mut each);
            }
        }
    }
}

/// The spans that are billed: trace, span, when they ended, response id.
const BILLED: &str = "SELECT lower(hex(trace_id)), lower(hex(span_id)), toString(toUnixTimestamp64Nano(max(end))), max(id) FROM \
    (SELECT trace_id, span_id, CAST(end_time, 'DateTime64(9)') AS end, response_id AS id, toInt64(is_call) AS times FROM spans \
    UNION ALL SELECT trace_id, span_id, CAST(end_time, 'DateTime64(9)'), '', toInt64(sign) FROM corrections) \
    GROUP BY trace_id, span_id HAVING sum(times) = 1 ORDER BY trace_id, span_id";

/// What the agent saw of a billed call: another usage than any sender states, so that it shows whose is billed. Where the sender states a
/// response id the agent is in a trace of its own, else below the sender's span, which is all that can link them.
fn agents(billed: &str) -> Vec<Call> {
    let usage = Quantities::from_pairs(&[(Unit::InputUncached, 111), (Unit::OutputText, 11)]);
    let call = |(number, line): (usize, &str)| {
        let fields: Vec<&str> = line.split('\t').collect();
        let (trace, span) = (TraceId::from_hex(fields[0]).unwrap(), SpanId::from_hex(fields[1]).unwrap());
        let own = SpanId::from_bytes((number as u64 + 1).to_be_bytes()).unwrap();
        let id = fields.get(3).copied().unwrap_or_default();
        let end_unix_ns: u64 = fields[2].parse().unwrap();
        let elsewhere = TraceId::from_bytes((number as u128 + 1).to_be_bytes()).unwrap();
        Call {
            trace_id: if id.is_empty() { trace } else { elsewhere },
            span_id: own,
            parent_span_id: id.is_empty().then_some(span),
            response_id: if id.is_empty() { format!("seen-{number}") } else { id.to_owned() },
            request_model: "gpt-4.1-mini".into(),
            response_model: "gpt-4.1-mini-2025-04-14".into(),
            start_unix_ns: end_unix_ns - 1_000_000,
            end_unix_ns,
            usage: Some(Usage::of(usage.clone(), UsageSource::Provider)),
            ..gpt(0, end_unix_ns).0
        }
    };
    billed.lines().enumerate().map(call).collect()
}

/// Scenario: 277 recorded spans of thirteen services come, alone; then what the agent saw of the same calls; and in another store first the
/// agent's and then theirs.
/// Guarantees: each call is billed once: alone with the better of its sights, beside the agent with the agent's, in either order.
#[tokio::test]
async fn recorded_calls_are_billed_once_alone_and_beside_the_agent() {
    let requests = requests(SystemClock.now_unix_ns());
    let alone = Collector::start(&section("recorded_alone"), "").await;
    for request in &requests {
        assert_eq!(alone.post(&[JSON], request.clone()).await.status, 200);
    }
    let services = "SELECT service, sum(calls), sumIf(calls, unpriced_reason NOT IN ('', 'failed_without_usage')) FROM calls_day GROUP BY service HAVING sum(calls) != 0 ORDER BY service";
    let usd = "SELECT service, toString(sum(amount)) FROM spend_day GROUP BY service ORDER BY service";
    let expected: Vec<String> =
        ALONE.iter().map(|(service, calls, _, short)| format!("{service}\t{calls}\t{short}")).collect();
    assert_eq!(ask(&alone.storage, services).await, expected.join("\n"));
    let expected: Vec<String> =
        ALONE.iter().map(|(service, _, usd, _)| format!("{service}\t{usd}")).collect();
    assert_eq!(ask(&alone.storage, usd).await, expected.join("\n"));
    let billed = ask(&alone.storage, BILLED).await;
    let agents = agents(&billed);
    assert_eq!((agents.len(), agents.iter().filter(|call| call.parent_span_id.is_some()).count()), (179, 36));
    let agents = export_request(&agents).encode_to_vec();
    assert_eq!(alone.post(&[PROTOBUF], agents.clone()).await.status, 200);
    let first = Collector::start(&section("recorded_beside"), "").await;
    assert_eq!(first.post(&[PROTOBUF], agents).await.status, 200);
    for request in &requests {
        assert_eq!(first.post(&[JSON], request.clone()).await.status, 200);
    }
    // 179 times 111 tokens at 0.40 and 11 at 1.60 USD a million: 0.000062.
    let all = "SELECT sum(calls), sumIf(calls, unpriced_reason != ''), (SELECT toString(sum(amount)) FROM spend_day) FROM calls_day";
    let observers = "SELECT observer, count() FROM (SELECT max(seen) AS observer FROM \
        (SELECT trace_id, span_id, observer AS seen, toInt64(is_call) AS times FROM spans \
        UNION ALL SELECT trace_id, span_id, '', toInt64(sign) FROM corrections) \
        GROUP BY trace_id, span_id HAVING sum(times) != 0) GROUP BY observer";
    for collector in [alone, first] {
        assert_eq!(ask(&collector.storage, all).await, "179\t0\t0.011098");
        assert_eq!(ask(&collector.storage, observers).await, "ledgerline-agent\t179");
        collector.stop().await;
    }
}
