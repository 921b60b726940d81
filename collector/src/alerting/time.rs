//! Pure. Points in time and durations as rule files and the Prometheus API write them.
//! Nothing here reads a clock.

use std::fmt;
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

/// Why a text is not a Prometheus duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    /// The text is empty.
    #[error("empty duration; write for example 5m or 1h30m")]
    Empty,
    /// Not digits and units in falling order.
    #[error(
        "{0:?} is not a duration; write whole numbers with the units y, w, d, h, m, s, ms in that order, for example 1h30m"
    )]
    Syntax(String),
    /// More milliseconds than 63 bits hold.
    #[error("duration {0:?} is too long")]
    Overflow(String),
}

const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Reads a duration in Prometheus' syntax: `1h30m`, `90s`, `0`. A year has 365 days, a day 24 hours.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    if text.is_empty() {
        return Err(DurationError::Empty);
    }
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let syntax = || DurationError::Syntax(text.to_owned());
    let overflow = || DurationError::Overflow(text.to_owned());
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let letters = rest[digits..].bytes().take_while(u8::is_ascii_alphabetic).count();
        if digits == 0 || letters == 0 {
            return Err(syntax());
        }
        let unit = &rest[digits..digits + letters];
        let &(_, millis_each) = units.find(|(name, _)| *name == unit).ok_or_else(syntax)?;
        let count: u64 = rest[..digits].parse().map_err(|_| overflow())?;
        let part = count.checked_mul(millis_each).ok_or_else(overflow)?;
        total = total.checked_add(part).ok_or_else(overflow)?;
        rest = &rest[digits + letters..];
    }
    if i64::try_from(total).is_err() {
        return Err(overflow());
    }
    Ok(Duration::from_millis(total))
}

/// Prints a duration in Prometheus' syntax, in the largest units that leave nothing over: `1h30m`.
pub struct PrometheusDuration(pub Duration);

impl fmt::Display for PrometheusDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.as_millis();
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, millis_each) in UNITS {
            // Years and weeks only when they come out even, so that 30 days stay 30d.
            let coarse = matches!(unit, "y" | "w");
            let each = u128::from(millis_each);
            if rest >= each && (!coarse || rest.is_multiple_of(each)) {
                write!(f, "{}{unit}", rest / each)?;
                rest %= each;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, millis: u64) {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }

    #[test]
    fn durations_follow_the_prometheus_syntax() {
        check("0", 0);
        check("0s", 0);
        check("15s", 15_000);
        check("1h30m", 5_400_000);
        check("1y2w3d4h5m6s7ms", ((((365 + 14 + 3) * 24 + 4) * 60 + 5) * 60 + 6) * 1000 + 7);
        check("324ms", 324);
        check("90m", 5_400_000);
    }

    #[test]
    fn other_durations_are_refused_with_the_reason() {
        for text in
            ["1", "m", "1.5h", "-1m", "30m1h", "1m1m", "1 m", " 1m", "1h ", "1min", "1d\n", "\u{661}m"]
        {
            assert!(matches!(parse_duration(text), Err(DurationError::Syntax(_))), "{text:?}");
        }
        assert_eq!(parse_duration(""), Err(DurationError::Empty));
        for text in ["99999999999y", "18446744073709551616ms", "9223372036854775807ms1y"] {
            assert!(parse_duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn instants_print_as_rfc3339() {
        assert_eq!(UnixMs(1_700_000_000_000).rfc3339(), "2023-11-14T22:13:20Z");
        assert_eq!(UnixMs(1_700_000_000_120).rfc3339(), "2023-11-14T22:13:20.12Z");
        assert_eq!(UnixMs(0).rfc3339(), "1970-01-01T00:00:00Z");
    }

    proptest! {
        #[test]
        fn every_printed_duration_reads_back(millis in 0u64..4_000_000_000_000) {
            let duration = Duration::from_millis(millis);
            prop_assert_eq!(parse_duration(&PrometheusDuration(duration).to_string()), Ok(duration));
        }

        #[test]
        fn parsing_never_panics(text in "\\PC{0,20}") {
            let _ = parse_duration(&text);
        }
    }
}
