//! Calls to send, and what the tables must then hold.

use ledgerline_proto::{
    Billing, Call, EndOfStream, Identity, Operation, Quantities, SpanId, TraceId, Unit, Usage, UsageSource,
};

/// Call number `number` of a deterministic series: several models, teams and minutes, errors, streams and calls without
/// usage. All ended before `end_unix_ns`.
pub fn call(number: u64, end_unix_ns: u64) -> Call {
    let models = ["gpt-4.1", "gpt-4.1-mini", "gpt-4o", "no-such-model"];
    let model = models[(number % 4) as usize].to_owned();
    let failed = number % 7 == 3;
    let tokens = Quantities::from_pairs(&[
        (Unit::InputUncached, 1 + number * 13 % 1_009),
        (Unit::CacheRead, number % 5),
        (Unit::OutputText, 1 + number * 7 % 211),
    ]);
    let end = end_unix_ns - number * 1_700_000_000;
    Call {
        trace_id: TraceId::from_bytes(u128::from(number + 1).to_be_bytes()).unwrap(),
        span_id: SpanId::from_bytes((number + 1).to_be_bytes()).unwrap(),
        parent_span_id: None,
        start_unix_ns: end - 1_000_000 * (1 + number % 997),
        end_unix_ns: end,
        time_to_first_token_ns: number.is_multiple_of(2).then_some(250_000 * (number % 31)),
        operation: Operation::Chat,
        provider: "openai".to_owned(),
        request_model: model.clone(),
        response_model: model,
        response_id: format!("r-{number}"),
        stream: number.is_multiple_of(2),
        finish_reasons: vec!["stop".to_owned()],
        end: if failed { EndOfStream::ProviderError } else { EndOfStream::Complete },
        error_type: failed.then(|| "rate_limit".to_owned()),
        http_status: Some(if failed { 429 } else { 200 }),
        usage: (number % 11 != 5).then_some(Usage::of(tokens, UsageSource::Provider)),
        usage_object: String::new(),
        billing: Billing::default(),
        identity: Identity {
            service: "checkout".to_owned(),
            team: format!("team-{}", number % 3),
            user: format!("user-{number}"),
            ..Identity::default()
        },
        unread: None,
    }
}

/// What the ledger is read from: the record and its rollups, each a table of calls and one of lines.
pub const TIERS: [&str; 4] = ["record", "minute", "quarter", "day"];

/// One SELECT over the sums in which a store without corrections must agree with itself: of `spans`, or of one of [`TIERS`].
pub fn sums_of(tier: &str) -> String {
    if tier == "spans" {
        return "SELECT count(), countIf(status = 'error'), countIf(cost IS NULL), sum(duration_us), count(duration_us), \
                sum(ttft_us), count(ttft_us), count(duration_us), count(ttft_us), sum(cost), \
                sum(arraySum(bill.quantity)), sum(bill.quantity[indexOf(bill.unit, 'cache_read')]), sum(length(bill.unit)) \
                FROM spans WHERE is_call = 1"
            .to_owned();
    }
    format!(
        "SELECT * FROM (SELECT sum(calls), sumIf(calls, status = 'error'), sumIf(calls, unpriced_reason != ''), sum(duration_us_sum), \
         sum(duration_count), sum(ttft_us_sum), sum(ttft_count), sum(arraySum(mapValues(duration_buckets))), \
         sum(arraySum(mapValues(ttft_buckets))) FROM calls_{tier}) AS calls, (SELECT sum(amount), sum(quantity), \
         sumIf(quantity, unit = 'cache_read'), sum(lines) FROM spend_{tier}) AS spend"
    )
}
