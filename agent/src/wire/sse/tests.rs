//! Any cut of a stream yields the same events.

use proptest::prelude::*;

use super::*;

type Owned = (String, String);

fn split(chunks: &[&[u8]], limit: usize) -> (Vec<Owned>, u64) {
    let mut splitter = Splitter::new(limit);
    let mut events = Vec::new();
    let mut keep = |event: Event<'_>| {
        events.push((
            String::from_utf8_lossy(event.name).into_owned(),
            String::from_utf8_lossy(event.data).into_owned(),
        ));
    };
    for chunk in chunks {
        splitter.push(chunk, &mut keep);
        // Three buffers that double as they grow, and never begin below 8 bytes.
        assert!(splitter.held_bytes() <= 3 * (2 * limit).max(8), "{}", splitter.held_bytes());
    }
    splitter.finish(&mut keep);
    (events, splitter.events_skipped)
}

fn check(text: &str, expected: &[(&str, &str)]) {
    let expected: Vec<Owned> = expected.iter().map(|(n, d)| ((*n).to_owned(), (*d).to_owned())).collect();
    assert_eq!(split(&[text.as_bytes()], 1_000).0, expected, "{text:?} whole");
    let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
    assert_eq!(split(&bytes, 1_000).0, expected, "{text:?} byte by byte");
}

#[test]
fn the_grammar_of_the_standard_is_understood() {
    check("data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]);
    check("data: a\r\n\r\ndata: b\r\rdata:c\n\n", &[("", "a"), ("", "b"), ("", "c")]);
    check("\u{feff}data: a\n\n", &[("", "a")]);
    check("data: a\n\n\u{feff}data: b\n\ndata: c\n\n", &[("", "a"), ("", "c")]);
    check(": OPENROUTER PROCESSING\n\ndata: a\n: in between\n\n", &[("", "a")]);
    check("event: ping\ndata: {}\n\n", &[("ping", "{}")]);
    check("event: ping\n\ndata: a\n\n", &[("", "a")]);
    check("data: one\ndata: two\ndata\ndata:\n\n", &[("", "one\ntwo\n\n")]);
    check("data:  two spaces\nid: 7\nretry: 10\nnonsense\n\n", &[("", " two spaces")]);
    check("data\n\n", &[("", "")]);
    check("\n\n\r\n\r\n", &[]);
    check(
        "data: {\"text\":\"\u{65e5}\u{672c}\u{8a9e} \u{1f980}\"}\n\n",
        &[("", "{\"text\":\"\u{65e5}\u{672c}\u{8a9e} \u{1f980}\"}")],
    );
}

#[test]
fn an_event_without_its_blank_line_is_given_out_at_the_end() {
    check("data: a\n\ndata: b", &[("", "a"), ("", "b")]);
    check("data: a\n\ndata: b\n", &[("", "a"), ("", "b")]);
    check("data: a\r", &[("", "a")]);
}

#[test]
fn a_whole_event_is_not_copied() {
    let bytes = b"event: x\ndata: hello\n\n";
    let mut splitter = Splitter::new(100);
    splitter.push(bytes, |event| assert!(bytes.as_ptr_range().contains(&event.data.as_ptr())));
    assert_eq!(splitter.line.capacity() + splitter.data.capacity(), 0);
}

#[test]
fn a_long_event_is_let_go_and_what_is_held_is_what_is_taken() {
    let taken =
        |splitter: &Splitter| splitter.line.capacity() + splitter.name.capacity() + splitter.data.capacity();
    let long = "x".repeat(300_000);
    let mut splitter = Splitter::new(1 << 20);
    let mut events = 0;
    for piece in ["event: ", &long, "\ndata: ", &long, "\ndata: ", &long, "\n"] {
        splitter.push(piece.as_bytes(), |_| events += 1);
        assert_eq!(splitter.held_bytes(), taken(&splitter));
    }
    assert!(splitter.held_bytes() >= 900_000);
    splitter.push(b"\ndata: a short one that ends later\n", |_| events += 1);
    assert_eq!(events, 1);
    assert!(taken(&splitter) <= 24 << 10, "{} bytes after the event", taken(&splitter));
    splitter.push(long.as_bytes(), |_| {});
    splitter.resynchronise();
    assert!(taken(&splitter) <= 24 << 10, "{} bytes after a gap", taken(&splitter));
}

#[test]
fn an_event_above_the_limit_is_skipped_and_the_next_is_found() {
    let text = format!("data: {}\ndata: more\n\ndata: after\n\n", "x".repeat(100));
    for size in [1, 7, 64, 1_000] {
        let chunks: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        assert_eq!(split(&chunks, 50), (vec![(String::new(), "after".to_owned())], 1), "chunks of {size}");
    }
}

#[test]
fn ten_megabytes_without_a_newline_are_not_kept() {
    let mut splitter = Splitter::new(1 << 20);
    let chunk = vec![b'x'; 64 << 10];
    for _ in 0..160 {
        splitter.push(&chunk, |_| panic!("no event here"));
        assert!(splitter.held_bytes() <= 1 << 20);
    }
    assert_eq!(splitter.events_skipped, 1);
    let mut seen = 0;
    splitter.push(b"\n\ndata: a\n\n", |event| {
        assert_eq!(event.data, b"a");
        seen += 1;
    });
    assert_eq!(seen, 1);
}

#[test]
fn after_a_loss_the_broken_event_is_dropped() {
    let mut splitter = Splitter::new(1_000);
    let mut events = Vec::new();
    let mut keep = |event: Event<'_>| events.push(event.data.to_vec());
    splitter.push(b"data: whole\n\ndata: {\"usage\":{\"prompt", &mut keep);
    splitter.resynchronise();
    splitter.push(b"ed: of another event\n\ndata: next\n\n", &mut keep);
    assert_eq!(events, [b"whole".to_vec(), b"next".to_vec()]);
}

fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just("data: {\"a\":1}".to_owned()),
        Just("data:".to_owned()),
        Just("event: delta".to_owned()),
        Just(": comment".to_owned()),
        Just("\u{feff}".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\r".to_owned()),
        Just("\n\n".to_owned()),
        Just("\r\n\r\n".to_owned()),
        "data: [a-z\u{e9}\u{1f980}]{0,40}",
        "[ -~]{0,12}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn the_split_of_the_bytes_does_not_matter(
        bytes in stream(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        limit in 5_usize..80,
    ) {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.extend([0, bytes.len()]);
        cuts.sort_unstable();
        let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
        prop_assert_eq!(split(&chunks, limit), split(&[&bytes], limit));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        split(&[&bytes], 50);
    }
}
