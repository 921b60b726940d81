//! The connections of a port that have not sent a request yet, in the order in which they came.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::limits::SILENCE_GRANTED;

/// No request yet.
const SILENT: u8 = 0;
/// A request head came: the connection is somebody's, and stays.
const SPOKEN: u8 = 1;
/// Closed for its silence.
const GIVEN_UP: u8 = 2;

/// All of one port.
#[derive(Debug, Default)]
pub(super) struct Silent(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    slots: BTreeMap<u64, (Instant, Weak<Slot>)>,
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
    /// A connection that begins to wait.
    pub(super) fn enter(self: &Arc<Self>) -> Arc<Slot> {
        let mut waiting = self.waiting();
        let number = waiting.next;
        waiting.next += 1;
        let slot = Arc::new(Slot {
            number,
            state: AtomicU8::new(SILENT),
            evicted: Notify::new(),
            silent: Arc::clone(self),
        });
        waiting.slots.insert(number, (Instant::now() + SILENCE_GRANTED, Arc::downgrade(&slot)));
        slot
    }

    /// Gives up the one that has waited longest, if that was long enough.
    pub(super) fn evict_longest(&self) -> Eviction {
        loop {
            let slot = {
                let mut waiting = self.waiting();
                let Some(longest) = waiting.slots.first_entry() else { return Eviction::Nobody };
                let (granted_until, _) = longest.get();
                if *granted_until > Instant::now() {
                    return Eviction::NotBefore(*granted_until);
                }
                longest.remove().1
            };
            // A slot that is gone, or whose request comes in this moment, makes no room: the next one.
            if let Some(slot) = slot.upgrade()
                && slot.leave(GIVEN_UP)
            {
                slot.evicted.notify_one();
                return Eviction::Done;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection. Removed when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    number: u64,
    state: AtomicU8,
    evicted: Notify,
    silent: Arc<Silent>,
}

impl Slot {
    /// A request head came. False: too late, the connection is being closed. Called for every request, so the usual
    /// case is one load.
    pub(super) fn head_came(&self) -> bool {
        if self.state.load(Ordering::Acquire) == SPOKEN {
            return true;
        }
        let in_time = self.leave(SPOKEN) || self.state.load(Ordering::Acquire) == SPOKEN;
        if in_time {
            self.silent.waiting().slots.remove(&self.number);
        }
        in_time
    }

    /// Returns when the connection is given up: evicted, silent for this long, or silent when the port ends. Never
    /// returns once a request came.
    pub(super) async fn given_up(&self, timeout: Duration, end: &CancellationToken) {
        tokio::select! {
            () = self.evicted.notified() => {}
            () = tokio::time::sleep(timeout) => {}
            () = end.cancelled() => {}
        }
        if !self.leave(GIVEN_UP) && self.state.load(Ordering::Acquire) == SPOKEN {
            std::future::pending::<()>().await;
        }
    }

    fn leave(&self, state: u8) -> bool {
        self.state.compare_exchange(SILENT, state, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if *self.state.get_mut() != SPOKEN {
            self.silent.waiting().slots.remove(&self.number);
        }
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
