//! The spool keeps, repeats and counts; a full one refuses the newest and says so.

use futures_util::FutureExt;
use ledgerline_proto::otlp::ExportTraceServiceRequest;
use ledgerline_proto::{
    BillGap, Billing, Condition, Conditions, EndOfStream, Identity, Operation, SpanId, TraceId, Unread,
};

use super::*;

pub fn call(number: u64) -> Call {
    Call {
        trace_id: TraceId::from_bytes([7; 16]).unwrap(),
        span_id: SpanId::from_bytes(number.to_be_bytes()).unwrap(),
        parent_span_id: None,
        start_unix_ns: 1_700_000_000_000_000_000,
        end_unix_ns: 1_700_000_001_000_000_000,
        time_to_first_token_ns: Some(250_000_000),
        operation: Operation::Chat,
        provider: "openai".into(),
        request_model: "gpt-5".into(),
        response_model: "gpt-5-2026-01-01".into(),
        response_id: "chatcmpl-1234567890".into(),
        stream: true,
        finish_reasons: vec!["stop".into()],
        end: EndOfStream::Complete,
        error_type: None,
        http_status: Some(200),
        usage: None,
        usage_object: String::new(),
        billing: Billing::default(),
        identity: Identity { service: "shop".into(), team: "search".into(), ..Identity::default() },
        unread: None,
    }
}

fn spans(request: &SealedRequest) -> Vec<u8> {
    let decoded = ExportTraceServiceRequest::decode(request.message().unwrap()).unwrap();
    let spans = decoded.resource_spans.iter().flat_map(|r| &r.scope_spans).flat_map(|s| &s.spans);
    spans.map(|span| *span.span_id.last().unwrap()).collect()
}

/// What is there without waiting.
fn at_once(spool: &Spool) -> Option<SealedRequest> {
    spool.next().now_or_never().flatten()
}

fn spool(bytes_max: usize) -> (Arc<Spool>, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::default());
    (Arc::new(Spool::new(bytes_max, metrics.clone())), metrics)
}

#[tokio::test]
async fn calls_wait_for_company_but_not_longer_than_the_linger() {
    let (spool, _) = spool(16 << 20);
    let started = Instant::now();
    spool.push(call(1));
    spool.push(call(2));
    let request = spool.next().await.unwrap();
    assert!(started.elapsed() >= EXPORT_LINGER);
    assert_eq!((request.sequence, request.calls, spans(&request)), (1, 2, vec![1, 2]));
    spool.push(call(3));
    assert_eq!(spool.next().await.unwrap().sequence, 2);
}

#[tokio::test]
async fn a_full_request_does_not_wait() {
    let (spool, _) = spool(16 << 20);
    for number in 1..=EXPORT_CALLS_MAX as u64 + 1 {
        spool.push(call(number));
    }
    assert_eq!(at_once(&spool).unwrap().calls, EXPORT_CALLS_MAX);
    assert_eq!(at_once(&spool), None, "the last call waits for company");
    assert_eq!(spool.next().await.unwrap().calls, 1);
}

#[tokio::test]
async fn a_full_spool_refuses_the_newest_and_counts_it() {
    let (spool, metrics) = spool(call_bytes(&call(1)) * 2);
    for number in 1..=5 {
        spool.push(call(number));
    }
    let request = spool.next().await.unwrap();
    assert_eq!(spans(&request), [1, 2]);
    assert_eq!(metrics.calls_dropped.get_or_create(&[("reason", DropReason::spool_full)]).get(), 3);
    assert_eq!(metrics.calls_waiting.get(), 2);
    // What was handed out is still held until it is released.
    assert_eq!(metrics.spool_bytes.get(), request.bytes.len() as i64);
    spool.release(&request);
    assert_eq!((metrics.spool_bytes.get(), metrics.calls_waiting.get()), (0, 0));
    spool.push(call(6));
    assert_eq!(spans(&spool.next().await.unwrap()), [6]);
}

#[tokio::test]
async fn what_has_to_wait_is_compressed_and_comes_out_as_it_went_in() {
    let (spool, metrics) = spool(16 << 20);
    for number in 1..=4 * EXPORT_CALLS_MAX as u64 {
        spool.push(call(number));
    }
    let held: usize = metrics.spool_bytes.get().try_into().unwrap();
    let mut plain = 0;
    for sequence in 1..=4 {
        let request = at_once(&spool).unwrap();
        plain += request.message().unwrap().len();
        assert_eq!((request.sequence, request.calls), (sequence, EXPORT_CALLS_MAX));
        let numbers: Vec<u8> = (1..=EXPORT_CALLS_MAX as u64)
            .map(|number| (((sequence - 1) * EXPORT_CALLS_MAX as u64 + number) & 0xff) as u8)
            .collect();
        assert_eq!(spans(&request), numbers);
        spool.release(&request);
    }
    assert!(held < plain / 2, "{held} of {plain}");
    assert_eq!((metrics.spool_bytes.get(), metrics.calls_waiting.get()), (0, 0));
}

#[tokio::test]
async fn closing_hands_out_the_rest_and_then_ends() {
    let (spool, _) = spool(16 << 20);
    spool.push(call(1));
    spool.close();
    assert_eq!(at_once(&spool).unwrap().calls, 1);
    assert_eq!(spool.next().await, None);
}

#[test]
fn the_estimate_of_a_call_is_never_below_its_encoding() {
    let mut full = call(1);
    let long = "x".repeat(256);
    full.identity = Identity {
        service: long.clone(),
        environment: long.clone(),
        team: long.clone(),
        feature: long.clone(),
        user: long.clone(),
        session: long,
    };
    full.error_type = Some("insufficient_quota".into());
    full.billing = Billing {
        conditions: Conditions::from_pairs([
            (Condition::ServiceTier, "priority"),
            (Condition::Speed, "standard"),
            (Condition::Region, "us"),
        ]),
        gap: Some(BillGap::OtherModel),
        reported_cost: None,
    };
    full.unread = Some(Unread { upstream: "u".repeat(60), path: "p".repeat(100) });
    for call in [call(1), full] {
        let encoded = export_request(std::slice::from_ref(&call)).encoded_len();
        assert!(encoded <= call_bytes(&call), "{encoded} > {}", call_bytes(&call));
    }
}
