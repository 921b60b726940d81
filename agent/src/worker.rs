//! The worker: turns what the relay observed into records of calls.
//!
//! It runs beside the relay on a thread of its own and can do it no harm: it only receives. Whatever a stranger's bytes
//! do to the reading of one call, a panic included, the call is recorded with what is certain, the fault is counted and
//! the next call is read. Memory is bounded by [`WorkerLimits`]. Prompts and answers are measured here and never kept,
//! logged or passed on.

pub mod assemble;
pub mod counters;
pub mod decode;
pub mod dialect;
pub mod estimate;
pub mod limits;
mod reading;
pub mod skim;
pub mod sse;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use ledgerline_proto::{Call, EndOfStream, Operation};

use self::assemble::{RelayEnd, Seen, assemble};
use self::counters::add_one;
pub use self::counters::{Failure, WorkerCounters};
pub use self::dialect::DialectTable;
pub use self::limits::WorkerLimits;
use self::reading::Reading;
use crate::observation::{CallNumber, CallStart, Observation, Tagged};

/// The error class of a call that was recorded before its end.
const EVICTED: &str = "evicted";

/// Reads all calls of a process.
pub struct Worker<S> {
    dialects: Arc<DialectTable>,
    limits: WorkerLimits,
    counters: Arc<WorkerCounters>,
    sink: S,
    /// By number, which is by age.
    open: BTreeMap<CallNumber, Box<OpenCall>>,
    /// Under way, and nothing more to record: not calls to a model, or recorded before their end. Kept so that their
    /// end is not taken for that of a lost call.
    settled: BTreeSet<CallNumber>,
    held_bytes: usize,
    /// The newest time an event carried; the end of calls that get none.
    now_unix_ns: u64,
}

struct OpenCall {
    seen: Seen,
    /// `None` after a panic.
    reading: Option<Reading>,
}

impl<S: FnMut(Call)> Worker<S> {
    /// A worker that hands each finished call to `sink`, which must not block.
    #[must_use]
    pub fn new(
        dialects: Arc<DialectTable>,
        limits: WorkerLimits,
        counters: Arc<WorkerCounters>,
        sink: S,
    ) -> Self {
        Self {
            dialects,
            limits,
            counters,
            sink,
            open: BTreeMap::new(),
            settled: BTreeSet::new(),
            held_bytes: 0,
            now_unix_ns: 0,
        }
    }

    /// Takes one event.
    pub fn observe(&mut self, tagged: Tagged) {
        add_one(&self.counters.events_observed);
        let Tagged { call, observation } = tagged;
        match observation {
            Observation::Start(start) => self.start(call, *start),
            Observation::End(end, at, class) => {
                self.now_unix_ns = self.now_unix_ns.max(at);
                self.end(call, RelayEnd { end, at_unix_ns: at, class });
            }
            Observation::Gap => {
                add_one(&self.counters.gaps);
                self.read(call, |reading, seen, _, _| reading.gap(seen));
            }
            Observation::RequestBody(bytes) => {
                self.read(call, |reading, _, limits, _| reading.request_body(&bytes, limits));
            }
            Observation::ResponseHead(head, at) => {
                self.now_unix_ns = self.now_unix_ns.max(at);
                if let Some(open) = self.open.get_mut(&call) {
                    open.seen.status = Some(head.status);
                }
                self.read(call, |reading, seen, limits, counters| {
                    reading.response_head(&head, seen, limits, counters);
                });
            }
            Observation::ResponseBody(bytes, at) => {
                self.now_unix_ns = self.now_unix_ns.max(at);
                self.read(call, |reading, seen, _, counters| {
                    reading.response_body(&bytes, at, seen, counters);
                });
            }
        }
        self.counters.open_calls.store(self.open.len() as u64, Ordering::Relaxed);
        self.counters.held_bytes.store(self.held_bytes as u64, Ordering::Relaxed);
    }

    /// Records every open call as ended by the agent.
    pub fn finish(&mut self) {
        while let Some(call) = self.open.keys().next().copied() {
            let at_unix_ns = self.now_unix_ns;
            self.end(call, RelayEnd { end: EndOfStream::RelayKilled, at_unix_ns, class: None });
        }
    }

