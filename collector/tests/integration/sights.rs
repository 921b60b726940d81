//! One call, once: whoever reports it, in whatever order and how often, with restarts between.

use ledgerline_process::{Clock, SystemClock};
use ledgerline_proto::otlp::{ExportTraceServiceRequest, export_request};
use ledgerline_proto::{Call, EndOfStream, Operation, Quantities, SpanId, TraceId, Unit, Usage, UsageSource};
use prost::Message;

use crate::engine::ask;
use crate::ingest::{Collector, PROTOBUF, section};
use crate::spans::call;

/// SplitMix64: the same numbers from the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

fn span_id(number: u64, role: u64) -> SpanId {
    SpanId::from_bytes((number * 16 + role + 1).to_be_bytes()).unwrap()
}

/// A request of gpt-4.1: 2 USD a million tokens in, 8 out.
fn gpt(number: u64, end_unix_ns: u64) -> (Call, i128) {
    let (input, output) = (100 + number * 7, 10 + number * 3);
    let usage = Quantities::from_pairs(&[(Unit::InputUncached, input), (Unit::OutputText, output)]);
    let sent = Call {
        response_id: format!("resp-{number}"),
        request_model: "gpt-4.1".into(),
        response_model: "gpt-4.1".into(),
        operation: Operation::Chat,
        usage: Some(Usage::of(usage, UsageSource::Provider)),
        end: EndOfStream::Complete,
        error_type: None,
        http_status: Some(200),
        start_unix_ns: end_unix_ns - 900_000_000,
        end_unix_ns,
        ..call(number, end_unix_ns)
    };
    (sent, i128::from(input) * 2_000_000 + i128::from(output) * 8_000_000)
}

/// The same as an instrumentation of that name would send it: in the words of the conventions alone.
fn seen_by(scope: &str, call: &Call) -> ExportTraceServiceRequest {
    let mut request = export_request(std::slice::from_ref(call));
    let spans = &mut request.resource_spans[0].scope_spans[0];
    spans.scope.as_mut().unwrap().name = scope.to_owned();
    spans.spans[0].attributes.retain(|attribute| !attribute.key.starts_with("ledgerline."));
    request
}

fn plain(call: &Call) -> ExportTraceServiceRequest {
    let mut request = seen_by("http.client", call);
    request.resource_spans[0].scope_spans[0].spans[0].attributes.clear();
    request
}

/// The sights of one call, each a request, and what the call costs. Trace by trace another set of observers; the one with the
/// response id in a trace of its own is an agent behind a client that passes no context on.
fn sights(number: u64, end_unix_ns: u64, chance: &mut Chance) -> (Vec<ExportTraceServiceRequest>, i128) {
    let (base, picos) = gpt(number, end_unix_ns);
    let at = |role: u64, parent: Option<u64>, trace: u128| Call {
        trace_id: TraceId::from_bytes((u128::from(number + 1) << 8 | trace).to_be_bytes()).unwrap(),
        span_id: span_id(number, role),
        parent_span_id: parent.map(|role| span_id(number, role)),
        ..base.clone()
    };
    let unnamed = |call: Call| Call { response_id: String::new(), ..call };
    let (wrapper, between, inner) = (at(0, None, 1), at(1, Some(0), 1), at(2, Some(1), 1));
    let requests = match chance.below(6) {
        0 => vec![export_request(&[at(3, None, 2)])],
        1 => vec![seen_by("openai", &at(2, None, 1)), export_request(&[at(3, None, 2)])],
        2 => vec![seen_by("openai", &at(2, None, 1)), export_request(&[at(3, Some(2), 1)])],
        3 => vec![seen_by("langchain", &unnamed(wrapper)), plain(&between), seen_by("openai", &inner)],
        4 => vec![
            seen_by("langchain", &unnamed(wrapper)),
            plain(&between),
            seen_by("openai", &inner),
            export_request(&[at(3, Some(2), 1)]),
        ],
        _ => vec![
            seen_by("langchain", &wrapper),
            plain(&between),
            seen_by("openai", &inner),
            export_request(&[at(3, None, 2)]),
        ],
    };
    (requests, picos)
}

/// Spans of several senders in one request, as a collector in front of ours forwards them.
fn together(requests: &[ExportTraceServiceRequest]) -> Vec<u8> {
    let all = requests.iter().flat_map(|request| request.resource_spans.clone()).collect();
    ExportTraceServiceRequest { resource_spans: all }.encode_to_vec()
}

/// What is booked, in several ways that must agree: calls, and cost in US dollars.
const BOOKS: [(&str, &str); 5] = [
    (
        "spans and corrections",
        "SELECT toString((SELECT sum(is_call) FROM spans) + (SELECT sum(sign) FROM corrections)), \
         toString(ifNull((SELECT sum(cost) FROM spans WHERE is_call = 1), 0) + ifNull((SELECT sum(sign * cost) FROM corrections), 0))",
    ),
    (
        "the record",
        "SELECT toString(sum(calls)), (SELECT toString(sum(amount)) FROM spend_record) FROM calls_record",
    ),
    (
        "minutes",
        "SELECT toString(sum(calls)), (SELECT toString(sum(amount)) FROM spend_minute) FROM calls_minute",
    ),
    (
        "quarters",
        "SELECT toString(sum(calls)), (SELECT toString(sum(amount)) FROM spend_quarter) FROM calls_quarter",
    ),
    ("days", "SELECT toString(sum(calls)), (SELECT toString(sum(amount)) FROM spend_day) FROM calls_day"),
];

