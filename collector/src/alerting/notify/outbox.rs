//! Pure. What waits for one receiver: ordered, bounded, and counted where it overflows.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::alerting::config::ReceiverKind;
use crate::alerting::sample::Labels;
use crate::alerting::time::UnixMs;

use super::Notification;

/// Place of a notification in the order; never given twice.
pub(super) type Ticket = u64;

/// A queue that can be read without removing, so that a failed delivery loses nothing.
#[derive(Debug)]
pub(super) struct Outbox {
    /// An Alertmanager is told states, so that a newer one replaces an older one of the same alert; a webhook every transition.
    kind: ReceiverKind,
    capacity: usize,
    next: Ticket,
    waiting: BTreeMap<Ticket, Notification>,
    newest: HashMap<Labels, Ticket>,
}

impl Outbox {
    pub(super) fn new(kind: ReceiverKind, capacity: usize) -> Self {
        Self { kind, capacity, next: 0, waiting: BTreeMap::new(), newest: HashMap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Adds at the end. A full outbox drops its oldest, because news about the present is worth more. Returns how many.
    pub(super) fn put(&mut self, notification: Notification) -> u64 {
        let ticket = self.next;
        self.next += 1;
        if self.kind == ReceiverKind::Alertmanager
            && let Some(older) = self.newest.insert(notification.labels.clone(), ticket)
        {
            self.waiting.remove(&older);
        }
        self.waiting.insert(ticket, notification);
        let mut dropped = 0;
        while self.waiting.len() > self.capacity {
            let Some((ticket, oldest)) = self.waiting.pop_first() else { break };
            self.forget(ticket, &oldest);
            dropped += 1;
        }
        dropped
    }

    /// The first `count`, in order, left in place.
    pub(super) fn peek(&self, count: usize) -> Vec<(Ticket, Notification)> {
        let first = self.waiting.iter().take(count);
        first.map(|(ticket, notification)| (*ticket, notification.clone())).collect()
    }

    /// Removes delivered notifications; those replaced meanwhile are gone already, and their successors stay.
    pub(super) fn remove(&mut self, tickets: impl IntoIterator<Item = Ticket>) {
        for ticket in tickets {
            if let Some(notification) = self.waiting.remove(&ticket) {
                self.forget(ticket, &notification);
            }
        }
    }

    /// Removes what has waited longer than `age_max`; returns how many.
    pub(super) fn expire(&mut self, now: UnixMs, age_max: Duration) -> u64 {
        let mut expired = 0;
        while let Some(first) = self.waiting.first_entry() {
            if now.since(first.get().queued_at) <= age_max {
                break;
            }
            let (ticket, notification) = first.remove_entry();
            self.forget(ticket, &notification);
            expired += 1;
        }
        expired
    }

    fn forget(&mut self, ticket: Ticket, notification: &Notification) {
        if self.newest.get(&notification.labels) == Some(&ticket) {
            self.newest.remove(&notification.labels);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerting::notify::Status;
    use proptest::prelude::*;

    fn notification(alert: u8, queued_at: i64) -> Notification {
        Notification {
            key: format!("{alert}-{queued_at}"),
            status: Status::Firing,
            is_once: false,
            labels: [("alertname".to_owned(), format!("A{alert}"))].into(),
            annotations: Labels::new(),
            starts_at: UnixMs(0),
            ends_at: UnixMs::NEVER,
            generator_url: String::new(),
            queued_at: UnixMs(queued_at),
        }
    }

    proptest! {
        /// Against a plain list of (alert, time): order, bound, what replaces what, and every loss is counted.
        #[test]
        fn it_is_a_bounded_list_in_which_only_states_replace_each_other(
            steps in prop::collection::vec((0u8..4, 0u8..4, 1usize..4), 0..60), states in any::<bool>()
        ) {
            let kind = if states { ReceiverKind::Alertmanager } else { ReceiverKind::Webhook };
            let (mut outbox, mut list) = (Outbox::new(kind, 5), Vec::new());
            for (now, (what, alert, count)) in (0..).zip(steps) {
                let sent = outbox.peek(count);
                if what > 1 {
                    // Also news that comes while something is being delivered.
                    list.retain(|(other, _)| !states || *other != alert);
                    list.push((alert, now));
                    let dropped = list.len().saturating_sub(5);
                    list.drain(..dropped);
                    prop_assert_eq!(outbox.put(notification(alert, now)), dropped as u64);
                }
                if what < 3 {
                    let tickets: Vec<Ticket> = sent.iter().map(|(ticket, _)| *ticket).collect();
                    list.retain(|(alert, at)| sent.iter().all(|(_, sent)| sent.key != format!("{alert}-{at}")));
                    outbox.remove(tickets);
                }
                if what == 0 {
                    let before = list.len();
                    list.retain(|(_, at)| now - at <= 10);
                    let expired = outbox.expire(UnixMs(now), Duration::from_millis(10));
                    prop_assert_eq!(expired, (before - list.len()) as u64);
                }
                let waiting = outbox.peek(usize::MAX).into_iter().map(|(_, notification)| notification.key);
                let listed = list.iter().map(|(alert, at)| format!("{alert}-{at}"));
                prop_assert_eq!(waiting.collect::<Vec<_>>(), listed.collect::<Vec<_>>());
                prop_assert_eq!(outbox.newest.len(), if states { outbox.len() } else { 0 });
            }
        }
    }
}
