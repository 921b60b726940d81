//! The client receives exactly the bytes the provider sent, whatever happens to us.

use std::time::Duration;

use ledgerline_tests::conformance::check_suite;
use ledgerline_tests::python::Client;
use ledgerline_tests::stack::{Stack, StackOptions};

const DEADLINE: Duration = Duration::from_secs(300);

async fn both_suites_hold(stack: &Stack) {
    for (client, base) in [(Client::OpenAi, stack.openai()), (Client::Anthropic, stack.anthropic())] {
        let played = check_suite(client, &base, &stack.provider, DEADLINE).await.unwrap();
        assert!(played.len() > 100, "{} cases", played.len());
    }
}

/// Scenario: every scenario of the mock provider through the agent, with the real `openai` and `anthropic` packages,
/// synchronous and asynchronous, streaming and not, asking for usage and not.
/// Guarantees: what the suite asserts of the provider directly holds through the agent: the same bytes (less the usage
/// chunk that the agent asked for), the same usage, the same exceptions.
#[tokio::test(flavor = "multi_thread")]
async fn clients_cannot_tell_the_agent_from_the_provider() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    both_suites_hold(&stack).await;
}

/// Scenario: the same, with the collector killed and the agent's log on a device that is always full.
/// Guarantees: the same. The agent has nothing else that touches a disk or waits for the collector.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_and_a_full_disk_change_nothing() {
    let options = StackOptions {
        agent_log: Some("/dev/full".into()),
        agent_yaml: "log: {level: trace}\n".to_owned(),
        ..StackOptions::default()
    };
    let mut stack = Stack::start(options).await.unwrap();
    stack.collector.kill();
    both_suites_hold(&stack).await;
    assert!(
        stack.agent_metric("ledgerline_agent_spool_bytes").await.unwrap() > 0.0,
        "finished calls wait in memory"
    );
}
