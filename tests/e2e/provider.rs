//! The mock provider against the real client libraries, nothing in between: what they accept, what they raise, and that
//! the usage they report is the oracle's. This is the baseline; the same cases through the agent must not differ.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ledgerline_mock_provider::{MockOptions, MockProvider, SCENARIOS, ServedEnd};
use ledgerline_testkit::clients::{Case, Client, Line, run_clients};
use ledgerline_testkit::conformance::{SuiteCase, check_line, check_suite, served};
use serde_json::Value;
use sha2::{Digest, Sha256};

const DEADLINE: Duration = Duration::from_secs(240);

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn check_directly(client: Client) {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let played = check_suite(client, &provider.url, &provider, DEADLINE).await.unwrap();
    // At least two cases a mode of each scenario that is not another API's own.
    let scenarios = SCENARIOS.iter().filter(|scenario| scenario.applies_to(client.api())).count();
    assert!(played.len() >= (scenarios - 2) * 2 * client.modes().len(), "{} cases", played.len());
}

/// Scenario: every scenario of the table, with the real `openai` package, synchronous and not, streaming and not.
/// Guarantees: well-formed answers are accepted with the oracle's usage, ill-formed ones raise, bytes are as written.
#[tokio::test(flavor = "multi_thread")]
async fn openai_sdk_sees_what_the_oracle_says() {
    check_directly(Client::OpenAi).await;
}

/// Scenario: every scenario of the table that the Responses API has, with the real `openai` package.
/// Guarantees: as for Chat Completions.
#[tokio::test(flavor = "multi_thread")]
async fn openai_sdk_sees_what_the_oracle_says_of_responses() {
    check_directly(Client::Responses).await;
}

/// Scenario: the same with the real `openai` package for Node and with Vercel's `ai`, whose OpenAI models speak Responses.
/// Guarantees: as for Chat Completions.
#[tokio::test(flavor = "multi_thread")]
async fn node_sdks_see_what_the_oracle_says_of_responses() {
    check_directly(Client::NodeResponses).await;
    check_directly(Client::Vercel).await;
}

/// Scenario: every scenario of the table, with the real `anthropic` package, synchronous and not, streaming and not.
/// Guarantees: well-formed answers are accepted with the oracle's usage, ill-formed ones raise, bytes are as written.
#[tokio::test(flavor = "multi_thread")]
async fn anthropic_sdk_sees_what_the_oracle_says() {
    check_directly(Client::Anthropic).await;
}

/// Scenario: a client closes a slow stream after three events.
/// Guarantees: the oracle notes that the peer went away, with the chunks it had written by then.
#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_stream_is_recorded_as_far_as_it_went() {
    for client in Client::ALL {
        let provider = MockProvider::start(MockOptions::default()).await.unwrap();
        let case = |case, mode| Case {
            case,
            scenario: "slow".to_owned(),
            params: Some("gap_ms=100".to_owned()),
            mode,
            stream: true,
            abort_after: Some(3),
            ..Case::default()
        };
        let cases: Vec<Case> = (0..).zip(client.modes()).map(|(number, mode)| case(number, *mode)).collect();
        let lines = run_clients(client, &provider.url, 1, &cases, DEADLINE).await.unwrap();
        provider.wait_ended(cases.len(), Duration::from_secs(60)).await.unwrap();
        for line in &lines {
            assert_eq!(line.error, None);
            assert_eq!(line.events, 3);
            let call = served(&provider, line);
            assert_eq!(call.end, ServedEnd::PeerGone);
            assert!(!call.usage_was_sent);
            let body = call.body().unwrap();
            assert!((line.bytes as usize) <= body.len());
            assert_eq!(line.sha256, sha256(&body[..line.bytes as usize]));
        }
    }
}

