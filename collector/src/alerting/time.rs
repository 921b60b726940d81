//! Pure. Points in time as the Prometheus API writes them. Nothing here reads a clock.

use std::time::Duration;

use serde::{Serialize, Serializer};

/// Milliseconds since the Unix epoch, UTC: the resolution of PromQL. Written as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// A time that was never set.
    pub(crate) const NEVER: Self = Self(i64::MIN);

    /// From a [`ledgerline_process::clock::Clock`]; the part below a millisecond is cut off.
    pub fn from_unix_ns(ns: u64) -> Self {
        Self(i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX))
    }

    /// Saturating.
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// Saturating.
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC with as many fraction digits as needed, as Go's `time.RFC3339Nano`. What no such text can say is Go's
    /// time that was never set, which clients of the Prometheus API know.
    pub fn rfc3339(self) -> String {
        let timestamp = jiff::Timestamp::from_millisecond(self.0);
        timestamp.map_or_else(|_| "0001-01-01T00:00:00Z".to_owned(), |timestamp| timestamp.to_string())
    }
}

impl Serialize for UnixMs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.rfc3339())
    }
}

/// Milliseconds of a duration, saturating.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
