//! The mock provider against the real client libraries, nothing in between: what they accept, what they raise, and that
//! the usage they report is the oracle's. This is the baseline; the same cases through the agent must not differ.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what broke where it broke"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use ledgerline_tests::provider::{
    Api, Expectation, MockOptions, MockProvider, SCENARIOS, Scenario, ServedCall, ServedEnd, TokenUsage,
};
use ledgerline_tests::python::{Case, Client, Line, Mode, run_clients};
use serde_json::Value;
use sha2::{Digest, Sha256};

const DEADLINE: Duration = Duration::from_secs(240);

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn served(provider: &MockProvider, line: &Line) -> ServedCall {
    let id = line.header("x-mock-call-id").unwrap_or_else(|| panic!("no call id in {line:?}"));
    provider.call(id).unwrap_or_else(|| panic!("the oracle does not know {id}"))
}

/// Every scenario of this API, in both modes, streaming and not.
fn every_case(api: Api) -> Vec<(&'static Scenario, Case)> {
    let mut cases = Vec::new();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.applies_to(api)) {
        for (mode, stream) in
            [(Mode::Sync, false), (Mode::Sync, true), (Mode::Async, false), (Mode::Async, true)]
        {
            let params = match scenario.name {
                "stall" => Some("stall_ms=300".to_owned()),
                "huge_response" => Some("size_bytes=2097152".to_owned()),
                _ => None,
            };
            cases.push((
                scenario,
                Case {
                    case: cases.len() as u64,
                    scenario: scenario.name.to_owned(),
                    params,
                    mode,
                    stream,
                    include_usage: (stream && scenario.name != "usage_on_400").then_some(true),
                    max_retries: (scenario.name == "flaky_429").then_some(2),
                    ..Case::default()
                },
            ));
        }
    }
    cases
}

/// The usage a client must report for this truth, as (pointer, number) pairs.
fn expected_usage(api: Api, truth: &TokenUsage) -> Vec<(&'static str, u64)> {
    match api {
        Api::OpenAi => vec![
            ("/prompt_tokens", truth.input_total()),
            ("/completion_tokens", truth.output_total()),
            ("/total_tokens", truth.input_total() + truth.output_total()),
            ("/prompt_tokens_details/cached_tokens", truth.cache_read),
            ("/prompt_tokens_details/audio_tokens", truth.input_audio),
            ("/completion_tokens_details/reasoning_tokens", truth.output_reasoning),
            ("/completion_tokens_details/audio_tokens", truth.output_audio),
        ],
        Api::Anthropic => vec![
            ("/input_tokens", truth.input_uncached),
            ("/cache_read_input_tokens", truth.cache_read),
            ("/cache_creation_input_tokens", truth.cache_write_5m + truth.cache_write_1h),
            ("/cache_creation/ephemeral_5m_input_tokens", truth.cache_write_5m),
            ("/cache_creation/ephemeral_1h_input_tokens", truth.cache_write_1h),
            ("/output_tokens", truth.output_total()),
        ],
    }
}

fn check_usage(api: Api, scenario: &Scenario, line: &Line, call: &ServedCall) {
    let truth = call.usage.unwrap_or_else(|| panic!("no truth for {}", scenario.name));
    if !call.usage_was_sent {
        // Anthropic's start is on the wire even where the final usage is not.
        assert!(line.usage.is_none(), "{}: usage from nowhere: {:?}", scenario.name, line.usage);
        return;
    }
    let usage = line.usage.as_ref().unwrap_or_else(|| panic!("{}: no usage in {line:?}", scenario.name));
    // That message_delta erases what message_start said is the trap of this scenario: the start has the truth.
    let zeroed = scenario.name == "zero_usage_in_delta" && line.stream;
    for (pointer, expected) in expected_usage(api, &truth) {
        let source =
            if zeroed && pointer != "/output_tokens" { line.usage_start.as_ref().unwrap() } else { usage };
        let seen = source.pointer(pointer).and_then(Value::as_u64);
        assert_eq!(seen, Some(expected), "{} {pointer} stream={} in {usage}", scenario.name, line.stream);
    }
}

