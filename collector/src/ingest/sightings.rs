//! One call, once: which of the spans that tell of a call is billed. Pure: no I/O, the time is an argument.
//!
//! A call to a model is often reported more than once: by the agent that relayed it, by the client library, by the framework
//! around that, and again when a sender repeats a request. The spans come in any order, in different requests, up to hours
//! apart. Each report is a *sight*. The record keeps every sight; the bill has one of them.
//!
//! | | rule | what is billed |
//! |---|---|---|
//! | 1 | A span that is no call is never billed. It links the spans above it to those below. | nothing |
//! | 2 | A call above a call in its trace, with any spans between, is a *wrapper*. It is never billed, whoever saw it. | the lowest calls |
//! | 3 | The same span (tenant, trace, span id) sent again is a *repeat*. If it was no call at first, it becomes one. | its first call |
//! | 4 | Calls seen by different observers (the agent, or an instrumentation scope), with the same response id, of one tenant, at the same time (2 s of slack), in one trace or in several, are one call. | one of them, see 6 |
//! | 5 | Calls seen by one observer are different calls, also with the same response id: mock servers and caches repeat ids. At most one sight of each observer is matched to a call. | each |
//! | 6 | Of the sights of one call: the agent's; else the better counts (provider, drained, counted, sender, estimated, missing); else the one that starts last, which is the inner one. | one |
//! | 7 | A call that is the same as a wrapper (by 4) is billed with what the wrapper wraps. | what is below |
//! | 8 | A better sight that comes later takes the earlier back, by a correction. So does a call that turns out to lie below. | the later |
//!
//! 7 needs the response id of a wrapper only where no lowest call of its trace has the same one. The rules are a function of the
//! set of spans, so the order in which they come does not change what is billed in the end, with these exceptions: of a span
//! that is sent twice with different facts the first facts hold; where parents form a circle, the link that closes it is
//! ignored (circles longer than [`ANCESTORS_MAX`] are not seen: their calls are all wrappers); what is forgotten is not known; and of
//! one response id at most [`RESPONSE_SIGHTS_MAX`] sights are compared, beyond which each counts by its position.
//!
//! **Window.** A span is known for the window after it came (two hours by default), a parent for as long as calls come below it. When the
//! memory bound is reached the oldest are forgotten early, and counted. When one sight of a call is forgotten its other sights stay what
//! they are: what was taken back does not come back. What comes after its match was forgotten is billed again.
//!
//! **Under way.** [`Sightings::decide`] gives verdicts before the spans are stored and reserves what they rest on: each span, its
//! ancestors that it makes wrappers, and the response ids. A request that needs one of these gets [`Conflict`] and asks again when
//! the first was committed (its spans are stored) or abandoned (they are not, and nothing remains of it). Plain spans of one trace do not
//! conflict. Each decision must be given back by one or the other. Where it is not known whether spans were stored, find out first.
//!
//! [`Restore`] makes the state again from what is stored.

mod index;
mod position;
mod restore;
mod rules;
mod sight;
#[cfg(test)]
mod tests;
mod window;

use std::time::Duration;

use foldhash::{HashSet, HashSetExt};

use index::{Call, Index, Node};
pub use position::ANCESTORS_MAX;
pub use restore::{Missing, Restore};
pub use sight::{
    CallSight, Cause, Change, Conflict, Correction, Observer, ResponseId, Sight, UsageRank, Verdict,
};
pub use window::{Forgotten, RESPONSE_SIGHTS_MAX};

/// How much is remembered, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes, at 36 a span and 76 more for a call: what the tables cost when they have just grown.
    pub bytes: usize,
    /// From the arrival of a span.
    pub window: Duration,
}

/// What is known of the spans of the window.
pub struct Sightings {
    index: Index,
    /// The response ids that undecided requests rest on.
    reserved: HashSet<u64>,
    bytes_max: usize,
    window_s: u32,
    /// The latest time that was told.
    now: u32,
    forgotten: Forgotten,
}

