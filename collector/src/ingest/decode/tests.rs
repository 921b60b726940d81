//! From a sender's bytes to what its call cost.

use ledgerline_pricing::PriceBook;
use ledgerline_proto::otlp::{AllowList, AttributeLimits, DroppedNames, Keep, Resource, read_span};
use ledgerline_proto::{Cost, PicoUsd, UsageSource};

use super::*;

/// The amount of a chat with Claude Sonnet 4.5 that ended at noon on 2026-11-24, in pico-dollars.
fn amount(scope: &str, counts: &[(&str, u64)]) -> i64 {
    let mut attributes = vec![
        r#"{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}}"#.to_owned(),
        r#"{"key":"gen_ai.system","value":{"stringValue":"anthropic"}}"#.to_owned(),
        r#"{"key":"gen_ai.request.model","value":{"stringValue":"claude-sonnet-4-5"}}"#.to_owned(),
    ];
    let count = |(name, count): &(&str, u64)| {
        format!(r#"{{"key":"gen_ai.usage.{name}","value":{{"intValue":"{count}"}}}}"#)
    };
    attributes.extend(counts.iter().map(count));
    let body = format!(
        r#"{{"resourceSpans":[{{"scopeSpans":[{{"scope":{{"name":"{scope}"}},"spans":[{{"traceId":"{:032x}","spanId":"{:016x}",
        "startTimeUnixNano":"1795521598000000000","endTimeUnixNano":"1795521600000000000","attributes":[{}]}}]}}]}}]}}"#,
        1,
        1,
        attributes.join(",")
    );
    let request = decode(Format::Json, body.as_bytes()).unwrap();
    let limits = AttributeLimits { count: 64, name_bytes: 256, value_bytes: 4096, depth: 8 };
    let (allowed, mut dropped) = (AllowList::new(&[]), DroppedNames::default());
    let mut keep = Keep { allowed: &allowed, limits, dropped: &mut dropped };
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    let call = read_span(&Resource::default(), scope, span, &mut keep).unwrap().call;
    assert_eq!(call.usage.as_ref().map(|usage| usage.source), Some(UsageSource::Sender));
    match PriceBook::embedded().bill(&call).cost {
        Cost::Known(amount) => PicoUsd::picos(amount),
        other => panic!("{other:?}"),
    }
}

/// 10,210 tokens of input at 3 USD a million, 7,917 from the cache at 0.30 USD, 200 of output at 15 USD: 0.0306300 + 0.0023751 +
/// 0.0030000 USD. Were the cached tokens inside the input, it would be 2,293 at 3 USD: 0.0122541 USD in all.
#[test]
fn a_total_decides_what_a_cached_prompt_costs() {
    let counts = [("input_tokens", 10_210), ("output_tokens", 200), ("cache_read_input_tokens", 7_917)];
    let with_total = |total| [&counts[..], &[("total_tokens", total)]].concat();
    for (scope, counts, expected) in [
        ("", with_total(10_210 + 7_917 + 200), 36_005_100_000),
        ("", with_total(10_210 + 200), 12_254_100_000),
        ("", counts.to_vec(), 12_254_100_000),
        ("opentelemetry.instrumentation.bedrock", counts.to_vec(), 36_005_100_000),
    ] {
        assert_eq!(amount(scope, &counts), expected, "{scope} {counts:?}");
    }
}
