//! One suite for two roads: every scenario of the mock with the real client libraries, in both modes, streaming and not,
//! asking for usage and not, either directly or through an agent. What holds without the agent must hold with it, so the
//! checks know nothing of agents; they only allow for the usage event that an agent asks for and hides.

use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::clients::{Case, Client, Line, Mode, run_clients};
use ledgerline_mock_provider::{
    Api, Expectation, MockProvider, SCENARIOS, Scenario, ServedCall, TokenUsage, hexadecimal,
};

/// A case of the suite and the scenario it plays.
#[derive(Clone, Debug)]
pub struct SuiteCase {
    /// Who calls.
    pub client: Client,
    /// What the provider does.
    pub scenario: &'static Scenario,
    /// What the client does.
    pub case: Case,
}

impl SuiteCase {
    /// What this client makes of the answer.
    pub fn expected(&self) -> Expectation {
        let scenario = if self.case.stream { self.scenario.streamed } else { self.scenario.whole };
        self.client.expects_otherwise(self.scenario.name, self.case.stream).unwrap_or(scenario)
    }

    /// True if the client itself asks for usage, or its API needs no asking.
    pub fn asks_usage(&self) -> bool {
        self.client.api() != Api::OpenAi || !self.case.stream || self.case.include_usage == Some(true)
    }
}

/// Every case of this client. The large ones are smaller here than their defaults, and the stall is 300 ms.
pub fn every_case(client: Client) -> Vec<SuiteCase> {
    let api = client.api();
    let mut cases = Vec::new();
    let is_played = |scenario: &&Scenario| scenario.applies_to(api) && client.can_play(scenario.name);
    for scenario in SCENARIOS.iter().filter(is_played) {
        for mode in client.modes().iter().copied() {
            for (stream, include_usage) in [(false, None), (true, Some(true)), (true, None)] {
                let asks = include_usage == Some(true);
                let is_pointless = match api {
                    Api::OpenAi => asks && scenario.name == "usage_on_400",
                    Api::Responses | Api::Anthropic => asks,
                };
                if !is_pointless {
                    let case = case(scenario, cases.len() as u64, mode, stream, include_usage);
                    cases.push(SuiteCase { client, scenario, case });
                }
            }
        }
    }
    cases
}

fn case(scenario: &Scenario, number: u64, mode: Mode, stream: bool, include_usage: Option<bool>) -> Case {
    let params = match scenario.name {
        "stall" => Some("stall_ms=300"),
        "huge_response" => Some("size_bytes=2097152"),
        _ => None,
    };
    Case {
        case: number,
        scenario: scenario.name.to_owned(),
        params: params.map(str::to_owned),
        mode,
        stream,
        include_usage,
        max_retries: (scenario.name == "flaky_429").then_some(2),
        ..Case::default()
    }
}

/// Plays the whole suite against `base_url` (the provider's own, or an agent's in front of it) and panics if what the
/// client saw differs from what the oracle knows, after it has said each difference. Returns what was played, in order.
pub async fn check_suite(
    client: Client,
    base_url: &str,
    provider: &MockProvider,
    deadline: Duration,
) -> anyhow::Result<Vec<(SuiteCase, Line)>> {
    let suite = every_case(client);
    let cases: Vec<Case> = suite.iter().map(|entry| entry.case.clone()).collect();
    let lines = run_clients(client, base_url, 4, &cases, deadline).await?;
    let played: Vec<(SuiteCase, Line)> = suite.into_iter().zip(lines).collect();
    // Each panic prints what it has to say; the last word is how many there were.
    let differs = |(entry, line): &&(SuiteCase, Line)| {
        let check = std::panic::AssertUnwindSafe(|| check_line(entry, line, provider));
        std::panic::catch_unwind(check).is_err()
    };
    let different: Vec<&str> = played.iter().filter(differs).map(|(entry, _)| entry.scenario.name).collect();
    assert!(different.is_empty(), "{client:?}: {} cases differ: {different:?}", different.len());
    check_agreement(&played);
    Ok(played)
}

/// The oracle's record of what this client saw. Panics if there is none.
pub fn served(provider: &MockProvider, line: &Line) -> ServedCall {
    let id = line.header("x-mock-call-id").unwrap_or_else(|| panic!("no call id in {line:?}"));
    provider.call(id).unwrap_or_else(|| panic!("the oracle does not know {id}"))
}

/// Every body that a client read of a call with several requests is, as far as it was read, what was written.
pub fn check_exchanges(provider: &MockProvider, line: &Line) {
    for exchange in &line.exchanges {
        let id = exchange.id.as_deref().unwrap_or_else(|| panic!("no call id in {line:?}"));
        let call = provider.call(id).unwrap_or_else(|| panic!("the oracle does not know {id}"));
        let body = call.body().expect("the recording is full");
        let read = &body[..(exchange.bytes as usize).min(body.len())];
        assert_eq!(exchange.sha256, hexadecimal(&Sha256::digest(read)), "{} {}", call.method, call.path);
    }
}

