//! The days that forecasts of now learn from, kept for a while. They are over, so that only what comes late or is corrected changes them,
//! and a forecast is no account: it may learn of that some minutes later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::limits::FORECAST_AGE_MS_MAX;

/// What was spent on each day, by budget.
#[derive(Debug, Default)]
pub struct History(Mutex<HashMap<String, Kept>>);

#[derive(Debug)]
struct Kept {
    read_ms: i64,
    /// Where the days begin and end, milliseconds since the epoch.
    days: Vec<i64>,
    /// Pico-dollars.
    daily: Arc<[i128]>,
}

impl History {
    /// What is known of just these days, if it was read not long ago.
    pub(super) fn of(&self, budget: &str, days: &[i64], now_ms: i64) -> Option<Arc<[i128]>> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back makes nothing young.
        let is_young = |kept: &&Kept| (0..FORECAST_AGE_MS_MAX).contains(&(now_ms - kept.read_ms));
        let kept = all.get(budget).filter(is_young)?;
        (kept.days == days).then(|| Arc::clone(&kept.daily))
    }

    /// Instead of what was known.
    pub(super) fn keep(&self, budget: &str, days: Vec<i64>, now_ms: i64, daily: &Arc<[i128]>) {
        let kept = Kept { read_ms: now_ms, days, daily: Arc::clone(daily) };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(budget.to_owned(), kept);
    }
}
