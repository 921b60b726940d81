//! Repeats, deadlines and poison, over a store in memory.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use ledgerline_proto::otlp::SpanRecord;
use ledgerline_proto::{Bill, Cost, UnpricedReason};
use ledgerline_proto::{
    Billing, Call, EndOfStream, Identity, Operation, Quantities, SpanId, TraceId, Unit, Usage, UsageSource,
};

use super::*;
use crate::corrections::{CorrectionRow, Reason, Sign};
use crate::usage_object::UsageObject;

/// A finished chat with that OpenAI model.
fn call(model: &str) -> Call {
    let tokens = Quantities::from_pairs(&[(Unit::InputUncached, 1_000), (Unit::OutputText, 100)]);
    Call {
        trace_id: TraceId::from_bytes([1; 16]).unwrap(),
        span_id: SpanId::from_bytes([2; 8]).unwrap(),
        parent_span_id: None,
        start_unix_ns: 1_795_521_597_000_000_000,
        end_unix_ns: 1_795_521_599_000_000_000,
        time_to_first_token_ns: Some(250_000_000),
        operation: Operation::Chat,
        provider: "openai".into(),
        request_model: model.into(),
        response_model: model.into(),
        response_id: "r-1".into(),
        stream: true,
        finish_reasons: vec!["stop".into()],
        end: EndOfStream::Complete,
        error_type: None,
        http_status: Some(200),
        usage: Some(Usage::of(tokens, UsageSource::Provider)),
        usage_object: String::new(),
        billing: Billing::default(),
        identity: Identity { service: "checkout".into(), team: "payments".into(), ..Identity::default() },
        unread: None,
    }
}

/// A store in memory that deduplicates by token, refuses rows of the model `poison`, and fails on demand.
#[derive(Default)]
struct Store {
    /// Answers to give before working, last first.
    failures: Mutex<Vec<StoreError>>,
    /// Rows by token.
    taken: Mutex<HashMap<String, usize>>,
    quarantined: Mutex<HashMap<String, usize>>,
}

impl Transport for Store {
    async fn change(&self, _: u128, _: &str, _: &[crate::ledger::Change]) -> Result<(), StoreError> {
        self.failures.lock().unwrap().pop().map_or(Ok(()), Err)
    }

    async fn roles(
        &self,
        _: u128,
        _: &str,
        _: (u64, u64),
    ) -> Result<Vec<(ledgerline_proto::TraceId, ledgerline_proto::SpanId, crate::spans::Role)>, StoreError>
    {
        Ok(Vec::new())
    }

    async fn is_stored(&self, batch: u128) -> Result<bool, StoreError> {
        Ok(self.taken.lock().unwrap().contains_key(&format!("{batch:032x}")))
    }

    async fn insert(&self, insert: &Insert<'_>) -> Result<(), StoreError> {
        if let Some(failure) = self.failures.lock().unwrap().pop() {
            return Err(failure);
        }
        if insert.statement.starts_with("INSERT INTO quarantine") {
            self.quarantined.lock().unwrap().entry(insert.token.to_owned()).or_insert(insert.rows);
        } else if insert.block.windows(6).any(|window| window == b"poison") {
            return Err(StoreError::Exception { code: 469, message: "violated".into() });
        } else {
            self.taken.lock().unwrap().entry(insert.token.to_owned()).or_insert(insert.rows);
        }
        Ok(())
    }
}

fn batch(models: &[&str]) -> Batch {
    let spans = models
        .iter()
        .enumerate()
        .map(|(place, model)| SpanRow {
            place,
            tenant: "default".into(),
            record: SpanRecord {
                call: call(model),
                observer: "ledgerline-agent".into(),
                observer_version: "1.2.3".into(),
                name: "chat".into(),
                attributes: vec![],
                duration_ns: Some(1),
                attributes_dropped: 0,
            },
            role: crate::spans::Role::Counts,
            bill: Bill::empty("", Cost::Unpriced(UnpricedReason::UnknownModel)),
            unpriced_reason: "unknown_model".into(),
            usage: UsageObject::default(),
            price_version: "v".into(),
            batch_id: 7,
            ingested_at_ms: 0,
        })
        .collect();
    Batch { id: 7, places: models.len(), spans, quarantine: vec![] }
}

/// The same request when these of its spans were refused before they came to the store.
fn without(models: &[&str], refused: &[usize]) -> Batch {
    let mut batch = batch(models);
    let (kept, other): (Vec<_>, Vec<_>) =
        batch.spans.into_iter().partition(|row| !refused.contains(&row.place));
    batch.quarantine = other.iter().map(|row| poison(row, String::new())).collect();
    batch.spans = kept;
    batch
}