/// Scenario: calls are seen by agent, instrumentations and frameworks; their spans come in random order, alone or with others, some
/// twice, up to an hour late, while the collector is restarted. `LEDGERLINE_SIGHTS` says how many calls (25).
/// Guarantees: each is counted and billed once, in every table; what was taken back is among the corrections.
#[tokio::test]
async fn each_call_is_billed_once_whoever_saw_it() {
    let calls: u64 = std::env::var("LEDGERLINE_SIGHTS").ok().and_then(|text| text.parse().ok()).unwrap_or(25);
    let mut chance = Chance(11);
    let now = SystemClock.now_unix_ns();
    let mut waiting = Vec::new();
    let mut picos = 0;
    for number in 0..calls {
        let (requests, cost) = sights(number, now - chance.below(3_600) * 1_000_000_000, &mut chance);
        for request in requests {
            if chance.below(5) == 0 {
                waiting.push(request.clone());
            }
            waiting.push(request);
        }
        picos += cost;
    }
    let storage = section("sights");
    let mut collector = Collector::start(&storage, "").await;
    let (mut sent, mut restarts) = (0, 0);
    while !waiting.is_empty() {
        let size = 1 + chance.below(4);
        let mut request = Vec::new();
        for _ in 0..size.min(waiting.len() as u64) {
            let place = chance.below(waiting.len() as u64) as usize;
            request.push(waiting.swap_remove(place));
        }
        let body = together(&request);
        for _ in 0..=u64::from(chance.below(4) == 0) {
            assert_eq!(collector.post(&[PROTOBUF], body.clone()).await.status, 200);
        }
        sent += 1;
        if sent % (calls / 2) == 0 {
            collector.stop().await;
            collector = Collector::start(&storage, "").await;
            restarts += 1;
        }
    }
    assert!(restarts >= 2, "{sent} requests");
    let usd = format!("{}.{:012}", picos / 1_000_000_000_000, picos % 1_000_000_000_000);
    let expected = format!("{calls}\t{}", usd.trim_end_matches('0'));
    for (name, books) in BOOKS {
        assert_eq!(ask(&collector.storage, books).await, expected, "{name}");
    }
    let each = "SELECT countIf(counted != 1), count() > 0 FROM (SELECT trace_id, sum(is_call) + any(signs.signed) AS counted \
        FROM spans LEFT JOIN (SELECT trace_id, toInt64(sum(sign)) AS signed FROM corrections GROUP BY trace_id) AS signs \
        USING trace_id GROUP BY trace_id HAVING counted != 0)";
    assert_eq!(ask(&collector.storage, each).await, "0\t1", "no trace is counted twice");
    let taken_back =
        ask(&collector.storage, "SELECT count() > 0, countIf(cost IS NULL) FROM corrections").await;
    assert_eq!(taken_back, "1\t0");
    collector.stop().await;
}

/// Guarantees: a correction takes back all that was booked for its call, its time to first token and buckets too, and says so in the
/// collector's metrics; the rows that are not counted say why they have no cost.
#[tokio::test]
async fn a_better_sight_takes_the_earlier_one_back() {
    let collector = Collector::start(&section("better"), "").await;
    let now = SystemClock.now_unix_ns();
    let (mut call, _) = gpt(1, now);
    (call.stream, call.time_to_first_token_ns) = (true, Some(120_000_000));
    let sdk = seen_by("openai", &call);
    let agents = Call {
        trace_id: TraceId::from_bytes([9; 16]).unwrap(),
        identity: ledgerline_proto::Identity { team: "payments".into(), ..call.identity.clone() },
        ..call
    };
    assert_eq!(collector.post(&[PROTOBUF], sdk.encode_to_vec()).await.status, 200);
    assert_eq!(collector.post(&[PROTOBUF], export_request(&[agents]).encode_to_vec()).await.status, 200);
    let by_team = "SELECT team, sum(calls), sum(duration_count), sum(ttft_count), arraySum(mapValues(sumMap(duration_buckets))) \
        FROM calls_day GROUP BY team HAVING sum(calls) != 0 OR sum(ttft_count) != 0 OR sum(duration_us_sum) != 0";
    assert_eq!(ask(&collector.storage, by_team).await, "payments\t1\t1\t1\t1");
    let spend = "SELECT team, unit, sum(quantity), toString(sum(amount)) FROM spend_day GROUP BY team, unit \
        HAVING sum(quantity) != 0 OR sum(amount) != 0 ORDER BY unit";
    assert_eq!(
        ask(&collector.storage, spend).await,
        "payments\tinput_uncached\t107\t0.000214\npayments\toutput_text\t13\t0.000104"
    );
    let metrics = collector.metrics().await;
    assert!(metrics.contains("ledgerline_collector_corrections_booked_total 1\n"), "{metrics}");
    // Once more the first: its row is there.
    assert_eq!(collector.post(&[PROTOBUF], sdk.encode_to_vec()).await.status, 200);
    assert!(collector.metrics().await.contains("ledgerline_collector_spans_repeated_total 1\n"));
    let (third, _) = gpt(1, now);
    let third = Call { span_id: span_id(7, 7), trace_id: TraceId::from_bytes([8; 16]).unwrap(), ..third };
    assert_eq!(collector.post(&[PROTOBUF], seen_by("litellm", &third).encode_to_vec()).await.status, 200);
    let uncounted = "SELECT is_call, unpriced_reason, isNull(cost), length(bill.unit) FROM spans WHERE observer = 'litellm'";
    assert_eq!(ask(&collector.storage, uncounted).await, "0\trepeat\t1\t2");
    assert_eq!(ask(&collector.storage, "SELECT count() FROM spans").await, "3");
    collector.stop().await;
}
