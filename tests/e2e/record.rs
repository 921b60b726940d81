//! What the record says about a call equals what the provider did.

use std::collections::BTreeMap;
use std::time::Duration;

use ledgerline_mock_provider::{Expectation, ServedEnd};
use ledgerline_testkit::clients::{Case, Client, Line, Mode, run_clients};
use ledgerline_testkit::conformance::{check_suite, served};
use ledgerline_testkit::load::the_accounts_agree;
use ledgerline_testkit::stack::{Stack, StackOptions};

use crate::bills;

const DEADLINE: Duration = Duration::from_secs(300);

const CLASSES: [&str; 10] = [
    "input_uncached",
    "cache_read",
    "cache_write_5m",
    "cache_write_30m",
    "cache_write_1h",
    "cache_write_12h",
    "input_audio",
    "output_text",
    "output_reasoning",
    "output_audio",
];

/// The token classes a span was recorded with, by the oracle's names.
async fn recorded_tokens(stack: &Stack, response_id: &str) -> BTreeMap<String, u64> {
    let query = format!("SELECT count() FROM spans WHERE response_id = '{response_id}'");
    let rows = stack.sql(&query).await.unwrap();
    if rows != "1\n" {
        let mut counts = Vec::new();
        for name in
            ["calls_with_gaps_total", "calls_unobserved_total", "calls_dropped_total", "calls_evicted_total"]
        {
            counts
                .push(format!("{name} {:?}", stack.agent_metric(&format!("ledgerline_agent_{name}")).await));
        }
        panic!("{response_id}: {} rows; of the agent: {}", rows.trim(), counts.join(", "));
    }
    let query = format!(
        "SELECT line.unit, line.quantity FROM spans ARRAY JOIN bill AS line WHERE response_id = '{response_id}' AND line.model = model"
    );
    let text = stack.sql(&query).await.unwrap();
    let lines = text.lines().map(|line| line.split_once('\t').unwrap());
    lines
        .filter(|(class, _)| CLASSES.contains(class))
        .map(|(class, tokens)| (class.to_owned(), tokens.parse().unwrap()))
        .collect()
}

