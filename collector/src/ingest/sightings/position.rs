//! The place of a span in its trace: who is above a call. Pure.
//!
//! Each node knows whether a call is below it, and a new call tells those above, upwards until one knows already. So a span costs the
//! same in a trace of ten spans as in one of a million, and parents may come after children: a span that is named as parent of
//! a call and has not come gets a node that only holds this knowledge.

use super::index::{Call, Node};
use super::sight::{Conflict, Sight};
use super::{Sightings, Undo, Work, window};

/// Parents that form a circle are found when it has at most so many spans.
pub const ANCESTORS_MAX: usize = 64;

impl Sightings {
    /// Adds a sight. Returns the slot of its call, which is among the touched ones if this sight made it.
    pub(super) fn see(
        &mut self,
        tenant: u64,
        sight: &Sight,
        now: u32,
        work: &mut Work,
    ) -> Result<Option<u32>, Conflict> {
        let key = self.index.key(tenant, sight.trace_id, sight.span_id);
        let parent = sight.parent_span_id.filter(|parent| *parent != sight.span_id);
        let parent = parent.map_or(0, |parent| self.index.key(tenant, sight.trace_id, parent));
        let found = self.index.find(key);
        if sight.call.is_none()
            && parent == 0
            && found.is_none_or(|number| !self.index.ring.get(number).is(Node::KNOWN))
        {
            // It links nothing. Were it ever sent again as a call, it would be that call.
            return Ok(None);
        }
        let Some(number) = found else {
            let number = self.index.insert(Node::new(key, parent, now, Node::KNOWN));
            work.undo.push(Undo::Made(key));
            let call = self.add_call(tenant, sight, number, work);
            if call.is_some() {
                self.tell_ancestors(key, parent, now, work)?;
            }
            return Ok(call);
        };
        let node = *self.index.ring.get(number);
        if node.is(Node::RESERVED) {
            return Err(Conflict);
        }
        let (is_known, is_above) = (node.is(Node::KNOWN), node.is(Node::ABOVE_CALL));
        if is_known && (node.call().is_some() || sight.call.is_none()) {
            return Ok(node.call());
        }
        work.undo.push(Undo::Changed(node));
        let call = self.add_call(tenant, sight, number, work);
        let mut parent = if is_known { node.parent } else { parent };
        if !is_known && self.is_circle(key, parent) {
            parent = 0;
        }
        let node = self.index.ring.get_mut(number);
        node.parent = parent;
        node.set(Node::KNOWN);
        node.renew(now);
        // A known span that is above a call has told its ancestors.
        if !is_known || !is_above {
            self.tell_ancestors(key, parent, now, work)?;
        }
        Ok(call)
    }

    /// Gives a node its call, if the sight is of one.
    fn add_call(&mut self, tenant: u64, sight: &Sight, number: u32, work: &mut Work) -> Option<u32> {
        let node = self.index.ring.get(number);
        let above = if node.is(Node::ABOVE_CALL) { Call::WRAPPER } else { 0 };
        let call = Call::of(sight, tenant, Call::NEW | above)?;
        let slot = self.index.insert_call(call);
        self.index.ring.get_mut(number).set_call(slot);
        work.touched.push(slot);
        if call.response != 0 {
            if self.index.listed(call.response).count() < window::RESPONSE_SIGHTS_MAX {
                self.index.list(slot);
            } else {
                work.unmatched += 1;
            }
        }
        Some(slot)
    }

    /// Tells the spans above this one that a call is below, from its parent upwards. Those that were told long ago are renewed, so
    /// that the way up to a span that is still open is not forgotten while calls come below it.
    fn tell_ancestors(&mut self, own: u64, parent: u64, now: u32, work: &mut Work) -> Result<(), Conflict> {
        let mut key = parent;
        while key != 0 && key != own {
            let Some(number) = self.index.find(key) else {
                self.index.insert(Node::new(key, 0, now, Node::ABOVE_CALL));
                work.undo.push(Undo::Made(key));
                return Ok(());
            };
            let node = *self.index.ring.get(number);
            if node.is(Node::RESERVED) {
                return Err(Conflict);
            }
            if !node.is(Node::ABOVE_CALL) {
                work.undo.push(Undo::Changed(node));
                self.index.ring.get_mut(number).set(Node::ABOVE_CALL);
                if let Some(slot) = node.call() {
                    let call = self.index.call_mut(slot);
                    work.undo.push(Undo::Flags(slot, call.flags));
                    call.flags |= Call::WRAPPER;
                    work.touched.push(slot);
                }
            } else if now.saturating_sub(node.arrived) < self.window_s / window::RENEWALS {
                return Ok(());
            }
            self.index.ring.get_mut(number).renew(now);
            key = node.parent;
        }
        Ok(())
    }

    /// Whether a span with this parent would be above itself.
    fn is_circle(&self, key: u64, parent: u64) -> bool {
        let above = |key: &u64| Some(self.index.ring.get(self.index.find(*key)?).parent);
        let ancestors = std::iter::successors(Some(parent), above).take_while(|key| *key != 0);
        ancestors.take(ANCESTORS_MAX).any(|ancestor| ancestor == key)
    }
}
