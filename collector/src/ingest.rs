//! Takes OTLP in: from bytes on a socket to rows in the store.
//!
//! The stages, in order; [`Ingest::prepare`] and [`Ingest::export`] are this list as code:
//!
//! 1. limit: [`receive`] reads, [`decompress`] decompresses and [`estimate`] foresees, within [`admission`]'s memory
//! 2. decode: [`decode`] reads Protocol Buffers or JSON
//! 3. name: [`token`] names the request, which is how the store knows a repeat
//! 4. normalise: [`normalise`] makes records within our bounds, and quarantines the rest with reasons
//! 5. price and attribute: [`rows`] adds cost and owner, [`dimensions`] caps what becomes a label
//! 6. decide: [`booking`] tells which spans are counted, so that a call is billed once whoever reports it
//! 7. insert: [`ledgerline_store::writer`] sends one block, until it is stored, then what it corrects
//! 8. acknowledge: [`reply`] responds, and only now
//!
//! [`sightings`] knows which of the spans that tell of one call is billed; the sixth stage asks it.
//!
//! [`grpc`] and [`http`] are its two transports. Nothing is buffered across requests: one request is one insert.

pub(crate) mod admission;
pub(crate) mod booking;
pub(crate) mod config;
pub mod decode;
mod decompress;
pub(crate) mod dimensions;
mod dropped;
pub mod estimate;
pub(crate) mod grpc;
pub(crate) mod http;
pub mod normalise;
mod receive;
pub(crate) mod refusal;
mod reply;
mod reported;
mod rows;
pub mod sightings;
#[cfg(test)]
mod testing;
mod token;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use ledgerline_pricing::PriceBook;
use ledgerline_process::Clock;
use ledgerline_proto::otlp::{AllowList, DroppedNames};
use ledgerline_proto::producer::RequestIdentity;
use ledgerline_store::Store;
use ledgerline_store::spans::Role;
use ledgerline_store::writer::{Batch, Transport, WriteError, Writer, Written};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::task::JoinError;
use tokio::time::{Instant, timeout_at};
use tokio_util::task::TaskTracker;
use tracing::{Instrument, Span};

use crate::access::{Access, Principal};
use crate::limits;
use crate::metrics::Metrics;
use admission::{Admission, Grant};
use booking::{Booking, Pending};
use decode::Format;
use decompress::Encoding;
use dimensions::{DimensionCaps, Overflows};
use dropped::DroppedAttributes;
use normalise::{BatchContext, Normalised, TimeCorrection, TimeCorrections};
use refusal::Refusal;
use reply::Receipt;
use sightings::Forgotten;

/// One export request as it came in.
#[derive(Debug)]
pub(crate) struct Request {
    pub principal: Principal,
    /// The agent's numbering, where the sender is an agent.
    pub producer: Option<RequestIdentity>,
    pub format: Format,
    pub encoding: Encoding,
    pub body: Bytes,
    pub grant: Grant,
    /// When its sender stops waiting.
    pub deadline: Instant,
}

pub(crate) struct Parts<T> {
    pub writer: Writer<T>,
    /// Of everyone; a request is priced with what it says for its tenant.
    pub prices: PriceBook,
    pub access: Arc<Access>,
    pub allowed: AllowList,
    pub dimensions: DimensionCaps,
    pub booking: Arc<Booking>,
    pub clock: Arc<dyn Clock>,
    pub metrics: Metrics,
}

pub(crate) struct Ingest<T = Store> {
    parts: Parts<T>,
    price_version: Arc<str>,
    admission: Admission,
    dropped: DroppedAttributes,
    writes: TaskTracker,
}

/// A request that only has to be stored. What of its spans is not stored as it was sent is counted when the rest is.
struct Prepared {
    tenant: Arc<str>,
    batch: Batch,
    /// Spans that were sent before, and are not in the batch any more.
    again: usize,
    receipt: Receipt,
    dropped: DroppedNames,
    corrections: TimeCorrections,
    overflows: Overflows,
    /// Held until the answer.
    _grant: Grant,
}

