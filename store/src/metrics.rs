//! The store's metrics. The process that opens the store registers them beside its own, under its own prefix.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::client::StoreError;

/// Why an insert was repeated.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

/// Counts inserts and restarts of the engine. Cheap to clone: all clones count together.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    inserts: Counter,
    inserted_rows: Counter,
    inserted_bytes: Counter,
    insert_retries: Family<Reason, Counter>,
    insert_seconds: Histogram,
    /// How often the embedded engine died and was started again.
    pub engine_restarts: Counter,
}

impl Default for StoreMetrics {
    fn default() -> Self {
        Self::register(&mut Registry::default())
    }
}

impl StoreMetrics {
    /// The metrics, registered.
    pub fn register(to: &mut Registry) -> Self {
        let metrics = Self {
            inserts: Counter::default(),
            inserted_rows: Counter::default(),
            inserted_bytes: Counter::default(),
            insert_retries: Family::default(),
            insert_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            engine_restarts: Counter::default(),
        };
        // A series that appears with its first event has no increase over it.
        for reason in RETRY_REASONS {
            drop(metrics.insert_retries.get_or_create(&Reason { reason }));
        }
        to.register("inserts", "Inserts that succeeded", metrics.inserts.clone());
        to.register("inserted_rows", "Rows in inserts that succeeded", metrics.inserted_rows.clone());
        let bytes = metrics.inserted_bytes.clone();
        to.register_with_unit("inserted", "Bytes in inserts that succeeded", Unit::Bytes, bytes);
        let retries = metrics.insert_retries.clone();
        to.register("insert_retries", "Attempts that failed and were repeated", retries);
        to.register_with_unit("insert", "Time of an insert", Unit::Seconds, metrics.insert_seconds.clone());
        let help = "How often the embedded engine died and was started again";
        to.register("engine_restarts", help, metrics.engine_restarts.clone());
        metrics
    }

    /// An attempt failed and will be repeated.
    pub(crate) fn retried(&self, error: &StoreError) {
        let [unreachable, late, exception, partial, answer] = RETRY_REASONS;
        let reason = match error {
            StoreError::Unreachable(_) => unreachable,
            StoreError::Late(_) => late,
            StoreError::Exception { .. } => exception,
            StoreError::Partial { .. } => partial,
            _ => answer,
        };
        self.insert_retries.get_or_create(&Reason { reason }).inc();
    }

    /// An insert succeeded.
    pub(crate) fn inserted(&self, rows: usize, bytes: usize, took: Duration) {
        self.inserts.inc();
        self.inserted_rows.inc_by(rows as u64);
        self.inserted_bytes.inc_by(bytes as u64);
        self.insert_seconds.observe(took.as_secs_f64());
    }
}

const RETRY_REASONS: [&str; 5] = ["unreachable", "late", "exception", "partial", "answer"];
