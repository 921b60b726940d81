//! From rows to stored rows: retried until the deadline, poison bisected out.
//!
//! One batch is one request of one sender, and one insert under one token. That is what makes a repeat exact: after a
//! crash of the collector a sender repeats its request alone, so its rows must have been a block alone.
//!
//! A failure that a repeat can heal is repeated with the same bytes and the same token. A failure that blames the data cuts
//! the batch in halves, each under a token of its own derived from the batch's, until single rows are left; those go to
//! the quarantine.
//!
//! A sender's repeat need not bring the same rows: whether a span is refused for its time depends on when it came. So the
//! quarantine is written before the spans, and halves are halves of the request and not of the rows: what a repeat finds
//! stored under a part's token is what it would store, but for spans that are in the quarantine.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use ledgerline_process::backoff::Backoff;
use ledgerline_proto::{SpanId, TraceId};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep_until, timeout_at};
use xxhash_rust::xxh3::Xxh3;

use super::client::{Insert, StoreError};
use super::corrections;
use super::ledger::Change;
use super::native::{self, Column};
use super::quarantine::{self, QuarantineRow};
use super::sealed::{self, Sealed, SealedRow};
use super::spans::{self, Role, SpanRow};
use crate::limits;
use crate::metrics::StoreMetrics;

/// Sends a block. The real one is [`crate::Store`]; tests have others.
pub trait Transport: Send + Sync {
    /// Once; whether it is repeated is the writer's affair.
    fn insert(&self, insert: &Insert<'_>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Books changes of stored spans of one tenant; see [`crate::Store::change`].
    fn change(
        &self,
        batch: u128,
        tenant: &str,
        changes: &[Change],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether rows of this request are in the table.
    fn is_stored(&self, batch: u128) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// See [`crate::Store::roles`].
    fn roles(
        &self,
        batch: u128,
        tenant: &str,
        ended_unix_ns: (u64, u64),
    ) -> impl Future<Output = Result<Vec<(TraceId, SpanId, Role)>, StoreError>> + Send;
}

impl<T: Transport> Transport for Arc<T> {
    async fn insert(&self, insert: &Insert<'_>) -> Result<(), StoreError> {
        T::insert(self, insert).await
    }

    async fn change(&self, batch: u128, tenant: &str, changes: &[Change]) -> Result<(), StoreError> {
        T::change(self, batch, tenant, changes).await
    }

    async fn is_stored(&self, batch: u128) -> Result<bool, StoreError> {
        T::is_stored(self, batch).await
    }

    async fn roles(
        &self,
        batch: u128,
        tenant: &str,
        ended_unix_ns: (u64, u64),
    ) -> Result<Vec<(TraceId, SpanId, Role)>, StoreError> {
        T::roles(self, batch, tenant, ended_unix_ns).await
    }
}

/// The rows of one request.
pub struct Batch {
    /// Names the request: the same on every repeat of it.
    pub id: u128,
    /// Spans in the request, those refused before included: a row's place is below it.
    pub places: usize,
    /// Rows for `spans`, in the order of their places.
    pub spans: Vec<SpanRow>,
    /// Rows for `quarantine`.
    pub quarantine: Vec<QuarantineRow>,
}

/// What became of a batch. Every row is in one of the two tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Rows in `spans`.
    pub stored: usize,
    /// The places of rows the store itself refused, now in `quarantine`, ascending; those that came as quarantine rows are not among
    /// them.
    pub poisoned: Vec<usize>,
}

/// Why a batch is not stored yet. It may be partly: the sender repeats it, and the tokens sort it out.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what happened")]
pub enum WriteError {
    #[error("the store is busy: no insert became free in time")]
    Busy,
    #[error("the store did not take the spans in time; the last attempt: {0}")]
    Unavailable(StoreError),
}

/// Writes batches; at most [`limits::INSERTS_MAX`] at once.
pub struct Writer<T> {
    transport: T,
    permits: Semaphore,
    metrics: StoreMetrics,
    spans_statement: String,
    corrections_statement: String,
    quarantine_statement: String,
    sealed_statement: String,
}

impl<T: Transport> Writer<T> {
    /// A writer over that transport.
    pub fn new(transport: T, metrics: StoreMetrics) -> Self {
        Self {
            transport,
            permits: Semaphore::new(limits::INSERTS_MAX),
            metrics,
            spans_statement: native::insert_statement(spans::TABLE, spans::COLUMNS),
            corrections_statement: native::insert_statement(corrections::TABLE, corrections::COLUMNS),
            quarantine_statement: native::insert_statement(quarantine::TABLE, quarantine::COLUMNS),
            sealed_statement: native::insert_statement(sealed::TABLE, sealed::COLUMNS),
        }
    }

