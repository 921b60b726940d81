//! Pure: when a series of increments exists.
//!
//! A counter that nobody adds to is not gone: a series is alive for [`ALIVE_MS`] after its last increment, and one that is alive and
//! quiet is 0. An increment counts for that as if it were at the first evaluation at or after it. Of what lies before all that a query
//! reads only the last increment matters, and that counts as if it were at the end of its quarter of an hour. So a store can tell from
//! sums over intervals what is alive, and the answer does not depend on which intervals it reads, but for a series of which all was
//! taken back: that is quiet or not there.

use super::plan::{Grid, TimeShift};

/// How long a series is alive after its last increment.
pub const ALIVE_MS: i64 = 24 * 60 * 60 * 1000;
/// Increments before all that a query reads count at the next multiple of this, for being alive.
pub const ALIVE_ROUNDING_MS: i64 = 15 * 60 * 1000;

/// Whether a series has a value at one of a query's times.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alive {
    /// The times that are read.
    grid: Grid,
    window_ms: i64,
}

impl Alive {
    /// For windows of that length that end at the times of a grid; 0 for an instant selector.
    pub fn new(grid: Grid, shift: TimeShift, window_ms: i64) -> Self {
        Self { grid: shift.apply_grid(grid), window_ms }
    }

    /// Whether a series is alive at one of the times. `up_to` are the times of its increments up to then, `inside` is how many of them
    /// are in the window.
    pub fn at(self, end_ms: i64, up_to: &[i64], inside: usize) -> bool {
        if self.window_ms >= ALIVE_MS {
            return inside > 0;
        }
        up_to.last().is_some_and(|last| self.counted_at(*last) > end_ms - ALIVE_MS)
    }

    fn counted_at(self, time_ms: i64) -> i64 {
        let Grid { start_ms, step_ms, .. } = self.grid;
        let begin_ms = start_ms - self.window_ms;
        if time_ms <= begin_ms {
            return begin_ms.min(next_multiple(time_ms, ALIVE_ROUNDING_MS));
        }
        if time_ms <= start_ms {
            start_ms
        } else {
            start_ms + next_multiple(time_ms - start_ms, step_ms.max(1))
        }
    }
}

/// The smallest multiple that is not before a time.
fn next_multiple(time_ms: i64, of_ms: i64) -> i64 {
    -(-time_ms).div_euclid(of_ms) * of_ms
}

/// After when the last increment before all that is read matters; `None` when windows are long enough to hold all that does. What is
/// not after this counts a day before the first time at most.
pub(super) fn alive_from_ms(first_ms: i64, window_ms: Option<i64>) -> Option<i64> {
    let day_before = first_ms - ALIVE_MS;
    (window_ms.unwrap_or(0) < ALIVE_MS).then_some(day_before - day_before.rem_euclid(ALIVE_ROUNDING_MS))
}
