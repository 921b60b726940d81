//! What services do with the Responses API beyond one request and its answer: work in the background, streams that are
//! left and taken up again, conversations that the provider keeps.

use std::time::Duration;

use ledgerline_mock_provider::{MockOptions, MockProvider, ServedCall};
use ledgerline_testkit::clients::{Case, Client, Line, run_clients};
use ledgerline_testkit::conformance::check_exchanges;
use ledgerline_testkit::stack::{Stack, StackOptions};

const DEADLINE: Duration = Duration::from_secs(120);

/// Each flow, how many requests it makes and the state of the last response that the client sees.
const FLOWS: [(&str, usize, Option<&str>); 6] = [
    ("poll", 4, Some("completed")),
    ("resume", 2, Some("completed")),
    ("cancel", 2, Some("cancelled")),
    ("compact", 1, None),
    ("conversation", 5, Some("completed")),
    ("chain", 5, Some("completed")),
];

fn cases() -> Vec<Case> {
    let case = |(number, (flow, ..)): (u64, &(&str, usize, Option<&str>))| Case {
        case: number,
        scenario: "plain".to_owned(),
        flow: Some((*flow).to_owned()),
        abort_after: (*flow == "resume").then_some(6),
        ..Case::default()
    };
    (0..).zip(&FLOWS).map(case).collect()
}

fn check(lines: &[Line], provider: &MockProvider) {
    for (line, (flow, requests, state)) in lines.iter().zip(FLOWS) {
        assert_eq!(line.error, None, "{flow}: {:?}", line.error_message);
        assert_eq!(line.exchanges.len(), requests, "{flow}");
        assert_eq!(line.finish_reason.as_deref(), state, "{flow}");
        check_exchanges(provider, line);
        let has_usage = line.usage.is_some();
        assert_eq!(has_usage, flow != "cancel", "{flow}: {:?}", line.usage);
    }
}

/// Scenario: each flow with the real `openai` package, directly and through the agent.
/// Guarantees: every response of every request is byte for byte what the provider wrote, and the client comes to the same
/// end; usage that stands only in the answer to a later request reaches it.
#[tokio::test(flavor = "multi_thread")]
async fn flows_of_several_requests_pass_unchanged() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let direct = run_clients(Client::Responses, &provider.url, 1, &cases(), DEADLINE).await.unwrap();
    check(&direct, &provider);
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let relayed = run_clients(Client::Responses, &stack.openai(), 1, &cases(), DEADLINE).await.unwrap();
    check(&relayed, &stack.provider);
    for (direct, relayed) in direct.iter().zip(&relayed) {
        assert_eq!(direct.text_sha256, relayed.text_sha256);
        assert_eq!(direct.usage, relayed.usage);
    }
}

/// Scenario: each flow with the real `openai` package through the agent; then a look into the record.
/// Guarantees: a response is recorded once, however often it is asked for: in the background, cancelled, compacted, taken up
/// after its stream broke; with the usage that the last word of it carries, missing and not zero where there is none.
#[tokio::test(flavor = "multi_thread")]
async fn each_response_of_a_flow_is_recorded_once() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let lines = run_clients(Client::Responses, &stack.openai(), 1, &cases(), DEADLINE).await.unwrap();
    check(&lines, &stack.provider);
    // What is polled, taken up again or cancelled was begun by one of these.
    let is_call =
        |call: &ServedCall| call.method == "POST" && call.usage.is_some() && !call.path.ends_with("/cancel");
    let billed: Vec<_> = stack.provider.calls().into_iter().filter(is_call).collect();
    assert!(billed.len() >= 8, "{} calls", billed.len());
    stack.wait_recorded(Duration::from_secs(60)).await.unwrap();
    for call in billed {
        let query = format!(
            "SELECT count(), any(usage_source), any(operation) FROM spans WHERE response_id = '{}'",
            call.id
        );
        let row = stack.sql(&query).await.unwrap();
        assert!(row == "1\tprovider\tchat\n" || row == "1\tmissing\tchat\n", "{}: {row}", call.id);
    }
}