    /// Writes one batch before the deadline. Cancelled or failed it is not known to be stored, and the sender must repeat it.
    pub async fn write(&self, batch: &Batch, deadline: Instant) -> Result<Written, WriteError> {
        let Ok(Ok(_permit)) = timeout_at(deadline, self.permits.acquire()).await else {
            return Err(WriteError::Busy);
        };
        self.write_quarantine(batch.id, "quarantine", &batch.quarantine, deadline).await?;
        let poisoned = self.write_spans(batch, deadline).await?;
        let rows = poisoned.into_iter().map(|(row, detail)| poison(row, detail)).collect::<Vec<_>>();
        self.write_quarantine(batch.id, "poison", &rows, deadline).await?;
        let mut poisoned: Vec<usize> = rows.iter().map(|row| row.place).collect();
        poisoned.sort_unstable();
        Ok(Written { stored: batch.spans.len() - rows.len(), poisoned })
    }

    /// Books corrections that nobody sends again: the finished insert is kept in the store before it is sent, so that whoever finds it
    /// unfinished sends the same bytes with the same token. See [`Store::unfinished`](crate::Store::unfinished).
    pub async fn book(&self, sealed: &Sealed, at_ms: i64, deadline: Instant) -> Result<(), WriteError> {
        self.mark(SealedRow { sealed: sealed.clone(), is_booked: false, at_ms }, deadline).await?;
        self.finish(sealed, at_ms, deadline).await
    }

    /// Sends what was sealed, perhaps again.
    pub async fn finish(&self, sealed: &Sealed, at_ms: i64, deadline: Instant) -> Result<(), WriteError> {
        self.send_block(&self.corrections_statement, &sealed.block, sealed.rows, &sealed.token, deadline)
            .await?
            .map_err(WriteError::Unavailable)?;
        self.mark(SealedRow { sealed: sealed.clone(), is_booked: true, at_ms }, deadline).await
    }

    async fn mark(&self, row: SealedRow, deadline: Instant) -> Result<(), WriteError> {
        let state = if row.is_booked { "booked" } else { "sealed" };
        let token = format!("{}-{state}-{}", row.sealed.token, row.at_ms);
        self.send(&self.sealed_statement, sealed::COLUMNS, &[row], &token, deadline)
            .await?
            .map_err(WriteError::Unavailable)
    }

    /// Books changes of spans that are stored, because of a batch that now is; as often as it takes until the deadline.
    pub async fn change(
        &self,
        batch: u128,
        tenant: &str,
        changes: &[Change],
        deadline: Instant,
    ) -> Result<(), WriteError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut backoff = Backoff::new(limits::RETRY_WAIT, limits::RETRY_WAIT_MAX);
        loop {
            let Err(error) = self.transport.change(batch, tenant, changes).await else { return Ok(()) };
            tracing::warn!(%error, "a correction failed and is repeated");
            self.metrics.retried(&error);
            let next = Instant::now() + backoff.pause();
            if next >= deadline {
                return Err(WriteError::Unavailable(error));
            }
            sleep_until(next).await;
        }
    }

    /// Where batches go.
    pub const fn transport(&self) -> &T {
        &self.transport
    }

