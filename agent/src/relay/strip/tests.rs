//! What came of the injection goes, every other byte stays, however the stream is cut.

use proptest::prelude::*;

use super::*;

const CONTENT: &str = concat!(
    r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-5","choices":[{"index":0,"delta":{"content":"say \"choices\":[] "#,
    "\u{e9}",
    r#""},"finish_reason":null}],"usage":null}"#
);
const USAGE: &str = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","model":"gpt-5","system_fingerprint":"fp","choices":[],"usage":{"prompt_tokens":8,"completion_tokens":2,"total_tokens":10,"prompt_tokens_details":{"cached_tokens":0}}}"#;
const AZURE: &str = r#"data: {"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{}}]}"#;
const DONE: &str = "data: [DONE]";

/// [`CONTENT`] as the provider sends it to who does not ask for usage.
fn content_unasked() -> String {
    CONTENT.replace(",\"usage\":null", "")
}

/// Output for the input cut into those chunks, one element per push, then what `finish` gave.
fn run(chunks: &[&[u8]]) -> Vec<Bytes> {
    let mut strip = UsageStrip::new(Framing::Events);
    let mut out: Vec<Bytes> = chunks.iter().map(|chunk| strip.push(&Bytes::copy_from_slice(chunk))).collect();
    out.push(strip.finish());
    out
}

fn joined(out: &[Bytes]) -> String {
    String::from_utf8(out.concat()).unwrap()
}

/// Each text becomes the other, together and in chunks of all sizes.
fn check(pieces: &[(&str, &str)]) {
    let (input, expected): (String, String) = pieces.iter().copied().unzip();
    for size in [1, 2, 3, 50, usize::MAX] {
        let chunks: Vec<&[u8]> = input.as_bytes().chunks(size).collect();
        assert_eq!(joined(&run(&chunks)), expected, "{input:?} in chunks of {size}");
    }
}

fn passes(text: &str) {
    check(&[(text, text)]);
}

#[test]
fn what_came_of_the_injection_is_stripped_and_nothing_else() {
    let event = |text: &str| format!("{text}\n\n");
    check(&[
        (&event(AZURE), &event(AZURE)),
        (&event(CONTENT), &event(&content_unasked())),
        (&event(USAGE), ""),
        (&event(DONE), &event(DONE)),
    ]);
    for end in ["\n\n", "\r\n\r\n", "\r\r"] {
        let done = format!("{DONE}{end}");
        check(&[
            (&format!("{CONTENT}{end}"), &format!("{}{end}", content_unasked())),
            (&format!("{USAGE}{end}"), ""),
            (&done, &done),
        ]);
    }
    check(&[(CONTENT, &content_unasked())]);
    check(&[(&format!("{CONTENT}\n\n"), &format!("{}\n\n", content_unasked())), (USAGE, "")]);
    check(&[
        (": keep-alive\n", ": keep-alive\n"),
        (&format!("event: message\nid: 4\n{USAGE}\n\n"), ""),
        (": x\n\n\n", ": x\n\n\n"),
    ]);
    check(&[
        ("data: {\"choices\" : [ ] ,\ndata: \"usage\" : { } }\n\n", ""),
        ("data:{\"usage\":{\"a\":\"}\\\"\"},\"choices\":[]}\r\n\r\n", ""),
    ]);
}

