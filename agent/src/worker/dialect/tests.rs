//! Each dialect reads its provider's counts into classes that do not overlap, and garbage into nothing.

use ledgerline_proto::TokenClass::{
    self, CacheRead, CacheWrite1h, CacheWrite5m, CacheWrite12h, CacheWrite30m, InputAudio, InputUncached,
    OutputAudio, OutputReasoning, OutputText,
};
use proptest::prelude::*;

use super::*;

fn read_body(mut dialect: impl Dialect, body: &str) -> Answer {
    let mut answer = Answer::default();
    dialect.read_body(body.as_bytes(), &mut answer).unwrap();
    answer
}

fn read_events(mut dialect: impl Dialect, events: &[&str]) -> Answer {
    let mut answer = Answer::default();
    for data in events {
        dialect.read_event(Event { name: b"", data: data.as_bytes() }, &mut answer).unwrap();
    }
    answer
}

fn openai() -> OpenAiChat {
    OpenAiChat::new(Operation::Chat)
}

fn counts(answer: &Answer) -> Vec<(TokenClass, u64)> {
    answer.input.iter().chain(&answer.output).flat_map(TokenCounts::nonzero).collect()
}

fn check_openai_usage(usage: &str, expected: &[(TokenClass, u64)]) {
    let answer = read_body(openai(), &format!(r#"{{"choices":[],"usage":{usage}}}"#));
    assert_eq!(counts(&answer), expected, "{usage}");
}

fn check_anthropic_usage(usage: &str, expected: &[(TokenClass, u64)]) {
    let body = format!(r#"{{"type":"message","model":"claude-opus-5","usage":{usage}}}"#);
    assert_eq!(counts(&read_body(AnthropicMessages::default(), &body)), expected, "{usage}");
}

#[test]
fn a_path_that_is_no_call_has_no_dialect() {
    let table = DialectTable::default();
    for (name, path, operation) in [
        ("openai", "/v1/chat/completions", Some("chat")),
        ("openai", "/openai/deployments/mine/chat/completions/", Some("chat")),
        ("openai", "/v1/completions", Some("text_completion")),
        ("openai", "/v1/embeddings", Some("embeddings")),
        ("openai", "/v1/models", None),
        ("openai", "/v1/chat/completions/chatcmpl-1", None),
        ("openai", "/v1/messages", None),
        ("anthropic", "/v1/messages", Some("chat")),
        ("anthropic", "/v1/messages/count_tokens", None),
        ("anthropic", "/v1/messages/batches", None),
        ("cohere", "/v2/chat", None),
    ] {
        let found = table.dialect(name, path).map(|dialect| dialect.operation().name().to_owned());
        assert_eq!(found.as_deref(), operation, "{name} {path}");
    }
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
fn servers_that_count_beside_the_whole_are_recognised_by_arithmetic() {
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
fn a_count_that_is_none_is_absent_and_spoils_nothing_else() {
    for bad in [
        "\"12\"",
        "-1",
        "1.5",
        "12.0",
        "1e3",
        "4294967296",
        "99999999999999999999",
        "null",
        "[1]",
        "{}",
        "true",
    ] {
        check_openai_usage(
            &format!(r#"{{"prompt_tokens":{bad},"completion_tokens":7}}"#),
            &[(OutputText, 7)],
        );
        check_openai_usage(
            &format!(
                r#"{{"prompt_tokens":9,"completion_tokens":7,"prompt_tokens_details":{{"cached_tokens":{bad}}}}}"#
            ),
            &[(InputUncached, 9), (OutputText, 7)],
        );
        check_anthropic_usage(&format!(r#"{{"input_tokens":{bad},"output_tokens":7}}"#), &[(OutputText, 7)]);
    }
    for usage in ["null", "5", "[1,2,3]", "\"x\"", "{}", "[[]]"] {
        check_openai_usage(usage, &[]);
        check_anthropic_usage(usage, &[]);
    }
}

#[test]
fn hostile_documents_are_unreadable_and_change_no_count() {
    let deep = format!(r#"{{"choices":{}"#, "[".repeat(100_000));
    for body in [
        "",
        "null",
        "[1,2]",
        "{",
        "{}{}",
        r#"{"usage":{"prompt_tokens":1,"completion_tokens":1}} trailing"#,
        r#"{"usage":{"prompt_tokens":1},"usage":{"prompt_tokens":2}}"#,
        r#"{"usage":{"prompt_tokens":1,"prompt_tokens":2}}"#,
        r#"{"id":"a","id":"b","usage":{"input_tokens":1,"input_tokens":2}}"#,
        "\u{feff}{}",
        &deep,
    ] {
        let mut answer = Answer::default();
        assert_eq!(openai().read_body(body.as_bytes(), &mut answer), Err(Unreadable), "{body:.60}");
        assert_eq!(answer, Answer::default());
        if !body.contains("\"id\"") {
            let read = OpenAiEmbeddings.read_body(body.as_bytes(), &mut answer);
            assert_eq!(read, Err(Unreadable), "{body:.60}");
        }
        if !body.contains("prompt_tokens\":1") {
            let read = AnthropicMessages::default().read_body(body.as_bytes(), &mut answer);
            assert_eq!(read, Err(Unreadable), "{body:.60}");
        }
        assert_eq!(answer, Answer::default());
    }
    let mut answer = Answer::default();
    assert_eq!(openai().read_body(b"{\"id\":\"\xff\"}", &mut answer), Err(Unreadable));
}

#[test]
fn depth_in_fields_we_skip_is_harmless() {
    let body = format!(
        r#"{{"x":{}1{},"choices":[],"usage":{{"prompt_tokens":3,"completion_tokens":4}}}}"#,
        "[".repeat(5_000),
        "]".repeat(5_000)
    );
    assert_eq!(counts(&read_body(openai(), &body)), [(InputUncached, 3), (OutputText, 4)]);
}

#[test]
fn an_openai_answer_is_read_whole() {
    let answer = read_body(
        openai(),
        r#"{"id":"chatcmpl-B9","object":"chat.completion","created":1741569952,"model":"gpt-5-2025-08-07","choices":[{"index":0,"message":{"role":"assistant","content":"Hi \u00e9!","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"},{"index":1,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":19,"completion_tokens":10,"total_tokens":29},"service_tier":"flex"}"#,
    );
    assert_eq!((answer.response_id.as_str(), answer.model.as_str()), ("chatcmpl-B9", "gpt-5-2025-08-07"));
    assert_eq!(answer.finish_reasons, ["stop", "tool_calls"]);
    assert_eq!(answer.billing.service_tier.as_deref(), Some("flex"));
    assert_eq!(answer.text_bytes, 6 + 1 + 7);
    assert!(answer.usage_is_final && answer.has_token && answer.error.is_none());
    assert_eq!(answer.progress, Progress::Terminated);
}

#[test]
fn an_openai_stream_is_read_to_its_last_usage() {
    let role = r#"{"id":"c","model":"gpt-5","service_tier":"default","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}],"usage":null}"#;
    let text = r#"{"id":"c","model":"gpt-5","choices":[{"index":0,"delta":{"content":"Hello"},"finish_reason":null}],"usage":null}"#;
    let stop = r#"{"id":"c","model":"gpt-5","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#;
    let usage = r#"{"id":"c","model":"gpt-5","choices":[],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10},"x_groq":{"usage":{"prompt_tokens":999}}}"#;
    assert!(!read_events(openai(), &[role]).has_token, "a role is not a token");
    let answer = read_events(openai(), &[role, text]);
    assert!(answer.has_token);
    assert_eq!((answer.progress, answer.text_bytes), (Progress::Open, 5));
    let answer = read_events(openai(), &[role, text, stop]);
    assert_eq!((answer.progress, answer.usage_is_final), (Progress::Finished, false));
    let answer = read_events(openai(), &[role, text, stop, usage]);
    assert_eq!((answer.progress, answer.usage_is_final), (Progress::Finished, true));
    let answer = read_events(openai(), &[role, text, stop, usage, "[DONE]"]);
    assert_eq!(answer.progress, Progress::Terminated);
    assert_eq!(counts(&answer), [(InputUncached, 8), (OutputText, 2)]);
    assert_eq!(answer.finish_reasons, ["stop"]);
}

#[test]
fn running_totals_are_replaced_and_final_only_at_the_end() {
    let chunk = |n: u64, finish: &str| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"reasoning_content":"hm"}},"finish_reason":{finish}}}],"usage":{{"prompt_tokens":8,"completion_tokens":{n}}}}}"#
        )
    };
    let answer = read_events(openai(), &[&chunk(1, "null"), &chunk(2, "null")]);
    assert_eq!((counts(&answer), answer.usage_is_final), (vec![(InputUncached, 8), (OutputText, 2)], false));
    assert_eq!((answer.reasoning_bytes, answer.text_bytes, answer.has_token), (4, 0, true));
    let answer = read_events(openai(), &[&chunk(1, "null"), &chunk(2, "null"), &chunk(3, "\"length\"")]);
    assert_eq!((counts(&answer), answer.usage_is_final), (vec![(InputUncached, 8), (OutputText, 3)], true));
}

