//! One event goes, every other byte stays, however the stream is cut.

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

/// Output for the input cut into those chunks, one element per push, then what `finish` gave.
fn run(chunks: &[&[u8]]) -> Vec<Vec<Bytes>> {
    let mut filter = UsageFilter::new();
    let mut out: Vec<Vec<Bytes>> =
        chunks.iter().map(|chunk| filter.push(Bytes::copy_from_slice(chunk))).collect();
    out.push(filter.finish());
    out
}

fn joined(out: &[Vec<Bytes>]) -> String {
    String::from_utf8(out.iter().flatten().flat_map(|bytes| bytes.to_vec()).collect()).unwrap()
}

/// The text passes without the pieces in `hidden`, whole and byte by byte.
fn check(pieces: &[(&str, bool)]) {
    let input: String = pieces.iter().map(|(piece, _)| *piece).collect();
    let expected: String = pieces.iter().filter(|(_, hide)| !hide).map(|(piece, _)| *piece).collect();
    for size in [1, 2, 3, 50, usize::MAX] {
        let chunks: Vec<&[u8]> = input.as_bytes().chunks(size).collect();
        assert_eq!(joined(&run(&chunks)), expected, "{input:?} in chunks of {size}");
    }
}

#[test]
fn only_the_usage_chunk_is_hidden() {
    let event = |text: &str| format!("{text}\n\n");
    check(&[(&event(AZURE), false), (&event(CONTENT), false), (&event(USAGE), true), (&event(DONE), false)]);
    for end in ["\n\n", "\r\n\r\n", "\r\r"] {
        check(&[
            (&format!("{CONTENT}{end}"), false),
            (&format!("{USAGE}{end}"), true),
            (&format!("{DONE}{end}"), false),
        ]);
    }
    check(&[(&format!("{CONTENT}\n\n"), false), (USAGE, true)]);
    check(&[(&format!(": keep-alive\nevent: message\nid: 4\n{USAGE}\n\n"), true), (": x\n\n\n", false)]);
    check(&[
        ("data: {\"choices\" : [ ] ,\ndata: \"usage\" : { } }\n\n", true),
        ("data:{\"usage\":{\"a\":\"}\\\"\"},\"choices\":[]}\r\n\r\n", true),
    ]);
}

#[test]
fn a_byte_order_mark_does_not_save_the_usage_chunk() {
    let text = format!("\u{feff}{USAGE}\n\n{DONE}\n\n");
    assert_eq!(joined(&run(&[text.as_bytes()])), format!("{DONE}\n\n"));
}

#[test]
fn what_only_looks_like_it_passes() {
    for text in [
        r#"data: {"choices":[],"usage":null}"#,
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
        check(&[(&format!("{text}\n\n"), false)]);
        check(&[(text, false)]);
    }
}

#[test]
fn chunks_keep_their_boundaries_and_their_memory() {
    let mut filter = UsageFilter::new();
    let two = Bytes::from(format!("{CONTENT}\n\n{CONTENT}\n\n"));
    let out = filter.push(two.clone());
    assert_eq!(out.len(), 1);
    assert_eq!((out[0].as_ptr(), out[0].len()), (two.as_ptr(), two.len()));
    assert_eq!(filter.push(Bytes::from(format!("{USAGE}\n\n"))), Vec::<Bytes>::new());
    let done = Bytes::from(format!("{DONE}\n\n"));
    assert_eq!(filter.push(done.clone()), [done]);
    assert_eq!(filter.finish(), Vec::<Bytes>::new());

    let mut filter = UsageFilter::new();
    let out = filter.push(Bytes::from(format!("{CONTENT}\n\n{USAGE}\n\n{DONE}\n\n")));
    assert_eq!(out, [Bytes::from(format!("{CONTENT}\n\n")), Bytes::from(format!("{DONE}\n\n"))]);
}

#[test]
fn an_ordinary_chunk_waits_only_until_its_choices_begin() {
    let decided = CONTENT.find("[{").unwrap() + 2;
    let mut filter = UsageFilter::new();
    assert_eq!(filter.push(Bytes::from(&CONTENT[..decided - 1])), Vec::<Bytes>::new());
    let out = filter.push(Bytes::from(&CONTENT[decided - 1..decided]));
    assert_eq!(out, [&CONTENT[..decided - 1], &CONTENT[decided - 1..decided]]);
    assert_eq!(filter.push(Bytes::from(&CONTENT[decided..])), [&CONTENT[decided..]]);
    assert_eq!(filter.push(Bytes::from("\n\n")), ["\n\n"]);
    assert_eq!(filter.push(Bytes::from("data: [")), ["data: ["], "[DONE] is decided by its first byte");
}

#[test]
fn what_cannot_be_decided_is_not_held_for_ever() {
    let mut filter = UsageFilter::new();
    let mut sent = filter.push(Bytes::from("data: {\"padding\":\"")).concat();
    let piece = Bytes::from(vec![b'x'; 10 << 10]);
    for _ in 0..6 {
        assert_eq!(filter.push(piece.clone()), Vec::<Bytes>::new());
    }
    sent.extend(filter.push(piece.clone()).concat());
    assert_eq!(sent.len(), 18 + 7 * piece.len());
    let usage = Bytes::from(format!("\"}}\n\n{USAGE}\n\n"));
    assert_eq!(filter.push(usage.clone()), [usage], "the filter has given up");
}

fn event() -> impl Strategy<Value = (String, bool)> {
    let body = prop_oneof![
        4 => Just((CONTENT.to_owned(), false)),
        2 => Just((USAGE.to_owned(), true)),
        1 => Just((AZURE.to_owned(), false)),
        1 => Just((DONE.to_owned(), false)),
        1 => Just((": comment".to_owned(), false)),
        1 => Just((format!("event: x\r\n{USAGE}"), true)),
        1 => "[ -~]{1,30}".prop_map(|text| (format!("data: {text}"), false)),
    ];
    let end = prop_oneof![Just("\n\n"), Just("\r\n\r\n"), Just("\r\r")];
    (body, end).prop_map(|((body, hide), end)| (format!("{body}{end}"), hide))
}

fn cut<'t>(text: &'t str, cuts: &[prop::sample::Index]) -> Vec<&'t [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
    cuts.extend([0, text.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn output_is_input_minus_the_usage_chunk(
        events in prop::collection::vec(event(), 0..8),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..24),
    ) {
        let input: String = events.iter().map(|(text, _)| text.as_str()).collect();
        let expected: String = events.iter().filter(|(_, hide)| !hide).map(|(text, _)| text.as_str()).collect();
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
