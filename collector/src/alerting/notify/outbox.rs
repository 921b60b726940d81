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
            labels: [("alertname".to_owned(), format!("A{alert}"))].into(),
            annotations: Labels::new(),
            starts_at: UnixMs(0),
            ends_at: UnixMs::NEVER,
            generator_url: String::new(),
            queued_at: UnixMs(queued_at),
        }
    }

    fn keys(outbox: &Outbox) -> Vec<String> {
        outbox.peek(usize::MAX).into_iter().map(|(_, notification)| notification.key).collect()
    }

    #[test]
    fn states_replace_each_other_and_transitions_do_not() {
        let mut states = Outbox::new(ReceiverKind::Alertmanager, 10);
        let mut transitions = Outbox::new(ReceiverKind::Webhook, 10);
        for outbox in [&mut states, &mut transitions] {
            for (alert, at) in [(1, 1), (2, 2), (1, 3)] {
                assert_eq!(outbox.put(notification(alert, at)), 0);
            }
        }
        assert_eq!(keys(&states), ["2-2", "1-3"]);
        assert_eq!(keys(&transitions), ["1-1", "2-2", "1-3"]);
    }

    #[test]
    fn news_that_came_during_a_delivery_stays() {
        let mut outbox = Outbox::new(ReceiverKind::Alertmanager, 10);
        outbox.put(notification(1, 1));
        let sent = outbox.peek(10);
        outbox.put(notification(1, 2));
        outbox.remove(sent.into_iter().map(|(ticket, _)| ticket));
        assert_eq!(keys(&outbox), ["1-2"]);
    }

    #[test]
    fn a_full_outbox_drops_and_counts_the_oldest() {
        let mut outbox = Outbox::new(ReceiverKind::Webhook, 2);
        let dropped: u64 = (0..5).map(|at| outbox.put(notification(1, at))).sum();
        assert_eq!((dropped, keys(&outbox)), (3, vec!["1-3".to_owned(), "1-4".to_owned()]));
    }

    #[test]
    fn what_waited_too_long_expires() {
        let mut outbox = Outbox::new(ReceiverKind::Webhook, 10);
        outbox.put(notification(1, 1000));
        outbox.put(notification(2, 2000));
        assert_eq!(outbox.expire(UnixMs(11_000), Duration::from_secs(10)), 0);
        assert_eq!(outbox.expire(UnixMs(11_001), Duration::from_secs(10)), 1);
        assert_eq!(keys(&outbox), ["2-2000"]);
    }

    proptest! {
        #[test]
        fn nothing_vanishes_uncounted(
            ops in prop::collection::vec((any::<bool>(), 0u8..4, 1usize..4), 0..60), newest in any::<bool>()
        ) {
            let kind = if newest { ReceiverKind::Alertmanager } else { ReceiverKind::Webhook };
            let mut outbox = Outbox::new(kind, 5);
            let (mut put, mut dropped, mut delivered, mut replaced) = (0u64, 0u64, 0u64, 0u64);
            for (is_put, alert, count) in ops {
                if is_put {
                    let before = outbox.len() as u64;
                    let lost = outbox.put(notification(alert, 0));
                    put += 1;
                    dropped += lost;
                    replaced += before + 1 - lost - outbox.len() as u64;
                } else {
                    let batch = outbox.peek(count);
                    delivered += batch.len() as u64;
                    outbox.remove(batch.into_iter().map(|(ticket, _)| ticket));
                }
                prop_assert!(outbox.len() <= 5);
                prop_assert_eq!(if newest { outbox.newest.len() } else { outbox.len() }, outbox.len());
                prop_assert!(newest || replaced == 0);
            }
            prop_assert_eq!(put, dropped + delivered + replaced + outbox.len() as u64);
        }
    }
}
