//! How a call ended is decided once, for every pair of what the relay and the dialect saw.

use std::sync::Arc;

use ledgerline_proto::{EndOfStream::*, Identity, SpanId, TraceId};

use super::*;
use crate::dialect;

const START_NS: u64 = 1_000;
const END_NS: u64 = 9_000;

fn facts(change: impl FnOnce(&mut CallFacts)) -> CallFacts {
    let start = CallStart {
        at_unix_ns: START_NS,
        endpoint: &dialect::ALL[0].endpoints[0],
        upstream: Arc::from("fast"),
        provider: Arc::from("groq"),
        conditions: Arc::default(),
        path: Arc::from("/v1/chat/completions"),
        trace_id: TraceId::from_bytes([1; 16]).unwrap(),
        span_id: SpanId::from_bytes([2; 8]).unwrap(),
        parent_span_id: None,
        identity: Identity::default(),
    };
    let mut facts = CallFacts::new(start);
    facts.status = Some(200);
    facts.streamed = true;
    facts.request = RequestFacts { model: "gpt-5".into(), stream: true, whole: true };
    facts.request_texts.text_bytes = 400;
    change(&mut facts);
    facts
}

fn counted(class: Unit, tokens: u64) -> Option<Quantities> {
    Some(Quantities::from_pairs(&[(class, tokens)]))
}

fn end(facts: CallFacts, relay: EndOfStream) -> Call {
    assemble(facts, RelayEnd { end: relay, at_unix_ns: END_NS, class: None })
}

fn tokens(call: &Call) -> Option<(u64, u64, UsageSource)> {
    let usage = call.usage.as_ref()?;
    Some((usage.own.total(Side::Input), usage.own.total(Side::Output), usage.source))
}

#[test]
fn the_end_is_the_relays_word_corrected_by_the_dialects() {
    use Progress::{Finished, Open, Terminated};
    for (progress, relay, expected) in [
        (Open, Complete, ProviderError),
        (Finished, Complete, Complete),
        (Terminated, Complete, Complete),
        (Open, ClientGone, ClientGone),
        (Finished, ClientGone, Complete),
        (Terminated, ClientGone, Complete),
        (Open, ProviderError, ProviderError),
        (Finished, ProviderError, ProviderError),
        (Terminated, ProviderError, Complete),
        (Open, RelayKilled, RelayKilled),
        (Finished, RelayKilled, RelayKilled),
        (Terminated, RelayKilled, Complete),
    ] {
        let call = end(facts(|facts| facts.response.progress = progress), relay);
        assert_eq!(call.end, expected, "{progress:?} {relay:?}");
        assert_eq!(call.error_type.is_none(), matches!(expected, Complete | ClientGone), "{call:?}");
    }
    let unseen = end(facts(|facts| facts.response_is_whole = false), Complete);
    assert_eq!(unseen.end, Complete, "what we did not see we do not judge");
    let body = end(facts(|facts| facts.streamed = false), Complete);
    assert_eq!(body.end, Complete);
}

#[test]
fn an_error_is_named_by_the_provider_then_by_status_then_by_us() {
    let check = |change: fn(&mut CallFacts), relay, class, expected: &str| {
        let call = assemble(facts(change), RelayEnd { end: relay, at_unix_ns: END_NS, class });
        assert_eq!(call.error_type.as_deref(), Some(expected));
        assert!(matches!(call.end, ProviderError | RelayKilled));
    };
    let refused = |facts: &mut CallFacts| {
        facts.status = Some(429);
        facts.response.error = Some(Some("rate_limit_exceeded".into()));
    };
    check(refused, Complete, None, "rate_limit_exceeded");
    check(|facts| facts.status = Some(529), Complete, None, "529");
    check(|facts| facts.status = Some(500), ClientGone, None, "500");
    check(|facts| facts.status = None, ProviderError, Some("connect"), "connect");
    check(|_| {}, ProviderError, Some("upstream_reset"), "upstream_reset");
    check(|_| {}, Complete, None, "stream_cut");
    check(|facts| facts.response.error = Some(None), Complete, None, "provider_error");
    check(
        |facts| facts.response.error = Some(Some("overloaded_error".into())),
        Complete,
        None,
        "overloaded_error",
    );
    check(|_| {}, RelayKilled, None, "relay_killed");
}

#[test]
fn the_upstream_says_who_is_paid_and_not_the_dialect() {
    let call = end(facts(|_| {}), Complete);
    assert_eq!(call.provider, "groq");
}

#[test]
fn final_counts_are_the_providers() {
    let change = |facts: &mut CallFacts| {
        facts.response.input = counted(Unit::CacheRead, 30);
        facts.response.output = counted(Unit::OutputText, 4);
        facts.response.usage_is_final = true;
        facts.response.progress = Progress::Finished;
        facts.response_texts.text_bytes = 4_000;
    };
    for relay in [Complete, ClientGone] {
        assert_eq!(tokens(&end(facts(change), relay)), Some((30, 4, UsageSource::Provider)));
    }
    let after_a_gap = facts(|facts| {
        change(facts);
        facts.response_is_whole = false;
    });
    assert_eq!(tokens(&end(after_a_gap, Complete)), Some((30, 4, UsageSource::Provider)));
}

