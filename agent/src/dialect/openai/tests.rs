//! Completions and embeddings: counts without overlap, ends, and what compatible servers do differently.

use ledgerline_proto::Unit::{
    self, CacheRead, CacheWrite5m, CacheWrite12h, CacheWrite30m, InputAudio, InputUncached, OutputAudio,
    OutputReasoning, OutputText,
};
use ledgerline_proto::{Condition, PicoUsd, Quantities};

use super::*;
use crate::dialect::Progress;
use crate::dialect::tests::{counts, read_body, read_events};

const CHAT: fn() -> Box<dyn Reader> = chat;
const EMBEDDINGS: fn() -> Box<dyn Reader> = || Box::new(ChatReader::embeddings());

fn check_openai_usage(usage: &str, expected: &[(Unit, u64)]) {
    let read = read_body(CHAT, &format!(r#"{{"choices":[],"usage":{usage}}}"#));
    assert_eq!(counts(&read), expected, "{usage}");
}

#[test]
fn openai_counts_are_made_disjoint() {
    check_openai_usage(
        r#"{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}}"#,
        &[(InputUncached, 19), (OutputText, 10)],
    );
    check_openai_usage(
        r#"{"prompt_tokens":2006,"completion_tokens":300,"total_tokens":2306,"prompt_tokens_details":{"cached_tokens":1920,"audio_tokens":6},"completion_tokens_details":{"reasoning_tokens":200,"audio_tokens":30,"accepted_prediction_tokens":15,"rejected_prediction_tokens":5}}"#,
        &[
            (InputUncached, 80),
            (CacheRead, 1920),
            (InputAudio, 6),
            (OutputText, 70),
            (OutputReasoning, 200),
            (OutputAudio, 30),
        ],
    );
    check_openai_usage(
        r#"{"prompt_tokens":100,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":10,"cache_write_tokens":60,"cache_write_tokens_details":{"ttl_30m_tokens":20,"ttl_12h_tokens":30}}}"#,
        &[
            (InputUncached, 30),
            (CacheRead, 10),
            (CacheWrite5m, 10),
            (CacheWrite30m, 20),
            (CacheWrite12h, 30),
            (OutputText, 1),
        ],
    );
    // Cached audio is in both parts.
    check_openai_usage(
        r#"{"prompt_tokens":100,"completion_tokens":0,"prompt_tokens_details":{"cached_tokens":80,"audio_tokens":50}}"#,
        &[(CacheRead, 80), (InputAudio, 20)],
    );
}

#[test]
fn what_the_provider_says_a_call_costs_is_kept() {
    let cost = |usage: &str| {
        let read = read_body(CHAT, &format!(r#"{{"choices":[],"usage":{usage}}}"#));
        read.billing.reported_cost.map(PicoUsd::picos)
    };
    assert_eq!(cost(r#"{"prompt_tokens":1,"completion_tokens":1,"cost":0.00014}"#), Some(140_000_000));
    assert_eq!(cost(r#"{"prompt_tokens":1,"completion_tokens":1}"#), None);
}

#[test]
fn servers_that_count_beside_the_whole_are_recognised_by_arithmetic() {
    // Gemini: thoughts are in the total alone.
    check_openai_usage(
        r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":620,"prompt_tokens_details":{"cached_tokens":60}}"#,
        &[(InputUncached, 40), (CacheRead, 60), (OutputText, 20), (OutputReasoning, 500)],
    );
    // What was cached would fit inside, and the total says that it is beside.
    check_openai_usage(
        r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":180,"prompt_tokens_details":{"cached_tokens":60}}"#,
        &[(InputUncached, 100), (CacheRead, 60), (OutputText, 20)],
    );
    // A total that fits nothing proves nothing.
    check_openai_usage(
        r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":125,"completion_tokens_details":{"reasoning_tokens":10}}"#,
        &[(InputUncached, 100), (OutputText, 10), (OutputReasoning, 10)],
    );
    check_openai_usage(
        r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":7}"#,
        &[(InputUncached, 100), (OutputText, 20)],
    );
    // xAI: reasoning is beside completion_tokens, and total_tokens says so.
    check_openai_usage(
        r#"{"prompt_tokens":32,"completion_tokens":9,"total_tokens":135,"completion_tokens_details":{"reasoning_tokens":94}}"#,
        &[(InputUncached, 32), (OutputText, 9), (OutputReasoning, 94)],
    );
    check_openai_usage(
        r#"{"prompt_tokens":32,"completion_tokens":99,"total_tokens":225,"completion_tokens_details":{"reasoning_tokens":94}}"#,
        &[(InputUncached, 32), (OutputText, 99), (OutputReasoning, 94)],
    );
    // The parts do not fit.
    check_openai_usage(
        r#"{"prompt_tokens":5,"completion_tokens":9,"prompt_tokens_details":{"cached_tokens":100}}"#,
        &[(InputUncached, 5), (CacheRead, 100), (OutputText, 9)],
    );
    // DeepSeek.
    check_openai_usage(
        r#"{"prompt_tokens":60,"completion_tokens":9,"prompt_cache_hit_tokens":50,"prompt_cache_miss_tokens":10}"#,
        &[(InputUncached, 10), (CacheRead, 50), (OutputText, 9)],
    );
}

#[test]
fn depth_in_fields_we_skip_is_harmless() {
    let body = format!(
        r#"{{"x":{}1{},"choices":[],"usage":{{"prompt_tokens":3,"completion_tokens":4}}}}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    assert_eq!(counts(&read_body(CHAT, &body)), [(InputUncached, 3), (OutputText, 4)]);
}

#[test]
fn an_openai_answer_is_read_whole() {
    let read = read_body(
        CHAT,
        r#"{"id":"chatcmpl-B9","object":"chat.completion","created":1741569952,"model":"gpt-5-2025-08-07","choices":[{"index":0,"message":{"role":"assistant","content":"Hi \u00e9!","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29},"service_tier":"flex"}"#,
    );
    assert_eq!((read.response_id.as_str(), read.model.as_str()), ("chatcmpl-B9", "gpt-5-2025-08-07"));
    assert_eq!(read.finish_reasons, ["stop", "tool_calls"]);
    assert_eq!(read.billing.conditions.get(Condition::ServiceTier), Some("flex"));
    assert_eq!(read.texts.text_bytes, 6 + 1 + 7);
    assert!(read.usage_is_final && read.texts.has_part && read.error.is_none());
    assert_eq!(read.progress, Progress::Terminated);
}

#[test]
fn an_openai_stream_is_read_to_its_last_usage() {
    let role = r#"{"id":"c","model":"gpt-5","service_tier":"default","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}],"usage":null}"#;
    let text = r#"{"id":"c","model":"gpt-5","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}],"usage":null}"#;
    let stop = r#"{"id":"c","model":"gpt-5","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#;
    let usage = r#"{"id":"c","model":"gpt-5","choices":[],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10},"x_groq":{"usage":{"prompt_tokens":999}}}"#;
    assert!(!read_events(CHAT, &[role]).texts.has_part, "a role is not a token");
    let read = read_events(CHAT, &[role, text]);
    assert!(read.texts.has_part);
    assert_eq!((read.progress, read.texts.text_bytes), (Progress::Open, 5));
    let read = read_events(CHAT, &[role, text, stop]);
    assert_eq!((read.progress, read.usage_is_final), (Progress::Finished, false));
    let read = read_events(CHAT, &[role, text, stop, usage]);
    assert_eq!((read.progress, read.usage_is_final), (Progress::Finished, true));
    let read = read_events(CHAT, &[role, text, stop, usage, "[DONE]"]);
    assert_eq!(read.progress, Progress::Terminated);
    assert_eq!(counts(&read), [(InputUncached, 8), (OutputText, 2)]);
    assert_eq!(read.finish_reasons, ["stop"]);
}

#[test]
fn running_totals_are_replaced_and_final_only_at_the_end() {
    let chunk = |n: u64, finish: &str| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"reasoning_content":"hm"}},"finish_reason":{finish}}}],"usage":{{"prompt_tokens":8,"completion_tokens":{n}}}}}"#
        )
    };
    let read = read_events(CHAT, &[&chunk(1, "null"), &chunk(2, "null")]);
    assert_eq!((counts(&read), read.usage_is_final), (vec![(InputUncached, 8), (OutputText, 2)], false));
    assert_eq!((read.texts.reasoning_bytes, read.texts.text_bytes, read.texts.has_part), (4, 0, true));
    let read = read_events(CHAT, &[&chunk(1, "null"), &chunk(2, "null"), &chunk(3, "\"length\"")]);
    assert_eq!((counts(&read), read.usage_is_final), (vec![(InputUncached, 8), (OutputText, 3)], true));
}