/// Scenario: a call with identity headers, a traceparent and several choices.
/// Guarantees: the oracle shows the headers and the body exactly as the SDK sent them, and counts every choice.
#[tokio::test(flavor = "multi_thread")]
async fn the_oracle_shows_the_request_as_it_was_sent() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers: BTreeMap<String, String> = [
        ("x-ledgerline-team", "payments"),
        ("x-ledgerline-feature", "refunds"),
        ("x-ledgerline-user", "u-17"),
        ("x-ledgerline-session", "s-4"),
        ("traceparent", traceparent),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let case = Case { stream: true, n: Some(3), scenario: "plain".to_owned(), headers, ..Case::default() };
    let lines = run_clients(Client::OpenAi, &provider.url, 1, &[case], DEADLINE).await.unwrap();
    let call = served(&provider, &lines[0]);
    assert_eq!(call.request_headers["x-ledgerline-team"], "payments");
    assert_eq!(call.request_headers["traceparent"], traceparent);
    let body: Value = serde_json::from_slice(call.request_body.as_ref().unwrap()).unwrap();
    assert_eq!(body["n"], 3);
    assert_eq!(body.get("stream_options"), None);
    assert_eq!(call.request_sha256, sha256(call.request_body.as_ref().unwrap()));
    assert_eq!(lines[0].choices, 3);
    assert_eq!(lines[0].usage, None, "usage was not asked for");
    assert!(call.usage.is_some() && !call.usage_was_sent && call.usage_event.is_none());
}

/// Scenario: the provider waits before the headers, before the first chunk and between chunks.
/// Guarantees: the client sees those times; chunks are not collected on the way.
#[tokio::test(flavor = "multi_thread")]
async fn chunks_arrive_when_they_are_written() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let case = Case {
        stream: true,
        scenario: "slow".to_owned(),
        params: Some("header_ms=60 first_ms=60 gap_ms=30 output_tokens=10".to_owned()),
        ..Case::default()
    };
    let lines = run_clients(Client::OpenAi, &provider.url, 1, &[case], DEADLINE).await.unwrap();
    let (line, call) = (&lines[0], served(&provider, &lines[0]));
    assert!(line.ttft_ms.unwrap() >= 120.0, "{:?}", line.ttft_ms);
    // A client on a busy machine may read many chunks at once, but never all of them, and it never finds part of one.
    let ends = |lengths: Vec<u64>| -> BTreeSet<u64> {
        lengths
            .iter()
            .scan(0, |end, length| {
                *end += length;
                Some(*end)
            })
            .collect()
    };
    let written = ends(call.chunks.iter().map(|chunk| chunk.bytes.len() as u64).collect());
    let read = ends(line.chunks.iter().map(|(_, length)| *length).collect());
    assert!(read.is_subset(&written), "{read:?} in {written:?}");
    assert!(read.len() > 1, "one read for {} chunks", written.len());
    assert!(call.chunks.windows(2).all(|pair| pair[1].at - pair[0].at >= Duration::from_millis(29)));
}

/// Scenario: what a client saw is changed a little before it is checked.
/// Guarantees: the suite notices: another byte, another usage, another model, a swallowed error, a missing end.
#[tokio::test(flavor = "multi_thread")]
async fn the_suite_notices_what_it_must() {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let case =
        Case { stream: true, include_usage: Some(true), scenario: "cached".to_owned(), ..Case::default() };
    let lines =
        run_clients(Client::OpenAi, &provider.url, 1, std::slice::from_ref(&case), DEADLINE).await.unwrap();
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == "cached").unwrap();
    let entry = SuiteCase { client: Client::OpenAi, scenario, case };
    check_line(&entry, &lines[0], &provider);
    let changes: [fn(&mut Line); 6] = [
        |line| line.sha256.replace_range(..1, "x"),
        |line| line.usage.as_mut().unwrap()["prompt_tokens_details"]["cached_tokens"] = 0.into(),
        |line| line.usage = None,
        |line| line.model = Some("gpt-4.1".to_owned()),
        |line| line.error = Some("APIError".to_owned()),
        |line| line.ended = false,
    ];
    for (number, change) in changes.iter().enumerate() {
        let mut line = lines[0].clone();
        change(&mut line);
        let check = std::panic::AssertUnwindSafe(|| check_line(&entry, &line, &provider));
        assert!(std::panic::catch_unwind(check).is_err(), "change {number} went unnoticed");
    }
}
