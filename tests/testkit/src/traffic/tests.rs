//! The generator against the mock itself, and the proof that its comparison can fail.

use std::sync::Mutex;

use super::*;
use ledgerline_mock_provider::{MockOptions, MockProvider, ServedEnd};

fn plan() -> Plan {
    Plan {
        duration: Duration::from_secs(20),
        calls_max: 300,
        rate_per_s: 200.0,
        long_streams: 8,
        long_stream_duration: Duration::from_millis(700),
        error_per_mille: 150,
        abort_per_mille: 100,
        gap: Duration::from_millis(3),
        ..Plan::default()
    }
}

async fn check_run(plan: &Plan) -> Report {
    let provider = MockProvider::start(MockOptions::for_load(100_000)).await.unwrap();
    let targets = Targets::both(&provider.url).unwrap();
    let report = run(plan, &targets, Some(provider.ledger()), CancellationToken::new(), |_| {}).await;
    assert_eq!(report.client_errors, 0, "{:#?}", report.failures);
    assert_eq!(report.different, 0, "{:#?}", report.failures);
    assert_eq!(report.skipped, 0);
    assert!(report.aborted > 5 && report.cut_as_planned > 0, "{report}");
    assert_eq!(report.complete + report.aborted + report.cut_as_planned, report.started);
    // Only aborts whose answer was already written to its end, and refusals cut before headers, have no chunks left.
    assert!(report.equal + report.aborted >= report.started, "{report}");
    let calls = provider.wait_ended(report.started as usize, Duration::from_secs(10)).await.unwrap();
    assert_eq!(calls.len() as u64, report.started);
    let gone = calls.iter().filter(|call| call.end == ServedEnd::PeerGone).count() as u64;
    assert!(gone <= report.aborted, "{gone} peers gone, {report}");
    assert!(calls.iter().all(|call| call.request_headers.contains_key("x-ledgerline-team")));
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_gets_the_bytes_that_were_written_over_http1() {
    check_run(&plan()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_gets_the_bytes_that_were_written_over_http2() {
    check_run(&Plan { protocol: Protocol::Http2, ..plan() }).await;
}

#[test]
fn a_plan_makes_the_same_calls_again() {
    for index in 0..50 {
        let (first, second) = (cast::paced(&plan(), index), cast::paced(&plan(), index));
        assert_eq!((first.body, first.params), (second.body, second.params));
    }
    let other = Plan { seed: 2, ..plan() };
    assert_ne!(cast::paced(&plan(), 0).body, cast::paced(&other, 0).body);
}

/// Bytes from one provider, compared with the ledger of another that served the same call with one more token.
#[tokio::test(flavor = "multi_thread")]
async fn a_difference_is_found() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let other = MockProvider::start(MockOptions::default()).await.unwrap();
    let plan = plan();
    let outcome = |target: &MockProvider, oracle: &MockProvider, tokens: u64| {
        let caller = call::Caller::new(&plan, &Targets::both(&target.url).unwrap(), Some(oracle.ledger()));
        let mut draft = cast::paced(&plan, 0);
        draft.scenario = "plain";
        draft.abort_after = None;
        draft.params = format!("output_tokens={tokens}");
        async move { caller.call(draft).await }
    };
    assert_eq!(outcome(&other, &other, 30).await.verdict, Verdict::Equal);
    assert_eq!(outcome(&provider, &other, 31).await.verdict, Verdict::Different);
}

#[tokio::test(flavor = "multi_thread")]
async fn stopping_ends_the_run_at_once() {
    let provider = MockProvider::start(MockOptions::for_load(1_000)).await.unwrap();
    let targets = Targets::both(&provider.url).unwrap();
    let stop = CancellationToken::new();
    let plan =
        Plan { duration: Duration::from_secs(600), long_stream_duration: Duration::from_secs(300), ..plan() };
    let seen = Mutex::new(0);
    let on_outcome = |_: &Outcome| {
        *seen.lock().unwrap() += 1;
        stop.cancel();
    };
    let run = run(&plan, &targets, Some(provider.ledger()), stop.clone(), on_outcome);
    let report = tokio::time::timeout(Duration::from_secs(30), run).await.unwrap();
    assert!(report.cut_by_stop >= 8, "{report}");
    assert!(*seen.lock().unwrap() >= 1);
}