/// The checks of one case; panics with the scenario's name.
pub fn check_line(entry: &SuiteCase, line: &Line, provider: &MockProvider) {
    let name = entry.scenario.name;
    let expected = entry.expected();
    match expected {
        Expectation::Answer => {
            assert_eq!(line.error, None, "{name} stream={}: {:?}", line.stream, line.error_message);
        }
        Expectation::Error => {
            assert!(line.error.is_some(), "{name} stream={}: no error in {line:?}", line.stream);
        }
        Expectation::Any => {}
    }
    if name == "no_answer" {
        // There are no headers of the provider's to find the call by.
        assert_eq!(line.header("x-mock-call-id"), None);
        return;
    }
    let call = served(provider, line);
    assert_eq!(line.status, Some(call.status.as_u16()), "{name}");
    assert_eq!(call.scenario, name);
    assert_eq!(line.attempts, if name == "flaky_429" { 2 } else { 1 }, "{name}");
    check_bytes(entry, line, &call);
    if expected == Expectation::Answer {
        assert!(line.ended, "{name} stream={}: the body was not read to its end", line.stream);
        assert_eq!(line.id.as_deref(), Some(call.id.as_str()), "{name}");
        assert_eq!(line.model, call.model_served, "{name}");
        assert!(!line.text.is_empty(), "{name}: no text");
        assert!(line.finish_reason.is_some(), "{name}: no finish reason");
        check_usage(entry, line, &call);
    } else if expected == Expectation::Error && !call.status.is_success() {
        let module = line.error_module.as_deref();
        assert!(matches!(module, Some("openai" | "anthropic" | "ai")), "{name}: {module:?}");
    }
}

fn check_bytes(entry: &SuiteCase, line: &Line, call: &ServedCall) {
    let name = entry.scenario.name;
    // An answer that says it is encoded is left as it is, extra event included: nobody can take an event out of bytes that
    // are not what they say.
    let asks = entry.asks_usage() || call.response_headers.contains_key("content-encoding");
    if line.ended {
        let written = if asks { &call.response_sha256 } else { &call.response_sha256_without_usage_event };
        assert_eq!(Some(&line.sha256), written.as_ref(), "{name} stream={}", line.stream);
        return;
    }
    // Not read to its end: what was read is what was written first.
    let body = if asks { call.body() } else { call.body_without_usage_event() };
    let body = body.expect("the recording is full");
    assert!(line.bytes as usize <= body.len(), "{name}: more was read than was written");
    let digest = hexadecimal(&Sha256::digest(&body[..line.bytes as usize]));
    assert_eq!(line.sha256, digest, "{name} stream={}", line.stream);
}

/// The usage a client must report for this truth, as (JSON pointer, number) pairs in the API's own terms.
pub fn expected_usage(api: Api, truth: &TokenUsage) -> Vec<(&'static str, u64)> {
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
        Api::Responses => vec![
            ("/input_tokens", truth.input_total()),
            ("/output_tokens", truth.output_total()),
            ("/total_tokens", truth.input_total() + truth.output_total()),
            ("/input_tokens_details/cached_tokens", truth.cache_read),
            ("/input_tokens_details/cache_write_tokens", truth.cache_write()),
            ("/output_tokens_details/reasoning_tokens", truth.output_reasoning),
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

fn check_usage(entry: &SuiteCase, line: &Line, call: &ServedCall) {
    let name = entry.scenario.name;
    let truth = call.usage.unwrap_or_else(|| panic!("no truth for {name}"));
    let asks = entry.asks_usage();
    if !asks && (entry.scenario.is_encoded() || name == "usage_every_chunk") {
        // Whoever asked on the client's behalf could not take it out again, and it does no harm.
        return;
    }
    let is_hidden = entry.scenario.has_standard_usage() && !asks;
    if !call.usage_was_sent || is_hidden {
        assert!(line.usage.is_none(), "{name}: usage that was not asked for: {:?}", line.usage);
        return;
    }
    let usage = line.usage.as_ref().unwrap_or_else(|| panic!("{name}: no usage in {line:?}"));
    // Here message_delta erases what message_start said; the start has the truth. That is the scenario's trap.
    let is_zeroed = name == "zero_usage_in_delta" && line.stream;
    for (pointer, expected) in expected_usage(entry.client.api(), &truth) {
        let start = line.usage_start.as_ref().filter(|_| is_zeroed && pointer != "/output_tokens");
        let seen = start.unwrap_or(usage).pointer(pointer).and_then(Value::as_u64);
        assert_eq!(seen, Some(expected), "{name} {pointer} stream={} in {usage}", line.stream);
    }
}

/// Streamed and whole, synchronous and not, asked and not: one request, one answer.
fn check_agreement(played: &[(SuiteCase, Line)]) {
    let is_comparable = |before: &SuiteCase, after: &SuiteCase| {
        let scenario = after.scenario;
        before.scenario.name == scenario.name
            && before.expected() == Expectation::Answer
            && after.expected() == Expectation::Answer
            // Where the size of the filler is cut to whole events, the lengths differ.
            && !matches!(scenario.name, "huge_response" | "one_line_10mb")
    };
    for pair in played.windows(2) {
        let [(before, first), (after, second)] = pair else { continue };
        if is_comparable(before, after) {
            assert_eq!(first.text_sha256, second.text_sha256, "{}", after.scenario.name);
            assert_eq!(first.finish_reason, second.finish_reason, "{}", after.scenario.name);
        }
    }
}
