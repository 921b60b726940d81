//! Whether a peer can be reached, so that the log has one line when it is lost and one when it is back.
//!
//! Thousands of calls a second may find the same peer gone, or find it gone and back in turns. Must cost a call that
//! succeeds one relaxed load, and must never print a line for each call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;

use crate::limits::REACHABILITY_WARNING_EVERY;

/// What is known of one peer.
#[derive(Debug, Default)]
pub struct Reachability {
    is_lost: AtomicBool,
    warned: Mutex<Warned>,
}

#[derive(Debug, Default)]
struct Warned {
    at: Option<Instant>,
    /// The loss that lasts now was worth a line, so its end is too.
    of_this_loss: bool,
}

impl Reachability {
    /// The peer did not answer. Returns whether that is worth a warning: at most one in
    /// [`REACHABILITY_WARNING_EVERY`], and one for each loss that lasts.
    pub fn lost(&self) -> bool {
        self.lost_at(Instant::now())
    }

    fn lost_at(&self, now: Instant) -> bool {
        let is_new = !self.is_lost.swap(true, Ordering::Relaxed);
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if is_new {
            warned.of_this_loss = false;
        }
        let is_due = warned.at.is_none_or(|at| now.duration_since(at) >= REACHABILITY_WARNING_EVERY);
        if warned.of_this_loss || !is_due {
            return false;
        }
        *warned = Warned { at: Some(now), of_this_loss: true };
        true
    }

    /// The peer answered. Returns whether that is worth a line: a loss that was warned of is over.
    pub fn found(&self) -> bool {
        if !self.is_lost.load(Ordering::Relaxed) || !self.is_lost.swap(false, Ordering::Relaxed) {
            return false;
        }
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut warned.of_this_loss)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_has_one_warning_and_its_end_one_line() {
        let peer = Reachability::default();
        let start = Instant::now();
        assert!(!peer.found(), "it was never lost");
        assert!(peer.lost_at(start));
        assert!(!peer.lost_at(start + 10 * REACHABILITY_WARNING_EVERY), "told already");
        assert!(peer.found());
        assert!(!peer.found());
    }

    #[test]
    fn a_peer_that_comes_and_goes_does_not_fill_the_log() {
        let peer = Reachability::default();
        let start = Instant::now();
        let mut lines = 0;
        for call in 0..1_000 {
            let now = start + REACHABILITY_WARNING_EVERY * call / 500;
            lines += u32::from(peer.lost_at(now)) + u32::from(peer.found());
        }
        assert_eq!(lines, 4, "two warnings in the time of two, each with its end");
    }
}
