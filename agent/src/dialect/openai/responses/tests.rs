//! Responses in the shapes the provider sends them: whole, streamed, in the background, and spoilt.

use ledgerline_proto::Conditions;
use ledgerline_proto::Unit::{
    self, CacheRead, CacheWrite12h, CacheWrite30m, InputUncached, OutputReasoning, OutputText,
};

use super::*;
use crate::dialect::tests::{Read, counts, read_body, read_events};

const READER: fn() -> Box<dyn Reader> = || Box::new(ResponsesReader);

/// A whole response with these fields beside the usual.
fn body(status: &str, more: &str) -> String {
    format!(
        r#"{{"id":"resp_1","object":"response","created_at":1741476542,"status":"{status}","background":false,"error":null,"incomplete_details":null,"model":"gpt-5-2025-08-07","service_tier":"default"{more}}}"#
    )
}

const USAGE: &str = r#","usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":10,"cache_write_tokens":0},"output_tokens":87,"output_tokens_details":{"reasoning_tokens":64},"total_tokens":123}"#;

fn read(status: &str, more: &str) -> Read {
    read_body(READER, &body(status, more))
}

#[test]
fn a_whole_response_is_read() {
    let output = r#","output":[{"id":"rs_1","type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]},{"id":"msg_1","type":"message","status":"completed","role":"assistant","content":[{"type":"output_text","text":"Hi \u00e9!","annotations":[]},{"type":"refusal","refusal":"no"}]}]"#;
    let read = read("completed", &format!("{output}{USAGE}"));
    assert_eq!((read.response_id.as_str(), read.model.as_str()), ("resp_1", "gpt-5-2025-08-07"));
    assert_eq!(read.billing.conditions.get(Condition::ServiceTier), Some("default"));
    assert_eq!(read.finish_reasons, ["stop"]);
    assert_eq!((read.texts.text_bytes, read.texts.reasoning_bytes), (6 + 2, 2));
    assert_eq!(
        counts(&read),
        [(InputUncached, 26), (CacheRead, 10), (OutputText, 23), (OutputReasoning, 64)]
    );
    assert!(read.usage_is_final && !read.is_running && read.error.is_none());
    assert_eq!((read.progress, read.billing.gap), (Progress::Terminated, None));
}