    /// The rows that the store refuses, with its words.
    async fn write_spans<'a>(
        &self,
        batch: &'a Batch,
        deadline: Instant,
    ) -> Result<Vec<(&'a SpanRow, String)>, WriteError> {
        let mut poisoned = Vec::new();
        // A stack and not a recursion: a future that calls itself must be boxed.
        let mut pending = vec![(0, batch.places)];
        while let Some((start, end)) = pending.pop() {
            let token = token(batch.id, start, end, batch.places);
            // Rows are in the order of their places.
            let at = |place| batch.spans.partition_point(|row| row.place < place);
            let rows = &batch.spans[at(start)..at(end)];
            if rows.is_empty() {
                continue;
            }
            match self.send(&self.spans_statement, spans::COLUMNS, rows, &token, deadline).await? {
                Ok(()) => {}
                Err(error) if rows.len() == 1 || end - start <= 1 => {
                    poisoned.extend(rows.iter().map(|row| (row, error.to_string())));
                }
                Err(_) => {
                    let middle = start + (end - start) / 2;
                    pending.extend([(middle, end), (start, middle)]);
                }
            }
        }
        Ok(poisoned)
    }

    async fn write_quarantine(
        &self,
        batch: u128,
        kind: &str,
        rows: &[QuarantineRow],
        deadline: Instant,
    ) -> Result<(), WriteError> {
        if rows.is_empty() {
            return Ok(());
        }
        // Named after what is in it: a later attempt may refuse other spans, and they must not pass for these.
        let mut places = Xxh3::new();
        rows.iter().for_each(|row| places.update(&(row.place as u64).to_le_bytes()));
        let token = format!("{batch:032x}-{kind}-{:016x}", places.digest());
        self.send(&self.quarantine_statement, quarantine::COLUMNS, rows, &token, deadline)
            .await?
            .map_err(WriteError::Unavailable)
    }

    /// Sends the rows until they are taken, refused for what they are, or it is too late.
    #[tracing::instrument(name = "insert", skip_all, fields(rows = rows.len()))]
    async fn send<R>(
        &self,
        statement: &str,
        columns: &[Column<R>],
        rows: &[R],
        token: &str,
        deadline: Instant,
    ) -> Result<Result<(), StoreError>, WriteError> {
        let block = Bytes::from(native::block(columns, rows));
        self.send_block(statement, &block, rows.len(), token, deadline).await
    }

    /// The same of a finished block.
    async fn send_block(
        &self,
        statement: &str,
        block: &Bytes,
        rows: usize,
        token: &str,
        deadline: Instant,
    ) -> Result<Result<(), StoreError>, WriteError> {
        let insert = Insert { statement, block: block.clone(), rows, token };
        let mut backoff = Backoff::new(limits::RETRY_WAIT, limits::RETRY_WAIT_MAX);
        loop {
            let begun = Instant::now();
            match self.transport.insert(&insert).await {
                Ok(()) => {
                    self.metrics.inserted(insert.rows, insert.block.len(), begun.elapsed());
                    return Ok(Ok(()));
                }
                Err(error) if error.blames_data() => return Ok(Err(error)),
                Err(error) => {
                    tracing::warn!(%error, "an insert failed and is repeated");
                    self.metrics.retried(&error);
                    let next = Instant::now() + backoff.pause();
                    if next >= deadline {
                        return Err(WriteError::Unavailable(error));
                    }
                    sleep_until(next).await;
                }
            }
        }
    }
}

/// The whole batch has the batch's own token; a part is named by the places it spans.
fn token(batch: u128, start: usize, end: usize, places: usize) -> String {
    if (start, end) == (0, places) { format!("{batch:032x}") } else { format!("{batch:032x}-{start}-{end}") }
}

fn poison(row: &SpanRow, detail: String) -> QuarantineRow {
    let call = &row.record.call;
    let payload = serde_json::json!({
        "name": row.record.name,
        "start_unix_ns": call.start_unix_ns,
        "end_unix_ns": call.end_unix_ns,
        "service": call.identity.service,
        "provider": call.provider,
        "model": *row.bill.model,
        "operation": call.operation.name(),
        "cost": row.bill.cost.amount().map(|amount| amount.to_string()),
        "attributes": row.record.attributes,
    });
    QuarantineRow {
        place: row.place,
        tenant: row.tenant.clone(),
        received_at_ms: row.ingested_at_ms,
        batch_id: row.batch_id,
        reason: quarantine::Reason::Poison,
        detail,
        trace_id: call.trace_id.to_string(),
        span_id: call.span_id.to_string(),
        payload: quarantine::clipped(payload.to_string()),
    }
}

#[cfg(test)]
mod tests;
