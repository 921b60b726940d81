//! The connections of a port that have not sent a request yet, in the order in which they came.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::limits::SILENCE_GRANTED;

#[derive(Debug, Default)]
pub(super) struct Silent(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// By number: when it may be evicted, and how it is told. Who takes an entry out decides what becomes of the connection.
    slots: BTreeMap<u64, (Instant, CancellationToken)>,
}

/// What came of asking a silent connection to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Eviction {
    /// One is being closed.
    Done,
    /// None has had its time yet; the first one will then.
    NotBefore(Instant),
    /// None is silent.
    Nobody,
}

impl Silent {
    pub(super) fn enter(self: &Arc<Self>) -> Arc<Slot> {
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        let evicted = CancellationToken::new();
        waiting.slots.insert(number, (Instant::now() + SILENCE_GRANTED, evicted.clone()));
        Arc::new(Slot { number, spoken: AtomicBool::new(false), evicted, silent: Arc::clone(self) })
    }

    /// Gives up the one that has waited longest, if that was long enough.
    pub(super) fn evict_longest(&self) -> Eviction {
        let mut waiting = self.waiting();
        let Some(longest) = waiting.slots.first_entry() else { return Eviction::Nobody };
        let granted_until = longest.get().0;
        if granted_until > Instant::now() {
            return Eviction::NotBefore(granted_until);
        }
        longest.remove().1.cancel();
        Eviction::Done
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection, for the one task that serves it. Removed when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    number: u64,
    spoken: AtomicBool,
    evicted: CancellationToken,
    silent: Arc<Silent>,
}

impl Slot {
    /// A request head came. False: too late, the connection is being closed. Called for every request, so the usual
    /// case is one load.
    pub(super) fn head_came(&self) -> bool {
        if !self.spoken.load(Ordering::Relaxed) {
            self.spoken.store(self.leave(), Ordering::Relaxed);
        }
        self.spoken.load(Ordering::Relaxed)
    }

    /// Returns when the connection is given up: evicted, silent for this long, or silent when the port ends. Never
    /// returns once a request came.
    pub(super) async fn given_up(&self, timeout: Duration, end: &CancellationToken) {
        tokio::select! {
            () = self.evicted.cancelled() => {}
            () = tokio::time::sleep(timeout) => {}
            () = end.cancelled() => {}
        }
        if !self.leave() && self.spoken.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
    }

    /// False: it was evicted, or has left before.
    fn leave(&self) -> bool {
        self.silent.waiting().slots.remove(&self.number).is_some()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the connection is given up within this time, with 10 s for its first request.
    async fn is_given_up(slot: &Slot, within: Duration) -> bool {
        let end = CancellationToken::new();
        let given_up = slot.given_up(Duration::from_secs(10), &end);
        tokio::time::timeout(within, given_up).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_connection_is_given_up_and_those_that_spoke_never_are() {
        let silent = Arc::new(Silent::default());
        let [spoke, gone, first, second] = [(); 4].map(|()| silent.enter());
        assert!(spoke.head_came() && spoke.head_came());
        drop(gone);
        let granted_until = Instant::now() + SILENCE_GRANTED;
        assert_eq!(silent.evict_longest(), Eviction::NotBefore(granted_until));
        tokio::time::advance(SILENCE_GRANTED).await;
        assert_eq!(silent.evict_longest(), Eviction::Done);
        assert!(is_given_up(&first, Duration::from_secs(1)).await);
        assert!(!first.head_came(), "its request came too late");
        assert!(!is_given_up(&second, Duration::from_secs(9)).await);
        assert_eq!(silent.evict_longest(), Eviction::Done);
        assert!(is_given_up(&second, Duration::from_secs(1)).await);
        assert_eq!(silent.evict_longest(), Eviction::Nobody);
        assert!(!is_given_up(&spoke, Duration::from_secs(99)).await);
        assert!(silent.waiting().slots.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_given_up_at_its_deadline_and_at_the_end_of_the_port() {
        let silent = Arc::new(Silent::default());
        let slot = silent.enter();
        assert!(is_given_up(&slot, Duration::from_secs(11)).await);
        assert!(!slot.head_came());
        drop(slot);
        let (slot, spoke, end) = (silent.enter(), silent.enter(), CancellationToken::new());
        assert!(spoke.head_came());
        end.cancel();
        slot.given_up(Duration::MAX, &end).await;
        let stays = spoke.given_up(Duration::MAX, &end);
        assert!(tokio::time::timeout(Duration::from_secs(99), stays).await.is_err());
        drop(slot);
        assert!(silent.waiting().slots.is_empty());
    }
}
