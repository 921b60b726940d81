//! A log line that a fault would repeat without end is written once per period.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::locked;

/// Lets one event per period pass.
#[derive(Debug)]
pub struct Throttle {
    period: Duration,
    last: Mutex<Option<Instant>>,
}

impl Throttle {
    /// The first event passes at once.
    pub const fn new(period: Duration) -> Self {
        Self { period, last: Mutex::new(None) }
    }

    /// Whether this event passes. If so, none does for a period.
    pub fn passes(&self) -> bool {
        let mut last = locked(&self.last);
        let passes = last.is_none_or(|at| at.elapsed() >= self.period);
        if passes {
            *last = Some(Instant::now());
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_event_per_period_passes() {
        let throttle = Throttle::new(Duration::from_secs(60));
        assert!(throttle.passes() && !throttle.passes());
        tokio::time::advance(Duration::from_secs(59)).await;
        assert!(!throttle.passes());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(throttle.passes() && !throttle.passes());
    }
}
