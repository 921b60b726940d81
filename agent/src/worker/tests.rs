//! From observed bytes to recorded calls: good streams, broken ones, panics and floods.

use std::io::Write;
use std::sync::Mutex;

use bytes::Bytes;
use ledgerline_proto::Side::{Input, Output};
use ledgerline_proto::{EndOfStream::*, Identity, SpanId, TraceId, UsageSource};
use proptest::prelude::*;

use super::*;
use crate::dialect::{self, Endpoint, Purpose, Reader, Response, TextSink, Unreadable};
use crate::observation::ResponseHead;
use crate::wire::sse::Event;

type Calls = Arc<Mutex<Vec<Call>>>;

/// A worker, its records and its metrics.
struct Bench {
    worker: Worker<Box<dyn FnMut(Call) + Send>>,
    calls: Calls,
    metrics: Arc<Metrics>,
}

impl Bench {
    fn with(limits: WorkerLimits) -> Self {
        let calls = Calls::default();
        let metrics = Arc::new(Metrics::default());
        let kept = calls.clone();
        let sink: Box<dyn FnMut(Call) + Send> = Box::new(move |call| kept.lock().unwrap().push(call));
        let worker = Worker::new(limits, metrics.clone(), sink);
        Self { worker, calls, metrics }
    }

    fn new() -> Self {
        Self::with(WorkerLimits::default())
    }

    fn tell(&mut self, call: u64, observation: Observation) {
        self.worker.observe(Tagged { call: CallNumber(call), observation });
    }

    fn start(&mut self, call: u64, dialect: &str, request: &str) {
        let path = if dialect == "anthropic" { "/v1/messages" } else { "/v1/chat/completions" };
        self.tell(call, start(dialect, path));
        for piece in request.as_bytes().chunks(11) {
            self.tell(call, Observation::RequestBody(Bytes::copy_from_slice(piece)));
        }
    }

    fn head(&mut self, call: u64, status: u16, content_type: &str, encoding: Option<&str>) {
        let head = ResponseHead {
            status,
            content_type: Some(Arc::from(content_type)),
            content_encoding: encoding.map(Arc::from),
            has_length: false,
        };
        self.tell(call, Observation::ResponseHead(head, 2_000));
    }

    fn body(&mut self, call: u64, bytes: &[u8], at: u64) {
        self.tell(call, Observation::ResponseBody(Bytes::copy_from_slice(bytes), at));
    }

    fn end(&mut self, call: u64, end: EndOfStream) -> Call {
        self.tell(call, Observation::End(end, 9_000, None));
        assert_eq!(self.metrics.worker_held_bytes.get(), 0, "nothing is held when no call is open");
        let call = self.calls.lock().unwrap().pop().unwrap();
        if let Some((again, gap)) = ledgerline_proto::usage_object::reread(&call) {
            assert_eq!((Some(&again), gap), (call.usage.as_ref(), call.billing.gap), "{}", call.usage_object);
        }
        call
    }