#[test]
fn a_stream_of_two_choices_is_finished_when_both_are() {
    let stop =
        |index: u64| format!(r#"{{"choices":[{{"index":{index},"delta":{{}},"finish_reason":"stop"}}]}}"#);
    let open = r#"{"choices":[{"index":1,"delta":{"content":"x"}}]}"#;
    assert_eq!(read_events(CHAT, &[&stop(0)]).progress, Progress::Finished);
    assert_eq!(read_events(CHAT, &[&stop(0), open]).progress, Progress::Open);
    let read = read_events(CHAT, &[open, &stop(0), &stop(1)]);
    assert_eq!((read.progress, read.finish_reasons.len()), (Progress::Finished, 2));
    read_events(CHAT, &[&stop(u32::MAX.into()), &stop(1 << 40)]);
}

#[test]
fn embeddings_are_input_only() {
    let body = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-3]}],"model":"text-embedding-3-small","usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    let read = read_body(EMBEDDINGS, body);
    assert_eq!(counts(&read), [(InputUncached, 8)]);
    assert_eq!((read.output.clone(), read.usage_is_final), (Some(Quantities::default()), true));
    assert_eq!(read.model, "text-embedding-3-small");
}

#[test]
fn models_that_search_on_every_call_have_searched() {
    for (model, searches) in
        [("gpt-4o-search-preview-2025-03-11", 1), ("gpt-5-search-api", 1), ("gpt-4o-2024-08-06", 0)]
    {
        let chunk = format!(r#"{{"model":"{model}","choices":[]}}"#);
        assert_eq!(read_body(CHAT, &chunk).fees.get(Unit::WebSearch), searches, "{model}");
        assert_eq!(read_events(CHAT, &[&chunk, &chunk]).fees.get(Unit::WebSearch), searches, "{model}");
    }
}
