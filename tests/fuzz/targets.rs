//! What is fuzzed: readers of bytes that come from outside. Each function takes any bytes and must neither panic nor run
//! away; where there is a property to hold, it holds it. libFuzzer drives them (`make fuzz`), and an ordinary test feeds
//! them the committed corpus and some mutations of it.

use std::collections::BTreeMap;

use bytes::Bytes;
use ledgerline_agent::dialect::{self, Response, TextCounts};
use ledgerline_agent::relay::inject::inject_usage;
use ledgerline_agent::relay::strip::UsageStrip;
use ledgerline_agent::wire::Framing;
use ledgerline_agent::wire::json::Tokenizer;
use ledgerline_agent::wire::sse::Splitter;
use ledgerline_collector::alerting::{Answers, Template};
use ledgerline_collector::ingest::decode::{Format, decode};
use ledgerline_collector::ingest::estimate::decoded_size;
use ledgerline_collector::ingest::normalise::{BatchContext, normalise};
use ledgerline_process::config;
use ledgerline_promql::syntax::{self, ParseError};
use ledgerline_proto::otlp::AllowList;

/// A target and the folder of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// Every target.
pub const TARGETS: &[Target] = &[
    ("promql_parse", promql_parse),
    ("otlp_decode", otlp_decode),
    ("dialect_read", dialect_read),
    ("json_tokenize", json_tokenize),
    ("usage_injection", usage_injection),
    ("alert_template", alert_template),
    ("configuration", configuration),
];

/// An expression that is accepted is also accepted in parentheses, as one of the same type; one that is refused is so at a place in it.
pub fn promql_parse(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let expression = match syntax::parse(text) {
        Ok(expression) => expression,
        Err(ParseError::Syntax(error)) => {
            return assert!(error.span.start.max(error.span.end) <= text.len(), "`{text}`: {error:?}");
        }
        Err(ParseError::TooLarge { found, limit, .. }) => return assert!(found > limit, "`{text}`"),
    };
    // The line end ends a comment.
    match syntax::parse(&format!("({text}\n)")) {
        Ok(nested) => assert_eq!(nested.value_type(), expression.value_type(), "`{text}`"),
        Err(ParseError::TooLarge { .. }) => {}
        Err(ParseError::Syntax(error)) => panic!("`{text}` is refused in parentheses: {error}"),
    }
}

/// A request that can be read has a size that was estimated before, and is normalised.
pub fn otlp_decode(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let format = if choice % 2 == 0 { Format::Protobuf } else { Format::Json };
    let estimated = decoded_size(format, body);
    let Ok(request) = decode(format, body) else { return };
    // More spans than a request may have is a refusal of the estimate, not of the reader.
    if estimated.is_ok() {
        let context = BatchContext {
            tenant: "t".into(),
            batch_id: 1,
            now_unix_ns: 1_793_000_000_000_000_000,
            price_version: "v".into(),
        };
        drop(normalise(&request, &context, &AllowList::new(&[])));
    }
}

/// Events are the same however the bytes are cut into chunks, and no reader fails at any of them.
pub fn dialect_read(data: &[u8]) {
    let [choice, cut, body @ ..] = data else { return };
    let endpoints: Vec<_> = dialect::ALL.iter().flat_map(|spec| spec.endpoints).collect();
    let endpoint = endpoints[usize::from(*choice) % endpoints.len()];
    let whole = events(body, body.len().max(1));
    let pieces = events(body, usize::from(*cut).max(1));
    assert_eq!(whole, pieces, "{}: cut after {cut} bytes", endpoint.path);
    let (mut reader, mut response, mut texts) =
        ((endpoint.reader)(), Response::default(), TextCounts::default());
    let _ = reader.read_request(body, &mut texts);
    let mut splitter = Splitter::new(EVENT_BYTES_MAX);
    splitter.push(body, |event| {
        let _ = reader.read_event(event, &mut response, &mut texts);
    });
    let _ = (endpoint.reader)().read_body(body, &mut Response::default(), &mut TextCounts::default());
}