#[test]
fn a_stream_of_two_choices_is_finished_when_both_are() {
    let stop =
        |index: u64| format!(r#"{{"choices":[{{"index":{index},"delta":{{}},"finish_reason":"stop"}}]}}"#);
    let open = r#"{"choices":[{"index":1,"delta":{"content":"x"}}]}"#;
    assert_eq!(read_events(openai(), &[&stop(0)]).progress, Progress::Finished);
    assert_eq!(read_events(openai(), &[&stop(0), open]).progress, Progress::Open);
    let answer = read_events(openai(), &[open, &stop(0), &stop(1)]);
    assert_eq!((answer.progress, answer.finish_reasons.len()), (Progress::Finished, 2));
    read_events(openai(), &[&stop(u32::MAX.into()), &stop(1 << 40)]);
}

#[test]
fn errors_are_named_by_code_then_type() {
    for (body, class) in [
        (
            r#"{"error":{"message":"m","type":"requests","param":null,"code":"rate_limit_exceeded"}}"#,
            Some("rate_limit_exceeded"),
        ),
        (
            r#"{"error":{"message":"m","type":"invalid_request_error","code":null}}"#,
            Some("invalid_request_error"),
        ),
        (r#"{"error":{"message":"m","code":402}}"#, Some("402")),
        (r#"{"error":{"code":"a sentence with a prompt","type":"t"}}"#, Some("t")),
        (r#"{"error":"model not found"}"#, None),
        (r#"{"error":{}}"#, None),
    ] {
        let answer = read_body(openai(), body);
        assert_eq!(answer.error, Some(class.map(str::to_owned)), "{body}");
        let answer = read_events(openai(), &[body]);
        assert_eq!(answer.error, Some(class.map(str::to_owned)), "{body}");
    }
    assert_eq!(read_body(openai(), r#"{"error":null,"choices":[]}"#).error, None);
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"m"},"request_id":"r"}"#;
    let expected = Some(Some("overloaded_error".to_owned()));
    assert_eq!(read_body(AnthropicMessages::default(), overloaded).error, expected);
    assert_eq!(read_events(AnthropicMessages::default(), &[overloaded]).error, expected);
}

const START: &str = r#"{"type":"message_start","message":{"id":"msg_01","type":"message","role":"assistant","content":[],"model":"claude-opus-5","stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"cache_creation_input_tokens":300,"cache_read_input_tokens":1000,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},"output_tokens":1,"service_tier":"standard","inference_geo":"us"}}}"#;
const TEXT_BLOCK: &str =
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
const TEXT: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#;

#[test]
fn an_anthropic_stream_merges_counts_field_by_field() {
    let input = [(InputUncached, 25), (CacheRead, 1000), (CacheWrite5m, 100), (CacheWrite1h, 200)];
    let with_output = |output: &[(TokenClass, u64)]| [&input[..], output].concat();
    let answer = read_events(AnthropicMessages::default(), &[START, r#"{"type":"ping"}"#, TEXT_BLOCK]);
    assert!(!answer.has_token, "a ping and an empty block are no tokens");
    let answer = read_events(AnthropicMessages::default(), &[START, TEXT_BLOCK, TEXT]);
    assert!(answer.has_token && !answer.usage_is_final);
    assert_eq!(answer.text_bytes, 5);
    assert_eq!(counts(&answer), with_output(&[(OutputText, 1)]));
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
        let answer = read_events(AnthropicMessages::default(), &[START, TEXT_BLOCK, TEXT, &delta, stop]);
        assert_eq!(counts(&answer), with_output(&[(OutputText, output)]), "{delta_usage}");
        assert!(answer.usage_is_final);
        assert_eq!(answer.progress, Progress::Terminated);
        assert_eq!(answer.finish_reasons, ["end_turn"]);
        assert_eq!(answer.billing.service_tier.as_deref(), Some("standard"));
        assert_eq!(answer.billing.inference_geo.as_deref(), Some("us"));
        assert_eq!((answer.response_id.as_str(), answer.model.as_str()), ("msg_01", "claude-opus-5"));
    }
}

#[test]
fn an_anthropic_count_that_comes_before_its_stop_reason_is_final_at_the_end() {
    let usage = r#"{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":15}}"#;
    let reason = r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"}}"#;
    let stop = r#"{"type":"message_stop"}"#;
    let is_final = |events: &[&str]| read_events(AnthropicMessages::default(), events).usage_is_final;
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
fn runs_outside_the_counts_are_added_or_counted_as_foreign() {
    let answer = read_body(
        AnthropicMessages::default(),
        r#"{"type":"message","id":"msg","model":"claude-opus-5","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":10,"output_tokens":20,"speed":"fast","server_tool_use":{"web_search_requests":2,"web_fetch_requests":0},"iterations":[{"type":"compaction","input_tokens":100,"output_tokens":30},{"type":"message","input_tokens":10,"output_tokens":20},{"type":"advisor_message","model":"claude-haiku-5","input_tokens":7,"output_tokens":3},{"type":"fallback_message","model":"claude-haiku-5","input_tokens":7,"output_tokens":0}]}}"#,
    );
    assert_eq!(counts(&answer), [(InputUncached, 110), (OutputText, 50)]);
    assert_eq!(answer.foreign_runs, 1, "a run without output is not billed");
    assert_eq!(answer.billing.web_search_requests, Some(2));
    assert_eq!(answer.billing.speed.as_deref(), Some("fast"));
}

#[test]
fn tool_calls_and_thinking_are_first_tokens() {
    for event in [
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu","name":"get_weather","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Let"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a"}}"#,
    ] {
        assert!(read_events(AnthropicMessages::default(), &[event]).has_token, "{event}");
    }
    for event in [
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"reasoning":"Let"}}]}"#,
        r#"{"choices":[{"index":0,"text":"Let"}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"Let"}]}}]}"#,
    ] {
        assert!(read_events(openai(), &[event]).has_token, "{event}");
    }
}

#[test]
fn embeddings_are_input_only() {
    let body = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.1,-2e-3]}],"model":"text-embedding-3-small","usage":{"prompt_tokens":8,"total_tokens":8}}"#;
    let answer = read_body(OpenAiEmbeddings, body);
    assert_eq!(counts(&answer), [(InputUncached, 8)]);
    assert_eq!((answer.output, answer.usage_is_final), (Some(TokenCounts::default()), true));
    assert_eq!(answer.model, "text-embedding-3-small");
}

