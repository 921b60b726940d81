//! Which sights with one response id are one call, and which of them is billed. Pure: a function of the set, in no order.
//!
//! A sight takes part when it is lowest in its trace, or when it is a wrapper whose trace holds no lowest sight of this id: then
//! the id is all that links what is below it to the other traces.
//!
//! The sights that take part are put into groups, one group a call: by end, earliest first, each into the first group where it
//! overlaps every sight and where its observer has none yet. For two observers this finds as many pairs as there can be: of the
//! pairs that the earliest end may form, the one with the next end takes least from the rest. And because a sight looks at
//! earlier groups first, a group can be removed without a change to any other, which lets the window forget.

use std::cmp::Reverse;

use super::index::Call;

/// Clocks of two observers of one call may differ by so much: a sight overlaps another when neither starts more than this after the
/// other's end.
pub(super) const OVERLAP_SLACK_NS: u64 = 2_000_000_000;

/// The sights of one call.
pub(super) struct Group {
    /// Their places in the list.
    pub sights: Vec<usize>,
}

impl Group {
    /// The place of the sight that is billed. `None` when one of them is a wrapper: all of them are billed with what it wraps.
    pub fn billed(&self, calls: &[Call]) -> Option<usize> {
        if self.sights.iter().any(|place| calls[*place].is_wrapper()) {
            return None;
        }
        self.sights.iter().copied().max_by_key(|place| preference(&calls[*place]))
    }

    fn takes(&self, call: &Call, calls: &[Call]) -> bool {
        self.sights.iter().all(|place| may_be_one(call, &calls[*place]))
    }
}

/// Whether two sights with one response id may be of one call.
pub(super) fn may_be_one(call: &Call, other: &Call) -> bool {
    let is_before = |first: &Call, second: &Call| first.end.saturating_add(OVERLAP_SLACK_NS) < second.start();
    call.observer != other.observer && !is_before(call, other) && !is_before(other, call)
}

/// The agent's before any other's, then the better counts, then the inner: what starts later. Ids decide between equals.
fn preference(call: &Call) -> impl Ord {
    (call.is_agents(), call.usage, call.start(), Reverse((call.trace_id, call.span_id)))
}

/// The calls among these sights of one response id, in the order of their first ends.
pub(super) fn groups(calls: &[Call]) -> Vec<Group> {
    let is_lowest_in = |call: &Call, trace| !call.is_wrapper() && call.trace_id == trace;
    let takes_part = |place: &usize| {
        let call = &calls[*place];
        !call.is_wrapper() || !calls.iter().any(|other| is_lowest_in(other, call.trace_id))
    };
    let mut places: Vec<usize> = (0..calls.len()).filter(takes_part).collect();
    places.sort_unstable_by_key(|place| {
        let call = &calls[*place];
        (call.end, call.start(), call.trace_id, call.span_id)
    });
    let mut groups: Vec<Group> = Vec::new();
    for place in places {
        let call = &calls[place];
        match groups.iter_mut().find(|group| group.takes(call, calls)) {
            Some(group) => group.sights.push(place),
            None => groups.push(Group { sights: vec![place] }),
        }
    }
    groups
}
