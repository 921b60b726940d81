//! The state after a restart, from what is stored; and what was not booked before it. Pure.
//!
//! A process may end after the spans of a request were stored and before its corrections were booked. The rules say what must be
//! booked; what is stored says what is; the difference is booked now. One thing the rules cannot say: a call that does not count
//! and that nothing explains was matched to one that is older than the window. It stays uncounted.

use std::sync::Arc;

use foldhash::{HashMap, HashMapExt, HashSet, HashSetExt};

use super::index::Call;
use super::sight::{Change, Correction, Sight};
use super::{Bounds, Sightings, Work, correction, rules};

/// Reads what is stored, in any order, into a new state.
pub struct Restore {
    sightings: Sightings,
    tenants: HashMap<Arc<str>, u64>,
    calls: HashMap<u32, Booked>,
    /// Response ids that are on more sights than are compared.
    overfull: HashSet<u64>,
}

struct Booked {
    tenant: Arc<str>,
    /// How many times the call is on the books.
    times: i32,
    /// How many corrections it has.
    corrections: u32,
}

/// A correction that was not booked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// Whose call it is.
    pub tenant: Arc<str>,
    /// What to book.
    pub correction: Correction,
    /// How many corrections the call has: with it the same correction at another time has another name.
    pub corrections: u32,
}

impl Restore {
    /// Has read nothing yet.
    pub fn new(bounds: Bounds, seed: u64) -> Self {
        Self {
            sightings: Sightings::new(bounds, seed),
            tenants: HashMap::new(),
            calls: HashMap::new(),
            overfull: HashSet::new(),
        }
    }

    /// Reads one stored row of the window. `booked` is 1 if it was stored as counting, plus the signs of all corrections of its span; of
    /// a span that is stored more than once, the corrections, and how many they are, go with any one of its rows.
    pub fn row(
        &mut self,
        tenant: &Arc<str>,
        sight: &Sight,
        arrived_unix_ns: u64,
        (booked, corrections): (i32, u32),
    ) {
        let index = &self.sightings.index;
        let tenant_key = *self.tenants.entry(Arc::clone(tenant)).or_insert_with(|| index.tenant(tenant));
        let arrived = u32::try_from(arrived_unix_ns / 1_000_000_000).unwrap_or(u32::MAX);
        let mut work = Work::default();
        // Nothing is reserved, so there is no conflict.
        let Ok(Some(slot)) = self.sightings.see(tenant_key, sight, arrived, &mut work) else { return };
        let call = self.sightings.index.call_mut(slot);
        call.flags &= !Call::NEW;
        if work.unmatched > 0 {
            self.overfull.insert(call.response);
        }
        let unbooked = || Booked { tenant: Arc::clone(tenant), times: 0, corrections: 0 };
        let known = self.calls.entry(slot).or_insert_with(unbooked);
        known.times += booked;
        known.corrections += corrections;
    }

    /// What it holds takes so many bytes, as [`Bounds`] counts them. Nothing is forgotten while it reads.
    pub fn bytes(&self) -> usize {
        self.sightings.index.charge()
    }

    /// So many calls and other spans of the window are not read, for the bound of memory.
    pub fn unread(&mut self, calls: u64, spans: u64) {
        self.sightings.forgotten.calls += calls;
        self.sightings.forgotten.spans += spans;
    }

    /// The state at `now`, and what must still be booked, in no order.
    pub fn finish(mut self, now_unix_ns: u64) -> (Sightings, Vec<Missing>) {
        let mut missing = Vec::new();
        let mut responses = HashSet::new();
        let slots: Vec<u32> = self.calls.keys().copied().collect();
        for slot in slots {
            let call = *self.sightings.index.call(slot);
            if call.is(Call::LISTED) {
                responses.insert(call.response);
            } else {
                self.settle(slot, !call.is_wrapper() && self.times(slot) > 0, &mut missing);
            }
        }
        for response in responses {
            self.settle_response(response, &mut missing);
        }
        self.sightings.index.sort();
        self.sightings.forget(now_unix_ns);
        (self.sightings, missing)
    }

    fn settle_response(&mut self, response: u64, missing: &mut Vec<Missing>) {
        let billed = self.sightings.billed(response);
        if self.overfull.contains(&response) {
            for (slot, _) in billed {
                let is_lowest = !self.sightings.index.call(slot).is_wrapper();
                self.sightings.index.unlist(slot);
                self.settle(slot, is_lowest && self.times(slot) > 0, missing);
            }
            return;
        }
        let mut unexplained = Vec::new();
        for (slot, counts) in &billed {
            let is_unexplained = *counts && self.times(*slot) == 0 && !self.is_explained(*slot, &billed);
            if is_unexplained {
                unexplained.push(*slot);
            }
            self.settle(*slot, *counts && !is_unexplained, missing);
        }
        for slot in unexplained {
            self.sightings.settle_for_good(slot);
        }
    }

    /// Whether there is another sight by which a call that does not count may have been one of two or more sights of a call, until one
    /// came that is matched to the other. Else its match is older than the window.
    fn is_explained(&self, slot: u32, sights: &[(u32, bool)]) -> bool {
        let call = self.sightings.index.call(slot);
        sights.iter().any(|(other, _)| {
            let sight = self.sightings.index.call(*other);
            rules::may_be_one(call, sight) && (self.times(*other) > 0 || sight.is_wrapper())
        })
    }

    fn times(&self, slot: u32) -> i32 {
        self.calls.get(&slot).map_or(0, |booked| booked.times)
    }

    fn settle(&mut self, slot: u32, counts: bool, missing: &mut Vec<Missing>) {
        let Some(Booked { tenant, times, corrections }) = self.calls.get(&slot) else { return };
        let call = self.sightings.index.call_mut(slot);
        if counts {
            call.flags |= Call::COUNTS;
        }
        let short = i32::from(counts) - times;
        let change = if short > 0 { Change::Count } else { Change::TakeBack };
        for _ in 0..short.unsigned_abs() {
            let (tenant, correction) = (Arc::clone(tenant), correction(call, change));
            missing.push(Missing { tenant, correction, corrections: *corrections });
        }
    }
}
