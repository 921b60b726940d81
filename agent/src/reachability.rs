//! Whether a peer can be reached: the log has one line when it is lost and one when it is back, not one for each call. Must
//! cost a call that succeeds one relaxed load.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ledgerline_process::throttle::Throttle;

use crate::limits::WARNING_EVERY;

#[derive(Debug)]
pub struct Reachability {
    is_lost: AtomicBool,
    /// The loss that lasts now was worth a line, so its end is too.
    is_reported: AtomicBool,
    warnings: Throttle,
}

impl Default for Reachability {
    fn default() -> Self {
        let warnings = Throttle::new(WARNING_EVERY);
        Self { is_lost: AtomicBool::default(), is_reported: AtomicBool::default(), warnings }
    }
}

impl Reachability {
    /// The peer did not respond. Whether that is worth a warning: at most one in [`WARNING_EVERY`] and for each loss.
    pub fn lost(&self) -> bool {
        if !self.is_lost.swap(true, Relaxed) {
            self.is_reported.store(false, Relaxed);
        }
        !self.is_reported.load(Relaxed) && self.warnings.passes() && !self.is_reported.swap(true, Relaxed)
    }

    /// The peer responded. Returns whether that is worth a line: a loss that was warned of is over.
    pub fn found(&self) -> bool {
        let is_back = self.is_lost.load(Relaxed) && self.is_lost.swap(false, Relaxed);
        is_back && self.is_reported.swap(false, Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_loss_has_one_warning_and_its_end_one_line() {
        let peer = Reachability::default();
        assert!(!peer.found(), "it was never lost");
        assert!(peer.lost());
        advance(10 * WARNING_EVERY).await;
        assert!(!peer.lost(), "reported already");
        assert!(peer.found() && !peer.found());
        // One that comes and goes does not fill the log.
        let peer = Reachability::default();
        let mut lines = 0;
        for _ in 0..1_000 {
            lines += u32::from(peer.lost()) + u32::from(peer.found());
            advance(WARNING_EVERY / 500).await;
        }
        assert_eq!(lines, 4, "two warnings in the time of two, each with its end");
    }
}
