//! Pure. Points in time as the Prometheus API writes them. Nothing here reads a clock.

use std::time::Duration;

/// What Go prints for a time that was never set; clients of the Prometheus API know it.
pub const ZERO_TIME: &str = "0001-01-01T00:00:00Z";

/// Milliseconds since the Unix epoch, UTC: the resolution of PromQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// From a [`ledgerline_process::clock::Clock`]; the part below a millisecond is cut off.
    pub fn from_unix_ns(ns: u64) -> Self {
        Self(i64::try_from(ns / 1_000_000).unwrap_or(i64::MAX))
    }

    /// Saturating.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// Saturating.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC with as many fraction digits as needed, as Go's `time.RFC3339Nano`.
    pub fn rfc3339(self) -> String {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => timestamp.to_string(),
            Err(_) => ZERO_TIME.to_owned(),
        }
    }
}

/// Milliseconds of a duration, saturating.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_print_as_rfc3339() {
        assert_eq!(UnixMs(1_700_000_000_000).rfc3339(), "2023-11-14T22:13:20Z");
        assert_eq!(UnixMs(1_700_000_000_120).rfc3339(), "2023-11-14T22:13:20.12Z");
        assert_eq!(UnixMs(0).rfc3339(), "1970-01-01T00:00:00Z");
    }
}