#[test]
fn a_request_yields_three_facts() {
    let facts = request::read(
        r#"{"model":"gpt-5","stream":true,"messages":[{"role":"system","content":"Be kind"},{"role":"user","content":[{"type":"text","text":"What?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAAAAAAAAAA"}}]}],"tools":[{"type":"function","function":{"name":"f"}}],"user":"ada"}"#
            .as_bytes(),
    );
    assert_eq!(
        facts,
        RequestFacts { model: "gpt-5".into(), stream: true, text_bytes: 7 + 5 + 1, whole: true }
    );
    let facts = request::read(br#"{"system":[{"type":"text","text":"abc","cache_control":{"type":"ephemeral"}}],"model":"claude","messages":[{"role":"user","content":"de"}],"stream":"yes"}"#);
    assert_eq!(facts, RequestFacts { model: "claude".into(), stream: false, text_bytes: 5, whole: true });
}

#[test]
fn a_request_that_breaks_off_keeps_what_came_before() {
    let facts = request::read(br#"{"model":"gpt-5","messages":[{"role":"user","content":"Hello"},{"ro"#);
    assert_eq!(facts, RequestFacts { model: "gpt-5".into(), stream: false, text_bytes: 5, whole: false });
    for body in ["", "[]", "null", "\u{1f}\u{8b}"] {
        assert_eq!(request::read(body.as_bytes()), RequestFacts::default(), "{body}");
    }
    let deep = format!(r#"{{"model":"m","messages":{}"#, "[".repeat(100_000));
    assert_eq!(request::read(deep.as_bytes()).model, "m");
}

fn dialect(which: usize) -> Box<dyn Dialect> {
    match which {
        0 => Box::new(openai()),
        1 => Box::new(AnthropicMessages::default()),
        _ => Box::new(OpenAiEmbeddings),
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_dialect_panic(
        dialect_index in 0..3_usize,
        which in 0..4_usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut bytes = [START, TEXT, r#"{"choices":[{"index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#, "{}"][which].as_bytes().to_vec();
        for (at, to) in flips {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        let mut answer = Answer::default();
        let mut dialect = dialect(dialect_index);
        dialect.read_event(Event { name: b"", data: &bytes }, &mut answer).ok();
        dialect.read_body(&bytes, &mut answer).ok();
        prop_assert!(request::read(&bytes).text_bytes <= bytes.len() as u64);
    }
}