#[test]
fn a_usage_that_is_null_goes_with_its_comma() {
    for (from, to) in [
        (r#"{"choices":[{}],"usage":null}"#, r#"{"choices":[{}]}"#),
        (r#"{"usage":null,"choices":[{}]}"#, r#"{"choices":[{}]}"#),
        (r#"{ "usage" : null , "choices" : [ ] }"#, r#"{ "choices" : [ ] }"#),
        (r#"{"choices":[] , "usage" : null,"x":{"usage":null}}"#, r#"{"choices":[] ,"x":{"usage":null}}"#),
    ] {
        check(&[(&format!("data: {from}\n\n"), &format!("data: {to}\n\n"))]);
        check(&[(
            &format!("data: {{\ndata: {}\n\n", &from[1..]),
            &format!("data: {{\ndata: {}\n\n", &to[1..]),
        )]);
        check(&[(&format!("id: 1\r\ndata:{from}\r\n\r\n"), &format!("id: 1\r\ndata:{to}\r\n\r\n"))]);
    }
}

#[test]
fn a_byte_order_mark_does_not_save_the_usage_chunk() {
    let text = format!("\u{feff}{USAGE}\n\n{DONE}\n\n");
    assert_eq!(joined(&run(&[text.as_bytes()])), format!("{DONE}\n\n"));
}

#[test]
fn what_only_looks_like_it_passes() {
    for text in [
        r#"data: {"usage":null}"#,
        r#"data: {"choices":[{}],"usage":null,"usage":null}"#,
        r#"data: {"choices":[{}],"us\u0061ge":null}"#,
        r#"data: {"choices":[{"usage":null}]}"#,
        r#"data: {"choices":[{}],"usage":null} trailing"#,
        "data: {\"choices\":[{}],\ndata: \"usage\":null}",
        r#"data: {"choices":[]}"#,
        r#"data: {"usage":{"prompt_tokens":1}}"#,
        r#"data: {"choices":[{}],"usage":{"prompt_tokens":1}}"#,
        r#"data: {"choices":null,"usage":{"prompt_tokens":1}}"#,
        r#"data: {"x":{"choices":[],"usage":{}}}"#,
        r#"data: {"choices":[],"usage":{}} trailing"#,
        r#"data: {"choices":[],"usage":{}"#,
        r#"data: {"choices":[],"choices":[],"usage":{}}"#,
        r#"data: {"choices":[],"usage":{},"usage":{}}"#,
        r#"data: {"ch\u006fices":[],"usage":{}}"#,
        r#"data: ["choices",[],"usage",{}]"#,
        r#"data: "{\"choices\":[],\"usage\":{}}""#,
        r#"other: {"choices":[],"usage":{}}"#,
        r#" data: {"choices":[],"usage":{}}"#,
        r#": data: {"choices":[],"usage":{}}"#,
        r#"{"choices":[],"usage":{}}"#,
        "data: {\"choices\":[],\"x\":\"a\ndata: b\",\"usage\":{}}",
        "data: ]}",
        "data",
        "data:",
        "dat",
    ] {
        passes(&format!("{text}\n\n"));
        passes(text);
    }
}

#[test]
fn chunks_keep_their_boundaries_and_their_memory() {
    let mut strip = UsageStrip::new(Framing::Events);
    let two = Bytes::from(format!("{AZURE}\n\n{AZURE}\n\n"));
    let out = strip.push(&two);
    assert_eq!((out.as_ptr(), out.len()), (two.as_ptr(), two.len()));
    assert_eq!(strip.push(&Bytes::from(format!("{USAGE}\n\n"))), "");
    let done = Bytes::from(format!("{DONE}\n\n"));
    assert_eq!(strip.push(&done), done);
    assert_eq!(
        strip.push(&Bytes::from(": keep-alive\n")),
        ": keep-alive\n",
        "what is no event does not wait"
    );
    assert_eq!(strip.finish(), "");

    let mut strip = UsageStrip::new(Framing::Events);
    let out = strip.push(&Bytes::from(format!("{CONTENT}\n\n{USAGE}\n\n{DONE}\n\n")));
    assert_eq!(out, format!("{}\n\n{DONE}\n\n", content_unasked()));
}

#[test]
fn an_event_waits_until_it_is_complete() {
    let mut strip = UsageStrip::new(Framing::Events);
    assert_eq!(strip.push(&Bytes::from(format!("{AZURE}\n\n{AZURE}"))), format!("{AZURE}\n\n"));
    assert_eq!(strip.push(&Bytes::from("\n")), "");
    assert_eq!(strip.push(&Bytes::from(format!("\n{AZURE}"))), format!("{AZURE}\n\n"));
    assert_eq!(strip.finish(), AZURE);
}

#[test]
fn what_does_not_end_is_not_held_for_ever() {
    let mut strip = UsageStrip::new(Framing::Events);
    let mut sent = strip.push(&Bytes::from("data: {\"padding\":\"")).to_vec();
    let piece = Bytes::from(vec![b'x'; 10 << 10]);
    for _ in 0..6 {
        assert_eq!(strip.push(&piece), "");
    }
    sent.extend(strip.push(&piece));
    assert_eq!(sent.len(), 18 + 7 * piece.len());
    let usage = Bytes::from(format!("\"}}\n\n{USAGE}\n\n"));
    assert_eq!(strip.push(&usage), usage, "the filter has given up");
}

#[test]
fn the_first_byte_tells_where_the_head_does_not() {
    let run = |text: &str| {
        let mut strip = UsageStrip::new(Framing::ByFirstByte);
        let mut out: Vec<Bytes> =
            text.as_bytes().chunks(1).map(|byte| strip.push(&Bytes::copy_from_slice(byte))).collect();
        out.push(strip.finish());
        joined(&out)
    };
    let document = r#"{"choices":[],"usage":{}}"#;
    assert_eq!(
        run(&format!("\n {document}\n\ndata: {document}\n\n")),
        format!("\n {document}\n\ndata: {document}\n\n")
    );
    assert_eq!(run(&format!("\ndata: {document}\n\n")), "\n");
}

fn event() -> impl Strategy<Value = (String, String)> {
    let same = |text: String| (text.clone(), Some(text));
    let body = prop_oneof![
        4 => Just((CONTENT.to_owned(), Some(content_unasked()))),
        2 => Just((USAGE.to_owned(), None)),
        1 => Just(same(AZURE.to_owned())),
        1 => Just(same(DONE.to_owned())),
        1 => Just((format!("event: x\r\n{USAGE}"), None)),
        1 => "[ -~]{1,30}".prop_map(move |text| same(format!("data: {text}"))),
    ];
    let end = prop_oneof![Just("\n\n"), Just("\r\n\r\n"), Just("\r\r")];
    (body, end).prop_map(|((body, expected), end)| {
        (format!("{body}{end}"), expected.map_or(String::new(), |expected| format!("{expected}{end}")))
    })
}

fn cut<'t>(text: &'t str, cuts: &[prop::sample::Index]) -> Vec<&'t [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn output_is_what_the_provider_sends_unasked(
        events in prop::collection::vec(event(), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
    ) {
        let (input, expected): (String, String) = events.into_iter().unzip();
        prop_assert_eq!(joined(&run(&cut(&input, &cuts))), expected);
    }

    #[test]
    fn a_stream_without_usage_is_the_same_to_the_byte(
        text in "(data: |[{}\\[\\]\",:a-z \r\n]){0,120}",
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..16),
    ) {
        prop_assume!(!text.contains("usage"));
        prop_assert_eq!(joined(&run(&cut(&text, &cuts))), text);
    }
}
