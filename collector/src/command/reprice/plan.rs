//! What a run is asked for, and the parts it is done in. Pure.

use std::str::FromStr;

use ledgerline_store::stored::{Minute, Selection};

use crate::limits::{REPRICE_CALLS, REPRICE_SPAN};

/// A time of the command line, microseconds since the epoch: a date, which is its first moment in UTC, or a time with its offset
/// (RFC 3339).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

impl FromStr for Time {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_date = text.len() == "2026-11-01".len();
        let time: Result<jiff::Timestamp, _> =
            if is_date { format!("{text}T00:00:00Z").parse() } else { text.parse() };
        let wrong = || {
            format!(
                "`{text}` is neither a date (2026-11-01: its first moment in UTC) nor a time with an offset (2026-11-01T00:00:00+01:00)"
            )
        };
        time.map(|time| Self(time.as_microsecond())).map_err(|_| wrong())
    }
}

/// The parts of a selection with the number of calls in each: few enough to be held and booked at once, the same for the same calls.
pub fn parts(whole: &Selection, minutes: &[Minute]) -> Vec<(Selection, u64)> {
    let mut parts: Vec<(Selection, u64)> = Vec::new();
    for Minute { start_s, calls, .. } in minutes.iter().copied().filter(|minute| minute.calls > 0) {
        let (start_us, end_us) = (start_s * 1_000_000, (start_s + 60) * 1_000_000);
        let minute = Selection {
            from_us: start_us.max(whole.from_us),
            until_us: end_us.min(whole.until_us),
            ..whole.clone()
        };
        if calls > REPRICE_CALLS {
            parts.extend(pieces(&minute, calls));
            continue;
        }
        match parts.last_mut() {
            Some((last, held))
                if last.hashes == whole.hashes
                    && *held + calls <= REPRICE_CALLS
                    && end_us - last.from_us <= REPRICE_SPAN.as_micros() as i64 =>
            {
                last.until_us = minute.until_us;
                *held += calls;
            }
            _ => parts.push((minute, calls)),
        }
    }
    parts
}

/// A minute that holds too many, by the hashes of its traces.
fn pieces(minute: &Selection, calls: u64) -> Vec<(Selection, u64)> {
    let count = calls.div_ceil(REPRICE_CALLS);
    let edge = |place: u64| u32::try_from((place << 32) / count).unwrap_or(u32::MAX);
    let piece = |place: u64| {
        let end = if place + 1 == count { u32::MAX } else { edge(place + 1) - 1 };
        let share = calls * (place + 1) / count - calls * place / count;
        (Selection { hashes: (edge(place), end), ..minute.clone() }, share)
    };
    (0..count).map(piece).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole() -> Selection {
        Selection {
            tenant: "default".into(),
            from_us: 30_000_000,
            until_us: 600_000_000_000_000,
            arrived_before_ms: 0,
            matchers: Vec::new(),
            hashes: (0, u32::MAX),
        }
    }

    fn check(minutes: &[(i64, u64)], expected: &[(i64, i64, (u32, u32), u64)]) {
        let minutes: Vec<Minute> = minutes
            .iter()
            .map(|(start_s, calls)| Minute { start_s: *start_s, calls: *calls, recent: 1 })
            .collect();
        let found = parts(&whole(), &minutes);
        let found: Vec<_> =
            found.iter().map(|(part, calls)| (part.from_us, part.until_us, part.hashes, *calls)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn minutes_are_taken_together_and_a_full_one_is_cut() {
        const ALL: (u32, u32) = (0, u32::MAX);
        assert_eq!(REPRICE_CALLS, 10_000);
        // The first minute begins where the selection does.
        check(&[(0, 5), (60, 0), (120, 7)], &[(30_000_000, 180_000_000, ALL, 12)]);
        check(
            &[(60, 7_500), (120, 7_500), (180, 1)],
            &[(60_000_000, 120_000_000, ALL, 7_500), (120_000_000, 240_000_000, ALL, 7_501)],
        );
        let day_s = 86_400;
        check(
            &[(60, 1), (40 * day_s, 1)],
            &[
                (60_000_000, 120_000_000, ALL, 1),
                (40 * day_s * 1_000_000, (40 * day_s + 60) * 1_000_000, ALL, 1),
            ],
        );
        check(
            &[(60, 20_001), (120, 1)],
            &[
                (60_000_000, 120_000_000, (0, 1_431_655_764), 6_667),
                (60_000_000, 120_000_000, (1_431_655_765, 2_863_311_529), 6_667),
                (60_000_000, 120_000_000, (2_863_311_530, u32::MAX), 6_667),
                (120_000_000, 180_000_000, ALL, 1),
            ],
        );
    }

    #[test]
    fn a_date_is_its_first_moment_in_utc_and_a_time_says_its_offset() {
        for (text, us) in [
            ("1970-01-02", Some(86_400_000_000)),
            ("1970-01-01T00:00:01Z", Some(1_000_000)),
            ("1970-01-01T01:00:00+01:00", Some(0)),
            ("1970-01-01T00:00:00.5Z", Some(500_000)),
            ("1970-01-01T00:00:00", None),
            ("yesterday", None),
            ("", None),
        ] {
            assert_eq!(text.parse::<Time>().ok(), us.map(Time), "{text}");
        }
    }
}
