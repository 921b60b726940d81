//! The stages together, over a store in memory.

use std::sync::Mutex;
use std::time::Duration;

use ledgerline_process::clock::ManualClock;
use ledgerline_proto::otlp::{ExportTraceServiceRequest, export_request};
use prometheus_client::registry::Registry;
use prost::Message;

use super::testing::{NOW_NS, call};
use super::*;
use crate::access::{Access, Principal};
use ledgerline_store::client::{Insert, StoreError};

/// Keeps the tokens and row counts of inserts; fails or waits on demand.
#[derive(Default)]
struct Store {
    inserts: Mutex<Vec<(String, usize)>>,
    changes: Mutex<Vec<ledgerline_store::ledger::Change>>,
    down: Mutex<bool>,
    quarantine_down: Mutex<bool>,
}

impl Store {
    /// Rows that are kept: of each token the first insert alone, as the engine does.
    fn kept(&self) -> usize {
        let inserts = self.inserts.lock().unwrap();
        let first = |at: usize| !inserts[..at].iter().any(|(token, _)| *token == inserts[at].0);
        (0..inserts.len()).filter(|at| first(*at)).map(|at| inserts[at].1).sum()
    }
}

impl Transport for Store {
    async fn insert(&self, insert: &Insert<'_>) -> Result<(), StoreError> {
        let quarantine = insert.statement.starts_with("INSERT INTO quarantine");
        if *self.down.lock().unwrap() || quarantine && *self.quarantine_down.lock().unwrap() {
            return Err(StoreError::Late(Duration::ZERO));
        }
        self.inserts.lock().unwrap().push((insert.token.to_owned(), insert.rows));
        Ok(())
    }

    async fn change(
        &self,
        _: u128,
        _: &str,
        changes: &[ledgerline_store::ledger::Change],
    ) -> Result<(), StoreError> {
        self.changes.lock().unwrap().extend_from_slice(changes);
        Ok(())
    }

    async fn roles(
        &self,
        _: u128,
        _: &str,
        _: (u64, u64),
    ) -> Result<
        Vec<(ledgerline_proto::TraceId, ledgerline_proto::SpanId, ledgerline_store::spans::Role)>,
        StoreError,
    > {
        Ok(Vec::new())
    }

    async fn is_stored(&self, batch: u128) -> Result<bool, StoreError> {
        let token = format!("{batch:032x}");
        Ok(self.inserts.lock().unwrap().iter().any(|(known, _)| *known == token))
    }
}

struct World {
    store: Arc<Store>,
    ingest: Arc<Ingest<Arc<Store>>>,
    metrics: Metrics,
    clock: Arc<ManualClock>,
}

fn world() -> World {
    let clock = Arc::new(ManualClock::at(NOW_NS));
    let (store, ingest, metrics) = ingest(Arc::clone(&clock) as Arc<dyn Clock>);
    World { store, ingest, metrics, clock }
}

fn ingest(clock: Arc<dyn Clock>) -> (Arc<Store>, Arc<Ingest<Arc<Store>>>, Metrics) {
    let store = Arc::new(Store::default());
    let metrics = Metrics::register(&mut Registry::default());
    let ingest = Ingest::new(Parts {
        writer: Writer::new(Arc::clone(&store), metrics.store.clone()),
        prices: PriceBook::embedded(),
        access: Arc::new(Access::Open(Principal::of("default"))),
        allowed: AllowList::new(&[]),
        booking: Booking::without_a_store(7),
        dimensions: DimensionCaps::new(3),
        clock,
        metrics: metrics.clone(),
    });
    (store, ingest, metrics)
}

impl World {
    async fn send(&self, request: &ExportTraceServiceRequest) -> Result<Receipt, Refusal> {
        self.send_bytes(request.encode_to_vec().into()).await
    }

    async fn send_bytes(&self, body: Bytes) -> Result<Receipt, Refusal> {
        self.send_as(Format::Protobuf, body).await
    }

    async fn send_as(&self, format: Format, body: Bytes) -> Result<Receipt, Refusal> {
        let request = Request {
            principal: Principal::of("default"),
            producer: None,
            format,
            encoding: Encoding::Identity,
            body,
            grant: self.ingest.admission.enter(),
            deadline: Instant::now() + Duration::from_secs(5),
        };
        self.ingest.export(request).await
    }

    /// received, stored, quarantined, unacknowledged, waiting.
    fn balance(&self) -> (u64, u64, u64, u64, i64) {
        let quarantined = ledgerline_store::quarantine::Reason::ALL
            .into_iter()
            .map(|reason| self.metrics.quarantined.of([reason.name()]).get())
            .sum();
        let metrics = &self.metrics;
        (
            metrics.received.get(),
            metrics.stored.get(),
            quarantined,
            metrics.unacknowledged.get(),
            metrics.waiting.get(),
        )
    }
}