    fn failures(&self) -> Vec<(&'static str, u64)> {
        let count = |failure| self.metrics.parts_unread.get_or_create(&[("reason", failure)]).get();
        Failure::ALL
            .iter()
            .map(|failure| (&*format!("{failure:?}").leak(), count(*failure)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

fn start(dialect: &str, path: &str) -> Observation {
    let spec = dialect::find(dialect).unwrap();
    start_of(spec.endpoint(&http::Method::POST, path).unwrap(), dialect, path)
}

fn start_of(endpoint: &'static Endpoint, dialect: &str, path: &str) -> Observation {
    Observation::Start(Box::new(CallStart {
        at_unix_ns: 1_000,
        endpoint,
        upstream: Arc::from(dialect),
        provider: Arc::from(dialect),
        conditions: Arc::default(),
        path: Arc::from(path),
        trace_id: TraceId::from_bytes([1; 16]).unwrap(),
        span_id: SpanId::from_bytes([2; 8]).unwrap(),
        parent_span_id: SpanId::from_bytes([3; 8]),
        identity: Identity { team: "search".into(), ..Identity::default() },
    }))
}

fn recorded(metrics: &Metrics, end: EndOfStream) -> u64 {
    metrics.calls_recorded.get_or_create(&[("end", end.name())]).get()
}

fn usage(call: &Call) -> Option<(u64, u64, UsageSource)> {
    call.usage.as_ref().map(|usage| (usage.own.total(Input), usage.own.total(Output), usage.source))
}

const EVENTS: &str = "text/event-stream; charset=utf-8";
const JSON: &str = "application/json";
/// 16 bytes of text: 4 tokens by estimate.
const REQUEST: &str =
    r#"{"model":"gpt-5","stream":true,"messages":[{"role":"user","content":"Count to sixteen"}]}"#;
const OPENAI_STREAM: &str = concat!(
    "data: {\"id\":\"c-1\",\"model\":\"gpt-5-2025\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c-1\",\"model\":\"gpt-5-2025\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"eins zwei \u{65e5}\u{672c}\"},\"finish_reason\":null}],\"usage\":null}\n\n",
    "data: {\"id\":\"c-1\",\"model\":\"gpt-5-2025\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":null}\n\n",
    "data: {\"id\":\"c-1\",\"model\":\"gpt-5-2025\",\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":2,\"total_tokens\":10}}\n\n",
    "data: [DONE]\n\n",
);
const ANTHROPIC_STREAM: &str = concat!(
    "event: message_start\r\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"model\":\"claude-opus-5\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":25,\"cache_read_input_tokens\":1000,\"output_tokens\":1}}}\r\n\r\n",
    "event: content_block_start\r\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\r\n\r\n",
    "event: ping\r\ndata: {\"type\": \"ping\"}\r\n\r\n",
    "event: content_block_delta\r\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello there, you\"}}\r\n\r\n",
    "event: content_block_stop\r\ndata: {\"type\":\"content_block_stop\",\"index\":0}\r\n\r\n",
    "event: message_delta\r\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":15}}\r\n\r\n",
    "event: message_stop\r\ndata: {\"type\":\"message_stop\"}\r\n\r\n",
);

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn an_openai_stream_becomes_a_call() {
    let mut bench = Bench::new();
    bench.start(1, "openai", REQUEST);
    bench.head(1, 200, EVENTS, None);
    for (at, event) in OPENAI_STREAM.split_inclusive("\n\n").enumerate() {
        bench.body(1, event.as_bytes(), 3_000 + at as u64);
    }
    let call = bench.end(1, Complete);
    assert_eq!(usage(&call), Some((8, 2, UsageSource::Provider)));
    assert_eq!((call.end, call.error_type.clone(), call.http_status), (Complete, None, Some(200)));
    assert_eq!((call.request_model.as_str(), call.response_model.as_str()), ("gpt-5", "gpt-5-2025"));
    assert_eq!((call.response_id.as_str(), call.provider.as_str()), ("c-1", "openai"));
    assert_eq!((call.finish_reasons.clone(), call.stream), (vec!["stop".to_owned()], true));
    assert_eq!(call.time_to_first_token_ns, Some(2_001), "the second event carries the first token");
    assert_eq!((call.start_unix_ns, call.end_unix_ns), (1_000, 9_000));
    assert_eq!((call.identity.team.as_str(), call.parent_span_id), ("search", SpanId::from_bytes([3; 8])));
    assert_eq!(bench.failures(), []);
}

#[test]
fn an_anthropic_stream_in_gzip_becomes_a_call() {
    let mut bench = Bench::new();
    bench.start(1, "anthropic", REQUEST);
    bench.head(1, 200, EVENTS, Some("gzip"));
    for piece in gzip(ANTHROPIC_STREAM.as_bytes()).chunks(17) {
        bench.body(1, piece, 3_000);
    }
    let call = bench.end(1, Complete);
    assert_eq!(usage(&call), Some((1_025, 15, UsageSource::Provider)));
    assert_eq!((call.model(), call.end, call.provider.as_str()), ("claude-opus-5", Complete, "anthropic"));
    assert_eq!(call.time_to_first_token_ns, Some(2_000));
    assert_eq!(bench.failures(), []);
}

#[test]
fn an_answer_in_one_piece_becomes_a_call() {
    let mut bench = Bench::new();
    bench.start(1, "openai", r#"{"model":"gpt-5","messages":[]}"#);
    bench.head(1, 200, JSON, None);
    let body = r#"{"id":"c","model":"gpt-5","choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
    for piece in body.as_bytes().chunks(5) {
        bench.body(1, piece, 3_000);
    }
    assert!(bench.metrics.worker_held_bytes.get() >= body.len() as i64);
    let call = bench.end(1, Complete);
    assert_eq!((usage(&call), call.stream), (Some((3, 1, UsageSource::Provider)), false));
    assert_eq!(call.time_to_first_token_ns, None);
}

#[test]
fn a_long_answer_is_counted_without_being_kept() {
    let content = "word ".repeat(200_000);
    let body = format!(
        r#"{{"id":"c","model":"gpt-5","choices":[{{"index":0,"message":{{"content":"{content}"}},"finish_reason":"stop"}}]}}"#
    );
    let mut bench = Bench::new();
    bench.start(1, "openai", REQUEST);
    bench.head(1, 200, JSON, None);
    for piece in body.as_bytes().chunks(16 << 10) {
        bench.body(1, piece, 3_000);
        assert!(bench.metrics.worker_held_bytes.get() < 8 << 10);
    }
    let call = bench.end(1, Complete);
    assert_eq!(usage(&call), Some((4, 250_000, UsageSource::Estimated)), "no usage was stated");

    bench.start(2, "openai", REQUEST);
    bench.head(2, 200, JSON, None);
    bench.body(2, &body.as_bytes()[..400], 3_000);
    let call = bench.end(2, ClientGone);
    assert_eq!(usage(&call), Some((4, 100, UsageSource::Estimated)), "frame and all");
}

#[test]
fn a_lost_head_is_not_taken_for_a_cut_stream() {
    let mut bench = Bench::new();
    bench.start(1, "openai", REQUEST);
    bench.tell(1, Observation::Gap);
    let call = bench.end(1, Complete);
    assert_eq!((call.end, call.error_type, call.usage, call.http_status), (Complete, None, None, None));
}

#[test]
fn a_client_that_leaves_pays_for_what_was_delivered() {
    let first_two: String = OPENAI_STREAM.split_inclusive("\n\n").take(2).collect();
    let mut bench = Bench::new();
    bench.start(1, "openai", REQUEST);
    bench.head(1, 200, EVENTS, None);
    bench.body(1, first_two.as_bytes(), 3_000);
    bench.body(1, b"data: {\"id\":\"c-1\",\"choi", 3_000);
    let call = bench.end(1, ClientGone);
    // 16 bytes of question, 16 bytes of answer.
    assert_eq!(usage(&call), Some((4, 4, UsageSource::Estimated)));
    assert_eq!((call.end, call.error_type), (ClientGone, None));
    assert_eq!(bench.failures(), [], "an event cut in two is no fault");
    assert_eq!(bench.metrics.usage_estimated.get(), 1);

    let first_four: String = ANTHROPIC_STREAM.split_inclusive("\r\n\r\n").take(4).collect();
    bench.start(2, "anthropic", REQUEST);
    bench.head(2, 200, EVENTS, None);
    bench.body(2, first_four.as_bytes(), 3_000);
    let call = bench.end(2, ClientGone);
    assert_eq!(usage(&call), Some((1_025, 4, UsageSource::Estimated)));
    assert_eq!(call.usage.unwrap().own.get(ledgerline_proto::Unit::CacheRead), 1_000);
}

#[test]
fn a_client_that_leaves_after_the_last_word_has_a_complete_call() {
    for (dialect, stream, expected) in
        [("openai", OPENAI_STREAM, (8, 2)), ("anthropic", ANTHROPIC_STREAM, (1_025, 15))]
    {
        let mut bench = Bench::new();
        bench.start(1, dialect, REQUEST);
        bench.head(1, 200, EVENTS, None);
        bench.body(1, stream.as_bytes(), 3_000);
        let call = bench.end(1, ClientGone);
        assert_eq!(call.end, Complete);
        assert_eq!(usage(&call), Some((expected.0, expected.1, UsageSource::Provider)));
    }
}

#[test]
fn a_stream_cut_at_any_byte_is_never_counted_as_nothing() {
    for (dialect, stream) in [("openai", OPENAI_STREAM), ("anthropic", ANTHROPIC_STREAM)] {
        for cut in 0..stream.len() {
            let mut bench = Bench::new();
            bench.start(1, dialect, REQUEST);
            bench.head(1, 200, EVENTS, None);
            bench.body(1, &stream.as_bytes()[..cut], 3_000);
            let call = bench.end(1, ProviderError);
            let (input, _, source) = usage(&call).unwrap();
            assert!(input > 0, "{dialect} cut at {cut}");
            let is_complete = call.end == Complete;
            assert_eq!(call.error_type.is_none(), is_complete, "{dialect} cut at {cut}");
            assert!(!is_complete || source == UsageSource::Provider, "{dialect} cut at {cut}");
        }
    }
}

#[test]
fn a_stream_that_ends_without_a_last_word_is_the_providers_error() {
    let mut bench = Bench::new();
    bench.start(1, "openai", REQUEST);
    bench.head(1, 200, EVENTS, None);
    bench.body(1, OPENAI_STREAM.split_inclusive("\n\n").next().unwrap().as_bytes(), 3_000);
    let call = bench.end(1, Complete);
    assert_eq!((call.end, call.error_type.as_deref()), (ProviderError, Some("stream_cut")));
}

#[test]
fn an_error_within_a_stream_is_the_providers_error() {
    let mut bench = Bench::new();
    bench.start(1, "anthropic", REQUEST);
    bench.head(1, 200, EVENTS, None);
    let head: String = ANTHROPIC_STREAM.split_inclusive("\r\n\r\n").take(4).collect();
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"m\"}}\n\n";
    bench.body(1, format!("{head}{error}").as_bytes(), 3_000);
    let call = bench.end(1, Complete);
    assert_eq!((call.end, call.error_type.as_deref()), (ProviderError, Some("overloaded_error")));
    assert_eq!(usage(&call), Some((1_025, 4, UsageSource::Estimated)));
}

#[test]
fn an_error_answer_has_a_class_and_no_usage() {
    let mut bench = Bench::new();
    for (body, content_type, class) in [
        (
            r#"{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}"#,
            JSON,
            "rate_limit_exceeded",
        ),
        ("<html>429</html>", "text/html", "429"),
        ("", JSON, "429"),
    ] {
        bench.start(1, "openai", REQUEST);
        bench.head(1, 429, content_type, None);
        bench.body(1, body.as_bytes(), 3_000);
        let call = bench.end(1, Complete);
        assert_eq!((call.end, call.error_type.as_deref(), call.usage), (ProviderError, Some(class), None));
        assert_eq!((call.http_status, call.request_model.as_str()), (Some(429), "gpt-5"));
    }
    assert_eq!(bench.failures(), [], "an error page is not a fault of ours");
    assert_eq!(bench.metrics.usage_missing.get(), 0);

    bench.start(1, "openai", REQUEST);
    bench.tell(1, Observation::End(ProviderError, 9_000, Some("connect")));
    let call = bench.calls.lock().unwrap().pop().unwrap();
    assert_eq!((call.error_type.as_deref(), call.http_status, call.usage), (Some("connect"), None, None));
    assert!(call.stream, "as it was asked for");
}

#[test]
fn an_answer_that_cannot_be_decoded_is_missing_and_counted() {
    for (encoding, body, failure) in [
        (Some("aes128gcm"), OPENAI_STREAM.as_bytes().to_vec(), "unknown_encoding"),
        (Some("gzip"), OPENAI_STREAM.as_bytes().to_vec(), "corrupt_encoding"),
        (Some("gzip"), gzip(&vec![b'a'; 64 << 20]), "expansion"),
    ] {
        let mut bench = Bench::new();
        bench.start(1, "openai", REQUEST);
        bench.head(1, 200, EVENTS, encoding);
        bench.body(1, &body, 3_000);
        let call = bench.end(1, Complete);
        assert_eq!((call.usage, call.end, call.error_type.as_deref()), (None, Complete, None), "{failure}");
        assert!(bench.failures().contains(&(failure, 1)), "{:?}", bench.failures());
        assert_eq!(bench.metrics.usage_missing.get(), 1);
    }
}

#[test]
fn malformed_answers_are_missing_and_counted() {
    let long = format!("data: {}\n\n", "x".repeat(5 << 20));
    for (content_type, body, failure) in [
        (JSON, "{\"usage\":", "malformed_body"),
        (JSON, "", "malformed_body"),
        (JSON, "not JSON", "malformed_body"),
        (EVENTS, "data: {\"choices\"\n\n", "malformed_event"),
        (EVENTS, "data: \u{1f}\n\n", "malformed_event"),
        (EVENTS, long.as_str(), "event_too_large"),
    ] {
        let mut bench = Bench::new();
        bench.start(1, "openai", REQUEST);
        bench.head(1, 200, content_type, None);
        bench.body(1, body.as_bytes(), 3_000);
        let call = bench.end(1, Complete);
        assert_eq!((call.usage, call.end), (None, Complete), "{body:.40}");
        assert_eq!(bench.failures(), [(failure, 1)], "{body:.40}");
    }
}

#[test]
fn after_a_gap_only_the_last_word_counts() {
    let events: Vec<&str> = OPENAI_STREAM.split_inclusive("\n\n").collect();
    let mut bench = Bench::new();
    for (last_events, expected) in
        [(&events[2..], Some((8, 2, UsageSource::Provider))), (&events[2..3], None)]
    {
        bench.start(1, "openai", REQUEST);
        bench.head(1, 200, EVENTS, None);
        bench.body(1, events[0].as_bytes(), 3_000);
        bench.tell(1, Observation::Gap);
        bench.body(1, format!("rest of an event\n\n{}", last_events.concat()).as_bytes(), 3_000);
        let call = bench.end(1, Complete);
        assert_eq!((usage(&call), call.end), (expected, Complete));
    }
    bench.start(1, "openai", REQUEST);
    bench.head(1, 200, EVENTS, Some("gzip"));
    bench.tell(1, Observation::Gap);
    bench.body(1, &gzip(OPENAI_STREAM.as_bytes()), 3_000);
    assert_eq!(bench.end(1, Complete).usage, None, "an encoded stream cannot be taken up again");
    bench.start(1, "openai", REQUEST);
    bench.tell(1, Observation::Gap);
    bench.body(1, OPENAI_STREAM.as_bytes(), 3_000);
    assert_eq!(bench.end(1, Complete).usage, None, "the head was lost");
    assert_eq!(bench.failures(), []);
}

#[test]
fn a_request_that_is_too_long_or_lost_costs_only_its_estimate() {
    let limits = WorkerLimits { request_bytes_max: 60, ..WorkerLimits::default() };
    for gap in [false, true] {
        let mut bench = Bench::with(if gap { WorkerLimits::default() } else { limits });
        bench.start(1, "openai", REQUEST);
        if gap {
            bench.tell(1, Observation::Gap);
        }
        bench.head(1, 200, EVENTS, None);
        bench.body(1, OPENAI_STREAM.as_bytes(), 3_000);
        let call = bench.end(1, Complete);
        assert_eq!(usage(&call), Some((8, 2, UsageSource::Provider)));
        assert_eq!(call.request_model, "gpt-5", "it came before the limit");
        bench.start(2, "openai", REQUEST);
        if gap {
            bench.tell(2, Observation::Gap);
        }
        bench.head(2, 200, EVENTS, None);
        assert_eq!(bench.end(2, ClientGone).usage, None);
    }
}

#[test]
fn what_ends_without_a_beginning_is_counted_and_not_recorded() {
    let mut bench = Bench::new();
    bench.body(2, b"no beginning", 3_000);
    bench.tell(2, Observation::End(Complete, 9_000, None));
    assert_eq!(bench.calls.lock().unwrap().len(), 0);
    assert_eq!(bench.metrics.calls_headless.get(), 1);
}

#[test]
fn a_repeated_field_costs_no_bill() {
    let usage_twice = r#""usage":{"prompt_tokens":3,"prompt_tokens":8,"completion_tokens":2}"#;
    let body = format!(r#"{{"id":"a","choices":[{{"index":0,"finish_reason":"stop"}}],{usage_twice}}}"#);
    for (content_type, sent) in [(JSON, body.clone()), (EVENTS, format!("data: {body}\n\ndata: [DONE]\n\n"))]
    {
        let mut bench = Bench::new();
        bench.start(1, "openai", REQUEST);
        bench.head(1, 200, content_type, None);
        bench.body(1, sent.as_bytes(), 3_000);
        assert_eq!(usage(&bench.end(1, Complete)), Some((8, 2, UsageSource::Provider)), "{content_type}");
        assert_eq!(bench.failures(), []);
    }
}

/// A response of the Responses API with that status; with usage unless it is under way.
/// JavaScript and Python write half an emoji, where a text was cut in it, and read it again; our own cut can leave one too.
#[test]
fn half_a_surrogate_pair_costs_no_bill() {
    let counts = r#""usage":{"prompt_tokens":8,"completion_tokens":2}"#;
    let answer = |text: &str| {
        format!(
            r#"{{"choices":[{{"index":0,"finish_reason":"stop","message":{{"content":"{text}"}}}}],{counts}}}"#
        )
    };
    let chunk = |text: &str| {
        format!(r#"data: {{"choices":[{{"index":0,"delta":{{"content":"{text}"}}}}],{counts}}}"#)
    };
    let pairs = r"\ud83d\ude00".repeat(1_000);
    for (content_type, body) in [
        (JSON, answer(r"\ud83d")),
        (JSON, answer(r"\\\ude00\ud83d\ud83d\ude00\uD83D")),
        // Cut at 1,024 bytes: behind the first half of a pair.
        (JSON, answer(&format!("abcd{pairs}"))),
        (EVENTS, format!("{}\n\n{}\n\ndata: [DONE]\n\n", chunk(r"\ud83d"), chunk(r"\ude00"))),
    ] {
        let mut bench = Bench::new();
        let request = format!(
            r#"{{"messages":[{{"role":"user","content":"\ud83d"}}],"stream":{},"model":"gpt-4o-mini"}}"#,
            content_type == EVENTS
        );
        bench.start(1, "openai", &request);
        bench.head(1, 200, content_type, None);
        bench.body(1, body.as_bytes(), 3_000);
        let call = bench.end(1, Complete);
        assert_eq!(usage(&call), Some((8, 2, UsageSource::Provider)), "{body:.200}");
        assert_eq!(call.request_model, "gpt-4o-mini", "{body:.200}");
        assert_eq!(bench.failures(), [], "{body:.200}");
    }
}

fn response(id: &str, status: &str, background: bool) -> String {
    let usage = if matches!(status, "queued" | "in_progress") {
        "null"
    } else {
        r#"{"input_tokens":40,"output_tokens":7,"total_tokens":47}"#
    };
    format!(
        r#"{{"id":"{id}","object":"response","status":"{status}","background":{background},"model":"o3-deep-research","output":[],"usage":{usage}}}"#
    )
}

impl Bench {
    /// One request to the Responses API, answered with `body`; the calls that were recorded by then.
    fn exchange(&mut self, call: u64, method: &http::Method, path: &str, body: &str) -> Vec<Call> {
        let endpoint = dialect::find("openai").unwrap().endpoint(method, path).unwrap();
        self.tell(call, start_of(endpoint, "openai", path));
        let request = r#"{"model":"o3","background":true,"input":"Dig"}"#;
        self.tell(call, Observation::RequestBody(Bytes::from_static(request.as_bytes())));
        let content_type = if body.starts_with("event") { EVENTS } else { JSON };
        self.head(call, 200, content_type, None);
        self.body(call, body.as_bytes(), 3_000);
        self.tell(call, Observation::End(Complete, 9_000 + call, None));
        std::mem::take(&mut *self.calls.lock().unwrap())
    }

    fn create(&mut self, call: u64, id: &str) {
        let recorded =
            self.exchange(call, &http::Method::POST, "/v1/responses", &response(id, "queued", true));
        assert_eq!(recorded, [], "its usage is still to come");
    }

    fn poll(&mut self, call: u64, id: &str, status: &str) -> Vec<Call> {
        let path = format!("/v1/responses/{id}");
        self.exchange(call, &http::Method::GET, &path, &response(id, status, true))
    }
}

#[test]
fn a_background_response_is_recorded_once_when_a_poll_shows_its_end() {
    let mut bench = Bench::new();
    bench.create(1, "resp_1");
    bench.create(2, "resp_2");
    assert_eq!(bench.metrics.calls_in_background.get(), 2);
    for call in 3..6 {
        assert_eq!(bench.poll(call, "resp_1", "in_progress"), []);
    }
    let [recorded] = bench.poll(6, "resp_1", "completed").try_into().unwrap();
    assert_eq!(usage(&recorded), Some((40, 7, UsageSource::Provider)));
    assert_eq!(
        (recorded.request_model.as_str(), recorded.response_model.as_str()),
        ("o3", "o3-deep-research")
    );
    assert_eq!((recorded.response_id.as_str(), recorded.end), ("resp_1", Complete));
    assert_eq!((recorded.start_unix_ns, recorded.end_unix_ns), (1_000, 9_006));
    assert_eq!(bench.poll(7, "resp_1", "completed"), [], "once");
    let cancel = bench.exchange(
        8,
        &http::Method::POST,
        "/v1/responses/resp_2/cancel",
        &response("resp_2", "cancelled", true),
    );
    assert_eq!(cancel[0].finish_reasons, ["cancelled"]);
    assert_eq!(usage(&cancel[0]), Some((40, 7, UsageSource::Provider)));
    assert_eq!(bench.metrics.calls_in_background.get(), 0);
    assert_eq!(bench.metrics.calls_ignored.get(), 6, "a poll is no call");
}

#[test]
fn a_background_stream_that_breaks_is_recorded_by_the_stream_that_takes_it_up() {
    let mut bench = Bench::new();
    let event = |status: &str| {
        let name = if status == "queued" { "queued" } else { "completed" };
        format!(
            "event: response.{name}\ndata: {{\"type\":\"response.{name}\",\"response\":{}}}\n\n",
            response("resp_1", status, true)
        )
    };
    assert_eq!(bench.exchange(1, &http::Method::POST, "/v1/responses", &event("queued")), []);
    let [recorded] = bench
        .exchange(2, &http::Method::GET, "/v1/responses/resp_1", &event("completed"))
        .try_into()
        .unwrap();
    assert_eq!((usage(&recorded), recorded.stream), (Some((40, 7, UsageSource::Provider)), true));
    // One that ends in its own stream needs nobody else.
    let whole = event("queued").replace("resp_1", "resp_2") + &event("completed").replace("resp_1", "resp_2");
    assert_eq!(bench.exchange(3, &http::Method::POST, "/v1/responses", &whole).len(), 1);
    assert_eq!(bench.poll(4, "resp_2", "completed"), []);
}

#[test]
fn a_background_response_without_counts_is_missing_and_never_estimated() {
    let mut bench = Bench::new();
    bench.create(1, "resp_1");
    let silent = response("resp_1", "cancelled", true).replace(r#""usage":{"#, r#""usage":null,"x":{"#);
    let [recorded] =
        bench.exchange(2, &http::Method::GET, "/v1/responses/resp_1", &silent).try_into().unwrap();
    assert_eq!((recorded.usage, recorded.end), (None, Complete));
}

#[test]
fn a_poll_that_overtakes_the_end_of_its_call_is_not_lost() {
    let mut bench = Bench::new();
    let endpoint = dialect::find("openai").unwrap().endpoint(&http::Method::POST, "/v1/responses").unwrap();
    bench.tell(1, start_of(endpoint, "openai", "/v1/responses"));
    bench.head(1, 200, EVENTS, None);
    let created = format!(
        "data: {{\"type\":\"response.created\",\"response\":{}}}\n\n",
        response("resp_1", "queued", true)
    );
    bench.body(1, created.as_bytes(), 3_000);
    assert_eq!(bench.poll(2, "resp_1", "completed"), []);
    let recorded = bench.end(1, ClientGone);
    assert_eq!((usage(&recorded), recorded.end), (Some((40, 7, UsageSource::Provider)), Complete));
    assert_eq!(bench.poll(3, "resp_1", "completed"), []);
}

#[test]
fn a_stored_response_that_is_fetched_is_no_call() {
    let mut bench = Bench::new();
    let stored = response("resp_9", "completed", false);
    assert_eq!(bench.exchange(1, &http::Method::GET, "/v1/responses/resp_9", &stored), []);
    assert_eq!(bench.poll(2, "resp_of_another_agent", "completed"), []);
    assert_eq!(
        bench.exchange(3, &http::Method::GET, "/v1/responses/x", r#"{"error":{"code":"not_found"}}"#),
        []
    );
    assert_eq!(bench.exchange(4, &http::Method::POST, "/v1/responses", &stored).len(), 1);
}

#[test]
fn a_background_response_that_nobody_fetches_is_recorded_without_usage() {
    let limits =
        WorkerLimits { background_calls_max: 2, background_age_ns_max: 1_000_000, ..WorkerLimits::default() };
    let mut bench = Bench::with(limits);
    bench.create(1, "resp_1");
    bench.create(2, "resp_2");
    let [oldest] = bench
        .exchange(3, &http::Method::POST, "/v1/responses", &response("resp_3", "queued", true))
        .try_into()
        .unwrap();
    assert_eq!((oldest.response_id.as_str(), oldest.usage, oldest.end), ("resp_1", None, Complete));
    assert_eq!((oldest.error_type, oldest.end_unix_ns), (None, 9_001));
    assert_eq!(bench.poll(4, "resp_1", "completed"), [], "too late, and not twice");
    bench.tell(5, Observation::End(ClientGone, 2_000_000, None));
    bench.start(6, "openai", REQUEST);
    let aged: Vec<String> = bench.calls.lock().unwrap().drain(..).map(|call| call.response_id).collect();
    assert_eq!(aged, ["resp_2", "resp_3"]);
    let mut bench = Bench::new();
    bench.create(1, "resp_4");
    bench.worker.finish();
    let last = bench.calls.lock().unwrap().pop().unwrap();
    assert_eq!((last.response_id.as_str(), last.usage, last.end), ("resp_4", None, Complete));
}

#[test]
fn a_request_with_a_model_that_no_dialect_reads_is_recorded_as_unread() {
    use ledgerline_proto::{Operation, Unread};
    let mut bench = Bench::new();
    let mut exchange = |call, path: &str, request: &'static str, status| {
        bench.tell(call, start_of(&dialect::unread::UNREAD, "gateway", path));
        bench.tell(call, Observation::RequestBody(Bytes::from_static(request.as_bytes())));
        bench.head(call, status, JSON, None);
        bench.body(call, br#"{"usage":{"input_tokens":9,"output_tokens":9}}"#, 3_000);
        bench.tell(call, Observation::End(Complete, 9_000, None));
        bench.calls.lock().unwrap().pop()
    };
    let image =
        exchange(1, "/v1/images/generations", r#"{"model":"gpt-image-1","prompt":"a cat"}"#, 200).unwrap();
    assert_eq!((image.operation, image.request_model.as_str()), (Operation::Unread, "gpt-image-1"));
    assert_eq!(
        (image.usage, image.end, image.error_type, image.http_status),
        (None, Complete, None, Some(200))
    );
    assert_eq!(
        image.unread,
        Some(Unread { upstream: "gateway".into(), path: "/v1/images/generations".into() })
    );
    let gemini = exchange(2, "/v1beta/models/gemini-3:generateContent", r#"{"contents":[]}"#, 404).unwrap();
    assert_eq!((gemini.request_model.as_str(), gemini.end), ("gemini-3", ProviderError));
    assert_eq!(gemini.unread.unwrap().path, "/v1beta/models/*:generateContent");
    assert_eq!(exchange(3, "/v1/vector_stores", r#"{"name":"docs"}"#, 200), None);
    let unread = bench.metrics.calls_unread.get_or_create(&[("upstream", Arc::from("gateway"))]).get();
    assert_eq!(unread, 2);
    assert_eq!(bench.metrics.calls_ignored.get(), 1);
    assert_eq!(bench.failures(), []);
}

#[test]
fn paths_that_nobody_reads_do_not_grow_without_bound() {
    let mut bench = Bench::new();
    for call in 0..400 {
        let mut path = "/v1/".to_owned();
        path.extend(format!("{call:03}").chars().map(|digit| char::from(digit as u8 + 50)));
        bench.tell(call, start_of(&dialect::unread::UNREAD, "gateway", &path));
        bench.tell(call, Observation::RequestBody(Bytes::from_static(br#"{"model":"m"}"#)));
        bench.tell(call, Observation::End(Complete, 9_000, None));
    }
    let paths: BTreeSet<String> =
        bench.calls.lock().unwrap().drain(..).map(|call| call.unread.unwrap().path).collect();
    assert_eq!(paths.len(), 257, "256, and one for the rest");
    assert!(paths.contains("other"));
}

/// Panics at a chosen step.
struct Panics(&'static str);

impl Reader for Panics {
    fn read_request(&mut self, _: &[u8], _: &mut dyn TextSink) -> dialect::RequestFacts {
        assert_ne!(self.0, "request");
        dialect::RequestFacts::default()
    }

    fn read_event(
        &mut self,
        _: Event<'_>,
        response: &mut Response,
        _: &mut dyn TextSink,
    ) -> Result<(), Unreadable> {
        response.model = "half written".into();
        assert_ne!(self.0, "event");
        Ok(())
    }

    fn read_body(
        &mut self,
        _: &[u8],
        response: &mut Response,
        _: &mut dyn TextSink,
    ) -> Result<(), Unreadable> {
        response.model = "half written".into();
        assert_ne!(self.0, "body");
        Ok(())
    }
}

/// A call whose reader is made by `reader`.
const fn with_reader(reader: fn() -> Box<dyn Reader>) -> Endpoint {
    Endpoint {
        method: http::Method::POST,
        path: "/panics",
        purpose: Purpose::Call,
        operation: ledgerline_proto::Operation::Chat,
        injects_usage: false,
        finish_field: None,
        reader,
    }
}

static PANICS: [(&str, &str, Endpoint); 4] = [
    ("make", EVENTS, with_reader(|| panic!("make"))),
    ("request", EVENTS, with_reader(|| Box::new(Panics("request")))),
    ("event", EVENTS, with_reader(|| Box::new(Panics("event")))),
    ("body", JSON, with_reader(|| Box::new(Panics("body")))),
];

#[test]
fn a_panic_costs_one_call_its_details() {
    for (step, content_type, endpoint) in &PANICS {
        let mut bench = Bench::new();
        bench.start(1, "openai", REQUEST);
        bench.tell(2, start_of(endpoint, "panics", "/panics"));
        bench.tell(2, Observation::RequestBody(Bytes::from_static(REQUEST.as_bytes())));
        bench.head(2, 200, content_type, None);
        let piece: &[u8] = if *content_type == JSON { b"{}" } else { b"data: {}\n\n" };
        bench.body(2, piece, 3_000);
        bench.body(2, piece, 3_000);
        bench.tell(2, Observation::End(Complete, 9_000, None));
        let call = bench.calls.lock().unwrap().pop().unwrap();
        assert_eq!((call.usage, call.end, call.http_status), (None, Complete, Some(200)), "{step}");
        assert_eq!((call.response_model.as_str(), call.identity.team.as_str()), ("", "search"));
        assert_eq!(bench.metrics.worker_panics.get(), 1, "{step}");
        bench.head(1, 200, EVENTS, None);
        bench.body(1, OPENAI_STREAM.as_bytes(), 3_000);
        assert_eq!(usage(&bench.end(1, Complete)), Some((8, 2, UsageSource::Provider)), "{step}");
    }
}

#[test]
fn a_sink_that_panics_does_not_stop_the_worker() {
    let metrics = Arc::new(Metrics::default());
    let sink = |_: Call| panic!("sink");
    let mut worker = Worker::new(WorkerLimits::default(), metrics.clone(), sink);
    for call in 1..=2 {
        worker.observe(Tagged { call: CallNumber(call), observation: start("openai", "/chat/completions") });
        let observation = Observation::End(ClientGone, 9_000, None);
        worker.observe(Tagged { call: CallNumber(call), observation });
    }
    assert_eq!(metrics.worker_panics.get(), 2);
}

#[test]
fn too_many_open_calls_cost_the_oldest_its_details() {
    let limits = WorkerLimits { open_calls_max: 3, ..WorkerLimits::default() };
    let mut bench = Bench::with(limits);
    for call in 1..=5 {
        bench.start(call, "openai", REQUEST);
    }
    let metrics = bench.metrics.clone();
    assert_eq!((metrics.calls_evicted.get(), metrics.calls_open.get()), (2, 3));
    let held = metrics.worker_held_bytes.get();
    assert!((3..=6).contains(&(held / REQUEST.len() as i64)), "{held}");
    for evicted in bench.calls.lock().unwrap().iter() {
        assert_eq!((evicted.end, evicted.error_type.as_deref()), (RelayKilled, Some("evicted")));
        assert_eq!((evicted.request_model.as_str(), evicted.usage.as_ref()), ("gpt-5", None));
    }
    for call in 1..=5 {
        bench.head(call, 200, EVENTS, None);
        bench.tell(call, Observation::End(ClientGone, 9_000, None));
    }
    assert_eq!(bench.calls.lock().unwrap().len(), 5, "each is recorded once");
    assert_eq!((metrics.calls_headless.get(), metrics.worker_held_bytes.get()), (0, 0));

    bench.start(6, "openai", REQUEST);
    bench.head(6, 200, EVENTS, None);
    bench.body(6, OPENAI_STREAM.as_bytes(), 3_000);
    for call in 7..=9 {
        bench.start(call, "openai", REQUEST);
    }
    let finished = bench.calls.lock().unwrap().pop().unwrap();
    assert_eq!((finished.end, usage(&finished)), (Complete, Some((8, 2, UsageSource::Provider))));
}

#[test]
fn every_call_is_counted_in_one_place() {
    let limits = WorkerLimits { open_calls_max: 3, ..WorkerLimits::default() };
    let mut bench = Bench::with(limits);
    for call in 1..=20 {
        bench.tell(call, start("openai", "/v1/chat/completions"));
        if call % 3 == 0 {
            bench.tell(call, Observation::End(Complete, 9_000, None));
        }
        let metrics = &bench.metrics;
        let recorded: u64 = EndOfStream::ALL.into_iter().map(|end| recorded(metrics, end)).sum();
        let rest = metrics.calls_ignored.get() + metrics.calls_headless.get();
        assert_eq!(recorded + rest + metrics.calls_open.get() as u64, call);
    }
}

#[test]
fn what_all_calls_hold_together_is_bounded() {
    let limits = WorkerLimits { held_bytes_max: 64 << 10, ..WorkerLimits::default() };
    let mut bench = Bench::with(limits);
    let piece = ["[", &"[],".repeat(341)].concat().into_bytes();
    for call in 1..=100 {
        bench.start(call, "openai", REQUEST);
        bench.head(call, 200, JSON, None);
        for _ in 0..10 {
            bench.body(call, &piece, 3_000);
            assert!(bench.metrics.worker_held_bytes.get() <= 64 << 10);
        }
    }
    for call in 1..=100 {
        bench.tell(call, Observation::End(Complete, 9_000, None));
    }
    assert_eq!(bench.calls.lock().unwrap().len(), 100);
    let held = |(name, count): &(&str, u64)| *name == "held_bytes" && *count > 90;
    assert!(bench.failures().iter().any(held), "{:?}", bench.failures());
}

#[test]
fn the_request_is_dropped_when_the_response_begins() {
    let mut bench = Bench::new();
    bench.start(1, "openai", REQUEST);
    assert!(bench.metrics.worker_held_bytes.get() >= REQUEST.len() as i64);
    bench.head(1, 200, EVENTS, None);
    assert_eq!(bench.metrics.worker_held_bytes.get(), 0);
}

#[test]
fn only_an_event_stream_is_read_as_one() {
    let body = r#"{"id":"c","choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":1}}"#;
    for (content_type, is_stream) in [
        ("text/event-stream", true),
        (" Text/Event-Stream ;charset=utf-8", true),
        ("text/event-stream-of-another-kind", false),
        ("application/json", false),
    ] {
        let mut bench = Bench::new();
        bench.start(1, "openai", REQUEST);
        bench.head(1, 200, content_type, Some("none"));
        bench.body(1, if is_stream { OPENAI_STREAM.as_bytes() } else { body.as_bytes() }, 3_000);
        let call = bench.end(1, Complete);
        let expected = if is_stream { (8, 2) } else { (3, 1) };
        assert_eq!(usage(&call), Some((expected.0, expected.1, UsageSource::Provider)), "{content_type}");
        assert_eq!(call.stream, is_stream, "{content_type}");
    }
}

#[test]
fn calls_still_open_at_the_end_are_recorded() {
    let mut bench = Bench::new();
    for call in 1..=20 {
        bench.start(call, "openai", REQUEST);
        if call % 2 == 0 {
            bench.tell(call, Observation::End(ClientGone, 8_000, None));
        }
    }
    bench.worker.finish();
    let calls = bench.calls.lock().unwrap();
    assert_eq!(calls.len(), 20);
    let killed: Vec<&Call> = calls.iter().filter(|call| call.end == RelayKilled).collect();
    assert_eq!(killed.len(), 10);
    assert!(killed.iter().all(|call| call.end_unix_ns == 8_000));
    assert!(killed.iter().all(|call| usage(call) == Some((4, 0, UsageSource::Estimated))));
    assert_eq!(recorded(&bench.metrics, RelayKilled), 10);
}

/// For the report of a case that fails.
impl std::fmt::Debug for Observation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Start(start) => write!(f, "Start({})", start.endpoint.path),
            Self::RequestBody(bytes) => write!(f, "RequestBody({bytes:?})"),
            Self::ResponseHead(head, _) => {
                write!(f, "ResponseHead({} {:?})", head.status, head.content_encoding)
            }
            Self::ResponseBody(bytes, _) => write!(f, "ResponseBody({bytes:?})"),
            Self::ClientLeft(_) => f.write_str("ClientLeft"),
            Self::Gap => f.write_str("Gap"),
            Self::End(end, ..) => write!(f, "End({end:?})"),
        }
    }
}

fn any_observation() -> impl Strategy<Value = Observation> {
    let bytes = prop_oneof![
        (0..OPENAI_STREAM.len()).prop_map(|at| OPENAI_STREAM.as_bytes()[at..].to_vec()),
        (0..ANTHROPIC_STREAM.len()).prop_map(|at| ANTHROPIC_STREAM.as_bytes()[..at].to_vec()),
        prop::collection::vec(any::<u8>(), 0..60),
    ];
    let encoding = prop_oneof![Just(None), Just(Some("gzip")), Just(Some("br")), Just(Some("zstd, deflate"))];
    prop_oneof![
        (0..dialect::ALL.len(), any::<prop::sample::Index>()).prop_map(|(spec, endpoint)| {
            let spec = dialect::ALL[spec];
            start_of(endpoint.get(spec.endpoints), spec.name, "/any")
        }),
        bytes.clone().prop_map(|bytes| Observation::RequestBody(bytes.into())),
        (prop_oneof![Just(200), Just(429)], any::<bool>(), encoding).prop_map(
            |(status, events, encoding)| {
                let content_type = Some(Arc::from(if events { EVENTS } else { JSON }));
                let content_encoding = encoding.map(Arc::from);
                Observation::ResponseHead(
                    ResponseHead { status, content_type, content_encoding, has_length: false },
                    5,
                )
            }
        ),
        bytes.prop_map(|bytes| Observation::ResponseBody(bytes.into(), 7)),
        Just(Observation::Gap),
        (0..4_usize).prop_map(|end| Observation::End(EndOfStream::ALL[end], 9, None)),
    ]
}

proptest! {
    #[test]
    fn any_order_of_events_is_survived_and_accounted(
        events in prop::collection::vec((1..5_u64, any_observation()), 0..60),
        held_bytes_max in prop_oneof![Just(100_usize), Just(1 << 20)],
    ) {
        let limits = WorkerLimits { open_calls_max: 3, held_bytes_max, ..WorkerLimits::default() };
        let mut bench = Bench::with(limits);
        for (call, observation) in events {
            bench.tell(call, observation);
            prop_assert!(bench.worker.open.len() <= 3 && bench.worker.settled.len() <= 3);
        }
        bench.worker.finish();
        prop_assert_eq!(bench.worker.held_bytes, 0);
        prop_assert_eq!(bench.metrics.worker_panics.get(), 0);
    }
}
