//! Nothing acknowledged is lost or counted twice, under load and under kill -9. `make soak` runs the long version.

use std::time::Duration;

use ledgerline_mock_provider::MockOptions;
use ledgerline_testkit::load::{Fault, Victim, prove, run};
use ledgerline_testkit::stack::{Stack, StackOptions};
use ledgerline_testkit::traffic::Plan;

/// The agent's bound on resident memory, MiB.
const AGENT_RESIDENT_MIB_MAX: u64 = 40;

fn plan(calls: u64) -> Plan {
    Plan {
        calls_max: calls,
        rate_per_s: 100.0,
        duration: Duration::from_secs(60),
        long_streams: 25,
        long_stream_duration: Duration::from_secs(4),
        ..Plan::default()
    }
}

async fn hold(calls: u64, faults: &[Fault]) {
    let options = StackOptions { provider: MockOptions::for_load(20_000), ..StackOptions::default() };
    let mut stack = Stack::start(options).await.unwrap();
    let outcome = run(&mut stack, &plan(calls), faults, Duration::from_secs(60)).await.unwrap();
    prove(&stack, &outcome).await.unwrap();
    assert!(
        outcome.agent_resident_kib_max < AGENT_RESIDENT_MIB_MAX * 1024,
        "{} KiB",
        outcome.agent_resident_kib_max
    );
}

/// Scenario: 1,000 calls at 100 per second beside 25 open streams; the collector is killed twice, its engine with it.
/// Guarantees: no client error, every answer byte-equal, every call recorded once in spans and every rollup.
#[tokio::test(flavor = "multi_thread")]
async fn kill_of_the_collector_loses_and_doubles_nothing() {
    let at = |seconds| Fault { at: Duration::from_secs(seconds), victim: Victim::Collector };
    hold(1_000, &[at(3), at(7)]).await;
}

/// Scenario: the same, with the engine alone killed three times.
/// Guarantees: the same; the collector starts it again by itself.
#[tokio::test(flavor = "multi_thread")]
async fn kill_of_the_engine_loses_and_doubles_nothing() {
    let at = |seconds| Fault { at: Duration::from_secs(seconds), victim: Victim::Engine };
    hold(1_000, &[at(2), at(5), at(8)]).await;
}

/// Scenario: a calm run, then SIGTERM to agent and collector.
/// Guarantees: both end by themselves with exit code 0 and the record is complete.
#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_end_delivers_everything() {
    let options = StackOptions { provider: MockOptions::for_load(2_000), ..StackOptions::default() };
    let mut stack = Stack::start(options).await.unwrap();
    let plan = Plan { long_streams: 5, ..plan(200) };
    let outcome = run(&mut stack, &plan, &[], Duration::from_secs(60)).await.unwrap();
    prove(&stack, &outcome).await.unwrap();
    assert!(stack.agent.terminate().await.unwrap().success());
    assert!(stack.collector.terminate().await.unwrap().success());
}