#[test]
fn an_aborted_stream_is_estimated_from_what_passed() {
    let aborted = end(facts(|facts| facts.response_texts.text_bytes = 41), ClientGone);
    assert_eq!(tokens(&aborted), Some((100, 11, UsageSource::Estimated)));
    assert_eq!((aborted.end, aborted.error_type), (ClientGone, None));
    for (stated, delivered_bytes, expected) in [(1, 400, 100), (90, 40, 90)] {
        let call = end(
            facts(|facts| {
                facts.response.input = counted(Unit::CacheRead, 30);
                facts.response.output = counted(Unit::OutputText, stated);
                facts.response_texts.text_bytes = delivered_bytes;
            }),
            ClientGone,
        );
        assert_eq!(tokens(&call), Some((30, expected, UsageSource::Estimated)));
    }
}

#[test]
fn a_complete_answer_without_counts_is_estimated() {
    let call = end(
        facts(|facts| {
            facts.response.progress = Progress::Terminated;
            facts.response_texts.text_bytes = 40;
            facts.response_texts.reasoning_bytes = 80;
        }),
        Complete,
    );
    assert_eq!(tokens(&call), Some((100, 30, UsageSource::Estimated)));
    assert_eq!(call.usage.unwrap().own.get(Unit::OutputReasoning), 20);
}

#[test]
fn usage_is_missing_rather_than_guessed() {
    let missing = |what: &str, relay, change: fn(&mut CallFacts)| {
        assert_eq!(end(facts(change), relay).usage, None, "{what}");
    };
    missing("an error answer", Complete, |facts| {
        facts.status = Some(429);
        facts.response_texts.text_bytes = 40;
    });
    missing("a redirect", Complete, |facts| facts.status = Some(307));
    missing("an error in a good status", Complete, |facts| facts.response.error = Some(None));
    missing("a gap", ClientGone, |facts| facts.response_is_whole = false);
    missing("a request not read to its end", ClientGone, |facts| facts.request.whole = false);
    missing("a request without text", ClientGone, |facts| facts.request_texts.text_bytes = 0);
    missing("no answer from the provider", ProviderError, |facts| facts.status = None);
    missing("half of the counts after a gap", Complete, |facts| {
        facts.response_is_whole = false;
        facts.response.output = counted(Unit::OutputText, 4);
        facts.response.usage_is_final = true;
    });
    let given_up = end(facts(|facts| facts.status = None), ClientGone);
    assert_eq!(tokens(&given_up), Some((100, 0, UsageSource::Estimated)), "the provider was at work");
}

#[test]
fn times_never_run_backwards() {
    let call = end(facts(|facts| facts.first_token_unix_ns = Some(START_NS + 500)), Complete);
    assert_eq!((call.time_to_first_token_ns, call.end_unix_ns), (Some(500), END_NS));
    let back = assemble(
        facts(|facts| facts.first_token_unix_ns = Some(START_NS - 1)),
        RelayEnd { end: Complete, at_unix_ns: START_NS - 2, class: None },
    );
    assert_eq!((back.time_to_first_token_ns, back.end_unix_ns), (Some(0), START_NS));
    let body = end(
        facts(|facts| {
            facts.streamed = false;
            facts.first_token_unix_ns = Some(START_NS + 500);
        }),
        Complete,
    );
    assert_eq!(body.time_to_first_token_ns, None);
}

#[test]
fn what_the_agent_read_behind_the_clients_back_is_drained_and_took_none_of_its_time() {
    for (left, expected) in [
        (None, (UsageSource::Provider, END_NS)),
        (Some(true), (UsageSource::Provider, END_NS - 5)),
        (Some(false), (UsageSource::Drained, END_NS - 5)),
    ] {
        let call = end(
            facts(|facts| {
                facts.response.input = counted(Unit::InputUncached, 10);
                facts.response.output = counted(Unit::OutputText, 2);
                (facts.response.usage_is_final, facts.response.progress) = (true, Progress::Finished);
                facts.client_left = left.map(|had_usage| ClientLeft { at_unix_ns: END_NS - 5, had_usage });
            }),
            ClientGone,
        );
        assert_eq!((call.usage.unwrap().source, call.end_unix_ns), expected);
        assert_eq!(call.end, Complete);
    }
}

/// Finding M4, and committed capacity: the configuration, the path, and before both the response.
#[test]
fn conditions_come_from_the_configuration_the_path_and_the_response() {
    let of = |path: &str, served: &[(Condition, &str)]| {
        let call = end(
            facts(|facts| {
                let configured = [(Condition::Region, "eu"), (Condition::ServiceTier, "flex")];
                facts.start.conditions = Arc::new(Conditions::from_pairs(configured));
                facts.start.path = path.into();
                facts.response.billing.conditions = Conditions::from_pairs(served.iter().copied());
            }),
            Complete,
        );
        let conditions = call.billing.conditions;
        conditions.iter().map(|(name, word)| format!("{name}={word}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("/v1/chat/completions", &[]), "service_tier=flex region=eu");
    assert_eq!(
        of("/openai/deployments/prod-chat/chat/completions", &[(Condition::ServiceTier, "default")]),
        "service_tier=default region=eu deployment=prod-chat"
    );
}
