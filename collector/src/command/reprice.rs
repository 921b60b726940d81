//! `reprice`: bills of stored calls computed anew with today's prices and readings; the difference is booked by corrections.
//!
//! A call is taken back exactly as it is booked and booked as it would be today. The calls are gone through in parts of a few minutes;
//! the corrections of a part are one insert, sealed in the store before it is sent. However the command or the store ends, the next run
//! first sends what was sealed and not finished, with its bytes and its name, and then finds the calls of it booked as they should
//! be. So nothing is booked twice, and to go on is to run it again. Calls that ingest may still change are left out.

mod plan;
mod progress;
mod report;

use std::sync::Arc;

use ledgerline_pricing::PriceBook;
use ledgerline_process::Clock;
use ledgerline_process::lock::{DirectoryLock, LockError, REPRICE};
use ledgerline_store::Store;
use ledgerline_store::client::StoreError;
use ledgerline_store::corrections::CorrectionRow;
use ledgerline_store::metrics::StoreMetrics;
use ledgerline_store::sealed::{Sealed, TooOld};
use ledgerline_store::stored::{Selection, StoredCalls};
use ledgerline_store::writer::{WriteError, Writer};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::calls::verdict::{self, Verdict};
use crate::config::Storage;
use crate::limits;
use crate::selector::Selector;
pub use plan::Time;
pub use progress::Progress;
pub use report::Report;

/// What is repriced, and whether that is booked.
#[derive(Clone, Debug)]
pub struct Order {
    /// Calls that ended after this, microseconds since the epoch.
    pub from_us: i64,
    /// Calls that ended at this or before.
    pub until_us: i64,
    /// What the dimensions of a call must be.
    pub selector: Selector,
    /// What becomes of the differences.
    pub booking: Booking,
}

/// What becomes of the differences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booking {
    /// They are booked.
    Corrections,
    /// They are told only.
    Nothing,
}

/// Why a run ended before its end. What was booked until then stays, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum RepriceError {
    #[error(transparent)]
    Running(#[from] LockError),
    #[error("the store does not answer as it should")]
    Store(#[from] StoreError),
    #[error("corrections are sealed and perhaps not all booked; run the same command again")]
    Write(#[from] WriteError),
    #[error(transparent)]
    TooOld(#[from] TooOld),
}

/// One run at a time: two would both correct the same booking. Of collectors on one server it is the caller who sees to that.
pub fn alone(storage: &Storage) -> Result<Option<DirectoryLock>, RepriceError> {
    match storage {
        Storage::Embedded(config, _) => Ok(Some(DirectoryLock::take(&config.data_dir, REPRICE)?)),
        Storage::Server(_) => Ok(None),
    }
}

/// A run over a store.
pub struct Reprice {
    store: Store,
    writer: Writer<Store>,
    prices: PriceBook,
    price_version: Arc<str>,
    clock: Arc<dyn Clock>,
    order: Order,
    inserts: u64,
}

impl Reprice {
    /// A run over that store, with the prices of everyone and of each tenant.
    pub fn new(store: Store, prices: PriceBook, clock: Arc<dyn Clock>, order: Order) -> Self {
        let writer = Writer::new(store.clone(), StoreMetrics::default());
        let price_version = prices.version().to_string().into();
        Self { store, writer, prices, price_version, clock, order, inserts: 0 }
    }

    /// Goes through the calls until the end or until `stop`, which is looked at between two inserts.
    pub async fn run(
        mut self,
        progress: &mut Progress,
        stop: &CancellationToken,
    ) -> Result<Report, RepriceError> {
        let mut report = Report::new(self.order.booking);
        report.resumed = self.finish_what_was_cut_off().await?;
        let arrived_before_ms = self.now_ms() - limits::REPRICE_AFTER.as_millis() as i64;
        let mut parts = Vec::new();
        for tenant in self.store.tenants((self.order.from_us, self.order.until_us)).await? {
            let whole = Selection {
                tenant,
                from_us: self.order.from_us,
                until_us: self.order.until_us,
                arrived_before_ms,
                matchers: self.order.selector.0.clone(),
                hashes: (0, u32::MAX),
            };
            let minutes = self.store.calls_by_minute(&whole).await?;
            report.recent += minutes.iter().map(|minute| minute.recent).sum::<u64>();
            parts.extend(plan::parts(&whole, &minutes));
        }
        progress.begin(parts.iter().map(|(_, calls)| calls).sum());
        for (part, calls) in parts {
            if stop.is_cancelled() {
                report.is_cut_short = true;
                break;
            }
            let read = self.store.calls(&part).await?;
            let rows = self.look_at(&part.tenant, read, &mut report);
            self.book(&rows).await?;
            progress.add(calls);
        }
        progress.end();
        Ok(report)
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.now_unix_ns() / 1_000_000).unwrap_or(i64::MAX)
    }

    /// How many inserts were finished.
    async fn finish_what_was_cut_off(&self) -> Result<u64, RepriceError> {
        if self.order.booking == Booking::Nothing {
            return Ok(0);
        }
        let unfinished = self.store.unfinished().await?;
        for insert in &unfinished {
            insert.may_be_sent(self.now_ms())?;
            self.writer.finish(&insert.sealed, self.now_ms(), deadline()).await?;
        }
        Ok(unfinished.len() as u64)
    }

    /// The corrections of what is booked otherwise than it would be today.
    fn look_at(&self, tenant: &str, read: StoredCalls, report: &mut Report) -> Vec<CorrectionRow> {
        let prices = self.prices.for_tenant(tenant);
        report.unreadable += read.unreadable;
        let mut rows = Vec::new();
        for stored in read.calls {
            let verdict = verdict::of(stored, &prices, &self.price_version);
            report.add(&verdict);
            if let Verdict::Changed { booked, new, .. } = verdict {
                rows.extend([*booked, *new]);
            }
        }
        rows
    }

    async fn book(&mut self, rows: &[CorrectionRow]) -> Result<(), RepriceError> {
        if rows.is_empty() || self.order.booking == Booking::Nothing {
            return Ok(());
        }
        let now_ms = self.now_ms();
        // Of its own: what is booked today may be taken back tomorrow, and booked again the day after.
        let process = u128::from(std::process::id()) << 32 | u128::from(self.inserts);
        let batch_id = u128::from(self.clock.now_unix_ns()) << 64 | process;
        self.inserts += 1;
        let dated: Vec<CorrectionRow> =
            rows.iter().map(|row| CorrectionRow { batch_id, booked_at_ms: now_ms, ..row.clone() }).collect();
        Ok(self.writer.book(&Sealed::of(batch_id, &dated), now_ms, deadline()).await?)
    }
}

/// Long enough for an engine that is started again.
fn deadline() -> Instant {
    Instant::now() + limits::REPRICE_INSERT_WAIT
}