/// Larger than any input here; what becomes of longer events has tests of its own.
const EVENT_BYTES_MAX: usize = 1 << 20;

fn events(body: &[u8], chunk: usize) -> Vec<String> {
    let mut events = Vec::new();
    let mut splitter = Splitter::new(EVENT_BYTES_MAX);
    for piece in body.chunks(chunk) {
        splitter.push(piece, |event| events.push(format!("{:?} {:?}", event.name, event.data)));
    }
    splitter.finish(|event| events.push(format!("{:?} {:?}", event.name, event.data)));
    events
}

/// What `serde_json` takes, the tokenizer takes, and it comes to the same end however the bytes are cut.
pub fn json_tokenize(data: &[u8]) {
    let [cut, body @ ..] = data else { return };
    let whole = tokenized(body, body.len().max(1));
    assert_eq!(whole, tokenized(body, usize::from(*cut).max(1)), "cut after {cut} bytes");
    let read = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body);
    if read.is_ok() && !nests_deeply(body) {
        assert_eq!(whole, Some(true), "{}", String::from_utf8_lossy(body));
    }
}

/// The two count depth a little differently at their limits.
fn nests_deeply(body: &[u8]) -> bool {
    body.iter().filter(|byte| matches!(byte, b'[' | b'{')).count() > 100
}

/// Whether the document is complete; `None`: it is none.
fn tokenized(body: &[u8], chunk: usize) -> Option<bool> {
    let mut tokenizer = Tokenizer::default();
    for piece in body.chunks(chunk) {
        let mut at = 0;
        while tokenizer.next(piece, &mut at).ok()?.is_some() {}
    }
    Some(tokenizer.is_complete())
}

/// A request that is changed to ask for usage was JSON and still is, and says what it did not say before; what is left of
/// a stream does not depend on how it is cut.
pub fn usage_injection(data: &[u8]) {
    let [cut, body @ ..] = data else { return };
    if let Ok(changed) = inject_usage(body) {
        let before = serde_json::from_slice::<serde_json::Value>(body);
        let after = serde_json::from_slice::<serde_json::Value>(&changed);
        if before.is_ok() {
            let after = after.expect("a changed request is still JSON");
            assert_eq!(
                after["stream_options"]["include_usage"],
                true,
                "{}",
                String::from_utf8_lossy(&changed)
            );
        }
    }
    let whole = stripped(body, body.len().max(1));
    assert_eq!(whole, stripped(body, usize::from(*cut).max(1)), "cut after {cut} bytes");
}

fn stripped(body: &[u8], chunk: usize) -> Vec<u8> {
    let mut strip = UsageStrip::new(Framing::Events);
    let mut out = Vec::new();
    for piece in body.chunks(chunk) {
        out.extend_from_slice(&strip.push(&Bytes::copy_from_slice(piece)));
    }
    out.extend_from_slice(&strip.finish());
    out
}

/// A template that is accepted expands for any labels.
pub fn alert_template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(template) = Template::parse(text) else { return };
    let labels: BTreeMap<String, String> = [("team", "payments"), ("amount", "12.5"), ("empty", "")]
        .map(|(name, text)| (name.into(), text.into()))
        .into();
    for value in [0.0, -1.5e-9, 1.0e21, f64::NAN, f64::NEG_INFINITY] {
        drop(template.render(&labels, value, &Answers::new()));
    }
}

/// A configuration is accepted or refused with a text for people.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Err(error) = config::parse::<ledgerline_agent::config::Config>("fuzz", text) {
        assert!(error.to_string().contains("fuzz"), "{error}");
    }
    if let Err(error) = config::parse::<ledgerline_collector::config::Config>("fuzz", text) {
        assert!(error.to_string().contains("fuzz"), "{error}");
    }
}
