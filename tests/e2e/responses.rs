//! What services do with the Responses API beyond one request and its answer: work in the background, streams that are
//! left and taken up again, conversations that the provider keeps.

use std::time::Duration;

use ledgerline_mock_provider::{MockOptions, MockProvider};
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