fn check_line(api: Api, scenario: &Scenario, line: &Line, provider: &MockProvider) {
    let name = scenario.name;
    let expected = if line.stream { scenario.streamed } else { scenario.whole };
    match expected {
        Expectation::Answer => {
            assert_eq!(line.error, None, "{name} stream={}: {:?}", line.stream, line.error_message);
        }
        Expectation::Error => {
            assert!(line.error.is_some(), "{name} stream={}: no error in {line:?}", line.stream)
        }
        Expectation::Any => {}
    }
    if name == "no_answer" {
        assert_eq!(line.status, None, "{name}");
        return;
    }
    let call = served(provider, line);
    assert_eq!(line.status, Some(call.status.as_u16()), "{name}");
    assert_eq!(call.scenario, name);
    assert_eq!(line.attempts, if name == "flaky_429" { 2 } else { 1 }, "{name}");
    if line.ended {
        assert_eq!(Some(&line.sha256), call.response_sha256.as_ref(), "{name} stream={}", line.stream);
    } else {
        // Not read to its end: what was read is what was written first.
        let body = call.body().expect("the recording is full");
        assert!(line.bytes <= call.response_bytes, "{name}");
        assert_eq!(line.sha256, sha256(&body[..line.bytes as usize]), "{name} stream={}", line.stream);
    }
    if expected == Expectation::Answer {
        assert!(line.ended, "{name} stream={}: the body was not read to its end", line.stream);
        assert_eq!(line.id.as_deref(), Some(call.id.as_str()), "{name}");
        assert_eq!(line.model, call.model_served, "{name}");
        assert!(!line.text.is_empty(), "{name}: no text");
        assert!(line.finish_reason.is_some(), "{name}: no finish reason");
        check_usage(api, scenario, line, &call);
    } else if expected == Expectation::Error && !call.status.is_success() {
        let module = line.error_module.as_deref();
        assert!(matches!(module, Some("openai" | "anthropic")), "{name}: {module:?}");
    }
}

async fn check_every_scenario(api: Api, client: Client) {
    let provider = MockProvider::start(MockOptions::default()).await.unwrap();
    let (scenarios, cases): (Vec<_>, Vec<_>) = every_case(api).into_iter().unzip();
    let lines = run_clients(client, &provider.url, 4, &cases, DEADLINE).await.unwrap();
    for (scenario, line) in scenarios.iter().zip(&lines) {
        check_line(api, scenario, line, &provider);
    }
    // Streamed and whole say the same, and so do both modes: four answers to one request. Where the provider counts
    // nothing or is broken there is nothing to compare.
    for four in scenarios.iter().zip(&lines).collect::<Vec<_>>().chunks(4) {
        let (scenario, first) = four[0];
        let is_comparable = scenario.streamed == Expectation::Answer
            && !matches!(scenario.name, "huge_response" | "one_line_10mb" | "usage_on_400");
        for (_, line) in four.iter().filter(|_| is_comparable) {
            assert_eq!(line.text, first.text, "{}", scenario.name);
            assert_eq!(line.finish_reason, first.finish_reason, "{}", scenario.name);
        }
    }
}

/// Scenario: every scenario of the table, with the real `openai` package, synchronous and not, streaming and not.
/// Guarantees: well-formed answers are accepted with the oracle's usage, ill-formed ones raise, bytes are as written.
#[tokio::test(flavor = "multi_thread")]
async fn openai_sdk_sees_what_the_oracle_says() {
    check_every_scenario(Api::OpenAi, Client::OpenAi).await;
}

/// Scenario: every scenario of the table, with the real `anthropic` package, synchronous and not, streaming and not.
/// Guarantees: well-formed answers are accepted with the oracle's usage, ill-formed ones raise, bytes are as written.
#[tokio::test(flavor = "multi_thread")]
async fn anthropic_sdk_sees_what_the_oracle_says() {
    check_every_scenario(Api::Anthropic, Client::Anthropic).await;
}

/// Scenario: a client closes a slow stream after three events.
/// Guarantees: the oracle notes that the peer went away, with the chunks it had written by then.
#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_stream_is_recorded_as_far_as_it_went() {
    for client in [Client::OpenAi, Client::Anthropic] {
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
        let cases = [case(0, Mode::Sync), case(1, Mode::Async)];
        let lines = run_clients(client, &provider.url, 1, &cases, DEADLINE).await.unwrap();
        provider.wait_ended(2, Duration::from_secs(10)).await.unwrap();
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
    let written: Vec<u64> = call.chunks.iter().map(|chunk| chunk.bytes.len() as u64).collect();
    let read: Vec<u64> = line.chunks.iter().map(|(_, length)| *length).collect();
    assert_eq!(read, written, "each chunk is one read");
    assert!(call.chunks.windows(2).all(|pair| pair[1].at - pair[0].at >= Duration::from_millis(29)));
}
