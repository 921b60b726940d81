//! What holds for every dialect: calls are told by method and path, and strange JSON costs no more than itself.

use std::ops::Deref;

use ledgerline_proto::Unit::{self, InputUncached, OutputText};
use proptest::prelude::*;

use super::*;

type Make = fn() -> Box<dyn Reader>;

/// What was read.
#[derive(Debug, Default)]
pub struct Read {
    pub response: Response,
    pub texts: TextCounts,
}

impl Deref for Read {
    type Target = Response;

    fn deref(&self) -> &Response {
        &self.response
    }
}

pub fn read_body(reader: Make, body: &str) -> Read {
    let mut read = Read::default();
    reader().read_body(body.as_bytes(), &mut read.response, &mut read.texts).unwrap();
    read
}

pub fn read_events(reader: Make, events: &[&str]) -> Read {
    let (mut read, mut reader) = (Read::default(), reader());
    for data in events {
        let event = Event { name: b"", data: data.as_bytes() };
        reader.read_event(event, &mut read.response, &mut read.texts).unwrap();
    }
    read
}

pub fn counts(response: &Response) -> Vec<(Unit, u64)> {
    response.input.iter().chain(&response.output).flat_map(Quantities::nonzero).collect()
}

fn reader(dialect: &str, path: &str) -> Make {
    find(dialect).unwrap().endpoint(&Method::POST, path).unwrap().reader
}

#[test]
fn a_call_is_told_by_its_method_and_the_end_of_its_path() {
    for (dialect, path, operation) in [
        ("openai", "/v1/chat/completions", Some("chat")),
        ("openai", "/openai/deployments/mine/chat/completions/", Some("chat")),
        ("openai", "/v1/completions", Some("text_completion")),
        ("openai", "/completions", Some("text_completion")),
        ("openai", "/v1/embeddings", Some("embeddings")),
        ("openai", "/", None),
        ("openai", "/v1/models", None),
        ("openai", "/v1/moderations", None),
        ("openai", "/v1/chat/completions/chatcmpl-1", None),
        ("openai", "/v1/messages", None),
        ("openai", "/v1/xembeddings", None),
        ("anthropic", "/v1/messages", Some("chat")),
        ("anthropic", "/v1/messages/count_tokens", None),
        ("anthropic", "/v1/messages/batches", None),
        ("anthropic", "/v1/chat/completions", None),
    ] {
        let endpoint = |method| find(dialect).unwrap().endpoint(&method, path);
        let found = endpoint(Method::POST).map(|endpoint| endpoint.operation.name());
        assert_eq!(found, operation, "{dialect} {path}");
        assert!(endpoint(Method::DELETE).is_none());
    }
    assert!(find("cohere").is_none() && find("").is_none());
}

#[test]
fn a_star_stands_for_one_segment_or_its_beginning() {
    for (path, segments, expected) in [
        ("/v1/responses/resp_1", "/responses/*", true),
        ("/responses/resp_1/", "/responses/*", true),
        ("/v1/responses", "/responses/*", false),
        ("/v1/responses/resp_1/cancel", "/responses/*", false),
        ("/v1/models/m-1:generate", "/models/*:generate", true),
        ("/v1/models/:generate", "/models/*:generate", false),
        ("/responses", "/v1/responses", false),
    ] {
        assert_eq!(ends_with(path, segments), expected, "{path} {segments}");
    }
}

#[test]
fn names_are_distinct() {
    for (index, name) in names().enumerate() {
        assert_eq!(ALL.iter().position(|spec| spec.name == name), Some(index));
    }
}

