//! The client receives exactly the bytes the provider sent, whatever happens to us.

use std::time::Duration;

use ledgerline_agent::app::{App, Parts};
use ledgerline_agent::config::Config;
use ledgerline_agent::dialect::{Endpoint, Purpose, Reader, Response, Spec, TextSink, Unreadable};
use ledgerline_agent::wire::sse::Event;
use ledgerline_mock_provider::{MockOptions, MockProvider};
use ledgerline_process::config::parse;
use ledgerline_proto::Operation;
use ledgerline_testkit::clients::Client;
use ledgerline_testkit::conformance::check_suite;
use ledgerline_testkit::http::get;
use ledgerline_testkit::stack::{Stack, StackOptions};
use tokio_util::sync::CancellationToken;

const DEADLINE: Duration = Duration::from_secs(300);

async fn every_suite_holds(stack: &Stack) {
    for client in Client::ALL {
        let played = check_suite(client, &stack.base(client), &stack.provider, DEADLINE).await.unwrap();
        assert!(played.len() > 80, "{} cases with {client:?}", played.len());
    }
}

/// Scenario: every scenario of the mock provider through the agent, with the real `openai` (Python, Chat Completions and
/// Responses; Node, Responses), `anthropic` (Python) and `ai` (Node) packages, synchronous and asynchronous, streaming
/// and not, asking for usage and not.
/// Guarantees: what the suite asserts of the provider directly holds through the agent: the same bytes (less the usage
/// chunk that the agent asked for), the same usage, the same exceptions.
#[tokio::test(flavor = "multi_thread")]
async fn clients_cannot_tell_the_agent_from_the_provider() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    every_suite_holds(&stack).await;
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
    every_suite_holds(&stack).await;
    assert!(
        stack.agent_metric("ledgerline_agent_spool_bytes").await.unwrap() > 0.0,
        "finished calls wait in memory"
    );
}

/// Panics at whatever it is given to read.
struct Explosive;

impl Reader for Explosive {
    fn read_event(&mut self, _: Event<'_>, _: &mut Response, _: &mut dyn TextSink) -> Result<(), Unreadable> {
        panic!("a fault of the worker")
    }

    fn read_body(&mut self, _: &[u8], _: &mut Response, _: &mut dyn TextSink) -> Result<(), Unreadable> {
        panic!("a fault of the worker")
    }
}

const fn explosive(path: &'static str) -> Endpoint {
    Endpoint {
        method: http::Method::POST,
        path,
        purpose: Purpose::Call,
        operation: Operation::Chat,
        injects_usage: false,
        finish_field: None,
        reader: || Box::new(Explosive),
    }
}

static EXPLOSIVE: Spec = Spec {
    name: "explosive",
    provider: "explosive",
    regions: &[],
    endpoints: &[explosive("/completions"), explosive("/embeddings"), explosive("/messages")],
    free: &[],
    error_body: |_, message| serde_json::json!(message),
    header_prefixes: &[],
};

/// Scenario: the same, with a worker that panics at every event and every body of every call.
/// Guarantees: the same, and the panics are counted.
#[tokio::test(flavor = "multi_thread")]
async fn a_panicking_worker_changes_nothing() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let yaml = format!(
        "listen: 127.0.0.1:0\nadmin: {{listen: '127.0.0.1:0'}}\nupstreams:\n\
         - {{name: openai, prefix: /openai, url: '{0}', dialect: openai}}\n\
         - {{name: anthropic, prefix: /anthropic, url: '{0}', dialect: anthropic}}\n\
         export: {{collector: 'http://127.0.0.1:1', flush_timeout_seconds: 1}}\n",
        provider.url
    );
    let mut settings = parse::<Config>("the test", &yaml).unwrap();
    for upstream in &mut settings.upstreams {
        upstream.route.dialect = Some(&EXPLOSIVE);
    }
    let app = App::build(settings, Parts::default()).unwrap();
    let addresses = app.addresses();
    let stop = CancellationToken::new();
    let running = tokio::spawn(app.run(stop.clone()));
    for (client, prefix) in [(Client::OpenAi, "openai"), (Client::Anthropic, "anthropic")] {
        let base = format!("http://{}/{prefix}", addresses.relay);
        let played = check_suite(client, &base, &provider, DEADLINE).await.unwrap();
        assert!(played.len() > 100, "{} cases", played.len());
    }
    let metrics = get(&format!("http://{}/metrics", addresses.admin)).await.unwrap().text();
    let panics =
        metrics.lines().find_map(|line| line.strip_prefix("ledgerline_agent_worker_panics_total ")).unwrap();
    assert!(panics.parse::<u64>().unwrap() > 200, "{panics} panics");
    stop.cancel();
    running.await.unwrap().unwrap();
}