    fn start(&mut self, call: CallNumber, start: CallStart) {
        self.now_unix_ns = self.now_unix_ns.max(start.at_unix_ns);
        self.settled.remove(&call);
        self.evict(call);
        let made = catch_unwind(AssertUnwindSafe(|| {
            let dialect = self.dialects.dialect(&start.dialect, &start.path)?;
            Some((dialect.operation(), Reading::new(dialect)))
        }));
        let open = match made {
            Ok(Some((operation, reading))) => {
                OpenCall { seen: Seen::new(start, operation), reading: Some(reading) }
            }
            Ok(None) => {
                add_one(&self.counters.requests_ignored);
                return self.settle(call);
            }
            Err(_) => {
                let mut open = OpenCall { seen: Seen::new(start, Operation::Chat), reading: None };
                open.lose(&self.counters);
                open
            }
        };
        if self.open.len() >= self.limits.open_calls_max
            && let Some(oldest) = self.open.keys().next().copied()
        {
            self.evict(oldest);
            self.settle(oldest);
        }
        self.open.insert(call, Box::new(open));
    }

    /// There is no room: records a call, if it is open, before its end. Its counts are not estimated, because more of
    /// the answer is to come.
    fn evict(&mut self, call: CallNumber) {
        let Some(open) = self.open.get_mut(&call) else { return };
        open.seen.answer_is_whole = false;
        add_one(&self.counters.calls_evicted);
        let at_unix_ns = self.now_unix_ns;
        self.end(call, RelayEnd { end: EndOfStream::RelayKilled, at_unix_ns, class: Some(EVICTED) });
    }

    fn settle(&mut self, call: CallNumber) {
        if self.settled.len() >= self.limits.open_calls_max {
            self.settled.pop_first();
        }
        self.settled.insert(call);
    }

    /// Runs one step of reading a call, contained.
    fn read(
        &mut self,
        call: CallNumber,
        step: impl FnOnce(&mut Reading, &mut Seen, &WorkerLimits, &WorkerCounters),
    ) {
        let Some(open) = self.open.get_mut(&call) else { return };
        let OpenCall { seen, reading: Some(reading) } = &mut **open else { return };
        let before = reading.held_bytes();
        let done = catch_unwind(AssertUnwindSafe(|| {
            step(reading, seen, &self.limits, &self.counters);
            let after = reading.held_bytes();
            if self.held_bytes - before + after <= self.limits.held_bytes_max || after <= before {
                return after;
            }
            self.counters.fail(Failure::HeldBytes);
            reading.release(seen);
            reading.held_bytes()
        }));
        self.held_bytes -= before;
        match done {
            Ok(after) => self.held_bytes += after,
            Err(_) => open.lose(&self.counters),
        }
    }

    fn end(&mut self, call: CallNumber, relay: RelayEnd) {
        let Some(mut open) = self.open.remove(&call) else {
            if !self.settled.remove(&call) {
                add_one(&self.counters.calls_unobserved);
            }
            return;
        };
        if let Some(reading) = open.reading.take() {
            self.held_bytes -= reading.held_bytes();
            let seen = &mut open.seen;
            let counters = &*self.counters;
            let done =
                catch_unwind(AssertUnwindSafe(|| reading.end(relay.end, relay.at_unix_ns, seen, counters)));
            if done.is_err() {
                open.lose(counters);
            }
        }
        let foreign_runs = open.seen.answer.foreign_runs;
        let finished = assemble(open.seen, relay);
        self.counters.foreign_runs.fetch_add(foreign_runs, Ordering::Relaxed);
        self.count(&finished);
        if catch_unwind(AssertUnwindSafe(|| (self.sink)(finished))).is_err() {
            add_one(&self.counters.panics);
        }
    }

    fn count(&self, call: &Call) {
        add_one(self.counters.recorded(call.end));
        match call.usage {
            Some(usage) if usage.source == ledgerline_proto::UsageSource::Estimated => {
                add_one(&self.counters.usage_estimated);
            }
            None if call.http_status.is_some_and(|status| status < 300) => {
                add_one(&self.counters.usage_missing);
            }
            _ => {}
        }
    }
}

impl OpenCall {
    /// A panic: what was read may be half written, so only the facts of the relay stay.
    fn lose(&mut self, counters: &WorkerCounters) {
        add_one(&counters.panics);
        self.reading = None;
        self.seen.request = dialect::RequestFacts::default();
        self.seen.answer = dialect::Answer::default();
        self.seen.first_token_unix_ns = None;
        self.seen.answer_is_whole = false;
    }
}

#[cfg(test)]
mod tests;