async fn record_equals_the_oracle(client: Client) {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let base = stack.base(client);
    let played = check_suite(client, &base, &stack.provider, DEADLINE).await.unwrap();
    stack.wait_recorded(Duration::from_secs(60)).await.unwrap();
    let mut differences = Vec::new();
    let mut compared = 0;
    for (entry, line) in &played {
        if entry.expected() != Expectation::Answer {
            continue;
        }
        let call = served(&stack.provider, line);
        if call.end != ServedEnd::Complete || !call.usage_was_sent {
            continue;
        }
        let truth: BTreeMap<String, u64> = call
            .usage
            .as_ref()
            .unwrap()
            .by_class()
            .into_iter()
            .map(|(class, tokens)| (class.to_owned(), tokens))
            .collect();
        assert_eq!(
            recorded_tokens(&stack, &call.id).await,
            truth,
            "{} {:?}",
            entry.scenario.name,
            entry.case
        );
        let query = format!(
            "SELECT ifNull(toDecimalString(cost, 12), unpriced_reason) FROM spans WHERE response_id = '{}'",
            call.id
        );
        let recorded = stack.sql(&query).await.unwrap();
        let expected = bills::expected(&call);
        if recorded.trim() != expected {
            let truth = call.usage.unwrap();
            differences.push(format!(
                "{}: {} instead of {expected}: {truth:?}",
                call.scenario,
                recorded.trim()
            ));
        }
        compared += 1;
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    assert!(compared > 60, "only {compared} calls were compared");
    the_accounts_agree(&stack).await.unwrap();
}

/// Scenario: every scenario with the real `openai` package; each well-formed answer is looked up in ClickHouse.
/// Guarantees: tokens by class and cost to the pico-dollar are those of the oracle and of prices that a person wrote down; spans, minutes,
/// quarters, days and PromQL hold the same money.
#[tokio::test(flavor = "multi_thread")]
async fn openai_calls_are_recorded_as_they_were() {
    record_equals_the_oracle(Client::OpenAi).await;
}

/// Scenario: every scenario with the real `anthropic` package; each well-formed answer is looked up in ClickHouse.
/// Guarantees: as for OpenAI.
#[tokio::test(flavor = "multi_thread")]
async fn anthropic_calls_are_recorded_as_they_were() {
    record_equals_the_oracle(Client::Anthropic).await;
}

/// Scenario: every scenario of the Responses API with the real `openai` package.
/// Guarantees: as for chat.
#[tokio::test(flavor = "multi_thread")]
async fn responses_calls_are_recorded_as_they_were() {
    record_equals_the_oracle(Client::Responses).await;
}

async fn one_call(stack: &Stack, client: Client, case: Case) -> Line {
    let base = stack.base(client);
    run_clients(client, &base, 1, &[case], DEADLINE).await.unwrap().remove(0)
}

/// Scenario: one call with identity headers and a traceparent; then a look into the record and at Prometheus.
/// Guarantees: it becomes queryable with nothing after it (`make soak` prints how soon); identity, trace, model, times and
/// finish reason are right; identity headers do not reach the provider and the trace does.
#[tokio::test(flavor = "multi_thread")]
async fn a_finished_call_is_queryable_with_no_other_after_it() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let headers = [
        ("x-ledgerline-service", "checkout"),
        ("x-ledgerline-environment", "staging"),
        ("x-ledgerline-team", "payments"),
        ("x-ledgerline-feature", "fraud"),
        ("x-ledgerline-user", "u-17"),
        ("x-ledgerline-session", "s-4"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let case = Case { scenario: "plain".into(), mode: Mode::Sync, stream: true, headers, ..Case::default() };
    let line = one_call(&stack, Client::OpenAi, case).await;
    assert_eq!(stack.wait_recorded(DEADLINE).await.unwrap(), 1);
    let spend = stack.promql("sum by (team, feature, service, environment) (llm_calls_total)").await.unwrap();
    let labels = &spend[0]["metric"];
    assert_eq!(
        [&labels["team"], &labels["feature"], &labels["service"], &labels["environment"]],
        ["payments", "fraud", "checkout", "staging"]
    );
    let row = stack
        .sql(
            "SELECT lower(hex(trace_id)), lower(hex(parent_span_id)), user_id, session_id, response_id, response_model, \
             arrayStringConcat(finish_reasons, ','), stream, end_of_stream, status, duration_us > 0, ttft_us > 0 AND ttft_us <= duration_us \
             FROM spans",
        )
        .await
        .unwrap();
    let call = served(&stack.provider, &line);
    let model = call.model_served.clone().unwrap();
    let id = &call.id;
    let expected =
        format!("{trace}\t00f067aa0ba902b7\tu-17\ts-4\t{id}\t{model}\tstop\t1\tcomplete\tok\t1\t1\n");
    assert_eq!(row, expected);
    let traceparent = call.request_headers["traceparent"].to_str().unwrap();
    assert!(traceparent.starts_with(&format!("00-{trace}-")), "{traceparent}");
    assert!(
        !call.request_headers.keys().any(|name| name.as_str().starts_with("x-ledgerline")),
        "{:?}",
        call.request_headers
    );
}

/// Scenario: clients of all APIs leave a slow stream after three events.
/// Guarantees: the call is recorded as client_gone, not as an error, with tokens that are flagged as an estimate and not
/// zero, and with a cost.
#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_stream_is_accounted_with_what_was_delivered() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    for client in [Client::OpenAi, Client::Responses, Client::Anthropic] {
        let params = Some("gap_ms=100".to_owned());
        let case =
            Case { scenario: "slow".into(), params, stream: true, abort_after: Some(6), ..Case::default() };
        one_call(&stack, client, case).await;
    }
    assert_eq!(stack.wait_recorded(Duration::from_secs(60)).await.unwrap(), 3);
    let rows = stack
        .sql(
            "SELECT provider, end_of_stream, status, usage_source, has(bill.unit, 'input_uncached'), has(bill.unit, 'output_text'), \
             cost > 0 FROM spans ORDER BY provider",
        )
        .await
        .unwrap();
    let tail = "client_gone\tok\testimated\t1\t1\t1\n";
    assert_eq!(rows, format!("anthropic\t{tail}openai\t{tail}openai\t{tail}"));
}

/// Scenario: answers that refuse, break, or name a model nobody priced.
/// Guarantees: each is recorded with its error class, and none with a cost of 0 that stands for unknown.
#[tokio::test(flavor = "multi_thread")]
async fn failures_are_recorded_by_their_class_and_unknown_prices_as_unpriced() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let case = |scenario: &str, stream: bool| Case {
        scenario: scenario.into(),
        stream,
        max_retries: Some(0),
        ..Case::default()
    };
    for case in [
        case("error_429", false),
        case("error_500", false),
        case("midstream_error", true),
        case("truncated", true),
    ] {
        one_call(&stack, Client::OpenAi, case).await;
    }
    one_call(&stack, Client::OpenAi, case("unknown_model", false)).await;
    assert_eq!(stack.wait_recorded(Duration::from_secs(60)).await.unwrap(), 5);
    let unpriced = stack
        .sql("SELECT count() FROM spans WHERE cost = 0 AND end_of_stream = 'complete' OR cost IS NULL AND unpriced_reason = ''")
        .await
        .unwrap();
    assert_eq!(unpriced.trim(), "0");
    let unknown =
        stack.sql("SELECT cost IS NULL, unpriced_reason FROM spans WHERE status = 'ok'").await.unwrap();
    assert_eq!(unknown, "1\tunknown_model\n");
    let failed = stack
        .sql("SELECT count(), countIf(error_type != '') FROM spans WHERE status = 'error'")
        .await
        .unwrap();
    assert_eq!(failed, "4\t4\n");
    let metric = stack.promql("sum(llm_unpriced_calls_total{error_type=\"\"})").await.unwrap();
    assert_eq!(metric[0]["value"][1], "1");
}
