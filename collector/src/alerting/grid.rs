//! Pure. The times at which a group is evaluated: multiples of its interval since the Unix epoch, in UTC.
//! A grid point that was missed is skipped and counted; a clock set back is noticed and answered by starting over from it.

use std::time::Duration;

use crate::alerting::time::{UnixMs, millis};

/// A clock this much behind the last evaluation was set back; less is jitter between two readings.
const SET_BACK_MIN: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// Nothing yet; look again after this long at the latest.
    Wait(Duration),
    /// Evaluate for the newest grid point that has come.
    Due {
        at: UnixMs,
        /// Grid points before it that were not evaluated.
        missed: u64,
    },
    /// The clock was set back: forget times later than `to`, and go on from there.
    SetBack {
        /// The grid point from which to go on; it is not evaluated.
        to: UnixMs,
    },
}

/// The newest grid point not after `now`.
pub fn floor(now: UnixMs, interval: Duration) -> UnixMs {
    let interval = millis(interval).max(1);
    UnixMs(now.0.div_euclid(interval).saturating_mul(interval))
}

/// Decides from the last grid point handled and the present.
pub fn tick(last: UnixMs, now: UnixMs, interval: Duration) -> Tick {
    let interval = interval.max(Duration::from_millis(1));
    if last.since(now) > SET_BACK_MIN {
        return Tick::SetBack { to: floor(now, interval) };
    }
    let next = last.plus(interval);
    if now < next {
        return Tick::Wait(next.since(now));
    }
    let at = floor(now, interval).max(next);
    let missed = at.since(next).as_millis() / interval.as_millis();
    Tick::Due { at, missed: u64::try_from(missed).unwrap_or(u64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const INTERVAL: Duration = Duration::from_secs(15);

    #[test]
    fn grid_points_come_due_missed_ones_are_counted_and_only_a_large_step_back_realigns() {
        for (last_s, now_ms, want) in [
            (30, 30_000, Tick::Wait(Duration::from_secs(15))),
            (30, 44_999, Tick::Wait(Duration::from_millis(1))),
            (30, 45_000, Tick::Due { at: UnixMs(45_000), missed: 0 }),
            (30, 59_999, Tick::Due { at: UnixMs(45_000), missed: 0 }),
            (30, 60_000, Tick::Due { at: UnixMs(60_000), missed: 1 }),
            (30, 3_600_001, Tick::Due { at: UnixMs(3_600_000), missed: 237 }),
            (30, 27_000, Tick::Wait(Duration::from_secs(18))),
            (3600, 31_000, Tick::SetBack { to: UnixMs(30_000) }),
        ] {
            assert_eq!(tick(UnixMs(last_s * 1000), UnixMs(now_ms), INTERVAL), want, "{last_s} {now_ms}");
        }
    }

    proptest! {
        #[test]
        fn due_points_are_on_the_grid_after_the_last_and_not_in_the_future(
            last in 0i64..100_000, ahead in 0i64..100_000_000, interval_ms in 100u64..100_000
        ) {
            let interval = Duration::from_millis(interval_ms);
            let last = UnixMs(last * millis(interval));
            let now = UnixMs(last.0 + ahead);
            match tick(last, now, interval) {
                Tick::Due { at, missed } => {
                    prop_assert!(at > last && at <= now && at.0 % millis(interval) == 0);
                    prop_assert_eq!(last.0 + millis(interval) * (i64::try_from(missed).unwrap() + 1), at.0);
                    prop_assert!(now.since(at) < interval);
                }
                Tick::Wait(wait) => prop_assert!(!wait.is_zero() && wait <= interval),
                Tick::SetBack { .. } => prop_assert!(false),
            }
        }
    }
}