#[test]
fn counts_are_made_disjoint() {
    let check = |usage: &str, expected: &[(Unit, u64)]| {
        assert_eq!(counts(&read("completed", &format!(r#","usage":{usage}"#))), expected, "{usage}");
    };
    check(
        r#"{"input_tokens":1000.0,"input_tokens_details":{"cached_tokens":100,"cache_write_tokens":500,"cache_write_tokens_details":{"ttl_30m_tokens":300,"ttl_12h_tokens":200}},"output_tokens":7,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":1007}"#,
        &[
            (InputUncached, 400),
            (CacheRead, 100),
            (CacheWrite30m, 300),
            (CacheWrite12h, 200),
            (OutputText, 7),
        ],
    );
    check(r#"{"input_tokens":5,"output_tokens":2}"#, &[(InputUncached, 5), (OutputText, 2)]);
    // A compatible server that states reasoning beside the output, as the total shows.
    check(
        r#"{"input_tokens":5,"output_tokens":2,"total_tokens":10,"output_tokens_details":{"reasoning_tokens":3}}"#,
        &[(InputUncached, 5), (OutputText, 2), (OutputReasoning, 3)],
    );
    for nothing in ["null", "[]", "{}", "7", r#"{"input_tokens":"5"}"#, r#"{"prompt_tokens":5}"#] {
        check(nothing, &[]);
    }
    assert!(!read("completed", r#","usage":null"#).usage_is_final, "missing is not zero");
}

#[test]
fn every_end_has_its_reason() {
    let call = |kind: &str| format!(r#","output":[{{"type":"{kind}","name":"f","arguments":"{{}}"}}]"#);
    for (status, more, reasons, error) in [
        ("completed", String::new(), &["stop"][..], None),
        ("completed", call("function_call"), &["tool_calls"], None),
        ("completed", call("custom_tool_call"), &["tool_calls"], None),
        ("completed", call("mcp_call"), &["stop"], None),
        ("cancelled", String::new(), &["cancelled"], None),
        ("failed", String::new(), &[], Some(None)),
    ] {
        let read = read(status, &more);
        assert_eq!(read.finish_reasons, reasons, "{status} {more}");
        assert_eq!((&read.error, read.progress), (&error, Progress::Terminated), "{status} {more}");
    }
    for reason in ["max_output_tokens", "content_filter"] {
        let text = body("incomplete", USAGE).replace(
            r#""incomplete_details":null"#,
            &format!(r#""incomplete_details":{{"reason":"{reason}"}}"#),
        );
        let read = read_body(READER, &text);
        assert_eq!((read.finish_reasons.as_slice(), read.usage_is_final), (&[reason.to_owned()][..], true));
        assert_eq!(read.error, None);
    }
    let failed = body("failed", "")
        .replace(r#""error":null"#, r#""error":{"code":"server_error","message":"a secret"}"#);
    assert_eq!(read_body(READER, &failed).error, Some(Some("server_error".to_owned())));
    let refused = r#"{"error":{"message":"m","type":"invalid_request_error","param":"model","code":null}}"#;
    assert_eq!(read_body(READER, refused).error, Some(Some("invalid_request_error".to_owned())));
}

#[test]
fn a_response_in_the_background_is_running_until_it_says_otherwise() {
    for (status, background, is_running) in [
        ("queued", "true", true),
        ("in_progress", "true", true),
        ("in_progress", "false", false),
        ("completed", "true", false),
        ("cancelled", "true", false),
        ("failed", "true", false),
    ] {
        let text =
            body(status, "").replace(r#""background":false"#, &format!(r#""background":{background}"#));
        assert_eq!(read_body(READER, &text).is_running, is_running, "{status} {background}");
    }
}

#[test]
fn a_compaction_is_read_as_a_response() {
    let text = format!(
        r#"{{"id":"resp_c","object":"response.compaction","created_at":1,"output":[{{"type":"compaction","encrypted_content":"AAAA"}}]{USAGE}}}"#
    );
    let read = read_body(READER, &text);
    assert_eq!((read.response_id.as_str(), read.progress), ("resp_c", Progress::Terminated));
    assert_eq!(counts(&read).len(), 4);
    assert!(read.usage_is_final);
}

#[test]
fn tools_of_the_provider_are_counted_or_leave_a_gap() {
    let search = r#"{"type":"web_search_call","status":"completed","action":{"type":"search","query":"q"}}"#;
    let open = r#"{"type":"web_search_call","status":"completed","action":{"type":"open_page","url":"u"}}"#;
    let old = r#"{"type":"web_search_call","status":"completed"}"#;
    let reasoning = r#"{"type":"reasoning","summary":[]}"#;
    let check = |items: &[&str], more: &str, searches: u64, gap: Option<BillGap>| {
        let more = format!(r#","output":[{}]{more}"#, items.join(","));
        let read = read("completed", &more);
        assert_eq!((read.fees.get(Unit::WebSearch), read.billing.gap), (searches, gap), "{more:.200}");
    };
    let tool = Some(BillGap::Tool);
    check(&[], "", 0, None);
    check(&[search, open, search, old], r#","tools":[{"type":"web_search"}]"#, 3, None);
    // The provider's own count knows of discounts.
    check(&[search, search], r#","tool_usage":{"web_search":{"num_requests":1}}"#, 1, None);
    check(&[], r#","tool_usage":{"web_search":{"num_requests":0},"image_gen":{"total_tokens":0}}"#, 0, None);
    // The older tool has a fee of its own with models that do not reason.
    check(&[search], r#","tools":[{"type":"web_search_preview_2025_03_11"}]"#, 1, tool);
    check(&[open], r#","tools":[{"type":"web_search_preview"}]"#, 0, None);
    check(&[reasoning, search], r#","tools":[{"type":"web_search_preview"}]"#, 1, None);
    for kind in ["file_search_call", "code_interpreter_call", "image_generation_call"] {
        check(&[&format!(r#"{{"type":"{kind}"}}"#)], "", 0, tool);
    }
    check(&[], r#","tool_usage":{"image_gen":{"total_tokens":4000}}"#, 0, tool);
    check(&[r#"{"type":"shell_call","environment":{"type":"container_reference"}}"#], "", 0, tool);
    for free in [
        r#"{"type":"shell_call","environment":{"type":"local"}}"#,
        r#"{"type":"computer_call"}"#,
        r#"{"type":"mcp_call"}"#,
        "7",
    ] {
        check(&[free], "", 0, None);
    }
    check(&vec![search; 1_000], "", 1_000, None);
}

fn created(status: &str, background: bool) -> String {
    format!(
        r#"{{"type":"response.{}","sequence_number":0,"response":{{"id":"resp_1","status":"{status}","background":{background},"model":"gpt-5","output":[],"usage":null}}}}"#,
        if status == "queued" { "queued" } else { "created" }
    )
}

fn last(status: &str, usage: &str) -> String {
    format!(
        r#"{{"type":"response.{status}","sequence_number":9,"response":{{"id":"resp_1","status":"{status}","background":true,"model":"gpt-5","service_tier":"flex","output":[{{"type":"message","content":[{{"type":"output_text","text":"Hello"}}]}}]{usage}}}}}"#
    )
}

const TEXT: &str = r#"{"type":"response.output_text.delta","item_id":"m","output_index":0,"content_index":0,"delta":"Hello","logprobs":[]}"#;

#[test]
fn a_stream_states_its_usage_in_its_last_event() {
    let start = created("in_progress", false);
    let read = read_events(
        READER,
        &[&start, r#"{"type":"response.in_progress","response":{"status":"in_progress"}}"#],
    );
    assert_eq!((read.progress, read.texts.has_part, read.is_running), (Progress::Open, false, false));
    assert_eq!(read.response_id, "resp_1");
    let read = read_events(READER, &[&start, TEXT]);
    assert_eq!((read.progress, read.texts.text_bytes, read.usage_is_final), (Progress::Open, 5, false));
    for status in ["completed", "incomplete", "failed"] {
        let end = last(status, USAGE);
        let read = read_events(
            READER,
            &[&start, TEXT, r#"{"type":"response.output_text.done","text":"Hello"}"#, &end],
        );
        assert_eq!((read.progress, read.usage_is_final), (Progress::Terminated, true), "{status}");
        assert_eq!(read.texts.text_bytes, 5, "what the last event repeats is not counted again");
        assert_eq!(counts(&read).len(), 4);
        assert_eq!(read.billing.conditions.get(Condition::ServiceTier), Some("flex"));
        assert_eq!(read.error.is_some(), status == "failed");
    }
}

#[test]
fn the_tier_is_the_one_that_served() {
    let start =
        created("in_progress", false).replace(r#""output":[]"#, r#""service_tier":"auto","output":[]"#);
    assert_eq!(read_events(READER, &[&start]).billing.conditions, Conditions::default());
    let asked = start.replace("auto", "priority");
    assert_eq!(
        read_events(READER, &[&asked]).billing.conditions.get(Condition::ServiceTier),
        Some("priority")
    );
    let read = read_events(READER, &[&asked, &last("completed", USAGE)]);
    assert_eq!(read.billing.conditions.get(Condition::ServiceTier), Some("flex"));
}

#[test]
fn deltas_are_first_tokens_and_nothing_else_is() {
    for (event, texts) in [
        (r#"{"type":"response.reasoning_summary_text.delta","delta":"hm"}"#, Some((0, 2))),
        (r#"{"type":"response.reasoning_text.delta","delta":"hm"}"#, Some((0, 2))),
        (r#"{"type":"response.refusal.delta","delta":"no"}"#, Some((2, 0))),
        (r#"{"type":"response.function_call_arguments.delta","delta":"{\"a"}"#, Some((3, 0))),
        (r#"{"type":"response.custom_tool_call_input.delta","delta":"ls"}"#, Some((2, 0))),
        (
            r#"{"type":"response.output_item.added","item":{"type":"function_call","name":"f","arguments":""}}"#,
            Some((1, 0)),
        ),
        (r#"{"type":"response.audio.delta","delta":"AAAA"}"#, Some((0, 0))),
        (r#"{"type":"response.output_item.added","item":{"type":"message","content":[]}}"#, None),
        (r#"{"type":"response.content_part.added","part":{"type":"output_text","text":""}}"#, None),
        (r#"{"type":"response.output_text.delta","delta":""}"#, None),
        (
            r#"{"type":"response.output_item.done","item":{"type":"function_call","name":"f","arguments":"{}"}}"#,
            None,
        ),
        (r#"{"type":"response.of_the.future","delta":{"a":1},"response":7,"item":[]}"#, None),
        (r#"{"type":"keepalive","sequence_number":3}"#, None),
        (r#"{"type":7}"#, None),
    ] {
        let texts_read = read_events(READER, &[event]).texts;
        let expected = texts.unwrap_or_default();
        assert_eq!((texts_read.text_bytes, texts_read.reasoning_bytes), expected, "{event}");
        assert_eq!(texts_read.has_part, texts.is_some(), "{event}");
    }
}

#[test]
fn an_error_event_ends_the_stream_with_its_class() {
    for (event, class) in [
        (
            r#"{"type":"error","code":"rate_limit_exceeded","message":"m","param":null}"#,
            Some("rate_limit_exceeded"),
        ),
        (r#"{"type":"error","code":null,"message":"m"}"#, None),
        (r#"{"type":"error","error":{"type":"server_error","code":"overloaded"}}"#, Some("overloaded")),
    ] {
        let read = read_events(READER, &[&created("in_progress", false), TEXT, event]);
        assert_eq!(read.error, Some(class.map(str::to_owned)), "{event}");
        assert_eq!(read.progress, Progress::Terminated);
    }
}

#[test]
fn what_is_no_json_changes_nothing() {
    for data in ["{", "[]", "null", r#"{"type":"response.created","type":"x"}"#, "{}{}"] {
        let mut read = Read::default();
        let event = Event { name: b"response.created", data: data.as_bytes() };
        let result = ResponsesReader.read_event(event, &mut read.response, &mut read.texts);
        assert_eq!((result, &read.response), (Err(Unreadable), &Response::default()), "{data}");
    }
    for data in ["", " ", "[DONE]", "{}"] {
        assert_eq!(read_events(READER, &[data]).response, Response::default(), "{data}");
    }
}
