//! Whose prices a call is billed at, and under which model it is counted: through ports, ingest and engine.

use std::io::Write as _;

use ledgerline_process::{Clock, SystemClock};
use ledgerline_proto::otlp::export_request;
use ledgerline_proto::{Call, EndOfStream, Quantities, SpanId, TraceId, Unit, Usage, UsageSource};
use prost::Message;
use tempfile::NamedTempFile;

use crate::engine::ask;
use crate::ingest::{Collector, PROTOBUF, section};
use crate::spans::call;

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".yaml").unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// 1,000 tokens in and 100 out of gpt-4.1, the call of that number.
fn gpt(number: u64) -> Call {
    let used = Quantities::from_pairs(&[(Unit::InputUncached, 1_000), (Unit::OutputText, 100)]);
    Call {
        request_model: "gpt-4.1".into(),
        response_model: "gpt-4.1-2025-04-14".into(),
        usage: Some(Usage::of(used, UsageSource::Provider)),
        end: EndOfStream::Complete,
        error_type: None,
        http_status: Some(200),
        ..call(number, SystemClock.now_unix_ns())
    }
}

/// Scenario: three tenants send the same call to one collector; one has a contract, one a discount.
/// Guarantees: each is billed at its own prices, the third at the list's; the rule says which.
#[tokio::test]
async fn a_tenant_is_billed_at_its_own_prices() {
    let contract = file(
        "tenant: acme\nprovider: openai\nsource: contract 4711\nread_on: \"2026-11-20\"\n\
         models: { gpt-4.1: { per_million: { input_uncached: \"1.5\", output_text: \"7\" } } }\n",
    );
    let discount = file(
        "tenant: globex\nsource: contract 4712\nread_on: \"2026-11-20\"\n\
         discounts: [{ match: \"openai/*\", percent: \"10\" }]\n",
    );
    let tenants = ["acme", "globex", "initech"];
    let tokens = tenants.map(|tenant| file(&format!("token-of-{tenant}-0123456789")));
    let entries = tenants.iter().zip(&tokens);
    let entries = entries
        .map(|(tenant, token)| format!("{{token: {{file: {}}}, tenant: {tenant}}}", token.path().display()));
    let more = format!(
        "auth: {{tokens: [{}]}}\npricing: {{overrides: [{}, {}]}}\n",
        entries.collect::<Vec<_>>().join(", "),
        contract.path().display(),
        discount.path().display()
    );
    let collector = Collector::start(&section("tenant_prices"), &more).await;
    for (number, tenant) in (0..).zip(tenants) {
        let token = format!("Bearer token-of-{tenant}-0123456789");
        let body = export_request(&[gpt(number)]).encode_to_vec();
        let answer = collector.post(&[PROTOBUF, ("authorization", &token)], body).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    // 1.50 and 7.00 USD a million by contract; 2.00 and 8.00 on the list, and nine tenths of that.
    let expected = [
        "acme\t0.0022\toverride(acme):openai/gpt-4.1@start/standard",
        "globex\t0.00252\topenai/gpt-4.1@2025-04-14/standard/-10%",
        "initech\t0.0028\topenai/gpt-4.1@2025-04-14/standard",
    ];
    let sql = "SELECT tenant, cost, bill.rule[1] FROM spans ORDER BY tenant";
    assert_eq!(ask(&collector.storage, sql).await, expected.join("\n"));
    let spend = "SELECT tenant, toString(sum(amount)) FROM spend_day GROUP BY tenant ORDER BY tenant";
    assert_eq!(ask(&collector.storage, spend).await, "acme\t0.0022\nglobex\t0.00252\ninitech\t0.0028");
    collector.stop().await;
}

/// Scenario: a client asks for a thousand models that do not exist, one after the other; then one does answer under a name that no
/// price file knows.
/// Guarantees: the failed calls are one series, and what each asked for stays on its span; the answer keeps its name.
#[tokio::test]
async fn names_that_nobody_knows_make_one_series_of_failed_calls() {
    let collector = Collector::start(&section("unknown_names"), "").await;
    let failed = |number: u64| Call {
        trace_id: TraceId::from_bytes(u128::from(number + 1).to_be_bytes()).unwrap(),
        span_id: SpanId::from_bytes((number + 1).to_be_bytes()).unwrap(),
        request_model: format!("model-{:08x}", number.wrapping_mul(2_654_435_761) & 0xffff_ffff),
        response_model: String::new(),
        response_id: String::new(),
        usage: None,
        end: EndOfStream::ProviderError,
        error_type: Some("model_not_found".into()),
        http_status: Some(404),
        identity: gpt(0).identity,
        ..gpt(0)
    };
    let answered = Call { request_model: "next".into(), response_model: "gpt-next".into(), ..gpt(2_000) };
    let mut calls: Vec<Call> = (0..1_000).map(failed).collect();
    calls.push(answered);
    let answer = collector.post(&[PROTOBUF], export_request(&calls).encode_to_vec()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let series = "SELECT model, count(DISTINCT service, environment, team, feature, provider, operation, status, error_type), sum(calls) \
        FROM calls_day GROUP BY model ORDER BY model";
    assert_eq!(ask(&collector.storage, series).await, "gpt-next\t1\t1\nother\t1\t1000");
    let names = "SELECT count(), uniqExact(request_model), countIf(startsWith(request_model, 'model-')) FROM spans WHERE model = 'other'";
    assert_eq!(ask(&collector.storage, names).await, "1000\t1000\t1000");
    collector.stop().await;
}

/// Scenario: OpenRouter's answers state what they cost, one through the agent, one told by another program; OpenAI's do not, but a proxy
/// in front of it states a cost.
/// Guarantees: the router's own number is its bill; everybody's number is kept beside the bill, and is in no sum.
#[tokio::test]
async fn what_others_say_a_call_costs_stands_beside_the_bill() {
    let collector = Collector::start(&section("reported_costs"), "").await;
    let stated = |number: u64, provider: &str, model: &str, usd: &str| {
        let mut call = Call { provider: provider.into(), response_model: model.into(), ..gpt(number) };
        call.billing.reported_cost = Some(usd.parse().unwrap());
        call
    };
    let router = stated(0, "openrouter", "ai21/jamba-1-5-large", "0.00275");
    let mut guessed = stated(1, "openrouter", "ai21/jamba-1-5-large", "0.5");
    guessed.usage.as_mut().unwrap().source = UsageSource::Sender;
    let proxy = stated(2, "openai", "gpt-4.1", "0.003");
    let body = export_request(&[router, guessed, proxy, gpt(3)]).encode_to_vec();
    let answer = collector.post(&[PROTOBUF], body).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    // 1,000 tokens in and 100 out at 2 and 8 USD a million, of both models.
    let rows = "SELECT provider, usage_source, toString(cost), toString(reported_cost), bill.rule[-1] FROM spans ORDER BY end_time DESC";
    let expected = [
        "openrouter\tprovider\t0.00275\t0.00275\topenrouter/reported",
        "openrouter\tsender\t0.0028\t0.5\topenrouter/ai21/jamba-1-5-large@start/standard",
        "openai\tprovider\t0.0028\t0.003\topenai/gpt-4.1@2025-04-14/standard",
        "openai\tprovider\t0.0028\t\\N\topenai/gpt-4.1@2025-04-14/standard",
    ];
    assert_eq!(ask(&collector.storage, rows).await, expected.join("\n"));
    let spend = "SELECT toString(sum(amount)) FROM spend_day";
    assert_eq!(ask(&collector.storage, spend).await, "0.01115");
    // The book is 0.00005 above the router's own number, 0.4972 below a guess and 0.0002 below the proxy's.
    let metrics = collector.metrics().await;
    for (series, usd) in [
        ("reported_cost_usd_total{provider=\"openrouter\"}", 0.502_75),
        ("reported_cost_difference_usd_total{provider=\"openrouter\",book=\"above\"}", 0.000_05),
        ("reported_cost_difference_usd_total{provider=\"openrouter\",book=\"below\"}", 0.497_2),
        ("reported_cost_usd_total{provider=\"openai\"}", 0.003),
        ("reported_cost_difference_usd_total{provider=\"openai\",book=\"above\"}", 0.0),
        ("reported_cost_difference_usd_total{provider=\"openai\",book=\"below\"}", 0.000_2),
    ] {
        let name = format!("ledgerline_collector_{series} ");
        let value =
            metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("{metrics}"));
        assert!((value.parse::<f64>().unwrap() - usd).abs() < 1e-12, "{series}: {value}, not {usd}");
    }
    collector.stop().await;
}