#[tokio::test]
async fn a_request_is_one_insert_and_a_repeat_of_it_is_known() {
    let world = world();
    let mut unknown = call("no-such-model");
    unknown.span_id = ledgerline_proto::SpanId::from_hex("00f067aa0ba902b8").unwrap();
    let request = export_request(&[call("gpt-4.1"), unknown]);
    for _ in 0..2 {
        assert_eq!(world.send(&request).await.unwrap().stored, 2);
    }
    let inserts = world.store.inserts.lock().unwrap().clone();
    assert_eq!(inserts.iter().map(|(_, rows)| *rows).collect::<Vec<_>>(), [2]);
    assert_eq!(world.balance(), (4, 4, 0, 0, 0));
    assert_eq!(world.metrics.repeated.get(), 2);
    assert_eq!(world.metrics.unpriced.of(["unknown_model"]).get(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_stored_is_not_acknowledged_and_balances() {
    let world = world();
    *world.store.down.lock().unwrap() = true;
    let refusal = world.send(&export_request(&[call("gpt-4.1")])).await.unwrap_err();
    assert!(refusal.is_transient(), "{refusal}");
    assert_eq!(world.balance(), (1, 0, 0, 1, 0));
    *world.store.down.lock().unwrap() = false;
    world.send(&export_request(&[call("gpt-4.1")])).await.unwrap();
    assert_eq!(world.balance(), (2, 1, 0, 1, 0));
}

#[tokio::test]
async fn refused_spans_are_told_counted_and_quarantined() {
    let world = world();
    let mut old = call("gpt-4.1");
    old.end_unix_ns -= 40 * 86_400_000_000_000;
    old.start_unix_ns = old.end_unix_ns;
    let receipt = world.send(&export_request(&[call("gpt-4.1"), old])).await.unwrap();
    assert_eq!((receipt.stored, receipt.rejected[0].1), (1, 1));
    assert_eq!(world.balance(), (2, 1, 1, 0, 0));
    let inserts = world.store.inserts.lock().unwrap().clone();
    assert_eq!(inserts.len(), 2);
    // The quarantine comes first, so that nothing is known to be stored whose refused neighbours are not.
    assert!(inserts[0].0.starts_with(&format!("{}-quarantine-", inserts[1].0)), "{inserts:?}");
}

/// Scenario: the store is away; until the sender repeats, one of its spans has become too old.
/// Guarantees: whatever is acknowledged is in a table.
#[tokio::test(start_paused = true)]
async fn a_span_taken_on_the_first_attempt_and_refused_on_the_second_is_somewhere() {
    let world = world();
    let mut old = call("gpt-4.1");
    old.end_unix_ns = NOW_NS - 31 * 86_400_000_000_000;
    old.start_unix_ns = old.end_unix_ns;
    let request = export_request(&[call("gpt-4.1"), old]);
    *world.store.down.lock().unwrap() = true;
    let refusal = world.send(&request).await.unwrap_err();
    assert!(refusal.is_transient(), "{refusal}");
    *world.store.down.lock().unwrap() = false;
    world.clock.set(NOW_NS + 10_000_000_000);
    assert_eq!(world.send(&request).await.unwrap().stored, 1);
    assert_eq!(world.store.kept(), 2);
}

/// Scenario: an agent's clock is 15 minutes ahead.
/// Guarantees: its calls are stored, and a metric says so.
#[tokio::test]
async fn calls_of_a_clock_that_is_ahead_are_stored_and_counted() {
    let world = world();
    world.clock.set(NOW_NS - 900_000_000_000);
    let receipt = world.send(&export_request(&vec![call("gpt-4.1"); 60])).await.unwrap();
    assert_eq!((receipt.stored, receipt.rejected.len()), (60, 0));
    let corrected = |reason| world.metrics.times_corrected.of([reason]).get();
    assert_eq!((corrected("clock_ahead"), corrected("clock_unset"), corrected("duration")), (60, 0, 0));
}

/// Scenario: an application sends an id for a feature.
/// Guarantees: every call is stored, as many features as the cap become labels, and a metric counts the rest.
#[tokio::test]
async fn features_without_end_are_other_and_counted() {
    let world = world();
    let of_feature = |number| {
        let mut call = call("gpt-4.1");
        call.identity.feature = format!("request-{number}");
        call
    };
    let receipt = world.send(&export_request(&(0..60).map(of_feature).collect::<Vec<_>>())).await.unwrap();
    assert_eq!(receipt.stored, 60);
    let overflows = |dimension: ledgerline_proto::dimension::Dimension| {
        world.metrics.dimension_overflows.of([dimension.name()]).get()
    };
    let features = overflows(ledgerline_proto::dimension::Dimension::Feature);
    assert_eq!((features, overflows(ledgerline_proto::dimension::Dimension::Team)), (57, 0));
}

/// Scenario: 30 levels of lists within each other, as wide as a request may be, under a name that is kept.
/// Guarantees: what is stored of them is bounded, and each is counted.
#[tokio::test]
async fn nested_values_cost_no_more_than_their_bound() {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, any_value::Value};
    let world = world();
    let any = |value| AnyValue { value: Some(value) };
    let list = |values| Value::ArrayValue(ArrayValue { values });
    let mut deep = list(vec![any(Value::StringValue("\u{1}".repeat(8_000))); 100]);
    for _ in 0..30 {
        deep = list(vec![any(deep)]);
    }
    let mut request = export_request(&[call("gpt-4.1")]);
    let attributes = &mut request.resource_spans[0].scope_spans[0].spans[0].attributes;
    attributes.push(KeyValue { key: "gen_ai.usage.x".into(), value: Some(any(deep)), ..Default::default() });
    let wide = list(vec![any(Value::IntValue(7)); 100_000]);
    attributes.push(KeyValue { key: "gen_ai.usage.y".into(), value: Some(any(wide)), ..Default::default() });
    assert_eq!(world.send(&request).await.unwrap().stored, 1);
    for name in ["gen_ai.usage.x", "gen_ai.usage.y"] {
        assert_eq!(world.metrics.attributes_dropped.of([name]).get(), 1, "{name}");
    }
}

/// A defect of ours, in the middle of the stages.
struct Broken;

impl Clock for Broken {
    fn now_unix_ns(&self) -> u64 {
        panic!("a defect")
    }
}

#[tokio::test]
async fn a_panic_while_reading_costs_no_span() {
    let (store, ingest, metrics) = ingest(Arc::new(Broken));
    let clock = Arc::new(ManualClock::at(NOW_NS));
    let world = World { store, ingest, metrics, clock };
    // On the connection's thread and, above the bound, on one of its own.
    for spans in [1, 2_000] {
        let request = export_request(&vec![call("gpt-4.1"); spans]);
        assert_eq!(request.encoded_len() > limits::INLINE_DECODE_BYTES_MAX, spans > 1);
        let refusal = world.send(&request).await.unwrap_err();
        assert!(refusal.is_transient(), "{refusal}");
        assert_eq!(refusal.name(), "internal");
    }
    assert_eq!(world.balance(), (2_001, 0, 0, 2_001, 0));
}

#[tokio::test]
async fn what_cannot_be_read_reaches_no_store() {
    let world = world();
    let refusal = world.send_bytes(Bytes::from_static(b"\xff\xff\xff not protobuf")).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Malformed(_)), "{refusal}");
    let large = vec![0xff; limits::INLINE_DECODE_BYTES_MAX + 1];
    assert!(matches!(world.send_bytes(large.into()).await, Err(Refusal::Malformed(_))));
    assert_eq!(world.send(&ExportTraceServiceRequest::default()).await.unwrap(), Receipt::default());
    assert!(world.store.inserts.lock().unwrap().is_empty());
    assert_eq!(world.balance(), (0, 0, 0, 0, 0));
}

