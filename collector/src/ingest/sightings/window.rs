//! What is forgotten: by time, by the bound of memory, and of a response id that is on very many sights. Pure.
//!
//! Nothing that a decision under way rests on is forgotten. When a sight is, the other sights of its call leave the list of the
//! response id with it. A call in no list is looked at again only when it becomes a wrapper, so what does not count by then never will:
//! no call is billed a second time because its first bill is out of sight.

use super::index::{Call, Node, Which};
use super::{Sightings, rules};

/// Sights with one response id that are compared. A provider gives an id once; a cache or a mock server gives it for ever, and what is
/// older than the latest of these is settled.
pub const RESPONSE_SIGHTS_MAX: usize = 256;

/// A parent of calls is renewed so many times in a window at most.
pub(super) const RENEWALS: u32 = 12;

/// What was given up before the end of the window: each may be billed twice if it is seen again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Calls, for the bound of memory. One that is seen again is billed again.
    pub calls: u64,
    /// Spans that are no calls, likewise. A call above one and a call below it are not known to be so, and both are billed.
    pub spans: u64,
    /// Sights that are no longer, or never were, compared by their response id, because it is on more than [`RESPONSE_SIGHTS_MAX`].
    pub unmatched: u64,
}

/// Sights in use that are passed over, of those at the front, to find one that is not.
const IN_USE_MAX: usize = 1_000;

enum Front {
    Gone,
    /// Not yet due.
    Stays,
    /// A decision under way rests on it.
    InUse,
}

impl Sightings {
    /// Forgets what is due at this time. Time does not go back.
    pub(super) fn forget(&mut self, now_unix_ns: u64) {
        let now = u32::try_from(now_unix_ns / 1_000_000_000).unwrap_or(u32::MAX);
        self.now = self.now.max(now);
        let due = self.now.saturating_sub(self.window_s);
        for ring in [Which::Recent, Which::Kept] {
            while let Some((number, node)) = self.index.ring.front(ring)
                && matches!(self.forget_front(ring, number, node, |node| node.arrived < due), Front::Gone)
            {
            }
        }
        self.forget_early();
    }

    /// Forgets until the rest is within the bound: first spans that are no call and that no call is below, then calls and what is above
    /// them, the oldest of each first. A quarter is for what has just come, so that a trace that is still open is whole.
    pub(super) fn forget_early(&mut self) {
        let mut in_use = 0;
        while self.index.charge() > self.bytes_max && in_use < IN_USE_MAX {
            let is_full = self.index.charge_of_kept() > self.bytes_max / 4 * 3;
            let recent = self.index.ring.front(Which::Recent).filter(|_| !is_full);
            if let Some((number, node)) = recent
                && !node.is(Node::REMOVED)
                && (node.call().is_some() || node.is(Node::ABOVE_CALL | Node::RESERVED))
            {
                self.index.ring.get_mut(number).clear(Node::RENEWED);
                self.index.move_front(Which::Recent, Which::Kept);
                continue;
            }
            let ring = if recent.is_some() { Which::Recent } else { Which::Kept };
            let Some((number, node)) = self.index.ring.front(ring) else { break };
            match self.forget_front(ring, number, node, |_| true) {
                Front::Gone if node.is(Node::REMOVED | Node::RENEWED) || !node.is(Node::KNOWN) => {}
                Front::Gone if node.call().is_some() => self.forgotten.calls += 1,
                Front::Gone => self.forgotten.spans += 1,
                Front::Stays | Front::InUse => {
                    in_use += 1;
                    self.index.move_front(ring, Which::Kept);
                }
            }
        }
    }

    fn forget_front(
        &mut self,
        ring: Which,
        number: u32,
        node: Node,
        is_due: impl Fn(&Node) -> bool,
    ) -> Front {
        if node.is(Node::REMOVED) {
            self.index.ring.pop_front(ring);
            return Front::Gone;
        }
        if node.is(Node::RESERVED) {
            return Front::InUse;
        }
        if node.is(Node::RENEWED) {
            self.index.ring.get_mut(number).clear(Node::RENEWED);
            self.index.move_front(ring, ring);
            return Front::Gone;
        }
        if !is_due(&node) {
            return Front::Stays;
        }
        if let Some(slot) = node.call() {
            if self.reserved.contains(&self.index.call(slot).response) {
                return Front::InUse;
            }
            self.settle_for_good(slot);
        }
        self.index.remove(number);
        self.index.ring.pop_front(ring);
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
