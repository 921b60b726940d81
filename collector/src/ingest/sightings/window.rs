//! What is forgotten: by time, by the bound of memory, and of a response id that is on very many sights. Pure.
//!
//! Nothing that a decision under way rests on is forgotten. When a sight is, the other sights of its call leave the list of the
//! response id with it. A call in no list is looked at again only when it becomes a wrapper, so what does not count by then never will:
//! no call is billed a second time because its first bill is out of sight.

use super::index::{Call, Node};
use super::{Sightings, rules};

/// Sights with one response id that are compared. A provider gives an id once; a cache or a mock server gives it for ever, and what is
/// older than the latest of these is settled.
pub const RESPONSE_SIGHTS_MAX: usize = 256;

/// A parent of calls is renewed so many times in a window at most.
pub(super) const RENEWALS: u32 = 12;

/// What was given up before the end of the window: each may be billed twice if it is seen again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Spans, for the bound of memory.
    pub spans: u64,
    /// Sights that are no longer, or never were, compared by their response id, because it is on more than [`RESPONSE_SIGHTS_MAX`].
    pub unmatched: u64,
}

enum Front {
    Gone,
    /// In use, or not yet due.
    Stays,
}

impl Sightings {
    /// Forgets what is due at this time. Time does not go back.
    pub(super) fn forget(&mut self, now_unix_ns: u64) {
        let now = u32::try_from(now_unix_ns / 1_000_000_000).unwrap_or(u32::MAX);
        self.now = self.now.max(now);
        let due = self.now.saturating_sub(self.window_s);
        while let Some((number, node)) = self.index.ring.front() {
            if matches!(self.forget_front(number, node, |node| node.arrived < due), Front::Stays) {
                break;
            }
        }
        self.forget_early();
    }

    /// Forgets the oldest until the rest is within the bound.
    pub(super) fn forget_early(&mut self) {
        while self.index.charge() > self.bytes_max
            && let Some((number, node)) = self.index.ring.front()
        {
            let is_loss = node.is(Node::KNOWN) && !node.is(Node::REMOVED | Node::RENEWED);
            if matches!(self.forget_front(number, node, |_| true), Front::Stays) {
                break;
            }
            self.forgotten.spans += u64::from(is_loss);
        }
    }

    fn forget_front(&mut self, number: u32, node: Node, is_due: impl Fn(&Node) -> bool) -> Front {
        if node.is(Node::REMOVED) {
            self.index.ring.pop_front();
            return Front::Gone;
        }
        if node.is(Node::RESERVED) {
            return Front::Stays;
        }
        if node.is(Node::RENEWED) {
            self.index.ring.get_mut(number).clear(Node::RENEWED);
            self.index.rotate();
            return Front::Gone;
        }
        if !is_due(&node) {
            return Front::Stays;
        }
        if let Some(slot) = node.call() {
            if self.reserved.contains(&self.index.call(slot).response) {
                return Front::Stays;
            }
            self.settle_for_good(slot);
        }
        self.index.remove(number);
        self.index.ring.pop_front();
        Front::Gone
    }

    /// Takes a call and the other sights of it out of their list.
    pub(super) fn settle_for_good(&mut self, slot: u32) {
        let call = *self.index.call(slot);
        if !call.is(Call::LISTED) {
            return;
        }
        let slots: Vec<u32> = self.index.listed(call.response).collect();
        let calls: Vec<Call> = slots.iter().map(|slot| *self.index.call(*slot)).collect();
        let own = slots.iter().position(|other| *other == slot);
        let groups = rules::groups(&calls);
        match groups.iter().find(|group| group.sights.iter().any(|place| Some(*place) == own)) {
            Some(group) => {
                self.unlist_group(&slots, &calls, group);
            }
            None => self.index.unlist(slot),
        }
    }

    /// With the wrappers that took no part because of one of them. Returns how many left.
    fn unlist_group(&mut self, slots: &[u32], calls: &[Call], group: &rules::Group) -> usize {
        let is_in_trace =
            |call: &Call| group.sights.iter().any(|place| calls[*place].trace_id == call.trace_id);
        let mut left = 0;
        for (place, (slot, call)) in slots.iter().zip(calls).enumerate() {
            if group.sights.contains(&place) || call.is_wrapper() && is_in_trace(call) {
                self.index.unlist(*slot);
                left += 1;
            }
        }
        left
    }

    /// Makes room in a list that is full, for a quarter more.
    pub(super) fn trim(&mut self, response: u64) {
        let slots: Vec<u32> = self.index.listed(response).collect();
        if slots.len() < RESPONSE_SIGHTS_MAX {
            return;
        }
        let calls: Vec<Call> = slots.iter().map(|slot| *self.index.call(*slot)).collect();
        let mut rest = slots.len();
        for group in rules::groups(&calls) {
            if rest <= RESPONSE_SIGHTS_MAX / 4 * 3 {
                break;
            }
            let left = self.unlist_group(&slots, &calls, &group);
            rest = rest.saturating_sub(left);
            self.forgotten.unmatched += left as u64;
        }
    }
}