/// Scenario: 4 MiB of spans of two bytes each, in both formats, and as many attributes in one span.
/// Guarantees: refused for good before they are decoded, because no repeat can fit.
#[tokio::test]
async fn much_of_little_is_refused_before_it_costs_memory() {
    let world = world();
    let nested = |tag: u8, body: Vec<u8>| {
        let mut message = vec![tag];
        prost::encoding::encode_varint(body.len() as u64, &mut message);
        message.extend(body);
        message
    };
    let request = |spans: Vec<u8>| nested(0x0a, nested(0x12, spans));
    let spans = request([0x12, 0x00].repeat(2 << 20));
    let attributes = request(nested(0x12, [0x4a, 0x00].repeat(2 << 20)));
    let json = |text: &str| format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{text}{{}}]}}]}}]}}"#);
    for (format, body) in [
        (Format::Protobuf, spans),
        (Format::Protobuf, attributes),
        (Format::Json, json(&"{},".repeat(1 << 20)).into_bytes()),
        (Format::Json, json(&"[],".repeat(1 << 20)).into_bytes()),
        (Format::Json, json(&format!(r#"{{"attributes":[{}{{}}]}},"#, "{},".repeat(1 << 20))).into_bytes()),
    ] {
        let refusal = world.send_as(format, body.into()).await.unwrap_err();
        assert_eq!((refusal.name(), refusal.is_transient()), ("too_large", false), "{format:?}: {refusal}");
    }
    assert_eq!(world.balance(), (0, 0, 0, 0, 0));
    let most = export_request(&vec![call("gpt-4.1"); 10_000]);
    assert_eq!(world.send(&most).await.unwrap().stored, 10_000);
}

#[tokio::test]
async fn an_ingest_that_stops_takes_nothing_more() {
    let world = world();
    world.ingest.finish().await;
    let refusal = world.send(&export_request(&[call("gpt-4.1")])).await.unwrap_err();
    assert!(matches!(refusal, Refusal::Stopping) && refusal.is_transient());
}
