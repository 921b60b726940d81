//! From the tap to records, through the loop that the product runs.

use std::sync::Mutex;

use bytes::Bytes;
use ledgerline_process::clock::ManualClock;
use ledgerline_proto::{EndOfStream, Identity, Operation, SpanId, TraceId};

use super::*;
use crate::dialect::{self, Endpoint, Purpose, Reader, Response, TextSink, Unreadable};
use crate::limits::RelayLimits;
use crate::observation::{CallStart, ResponseHead};
use crate::relay::tap::{Tap, tap};
use crate::wire::sse::Event;

/// The loop's surroundings.
struct Bench {
    observations: Observations,
    metrics: Arc<Metrics>,
}

impl Bench {
    fn new() -> (Tap, Self) {
        let metrics = Arc::new(Metrics::default());
        let (tap, observations) = tap(RelayLimits::PRODUCT, Arc::new(ManualClock::at(7)), metrics.clone());
        (tap, Self { observations, metrics })
    }

    async fn read(self) -> (Vec<Call>, Arc<Metrics>) {
        let Self { mut observations, metrics } = self;
        let calls = Mutex::new(Vec::new());
        let new_worker = || {
            let sink = |call| calls.lock().unwrap().push(call);
            Worker::new(WorkerLimits::default(), metrics.clone(), sink)
        };
        read(&mut observations, &metrics, new_worker).await;
        (calls.into_inner().unwrap(), metrics)
    }
}

fn start() -> CallStart {
    CallStart {
        at_unix_ns: 7,
        endpoint: &dialect::ALL[0].endpoints[0],
        upstream: "openai".into(),
        provider: "openai".into(),
        conditions: Arc::default(),
        path: "/v1/chat/completions".into(),
        trace_id: TraceId::from_bytes([1; 16]).unwrap(),
        span_id: SpanId::from_bytes([1; 8]).unwrap(),
        parent_span_id: None,
        identity: Identity::default(),
    }
}

fn head() -> ResponseHead {
    ResponseHead {
        status: 200,
        content_type: Some("text/event-stream".into()),
        content_encoding: None,
        has_length: false,
    }
}

#[tokio::test]
async fn every_call_is_recorded_when_the_relay_is_gone() {
    let (tap, bench) = Bench::new();
    let calls: Vec<_> = (0..20).map(|_| tap.start(start()).unwrap()).collect();
    for (number, call) in calls.iter().enumerate() {
        call.tap().request_body(&Bytes::from_static(br#"{"model":"gpt-5"}"#));
        if number % 2 == 0 {
            call.end(EndOfStream::ClientGone, None);
        }
    }
    tap.killed().cancel();
    drop((calls, tap));
    let (calls, metrics) = bench.read().await;
    assert_eq!((calls.len(), metrics.restarts.get()), (20, 0));
    assert!(calls.iter().all(|call| call.request_model == "gpt-5"));
    let killed = calls.iter().filter(|call| call.end == EndOfStream::RelayKilled).count();
    assert_eq!(killed, 10);
    assert_eq!(metrics.worker_events.get(), 60);
    assert_eq!(metrics.observed_bytes.get(), 0, "every charged byte is given back");
}

/// Panics when it reads, and once more when it is dropped, which the worker does not contain.
struct PanicsTwice;

impl Reader for PanicsTwice {
    fn read_event(&mut self, _: Event<'_>, _: &mut Response, _: &mut dyn TextSink) -> Result<(), Unreadable> {
        panic!("while reading");
    }

    fn read_body(&mut self, _: &[u8], _: &mut Response, _: &mut dyn TextSink) -> Result<(), Unreadable> {
        Err(Unreadable)
    }
}

static PANICS_TWICE: Endpoint = Endpoint {
    method: http::Method::POST,
    path: "/panics",
    purpose: Purpose::Call,
    operation: Operation::Chat,
    injects_usage: false,
    finish_field: None,
    reader: || Box::new(PanicsTwice),
};

impl Drop for PanicsTwice {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "while being dropped");
    }
}

#[tokio::test]
async fn a_fault_of_the_worker_costs_the_calls_under_way_and_none_after() {
    let (tap, bench) = Bench::new();
    let under_way = tap.start(start()).unwrap();
    let panics = tap.start(CallStart { endpoint: &PANICS_TWICE, ..start() }).unwrap();
    panics.tap().response_head(head());
    panics.tap().response_body(&Bytes::from_static(b"data: {}\n\n"));
    let after = tap.start(start()).unwrap();
    after.tap().response_head(head());
    after.tap().response_body(&Bytes::from_static(
        b"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n",
    ));
    after.end(EndOfStream::Complete, None);
    drop((under_way, panics, after, tap));
    let (calls, metrics) = bench.read().await;
    assert_eq!((calls.len(), metrics.restarts.get()), (1, 1));
    assert_eq!((calls[0].end, calls[0].usage.is_some()), (EndOfStream::Complete, true));
    assert_eq!(metrics.calls_headless.get(), 2, "the two that were under way");
}
