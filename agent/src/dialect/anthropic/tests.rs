//! Messages: counts that leave the cache out, merged over the events of a stream.

use ledgerline_proto::Unit::{
    self, CacheRead, CacheWrite1h, CacheWrite5m, InputUncached, OutputReasoning, OutputText,
};
use ledgerline_proto::{BillGap, Quantities, Run};

use super::*;
use crate::dialect::tests::{counts, read_body, read_events};

const MESSAGES: fn() -> Box<dyn Reader> = || Box::new(MessageReader::default());

fn check_anthropic_usage(usage: &str, expected: &[(Unit, u64)]) {
    let body = format!(r#"{{"type":"message","model":"claude-opus-5","usage":{usage}}}"#);
    assert_eq!(counts(&read_body(MESSAGES, &body)), expected, "{usage}");
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant","content":[],"model":"claude-opus-5","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":300,"cache_read_input_tokens":1000,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},"output_tokens":1,"service_tier":"standard","inference_geo":"us"}}}"#;

const TEXT_BLOCK: &str =
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;

const TEXT: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#;

#[test]
fn an_anthropic_stream_merges_counts_field_by_field() {
    let input = [(InputUncached, 25), (CacheRead, 1000), (CacheWrite5m, 100), (CacheWrite1h, 200)];
    let with_output = |output: &[(Unit, u64)]| [&input[..], output].concat();
    let read = read_events(MESSAGES, &[START, r#"{"type":"ping"}"#, TEXT_BLOCK]);
    assert!(!read.texts.has_part, "a ping and an empty block are no tokens");
    let read = read_events(MESSAGES, &[START, TEXT_BLOCK, TEXT]);
    assert!(read.texts.has_part && !read.usage_is_final);
    assert_eq!(read.texts.text_bytes, 5);
    assert_eq!(counts(&read), with_output(&[(OutputText, 1)]));
    for (delta_usage, output) in [
        (r#"{"output_tokens":15}"#, 15),
        (
            r#"{"input_tokens":0,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":15}"#,
            15,
        ),
        (r#"{"input_tokens":null,"cache_read_input_tokens":null,"output_tokens":15}"#, 15),
        (
            r#"{"input_tokens":25,"cache_creation_input_tokens":300,"cache_read_input_tokens":1000,"output_tokens":15}"#,
            15,
        ),
    ] {
        let delta = format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"}},"usage":{delta_usage}}}"#
        );
        let stop = r#"{"type":"message_stop"}"#;
        let read = read_events(MESSAGES, &[START, TEXT_BLOCK, TEXT, &delta, stop]);
        assert_eq!(counts(&read), with_output(&[(OutputText, output)]), "{delta_usage}");
        assert!(read.usage_is_final);
        assert_eq!(read.progress, Progress::Terminated);
        assert_eq!(read.finish_reasons, ["end_turn"]);
        assert_eq!(read.billing.conditions.get(Condition::ServiceTier), Some("standard"));
        assert_eq!(read.billing.conditions.get(Condition::Region), Some("us"));
        assert_eq!((read.response_id.as_str(), read.model.as_str()), ("msg_01", "claude-opus-5"));
    }
}

#[test]
fn an_anthropic_count_that_comes_before_its_stop_reason_is_final_at_the_end() {
    let usage = r#"{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":15}}"#;
    let reason = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;
    let stop = r#"{"type":"message_stop"}"#;
    let is_final = |events: &[&str]| read_events(MESSAGES, events).usage_is_final;
    assert!(!is_final(&[START, TEXT, usage]), "a running total");
    assert!(is_final(&[START, TEXT, usage, reason, stop]));
    assert!(is_final(&[START, TEXT, usage, stop]));
    assert!(!is_final(&[START, TEXT, reason, stop]), "the count at the start is not the output");
}

#[test]
fn anthropic_counts_are_exclusive_and_thinking_is_inside_the_output() {
    check_anthropic_usage(
        r#"{"input_tokens":3,"cache_creation_input_tokens":50,"cache_read_input_tokens":7000,"output_tokens":90,"output_tokens_details":{"thinking_tokens":60}}"#,
        &[(InputUncached, 3), (CacheRead, 7000), (CacheWrite5m, 50), (OutputText, 30), (OutputReasoning, 60)],
    );
    check_anthropic_usage(
        r#"{"input_tokens":3,"cache_creation_input_tokens":50,"cache_creation":{"ephemeral_1h_input_tokens":40},"output_tokens":1}"#,
        &[(InputUncached, 3), (CacheWrite5m, 10), (CacheWrite1h, 40), (OutputText, 1)],
    );
    check_anthropic_usage(
        r#"{"input_tokens":3,"output_tokens":5,"output_tokens_details":{"thinking_tokens":60}}"#,
        &[(InputUncached, 3), (OutputReasoning, 5)],
    );
}

#[test]
fn runs_outside_the_counts_are_added_and_those_of_other_models_stand_alone() {
    let read = read_body(
        MESSAGES,
        r#"{"type":"message","id":"msg","model":"claude-opus-5","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":20,"speed":"fast","server_tool_use":{"web_search_requests":2,"web_fetch_requests":0},"iterations":[{"type":"compaction","input_tokens":100,"output_tokens":30},{"type":"message","input_tokens":10,"output_tokens":20},{"type":"advisor_message","model":"claude-haiku-5","input_tokens":7,"output_tokens":3},{"type":"fallback_message","model":"claude-haiku-5","input_tokens":7,"output_tokens":0}]}}"#,
    );
    assert_eq!(counts(&read), [(InputUncached, 110), (OutputText, 50)]);
    let advisor = Quantities::from_pairs(&[(InputUncached, 7), (OutputText, 3)]);
    // A run without output is not billed.
    assert_eq!(read.runs, [Run { model: "claude-haiku-5".into(), quantities: advisor }]);
    assert_eq!(read.billing.gap, None);
    assert_eq!(read.fees, Quantities::from_pairs(&[(Unit::WebSearch, 2)]));
    assert_eq!(read.billing.conditions.get(Condition::Speed), Some("fast"));
}

/// Finding M2: an advisor's run is never in the counts, not even when it is the same model; M8: what a stream writes to the cache
/// as it goes on lives as long as its runs say.
#[test]
fn the_runs_of_a_call_say_what_its_counts_do_not() {
    let run = |kind: &str, model: &str, input: u64, output: u64| {
        let model = if model.is_empty() { String::new() } else { format!(r#""model":"{model}","#) };
        format!(r#"{{"type":"{kind}",{model}"input_tokens":{input},"output_tokens":{output}}}"#)
    };
    let read = |runs: &[String]| {
        let runs = runs.join(",");
        read_body(
            MESSAGES,
            &format!(
                r#"{{"type":"message","model":"claude-opus-5","usage":{{"input_tokens":10,"output_tokens":20,"iterations":[{runs}]}}}}"#
            ),
        )
    };
    let of = |model: &str, input, output| Run {
        model: model.to_owned(),
        quantities: Quantities::from_pairs(&[(InputUncached, input), (OutputText, output)]),
    };
    let own = run("message", "", 10, 20);
    let with_advisor = read(&[own.clone(), run("advisor_message", "claude-opus-5", 5_000, 900)]);
    assert_eq!(counts(&with_advisor), [(InputUncached, 10), (OutputText, 20)]);
    assert_eq!(with_advisor.runs, [of("claude-opus-5", 5_000, 900)]);
    // The model asked for gave up after some output, and a fallback answered: the answer names the fallback.
    let declined = run("message", "claude-fable-5", 10, 4);
    let fallen_back = read(&[declined, run("fallback_message", "claude-opus-5", 7, 16)]);
    assert_eq!(counts(&fallen_back), [(InputUncached, 7), (OutputText, 16)]);
    assert_eq!(fallen_back.runs, [of("claude-fable-5", 10, 4)]);
    // Two runs of one model are one line.
    let twice = read(&[own.clone(), run("advisor_message", "m", 1, 2), run("advisor_message", "m", 3, 4)]);
    assert_eq!(twice.runs, [of("m", 4, 6)]);
    // A kind that is not known here may be in the counts or beside them.
    assert_eq!(read(&[own, run("oracle_message", "m", 1, 2)]).billing.gap, Some(BillGap::OtherModel));

    let start = r#"{"type":"message_start","message":{"id":"m","model":"claude-opus-5","usage":{"input_tokens":1,"cache_creation_input_tokens":100,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":100},"output_tokens":1}}}"#;
    let delta = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"input_tokens":1,"cache_creation_input_tokens":340,"output_tokens":9,"iterations":[{"type":"message","input_tokens":1,"cache_creation_input_tokens":340,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":340},"output_tokens":9}]}}"#;
    let grown = read_events(MESSAGES, &[start, delta, r#"{"type":"message_stop"}"#]);
    assert_eq!(counts(&grown), [(InputUncached, 1), (CacheWrite1h, 340), (OutputText, 9)]);
    assert!(
        grown
            .usage_objects
            .json()
            .starts_with(r#"{"anthropic":[{"input_tokens":1,"cache_creation_input_tokens":100,"#)
    );
}