fn writer(store: &Arc<Store>) -> Writer<Arc<Store>> {
    Writer::new(Arc::clone(store), StoreMetrics::default())
}

fn unreachable() -> StoreError {
    StoreError::Late(Duration::from_secs(1))
}

#[tokio::test(start_paused = true)]
async fn a_transient_failure_is_repeated_with_the_same_token() {
    let store = Arc::new(Store::default());
    store.failures.lock().unwrap().extend([unreachable(), unreachable()]);
    let deadline = Instant::now() + Duration::from_secs(10);
    let written = writer(&store).write(&batch(&["a", "b"]), deadline).await.unwrap();
    assert_eq!(written, Written { stored: 2, poisoned: vec![] });
    assert_eq!(*store.taken.lock().unwrap(), HashMap::from([(format!("{:032x}", 7), 2)]));
}

#[tokio::test(start_paused = true)]
async fn after_the_deadline_the_sender_is_told_to_repeat() {
    let store = Arc::new(Store::default());
    store.failures.lock().unwrap().extend(std::iter::repeat_with(unreachable).take(1000));
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(10);
    let error = writer(&store).write(&batch(&["a"]), deadline).await.unwrap_err();
    assert!(matches!(error, WriteError::Unavailable(_)), "{error}");
    assert!(begun.elapsed() <= Duration::from_secs(10));
}

#[tokio::test]
async fn poison_is_cut_out_and_everything_else_is_stored_once() {
    let store = Arc::new(Store::default());
    let deadline = Instant::now() + Duration::from_secs(10);
    let models = ["a", "b", "poison", "c", "d", "poison", "e"];
    let written = writer(&store).write(&batch(&models), deadline).await.unwrap();
    assert_eq!(written, Written { stored: 5, poisoned: vec![2, 5] });
    let taken = store.taken.lock().unwrap().clone();
    assert_eq!(taken.values().sum::<usize>(), 5);
    assert_eq!(store.quarantined.lock().unwrap().values().sum::<usize>(), 2);
    // A repeat cuts in the same places, so it names the same blocks.
    writer(&store).write(&batch(&models), deadline).await.unwrap();
    assert_eq!(*store.taken.lock().unwrap(), taken);
}

/// Scenario: between two attempts of a poisoned request the clock moves, so that other spans of it are refused before.
/// Guarantees: no span is stored twice, and none is in neither table.
#[tokio::test]
async fn a_repeat_that_keeps_other_spans_is_cut_in_the_same_places() {
    let store = Arc::new(Store::default());
    let deadline = Instant::now() + Duration::from_secs(10);
    let models = ["s", "a", "poison", "c", "d"];
    let total = |of: &Mutex<HashMap<String, usize>>| of.lock().unwrap().values().sum::<usize>();
    writer(&store).write(&without(&models, &[0]), deadline).await.unwrap();
    assert_eq!((total(&store.taken), total(&store.quarantined)), (3, 2));
    writer(&store).write(&batch(&models), deadline).await.unwrap();
    assert_eq!((total(&store.taken), total(&store.quarantined)), (3, 2));
    // Another span refused before is another row of the quarantine.
    writer(&store).write(&without(&models, &[1]), deadline).await.unwrap();
    assert_eq!(total(&store.quarantined), 3);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_is_full_says_so_at_the_deadline() {
    let store = Arc::new(Store::default());
    let writer = writer(&store);
    let _all = writer.permits.acquire_many(limits::INSERTS_MAX as u32).await.unwrap();
    let deadline = Instant::now() + Duration::from_secs(1);
    assert!(matches!(writer.write(&batch(&["a"]), deadline).await, Err(WriteError::Busy)));
}

/// Scenario: the same corrections are booked again later; then the same reason brings another one.
/// Guarantees: the repeat has the name of the first and the other has not.
#[test]
fn corrections_are_named_by_what_they_book_and_not_by_when() {
    let span = &batch(&["a"]).spans[0];
    let back = CorrectionRow::of(span, Sign::TakesBack, Reason::Repeat);
    let again = CorrectionRow { booked_at_ms: back.booked_at_ms + 60_000, ..back.clone() };
    let other = CorrectionRow { sign: Sign::Books, ..back.clone() };
    let name = |rows: &[CorrectionRow]| Sealed::of(7, rows).token;
    let first = name(std::slice::from_ref(&back));
    assert!(first.starts_with(&format!("{:032x}-corrections-", 7)), "{first}");
    assert_eq!(name(std::slice::from_ref(&again)), first);
    assert_ne!(name(&[again, other]), first);
    assert_ne!(Sealed::of(8, &[back]).token, first);
}
