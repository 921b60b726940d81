//! What holds for every dialect: calls are told by method and path, and strange JSON costs no more than itself.

use std::ops::Deref;

use ledgerline_proto::Unit::{self, InputUncached, OutputText};
use ledgerline_proto::usage_object::reread;
use ledgerline_proto::{Call, EndOfStream, Identity, SpanId, TraceId, Usage, UsageSource};
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
    hold_what_is_kept(&read.response);
    read
}

pub fn read_events(reader: Make, events: &[&str]) -> Read {
    let (mut read, mut reader) = (Read::default(), reader());
    for data in events {
        let event = Event { name: b"", data: data.as_bytes() };
        reader.read_event(event, &mut read.response, &mut read.texts).unwrap();
    }
    hold_what_is_kept(&read.response);
    read
}

/// What is kept of the provider's usage, read again, is what was read of it now: held for every response of these tests.
fn hold_what_is_kept(response: &Response) {
    let (Some(input), Some(output)) = (&response.input, &response.output) else { return };
    let mut own = input.clone();
    own.extend(output.nonzero().chain(response.fees.nonzero()));
    let usage = Usage { own, runs: response.runs.clone(), source: UsageSource::Provider };
    let usage_object = response.usage_objects.json();
    // They alone are read otherwise, and have no output.
    let may_be_embeddings = output.is_empty() && usage_object.contains("\"prompt_tokens\":");
    let call = Call {
        operation: if may_be_embeddings { Operation::Embeddings } else { Operation::Chat },
        response_model: response.model.clone(),
        usage: Some(usage.clone()),
        usage_object,
        billing: response.billing.clone(),
        ..blank_call()
    };
    assert_eq!(reread(&call), Some((usage, response.billing.gap)), "{}", call.usage_object);
}

fn blank_call() -> Call {
    Call {
        trace_id: TraceId::from_bytes([1; 16]).unwrap(),
        span_id: SpanId::from_bytes([2; 8]).unwrap(),
        parent_span_id: None,
        start_unix_ns: 1,
        end_unix_ns: 2,
        time_to_first_token_ns: None,
        operation: Operation::Chat,
        provider: String::new(),
        request_model: String::new(),
        response_model: String::new(),
        response_id: String::new(),
        stream: false,
        finish_reasons: Vec::new(),
        end: EndOfStream::Complete,
        error_type: None,
        http_status: Some(200),
        usage: None,
        usage_object: String::new(),
        billing: Billing::default(),
        identity: Identity::default(),
        unread: None,
    }
}

/// Some of these fields, each with a small count.
fn fields(names: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::option::of(0_u64..90), names.len()).prop_map(|counts| {
        let stated =
            names.iter().zip(counts).filter_map(|(name, count)| Some(format!("\"{name}\":{}", count?)));
        stated.collect::<Vec<_>>().join(",")
    })
}

const ANTHROPIC: &[&str] =
    &["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"];
const WRITTEN: &[&str] = &["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens"];

fn anthropic_usage() -> impl Strategy<Value = String> {
    let kinds =
        prop::sample::select(vec!["message", "compaction", "advisor_message", "fallback_message", "new"]);
    let run = (fields(ANTHROPIC), kinds, prop::sample::select(vec!["a", "b", ""]));
    let run = run.prop_map(|(counts, kind, model)| {
        format!(
            r#"{{{counts}{}"type":"{kind}","model":"{model}"}}"#,
            if counts.is_empty() { "" } else { "," }
        )
    });
    let parts =
        (fields(ANTHROPIC), fields(WRITTEN), fields(&["thinking_tokens"]), fields(&["web_search_requests"]));
    (parts, prop::collection::vec(run, 0..4)).prop_map(|((counts, written, thinking, searches), runs)| {
        let comma = if counts.is_empty() { "" } else { "," };
        format!(
            r#"{{{counts}{comma}"cache_creation":{{{written}}},"output_tokens_details":{{{thinking}}},"server_tool_use":{{{searches}}},"iterations":[{}]}}"#,
            runs.join(",")
        )
    })
}

fn openai_usage() -> impl Strategy<Value = String> {
    const DETAILS: &[&str] =
        &["cached_tokens", "cache_write_tokens", "reasoning_tokens", "audio_tokens", "image_tokens"];
    let names: &[&[&str]] = &[
        &["prompt_tokens", "completion_tokens", "total_tokens"],
        &["input_tokens", "output_tokens", "total_tokens"],
    ];
    (prop::sample::select(names.to_vec()).prop_flat_map(fields), fields(DETAILS), fields(DETAILS)).prop_map(
        |(counts, input, output)| {
            let comma = if counts.is_empty() { "" } else { "," };
            format!(
                r#"{{{counts}{comma}"prompt_tokens_details":{{{input}}},"completion_tokens_details":{{{output}}},"output_tokens_details":{{{output}}}}}"#
            )
        },
    )
}

proptest! {
    /// `hold_what_is_kept` holds it.
    #[test]
    fn a_kept_usage_object_is_read_again_as_it_was_read_first(
        first in anthropic_usage(),
        newest in anthropic_usage(),
        of_chat in openai_usage(),
    ) {
        let start = format!(r#"{{"type":"message_start","message":{{"model":"a","usage":{first}}}}}"#);
        let delta = format!(r#"{{"type":"message_delta","usage":{newest}}}"#);
        read_events(message_reader, &[&start]);
        read_events(message_reader, &[&start, &delta]);
        read_body(message_reader, &format!(r#"{{"type":"message","model":"a","usage":{first}}}"#));
        let chat = format!(r#"{{"model":"gpt-5-search-api","choices":[],"usage":{of_chat}}}"#);
        read_body(chat_reader, &chat);
        read_events(chat_reader, &[&chat]);
        read_body(|| reader("openai", "/embeddings")(), &chat);
        read_body(|| reader("openai", "/responses")(), &format!(r#"{{"status":"completed","usage":{of_chat}}}"#));
    }
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