fn check_usage(of_chat: &str, of_messages: &str, expected: &[(Unit, u64)]) {
    let chat = format!(r#"{{"choices":[],"usage":{of_chat}}}"#);
    assert_eq!(counts(&read_body(chat_reader, &chat)), expected, "{of_chat}");
    let message = format!(r#"{{"type":"message","usage":{of_messages}}}"#);
    assert_eq!(counts(&read_body(message_reader, &message)), expected, "{of_messages}");
}

fn chat_reader() -> Box<dyn Reader> {
    reader("openai", "/chat/completions")()
}

fn message_reader() -> Box<dyn Reader> {
    reader("anthropic", "/messages")()
}

#[test]
fn a_whole_count_is_read_however_it_is_written() {
    for (written, count) in
        [("10", 10), ("10.0", 10), ("1e3", 1_000), ("1.5e1", 15), ("0.0", 0), ("4294967295.0", 4_294_967_295)]
    {
        check_usage(
            &format!(r#"{{"prompt_tokens":{written},"completion_tokens":7}}"#),
            &format!(r#"{{"input_tokens":{written},"output_tokens":7}}"#),
            &[(InputUncached, count), (OutputText, 7)]
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .collect::<Vec<_>>(),
        );
    }
}

#[test]
fn a_count_that_is_none_is_absent_and_spoils_nothing_else() {
    for bad in [
        "\"12\"",
        "-1",
        "1.5",
        "-0.5",
        "-3.0",
        "4294967296.0",
        "1e300",
        "4294967296",
        "99999999999999999999",
        "null",
        "[1]",
        "{}",
        "true",
    ] {
        check_usage(
            &format!(r#"{{"prompt_tokens":{bad},"completion_tokens":7}}"#),
            &format!(r#"{{"input_tokens":{bad},"output_tokens":7}}"#),
            &[(OutputText, 7)],
        );
        check_usage(
            &format!(
                r#"{{"prompt_tokens":9,"completion_tokens":7,"prompt_tokens_details":{{"cached_tokens":{bad}}}}}"#
            ),
            &format!(r#"{{"input_tokens":9,"output_tokens":7,"cache_read_input_tokens":{bad}}}"#),
            &[(InputUncached, 9), (OutputText, 7)],
        );
    }
    for usage in ["null", "5", "[1,2,3]", "\"x\"", "{}", "[[]]"] {
        check_usage(usage, usage, &[]);
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
        for endpoint in ALL.iter().flat_map(|spec| spec.endpoints) {
            let mut read = Read::default();
            // What repeats a field that this reader does not read is fine with it.
            if (endpoint.reader)().read_body(body.as_bytes(), &mut read.response, &mut read.texts).is_ok() {
                assert!(body.starts_with("{\"") && !body.contains("trailing"), "{body:.60}");
                continue;
            }
            assert_eq!(read.response, Response::default(), "{body:.60}");
            assert_eq!(read.texts, TextCounts::default(), "{body:.60}");
        }
        let read =
            chat_reader().read_body(body.as_bytes(), &mut Response::default(), &mut TextCounts::default());
        assert_eq!(read, Err(Unreadable), "{body:.60}");
    }
}

#[test]
fn what_clients_read_is_read_as_they_do() {
    for (document, expected) in [
        (r#"{"usage":{"prompt_tokens":1,"prompt_tokens":2}}"#, Some(r#"{"usage":{"prompt_tokens":2}}"#)),
        (r#"{"usage":{"a":1},"usage":null}"#, Some(r#"{"usage":null}"#)),
        (
            r#"{"a":"\ud83d\ude00 \\ud83d \ude00\ud83d","a\udc00":0}"#,
            Some("{\"a\":\"\u{1f600} \\\\ud83d \u{fffd}\u{fffd}\",\"a\u{fffd}\":0}"),
        ),
        (r#"{"a":"\ud83d"#, None),
        (r#"[{"a":1,"a":2}]"#, None),
        (r#"{"a":1"#, None),
    ] {
        let found = as_clients_read(document.as_bytes());
        assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{document}");
    }
    let long = format!(r#"{{"a":1,"a":"{}"}}"#, "x".repeat(json::REPEATED_BYTES_MAX));
    assert_eq!(as_clients_read(long.as_bytes()), None);
    let half = long.replacen("a\":\"", r#"b":"\uDC00"#, 1);
    assert_eq!(as_clients_read(half.as_bytes()), Some(half.replace(r"\uDC00", r"\ufffd").into_bytes()));
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
        let read = read_body(chat_reader, body);
        assert_eq!(read.error, Some(class.map(str::to_owned)), "{body}");
        let read = read_events(chat_reader, &[body]);
        assert_eq!(read.error, Some(class.map(str::to_owned)), "{body}");
    }
    assert_eq!(read_body(chat_reader, r#"{"error":null,"choices":[]}"#).error, None);
    let overloaded = r#"{"type":"error","error":{"type":"overloaded_error","message":"m"},"request_id":"r"}"#;
    let expected = Some(Some("overloaded_error".to_owned()));
    assert_eq!(read_body(message_reader, overloaded).error, expected);
    assert_eq!(read_events(message_reader, &[overloaded]).error, expected);
}

#[test]
fn tool_calls_and_thinking_are_first_tokens() {
    for event in [
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu","name":"get_weather","input":{}}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Let"}}"#,
        r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a"}}"#,
    ] {
        assert!(read_events(message_reader, &[event]).texts.has_part, "{event}");
    }
    for event in [
        r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call","type":"function","function":{"name":"f","arguments":""}}]}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"reasoning":"Let"}}]}"#,
        r#"{"choices":[{"index":0,"text":"Let"}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":[{"type":"text","text":"Let"}]}}]}"#,
    ] {
        assert!(read_events(chat_reader, &[event]).texts.has_part, "{event}");
    }
}

/// Notes what came.
#[derive(Default)]
struct Notes(Vec<(Kind, String)>);

impl TextSink for Notes {
    fn take(&mut self, kind: Kind, text: &str) {
        self.0.push((kind, text.to_owned()));
    }
}

#[test]
fn a_request_yields_facts_and_texts() {
    use Kind::{Reasoning, Text, Tool};
    let check = |body: &str, facts: RequestFacts, expected: &[(Kind, &str)]| {
        let mut notes = Notes::default();
        assert_eq!(request::read(body.as_bytes(), &mut notes), facts, "{body}");
        let found: Vec<_> = notes.0.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
        assert_eq!(found, expected, "{body}");
    };
    check(
        r#"{"model":"gpt-5","stream":true,"messages":[{"role":"system","content":"Be kind"},{"role":"user","content":[{"type":"text","text":"Wh\u0061t?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAAAAAAAAAA"}}]},{"role":"assistant","tool_calls":[{"id":"c","function":{"arguments":"{}"}}]},{"role":"tool","tool_call_id":"c","content":"7"}],"tools":[{"type":"function","function":{"name":"f"}}],"user":"ada"}"#,
        RequestFacts { model: "gpt-5".into(), stream: true, whole: true },
        &[(Text, "Be kind"), (Text, "What?"), (Tool, "{}"), (Text, "7"), (Tool, "f")],
    );
    check(
        r#"{"system":[{"type":"text","text":"abc","cache_control":{"type":"ephemeral"}}],"model":"claude","messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"hm","signature":"x"}]},{"role":"user","content":"de"}],"stream":"yes"}"#,
        RequestFacts { model: "claude".into(), stream: false, whole: true },
        &[(Text, "abc"), (Reasoning, "hm"), (Text, "de")],
    );
}

#[test]
fn a_request_that_breaks_off_keeps_what_came_before() {
    let read = |body: &str| {
        let mut texts = TextCounts::default();
        (request::read(body.as_bytes(), &mut texts), texts.text_bytes)
    };
    let facts = RequestFacts { model: "gpt-5".into(), stream: false, whole: false };
    assert_eq!(read(r#"{"model":"gpt-5","messages":[{"role":"user","content":"Hello"},{"ro"#), (facts, 5));
    for body in ["", "[]", "null", "\u{1f}\u{8b}"] {
        assert_eq!(read(body), (RequestFacts::default(), 0), "{body}");
    }
    let deep = format!(r#"{{"model":"m","messages":{}"#, "[".repeat(100_000));
    assert_eq!(read(&deep).0.model, "m");
}

#[test]
fn texts_of_a_response_go_to_the_sink_as_they_are_read() {
    use Kind::*;
    let check = |make: Make, events: &[&str], expected: &[(Kind, &str)]| {
        let (mut notes, mut reader) = (Notes::default(), make());
        for data in events {
            let event = Event { name: b"", data: data.as_bytes() };
            reader.read_event(event, &mut Response::default(), &mut notes).unwrap();
        }
        let found: Vec<_> = notes.0.iter().map(|(kind, text)| (*kind, text.as_str())).collect();
        assert_eq!(found, expected);
    };
    check(
        chat_reader,
        &[
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"reasoning":"hm","reasoning_content":"hm"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"a\nb"}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","function":{"name":"f","arguments":"{"}}]}}]}"#,
        ],
        &[(Reasoning, "hm"), (Text, "a\nb"), (Tool, "f"), (Tool, "{")],
    );
    check(
        message_reader,
        &[
            r#"{"type":"content_block_start","content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"text_delta","text":"a"}}"#,
            r#"{"type":"content_block_start","content_block":{"type":"tool_use","name":"f","input":{}}}"#,
            r#"{"type":"content_block_delta","delta":{"type":"input_json_delta","partial_json":"{"}}"#,
            r#"{"type":"content_block_start","content_block":{"type":"redacted_thinking","data":"x"}}"#,
        ],
        &[(Text, "a"), (Tool, "f"), (Tool, "{"), (Reasoning, "")],
    );
}

proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(
        which in 0..4_usize,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let start = r#"{"type":"message_start","message":{"id":"m","content":[],"usage":{"input_tokens":25,"cache_creation":{"ephemeral_5m_input_tokens":1},"output_tokens":1}}}"#;
        let text = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hello"}}"#;
        let chunk = r#"{"choices":[{"index":0,"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#;
        let mut bytes = [start, text, chunk, "{}"][which].as_bytes().to_vec();
        for (at, to) in flips {
            let at = at.index(bytes.len());
            bytes[at] = to;
        }
        for endpoint in ALL.iter().flat_map(|spec| spec.endpoints) {
            let (mut reader, mut read) = ((endpoint.reader)(), Read::default());
            reader.read_event(Event { name: b"", data: &bytes }, &mut read.response, &mut read.texts).ok();
            reader.read_body(&bytes, &mut read.response, &mut read.texts).ok();
            let _any = as_clients_read(&bytes);
            let mut texts = TextCounts::default();
            reader.read_request(&bytes, &mut texts);
            prop_assert!(texts.text_bytes <= bytes.len() as u64);
        }
    }
}
