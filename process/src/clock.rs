//! Wall time as a value that is passed in.
//!
//! Why: rules, price validity and budgets depend on time, and their tests must move it. Elapsed time is
//! `tokio::time`'s business, which tests can pause; this clock is only for timestamps.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Tells wall time.
pub trait Clock: Send + Sync {
    /// Nanoseconds since the Unix epoch, UTC. May jump, also backwards, when the machine's clock is set.
    fn now_unix_ns(&self) -> u64;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now_unix_ns(&self) -> u64 {
        // A clock before 1970 reads as 1970: such spans are then quarantined for their time, not lost.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A clock that a test sets.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicU64);

impl ManualClock {
    /// A clock that stands at this time.
    pub const fn at(unix_ns: u64) -> Self {
        Self(AtomicU64::new(unix_ns))
    }

    /// Moves the clock to this time, forwards or backwards.
    pub fn set(&self, unix_ns: u64) {
        self.0.store(unix_ns, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now_unix_ns(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}