/// What was decided for a request. Give it back to [`Sightings::commit`] or [`Sightings::abandon`].
#[derive(Debug)]
#[must_use = "what it reserves is held until it is committed or abandoned"]
pub struct Decision {
    /// One for each span of the request, in its order.
    pub verdicts: Vec<Verdict>,
    /// What changes for spans of earlier requests. To be booked when the request is stored, and never before: a restart finds out
    /// what of it is missing, but a call that was taken back for a span that was never stored would be lost.
    pub corrections: Vec<Correction>,
    undo: Vec<Undo>,
    responses: Vec<u64>,
    unmatched: u64,
}

/// How to take a step back; the last step first. Nodes are named by their keys: they move.
#[derive(Debug)]
enum Undo {
    /// A node was made.
    Made(u64),
    /// A node was changed from this.
    Changed(Node),
    /// The flags of a call were changed from these.
    Flags(u32, u8),
}

/// A decision in the making.
#[derive(Default)]
struct Work {
    undo: Vec<Undo>,
    /// Calls that are new or have become wrappers.
    touched: Vec<u32>,
    responses: Vec<u64>,
    corrections: Vec<Correction>,
    /// New calls whose response id is on too many sights.
    unmatched: u64,
}

impl Sightings {
    /// Knows nothing yet. The seed is to be secret: a sender that knows it can make spans that are taken for repeats.
    pub fn new(bounds: Bounds, seed: u64) -> Self {
        Self {
            index: Index::new(seed),
            reserved: HashSet::new(),
            bytes_max: bounds.bytes,
            window_s: u32::try_from(bounds.window.as_secs()).unwrap_or(u32::MAX),
            now: 0,
            forgotten: Forgotten::default(),
        }
    }

    /// Decides on the spans of one request of a tenant, which come at `now`. On a conflict nothing has changed.
    pub fn decide(&mut self, tenant: &str, sights: &[Sight], now_unix_ns: u64) -> Result<Decision, Conflict> {
        self.forget(now_unix_ns);
        let mut work = Work::default();
        match self.try_decide(tenant, sights, &mut work) {
            Ok(verdicts) => {
                let Work { undo, responses, corrections, unmatched, .. } = work;
                self.reserve(&undo, &responses);
                Ok(Decision { verdicts, corrections, undo, responses, unmatched })
            }
            Err(conflict) => {
                self.undo(work.undo);
                Err(conflict)
            }
        }
    }

    fn try_decide(
        &mut self,
        tenant: &str,
        sights: &[Sight],
        work: &mut Work,
    ) -> Result<Vec<Verdict>, Conflict> {
        let tenant = self.index.tenant(tenant);
        let mut new = Vec::new();
        let mut verdicts = Vec::with_capacity(sights.len());
        for (place, sight) in sights.iter().enumerate() {
            let before = work.touched.len();
            let found = self.see(tenant, sight, self.now, work)?;
            verdicts.push(if sight.call.is_some() { Verdict::Again } else { Verdict::Plain });
            if let Some(slot) = found
                && work.touched[before..].contains(&slot)
            {
                new.push((place, slot));
            }
        }
        self.judge(work)?;
        for (place, slot) in new {
            let call = self.index.call_mut(slot);
            call.flags &= !Call::NEW;
            verdicts[place] = match call {
                call if call.is(Call::COUNTS) => Verdict::Counts,
                call if call.is_wrapper() => Verdict::Wrapper,
                _ => Verdict::Repeat,
            };
        }
        Ok(verdicts)
    }

    /// Settles every call that the new spans may have changed.
    fn judge(&mut self, work: &mut Work) -> Result<(), Conflict> {
        for slot in std::mem::take(&mut work.touched) {
            let call = *self.index.call(slot);
            if call.is(Call::LISTED) {
                work.responses.push(call.response);
            } else {
                self.settle(slot, !call.is_wrapper(), work);
            }
        }
        work.responses.sort_unstable();
        work.responses.dedup();
        if work.responses.iter().any(|response| self.reserved.contains(response)) {
            return Err(Conflict);
        }
        for place in 0..work.responses.len() {
            for (slot, counts) in self.billed(work.responses[place]) {
                self.settle(slot, counts, work);
            }
        }
        Ok(())
    }

