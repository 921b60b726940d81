//! Which connections of a port do nothing, so that they make room when there are as many as the process can hold.
//!
//! Those that never sent a request go first, oldest first: whoever opens thousands and stays silent loses his own. Then those
//! between two requests go, the longest idle first. A connection with a request on it is never closed for another.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::limits::{EVICTION_GRACE, EVICTION_IDLE_MIN};
use crate::locked;

/// By age within those that never spoke, then within those that did.
type Key = (bool, u64);

#[derive(Debug, Default)]
pub struct IdleConnections {
    /// Since when, and what closes it.
    idle: Mutex<BTreeMap<Key, (Instant, CancellationToken)>>,
    next: AtomicU64,
    /// Told when a connection has become idle.
    pub grew: Notify,
}

impl IdleConnections {
    /// A new connection, idle until [`IdleSlot::enter`].
    pub fn slot(self: &Arc<Self>) -> Arc<IdleSlot> {
        let close = CancellationToken::new();
        let state = Mutex::new(State { running: 0, key: Some(self.add(false, &close)) });
        Arc::new(IdleSlot { connections: self.clone(), state, close })
    }

    /// Closes the first of the idle connections; where all are younger than [`EVICTION_IDLE_MIN`], says when one is due.
    pub fn evict(&self, now: Instant) -> Result<(), Option<Instant>> {
        let mut idle = locked(&self.idle);
        let due = |(key, (since, _)): (&Key, &(Instant, _))| (*key, *since + EVICTION_IDLE_MIN);
        let firsts = [(false, 0), (true, 0)].map(|from| idle.range(from..).next().map(due));
        let Some((key, _)) = firsts.into_iter().flatten().find(|(_, due)| *due <= now) else {
            return Err(firsts.into_iter().flatten().map(|(_, due)| due).min());
        };
        if let Some((_, close)) = idle.remove(&key) {
            close.cancel();
        }
        Ok(())
    }

    fn add(&self, has_spoken: bool, close: &CancellationToken) -> Key {
        let key = (has_spoken, self.next.fetch_add(1, Ordering::Relaxed));
        locked(&self.idle).insert(key, (Instant::now(), close.clone()));
        self.grew.notify_one();
        key
    }
}

/// One connection's place among the idle ones, taken while no request runs on it.
#[derive(Debug)]
pub struct IdleSlot {
    connections: Arc<IdleConnections>,
    state: Mutex<State>,
    /// Cancelled when the connection is to make room.
    close: CancellationToken,
}

#[derive(Debug)]
struct State {
    running: usize,
    /// Under which the connection stands among the idle ones.
    key: Option<Key>,
}

impl Drop for IdleSlot {
    fn drop(&mut self) {
        if let Some(key) = locked(&self.state).key {
            locked(&self.connections.idle).remove(&key);
        }
    }
}

impl IdleSlot {
    pub(super) fn enter(&self) {
        let mut state = locked(&self.state);
        state.running += 1;
        if let Some(key) = state.key.take() {
            locked(&self.connections.idle).remove(&key);
        }
    }

    /// A request is over. When it was the last one that ran, the connection may make room for others.
    pub fn leave(&self) {
        let mut state = locked(&self.state);
        state.running -= 1;
        if state.running == 0 {
            state.key = Some(self.connections.add(true, &self.close));
        }
    }

    fn is_silent(&self) -> bool {
        matches!(locked(&self.state).key, Some((false, _)))
    }

    /// Returns when a connection without a request is given up: because it is to make room, was silent for this long, or
    /// still is a moment after the port's end. Never returns once a request came.
    pub(super) async fn given_up(&self, timeout: Duration, end: &CancellationToken) {
        let ended = async {
            end.cancelled().await;
            tokio::time::sleep(EVICTION_GRACE).await;
        };
        tokio::select! {
            () = self.close.cancelled() => {}
            () = tokio::time::sleep(timeout) => {}
            () = ended => {}
        }
        if !self.is_silent() {
            std::future::pending::<()>().await;
        }
    }

    /// Returns when a connection that has sent a request is to make room.
    pub(super) async fn makes_room(&self) {
        self.close.cancelled().await;
        if self.is_silent() {
            // It is given up.
            std::future::pending::<()>().await;
        }
    }

    /// Returns when the connection is to make room and, after the time to end in order, still has no request on it.
    pub(super) async fn stays_idle(&self) {
        self.close.cancelled().await;
        tokio::time::sleep(EVICTION_GRACE).await;
        if locked(&self.state).key.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_silent_go_first_then_the_longest_idle_and_never_the_busy() {
        let connections = Arc::<IdleConnections>::default();
        let [old, spoke, busy, young] = std::array::from_fn(|_| connections.slot());
        spoke.enter();
        spoke.leave();
        busy.enter();
        busy.enter();
        busy.leave();
        assert!(old.is_silent() && !spoke.is_silent() && !busy.is_silent());
        let later = Instant::now() + EVICTION_IDLE_MIN;
        for expected in [&old, &young, &spoke] {
            assert!(!expected.close.is_cancelled());
            assert_eq!(connections.evict(later), Ok(()));
            assert!(expected.close.is_cancelled());
        }
        assert_eq!(connections.evict(later), Err(None));
        assert!(!busy.close.is_cancelled());
        busy.leave();
        assert_eq!(connections.evict(Instant::now() + EVICTION_IDLE_MIN), Ok(()));
        assert!(busy.close.is_cancelled());
    }

    #[test]
    fn a_connection_may_be_silent_for_a_moment() {
        let connections = Arc::<IdleConnections>::default();
        let before = Instant::now();
        let slot = connections.slot();
        let due = connections.evict(before).unwrap_err().unwrap();
        assert!(due >= before + EVICTION_IDLE_MIN && !slot.close.is_cancelled());
        assert_eq!(connections.evict(due), Ok(()));
        // One that ended is not evicted.
        drop(connections.slot());
        assert_eq!(connections.evict(due + EVICTION_IDLE_MIN), Err(None));
    }
}