impl<T: Transport + 'static> Ingest<T> {
    pub fn new(parts: Parts<T>) -> Arc<Self> {
        Arc::new(Self {
            price_version: parts.prices.version().to_string().into(),
            admission: Admission::of_bytes(limits::IN_FLIGHT_BYTES_MAX),
            dropped: DroppedAttributes::new(parts.metrics.attributes_dropped.clone()),
            writes: TaskTracker::new(),
            parts,
        })
    }

    /// Takes one request; returns when its spans are stored. If they are not, or not known to be, the refusal tells the sender what
    /// to do.
    #[tracing::instrument(name = "ingest", skip_all, fields(bytes = request.body.len(), stored))]
    pub async fn export(self: &Arc<Self>, request: Request) -> Result<Receipt, Refusal> {
        if self.writes.is_closed() {
            return Err(Refusal::Stopping);
        }
        let deadline = request.deadline;
        let ingest = Arc::clone(self);
        let prepared = if request.body.len() > limits::INLINE_DECODE_BYTES_MAX {
            let task = tokio::task::spawn_blocking(move || ingest.prepare(request));
            // A task that did not run to its end was cancelled because the runtime ends, or panicked.
            task.await.unwrap_or_else(|error| Err(lost(&error)))
        } else {
            let prepare = AssertUnwindSafe(|| ingest.prepare(request));
            catch_unwind(prepare).unwrap_or_else(|_| Err(panicked("reading")))
        };
        let (mut prepared, waiting) = prepared?;
        let (batch, now) = (&mut prepared.batch, self.parts.clock.now_unix_ns());
        let transport = self.parts.writer.transport();
        let (pending, outcome) =
            self.parts.booking.decide(batch.id, &mut batch.spans, now, deadline, transport).await?;
        prepared.again = outcome.again;
        // A task of its own: an insert that was sent is finished even when its sender has gone.
        let ingest = Arc::clone(self);
        let write = async move {
            let written = ingest.write(&prepared, pending, deadline).await;
            (prepared, written)
        };
        let write = self.writes.spawn(write.in_current_span());
        let (mut prepared, written) = match timeout_at(deadline, write).await {
            Ok(Ok(finished)) => finished,
            Ok(Err(error)) => return Err(lost(&error)),
            Err(_) => return Err(Refusal::Deadline),
        };
        let written = written?;
        prepared.receipt.settle(written.stored + prepared.again, written.poisoned.len());
        Span::current().record("stored", written.stored);
        self.acknowledge(&prepared);
        waiting.acknowledged();
        Ok(prepared.receipt)
    }

    /// The spans, then what they correct. In between, and where this fails, the decision is in doubt.
    async fn write(
        &self,
        prepared: &Prepared,
        mut pending: Pending,
        deadline: Instant,
    ) -> Result<Written, WriteError> {
        let Prepared { batch, tenant, .. } = prepared;
        let written = self.parts.writer.write(batch, deadline).await?;
        if !written.poisoned.is_empty() {
            pending.without(&batch.spans, &written.poisoned);
        }
        self.parts.writer.change(batch.id, tenant, &pending.changes, deadline).await?;
        self.parts.metrics.corrections.inc_by(pending.changes.len() as u64);
        pending.commit();
        Ok(written)
    }

    /// The stages that need no waiting: everything before the insert.
    fn prepare(&self, request: Request) -> Result<(Prepared, Waiting), Refusal> {
        let Request { principal, producer, format, encoding, body, mut grant, deadline: _ } = request;
        let body = decompress::decompress(encoding, body, &mut grant)?;
        grant.grow(estimate::decoded_size(format, &body)?)?;
        let decoded = decode::decode(format, &body)?;
        let spans = normalise::spans(&decoded).count();
        if spans > limits::SPANS_MAX {
            return Err(Refusal::TooMany(limits::SPANS_MAX));
        }
        let waiting = Waiting::enter(&self.parts.metrics, spans);
        let context = BatchContext {
            batch_id: token::of(&principal.tenant.0, producer.as_ref(), &decoded),
            tenant: principal.tenant.0,
            now_unix_ns: self.parts.clock.now_unix_ns(),
            price_version: Arc::clone(&self.price_version),
        };
        let normalised = normalise::normalise(&decoded, &context, &self.parts.allowed);
        let receipt = Receipt::of(&normalised);
        let Normalised { accepted, rejected, dropped, corrections } = normalised;
        let prices = self.parts.prices.for_tenant(&context.tenant);
        let mut batch = rows::batch(&prices, &context, accepted, rejected);
        let overflows = self.parts.dimensions.apply(&context.tenant, &mut batch.spans);
        let tenant = context.tenant;
        let prepared =
            Prepared { tenant, batch, again: 0, receipt, dropped, corrections, overflows, _grant: grant };
        Ok((prepared, waiting))
    }

    fn acknowledge(&self, prepared: &Prepared) {
        let metrics = &self.parts.metrics;
        metrics.stored.inc_by(prepared.receipt.stored as u64);
        for (reason, spans, _) in &prepared.receipt.rejected {
            metrics.quarantined.of([reason.name()]).inc_by(*spans as u64);
        }
        self.dropped.add(&prepared.dropped);
        for (dimension, calls) in dimensions::CAPPED.into_iter().zip(prepared.overflows) {
            metrics.dimension_overflows.of([dimension.name()]).inc_by(calls);
        }
        for (correction, spans) in TimeCorrection::NAMES.into_iter().zip(prepared.corrections) {
            metrics.times_corrected.of([correction]).inc_by(spans);
        }
        metrics.repeated.inc_by(prepared.again as u64);
        let Forgotten { calls, spans, unmatched } = self.parts.booking.forgotten();
        for (kind, count) in [("call", calls), ("span", spans), ("response", unmatched)] {
            metrics.sights_forgotten.of([kind]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        reported::compare(&self.parts.prices, &prepared.tenant, &prepared.batch.spans, metrics);
        for row in &prepared.batch.spans {
            if matches!(row.role, Role::Repeat | Role::Wrapper) {
                metrics.uncounted.of([row.role.name()]).inc();
            }
            if let Some(reason) = row.unpriced() {
                metrics.unpriced.of([reason.name()]).inc();
            }
        }
    }

    /// Takes nothing more and finishes the inserts under way.
    pub async fn finish(&self) {
        self.writes.close();
        self.writes.wait().await;
    }
}

fn lost(error: &JoinError) -> Refusal {
    if error.is_panic() { panicked("a task") } else { Refusal::Stopping }
}

/// The panic's text is on standard error already; here it becomes a record that says what it meant.
fn panicked(stage: &'static str) -> Refusal {
    tracing::error!(stage, "a request panicked; its sender is told to repeat it");
    Refusal::Internal
}

/// Spans between decoding and the answer. However it ends they are counted once more: stored, quarantined or not
/// acknowledged.
struct Waiting {
    waiting: Gauge,
    unacknowledged: Counter,
    spans: i64,
    /// All of them until they are acknowledged.
    lost: u64,
}

impl Waiting {
    fn enter(metrics: &Metrics, spans: usize) -> Self {
        let Metrics { received, waiting, unacknowledged, .. } = metrics;
        let (waiting, unacknowledged) = (waiting.clone(), unacknowledged.clone());
        let entered = Self { waiting, unacknowledged, spans: spans as i64, lost: spans as u64 };
        received.inc_by(entered.lost);
        entered.waiting.inc_by(entered.spans);
        entered
    }

    fn acknowledged(mut self) {
        self.lost = 0;
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.waiting.dec_by(self.spans);
        self.unacknowledged.inc_by(self.lost);
    }
}

#[cfg(test)]
mod tests;
