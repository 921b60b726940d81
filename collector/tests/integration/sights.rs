//! One call, once: whoever reports it, in whatever order and how often, with restarts between.

use ledgerline_process::{Clock, SystemClock};
use ledgerline_proto::otlp::{ExportTraceServiceRequest, export_request};
use ledgerline_proto::{Call, EndOfStream, Operation, Quantities, SpanId, TraceId, Unit, Usage, UsageSource};
use prost::Message;

use crate::engine::ask;
use crate::ingest::{Collector, PROTOBUF, section};
use crate::spans::call;

pub fn span_id(number: u64, role: u64) -> SpanId {
    // Its last byte is 0, as that of one id in 256 is: a place where texts and bytes differ.
    SpanId::from_bytes(((number * 16 + role + 1) << 8).to_be_bytes()).unwrap()
}

/// A request of gpt-4.1: 2 USD a million tokens in, 8 out.
pub fn gpt(number: u64, end_unix_ns: u64) -> (Call, i128) {
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
pub fn seen_by(scope: &str, call: &Call) -> ExportTraceServiceRequest {
    let mut request = export_request(std::slice::from_ref(call));
    let spans = &mut request.resource_spans[0].scope_spans[0];
    spans.scope.as_mut().unwrap().name = scope.to_owned();
    spans.spans[0].attributes.retain(|attribute| !attribute.key.starts_with("ledgerline."));
    request
}

pub fn plain(call: &Call) -> ExportTraceServiceRequest {
    let mut request = seen_by("http.client", call);
    request.resource_spans[0].scope_spans[0].spans[0].attributes.clear();
    request
}

/// As a number of PromQL: without zeros at its end.
pub fn usd(picos: i128) -> String {
    let text = format!("{}.{:012}", picos / 1_000_000_000_000, picos % 1_000_000_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Spans of several senders in one request, as a collector in front of ours forwards them.
pub fn together(requests: &[ExportTraceServiceRequest]) -> Vec<u8> {
    let all = requests.iter().flat_map(|request| request.resource_spans.clone()).collect();
    ExportTraceServiceRequest { resource_spans: all }.encode_to_vec()
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
    let uncounted = "SELECT is_call, uncounted, unpriced_reason, isNull(cost), length(bill.unit) FROM spans WHERE observer = 'litellm'";
    assert_eq!(ask(&collector.storage, uncounted).await, "0\trepeat\t\t1\t2");
    assert_eq!(ask(&collector.storage, "SELECT count() FROM spans").await, "3");
    collector.stop().await;
}

/// Scenario: a framework's call comes, and minutes later the client library's below it.
/// Guarantees: the first is taken back as a wrapper, in the table and in PromQL, and what is billed is the second.
#[tokio::test]
async fn a_call_that_turns_out_to_be_a_wrapper_is_taken_back_as_one() {
    let collector = Collector::start(&section("wrapper"), "").await;
    let now = SystemClock.now_unix_ns();
    let (base, picos) = gpt(1, now - 60_000_000_000);
    let wrapper = Call { span_id: span_id(1, 0), response_id: String::new(), ..base.clone() };
    let inner = Call { span_id: span_id(1, 1), parent_span_id: Some(span_id(1, 0)), ..base };
    assert_eq!(collector.post(&[PROTOBUF], seen_by("langchain", &wrapper).encode_to_vec()).await.status, 200);
    assert_eq!(collector.post(&[PROTOBUF], seen_by("openai", &inner).encode_to_vec()).await.status, 200);
    let corrections = "SELECT reason, sign, count() FROM corrections GROUP BY ALL";
    assert_eq!(ask(&collector.storage, corrections).await, "wrapper\t-1\t1");
    let at_s = now / 1_000_000_000;
    for (query, expected) in [
        (r#"sum(increase(llm_corrections_total{reason="wrapper"}[1h]))"#, "-1".to_owned()),
        ("sum(increase(llm_calls_total[1h]))", "1".to_owned()),
        ("sum(increase(llm_cost_usd_total[1h]))", usd(picos)),
    ] {
        assert_eq!(collector.query(query, at_s).await, expected, "{query}");
    }
    collector.stop().await;
}

/// Scenario: a client library's span of a call is counted; then the agent's comes, in one request with a framework's call and a call
/// below that, and the store refuses the agent's and the one below for what they are. Later they come again, and are taken.
/// Guarantees: what was refused counts for nothing: the first span stays billed, and the framework's is. When they are taken they are
/// billed instead. The request with the refused spans may be repeated.
#[tokio::test]
async fn a_span_that_the_store_refuses_takes_nothing_back() {
    let collector = Collector::start(&section("refused"), "").await;
    let constraint = "ALTER TABLE spans ADD CONSTRAINT no_poison CHECK NOT (observer = 'ledgerline-agent' OR response_id = 'resp-2')";
    ask(&collector.storage, constraint).await;
    let now = SystemClock.now_unix_ns();
    let (first, _) = gpt(1, now);
    let (second, _) = gpt(2, now);
    let trace = |number: u8| TraceId::from_bytes([number; 16]).unwrap();
    let sdk = Call { trace_id: trace(1), ..first.clone() };
    let agents = Call { trace_id: trace(2), ..first };
    let wrapper =
        Call { trace_id: trace(3), span_id: span_id(2, 0), response_id: String::new(), ..second.clone() };
    let inner =
        Call { trace_id: trace(3), span_id: span_id(2, 1), parent_span_id: Some(span_id(2, 0)), ..second };
    assert_eq!(collector.post(&[PROTOBUF], seen_by("openai", &sdk).encode_to_vec()).await.status, 200);
    let request = together(&[
        export_request(std::slice::from_ref(&agents)),
        seen_by("langchain", &wrapper),
        seen_by("openai", &inner),
    ]);
    let counting = "SELECT groupArray((observer, calls)) FROM (SELECT observer, sum(is_call) + sum(signs.signed) AS calls \
        FROM spans LEFT JOIN (SELECT trace_id, span_id, toInt64(sum(sign)) AS signed FROM corrections GROUP BY ALL) AS signs \
        USING (trace_id, span_id) GROUP BY observer HAVING calls != 0 ORDER BY observer)";
    for _ in 0..2 {
        let answer = collector.post(&[PROTOBUF], request.clone()).await;
        assert_eq!(answer.status, 200);
        let refused = "SELECT groupArray(reason), groupArray(sign) FROM corrections";
        assert_eq!(ask(&collector.storage, refused).await, "['wrapper']\t[1]");
        assert_eq!(ask(&collector.storage, counting).await, "[('langchain',1),('openai',1)]");
    }
    assert_eq!(ask(&collector.storage, "SELECT count() FROM quarantine").await, "2");
    ask(&collector.storage, "ALTER TABLE spans DROP CONSTRAINT no_poison").await;
    for taken in [export_request(&[agents]), seen_by("openai", &inner)] {
        assert_eq!(collector.post(&[PROTOBUF], taken.encode_to_vec()).await.status, 200);
    }
    assert_eq!(ask(&collector.storage, counting).await, "[('ledgerline-agent',1),('openai',1)]");
    let reasons = "SELECT groupArray((reason, booked)) FROM (SELECT reason, toInt64(sum(sign)) AS booked FROM corrections GROUP BY reason ORDER BY reason)";
    // The framework's was booked and taken back again, as a wrapper both times.
    assert_eq!(ask(&collector.storage, reasons).await, "[('repeat',-1),('wrapper',0)]");
    for tier in ["record", "minute", "quarter", "day"] {
        let calls = format!("SELECT sum(calls) FROM calls_{tier}");
        assert_eq!(ask(&collector.storage, &calls).await, "2", "{tier}");
    }
    collector.stop().await;
}

/// Scenario: the spans of the last hours cannot be read when the collector starts, for a while.
/// Guarantees: until they can it is not ready, refuses spans with a code that senders repeat, and says so in its metrics; then a call that
/// was counted before is known, and nothing is billed twice.
#[tokio::test]
async fn a_start_waits_for_the_spans_of_the_last_hours() {
    let storage = section("recovery");
    let collector = Collector::start(&storage, "").await;
    let (call, _) = gpt(1, SystemClock.now_unix_ns());
    let known = seen_by("openai", &call);
    assert_eq!(collector.post(&[PROTOBUF], known.encode_to_vec()).await.status, 200);
    assert_eq!(collector.metric("ledgerline_collector_sights_known").await, 1);
    collector.stop().await;
    let store = crate::engine::storage("recovery").await;
    ask(&store, "ALTER TABLE spans RENAME COLUMN observer TO observer_away").await;
    let collector = Collector::start(&storage, "").await;
    let (status, text) = collector.ready().await;
    assert_eq!((status, text.as_str()), (503, "not ready: the spans of the last hours are not read yet\n"));
    let mut other = known.clone();
    // Another request with the same span.
    other.resource_spans.push(
        seen_by(
            "openai",
            &Call { trace_id: TraceId::from_bytes([5; 16]).unwrap(), response_id: "other".into(), ..call },
        )
        .resource_spans
        .remove(0),
    );
    let refused = collector.post(&[PROTOBUF], other.encode_to_vec()).await;
    assert_eq!(refused.status, 503);
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(collector.metric("ledgerline_collector_sights_known").await, 0);
    assert!(collector.metric("ledgerline_collector_sights_read_failures_total").await > 0);
    assert!(collector.metric("ledgerline_collector_requests_refused_total{reason=\"recovering\"}").await > 0);
    ask(&store, "ALTER TABLE spans RENAME COLUMN observer_away TO observer").await;
    // It waits for the next look, which is soon.
    assert_eq!(collector.post(&[PROTOBUF], other.encode_to_vec()).await.status, 200);
    assert_eq!(collector.ready().await.0, 200);
    assert_eq!(ask(&collector.storage, "SELECT sum(calls) FROM calls_day").await, "2");
    assert_eq!(ask(&collector.storage, "SELECT count() FROM spans").await, "2");
    collector.stop().await;
}