    /// Each sight of a response id, and whether it is to be billed.
    fn billed(&self, response: u64) -> Vec<(u32, bool)> {
        let mut sights: Vec<(u32, bool)> = self.index.listed(response).map(|slot| (slot, false)).collect();
        if let [(slot, counts)] = sights.as_mut_slice() {
            *counts = !self.index.call(*slot).is_wrapper();
            return sights;
        }
        let calls: Vec<Call> = sights.iter().map(|(slot, _)| *self.index.call(*slot)).collect();
        for group in rules::groups(&calls) {
            if let Some(place) = group.billed(&calls) {
                sights[place].1 = true;
            }
        }
        sights
    }

    fn settle(&mut self, slot: u32, counts: bool, work: &mut Work) {
        let call = self.index.call_mut(slot);
        if call.is(Call::COUNTS) == counts {
            return;
        }
        work.undo.push(Undo::Flags(slot, call.flags));
        call.flags ^= Call::COUNTS;
        if !call.is(Call::NEW) {
            work.corrections.push(correction(call, if counts { Change::Count } else { Change::TakeBack }));
        }
    }

    fn reserve(&mut self, undo: &[Undo], responses: &[u64]) {
        for key in undo.iter().filter_map(Undo::node) {
            if let Some(number) = self.index.find(key) {
                self.index.ring.get_mut(number).set(Node::RESERVED);
            }
        }
        self.reserved.extend(responses);
    }

    fn release(&mut self, undo: &[Undo], responses: &[u64]) {
        for key in undo.iter().filter_map(Undo::node) {
            if let Some(number) = self.index.find(key) {
                self.index.ring.get_mut(number).clear(Node::RESERVED);
            }
        }
        for response in responses {
            self.reserved.remove(response);
        }
    }

    /// The spans of the request are stored and its corrections are booked, or will be.
    #[expect(clippy::needless_pass_by_value, reason = "a decision is given back once")]
    pub fn commit(&mut self, decision: Decision) {
        self.release(&decision.undo, &decision.responses);
        self.forgotten.unmatched += decision.unmatched;
        for response in &decision.responses {
            self.trim(*response);
        }
        self.forget_early();
    }

    /// The spans of the request are not stored, and its corrections are not booked.
    pub fn abandon(&mut self, decision: Decision) {
        self.release(&decision.undo, &decision.responses);
        self.undo(decision.undo);
    }

    fn undo(&mut self, steps: Vec<Undo>) {
        for step in steps.into_iter().rev() {
            match step {
                Undo::Made(key) => {
                    if let Some(number) = self.index.find(key) {
                        self.index.remove(number);
                    }
                }
                Undo::Changed(before) => {
                    let Some(number) = self.index.find(before.key) else { continue };
                    let node = *self.index.ring.get(number);
                    if let Some(slot) = node.call().filter(|_| before.call().is_none()) {
                        self.index.remove_call(slot);
                    }
                    *self.index.ring.get_mut(number) = before;
                }
                Undo::Flags(slot, before) => self.index.call_mut(slot).flags = before,
            }
        }
    }

    /// What was given up before its time.
    pub fn forgotten(&self) -> Forgotten {
        self.forgotten
    }

    /// Bytes that are allocated.
    pub fn bytes(&self) -> usize {
        self.index.allocated()
    }
}

impl Undo {
    fn node(&self) -> Option<u64> {
        match self {
            Self::Made(key) | Self::Changed(Node { key, .. }) => Some(*key),
            Self::Flags(..) => None,
        }
    }
}

fn correction(call: &Call, change: Change) -> Correction {
    let cause = if call.is_wrapper() { Cause::Wrapper } else { Cause::Repeat };
    Correction { trace_id: call.trace_id, span_id: call.span_id, end_unix_ns: call.end, change, cause }
}
