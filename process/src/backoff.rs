//! Pure. The pauses between attempts: each twice the one before, up to a bound.

use std::time::Duration;

/// The next pause, and how far pauses grow.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Begins with `first` and never exceeds `max`.
    pub const fn new(first: Duration, max: Duration) -> Self {
        Self { first, max, next: first }
    }

    /// The pause before the next attempt; the one after it is twice as long.
    pub fn pause(&mut self) -> Duration {
        let pause = self.next.min(self.max);
        self.next = pause.saturating_mul(2).min(self.max);
        pause
    }

    /// Between half and the whole of [`Backoff::pause`], so that clients that lost a server together do not return
    /// together.
    pub fn pause_with_jitter(&mut self) -> Duration {
        self.pause().mul_f64(rand::random_range(0.5..1.0))
    }

    /// An attempt succeeded: the next pause is the first one again.
    pub const fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound_and_begin_again_after_a_success() {
        for (first, max, expected) in
            [(100, 1_000, [100, 200, 400, 800, 1_000, 1_000]), (5_000, 1_000, [1_000; 6])]
        {
            let mut backoff = Backoff::new(Duration::from_millis(first), Duration::from_millis(max));
            assert_eq!(expected.map(|_| backoff.pause().as_millis()), expected);
            backoff.reset();
            assert_eq!(backoff.pause().as_millis(), expected[0]);
        }
    }

    #[test]
    fn jitter_shortens_a_pause_by_at_most_half() {
        for _ in 0..1_000 {
            let pause = Backoff::new(Duration::from_millis(100), Duration::from_secs(5)).pause_with_jitter();
            assert!(pause >= Duration::from_millis(50) && pause <= Duration::from_millis(100), "{pause:?}");
        }
    }
}
