//! A full queue costs observation, never time; every call that began also ends.

use ledgerline_process::clock::ManualClock;
use ledgerline_proto::{Identity, SpanId, TraceId};

use super::*;

fn start() -> CallStart {
    CallStart {
        at_unix_ns: 7,
        endpoint: &crate::dialect::ALL[0].endpoints[0],
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

fn new(observations_max: usize, bytes_max: usize) -> (Tap, Observations, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    let limits = RelayLimits { observations_max, observed_bytes_max: bytes_max, ..RelayLimits::PRODUCT };
    let (tap, observations) = tap(limits, Arc::new(ManualClock::at(7)), metrics.clone());
    (tap, observations, metrics)
}

/// The events that wait, one letter each: Start, Request, Head, Body, client Left, Gap, End.
async fn read(mut observations: Observations, tap: Tap) -> (String, Vec<EndOfStream>) {
    drop(tap);
    let (mut letters, mut ends) = (String::new(), Vec::new());
    while let Some(tagged) = observations.next().await {
        letters.push(match tagged.observation {
            Observation::Start(_) => 'S',
            Observation::RequestBody(_) => 'R',
            Observation::ResponseHead(..) => 'H',
            Observation::ResponseBody(..) => 'B',
            Observation::ClientLeft(_) => 'L',
            Observation::Gap => 'G',
            Observation::End(end, ..) => {
                ends.push(end);
                'E'
            }
        });
    }
    assert_eq!(observations.shared.metrics.observed_bytes.get(), 0, "every charged byte is given back");
    (letters, ends)
}

#[tokio::test]
async fn a_call_is_told_in_order_and_ends_once() {
    let (tap, observations, metrics) = new(16, 1 << 20);
    let call = tap.start(start()).unwrap();
    call.tap().request_body(&Bytes::from_static(b"{}"));
    call.tap().request_body(&Bytes::new());
    call.tap().response_head(ResponseHead {
        status: 200,
        content_type: None,
        content_encoding: None,
        has_length: false,
    });
    call.tap().response_body(&Bytes::from(vec![0; 64 << 10]));
    call.end(EndOfStream::Complete, None);
    drop(call);
    assert_eq!(read(observations, tap).await, ("SRHBE".into(), vec![EndOfStream::Complete]));
    assert_eq!((metrics.calls_observed.get(), metrics.calls_unobserved.get()), (1, 0));
}

#[tokio::test]
async fn a_call_that_is_dropped_tells_who_broke_it_off() {
    let (tap, observations, _) = new(16, 1 << 20);
    drop(tap.start(start()).unwrap());
    let second = tap.start(start()).unwrap();
    tap.killed().cancel();
    drop(second);
    let (letters, ends) = read(observations, tap).await;
    assert_eq!((letters.as_str(), ends), ("SESE", vec![EndOfStream::ClientGone, EndOfStream::RelayKilled]));
}

#[tokio::test]
async fn too_many_bytes_leave_one_gap_in_their_place_and_the_call_still_ends() {
    let (tap, observations, metrics) = new(16, 10);
    let call = tap.start(start()).unwrap();
    call.tap().response_body(&Bytes::from_static(b"12345678"));
    call.tap().response_body(&Bytes::from_static(b"too many"));
    call.tap().response_body(&Bytes::from_static(b"too many"));
    call.tap().response_body(&Bytes::from_static(b"90"));
    drop(call);
    assert_eq!(read(observations, tap).await.0, "SBGBE");
    assert_eq!(metrics.calls_with_gaps.get(), 1);
}

#[tokio::test]
async fn each_gap_is_told_in_its_place() {
    let (tap, observations, metrics) = new(16, 10);
    let call = tap.start(start()).unwrap();
    for bytes in [&b"12345678"[..], b"too many", b"9", b"too many", b"0", b"too many"] {
        call.tap().response_body(&Bytes::copy_from_slice(bytes));
    }
    drop(call);
    assert_eq!(read(observations, tap).await.0, "SBGBGBGE");
    assert_eq!(metrics.calls_with_gaps.get(), 1);
}

#[tokio::test]
async fn a_full_queue_leaves_a_gap_and_refuses_new_calls_but_every_started_call_ends() {
    // Start, gap, end and one more place.
    let (tap, observations, metrics) = new(4, 1 << 20);
    let call = tap.start(start()).unwrap();
    call.tap().response_body(&Bytes::from_static(b"fits"));
    call.tap().response_body(&Bytes::from_static(b"does not"));
    assert!(tap.start(start()).is_none());
    drop(call);
    assert_eq!(read(observations, tap).await.0, "SBGE");
    assert_eq!((metrics.calls_observed.get(), metrics.calls_unobserved.get()), (2, 1));
}

#[tokio::test]
async fn a_worker_that_is_gone_is_no_obstacle() {
    let (tap, observations, metrics) = new(16, 1 << 20);
    let call = tap.start(start()).unwrap();
    drop(observations);
    call.tap().response_body(&Bytes::from_static(b"x"));
    drop(call);
    assert!(tap.start(start()).is_none());
    assert_eq!(metrics.calls_unobserved.get(), 1);
}
