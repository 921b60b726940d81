//! The worker: turns what the relay observed into records of calls.
//!
//! It runs beside the relay and can do it no harm: it only receives. Whatever a stranger's bytes do to the reading of one
//! call, a panic included, the call is recorded with what is certain, the fault is counted and the next call is read. Memory
//! is bounded by [`WorkerLimits`]. Prompts and responses are measured here and never kept, logged or passed on.

mod assemble;
mod background;
mod call_reader;
mod decode;
mod truncate;
mod unread;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ledgerline_proto::{Call, EndOfStream, UsageSource};

use self::assemble::{CallFacts, ClientLeft, RelayEnd, assemble};
use self::background::{BackgroundCalls, Waiting};
use self::call_reader::CallReader;
use self::unread::UnreadPaths;
use crate::dialect::Purpose;
use crate::limits::WorkerLimits;
use crate::metrics::{Failure, Metrics};
use crate::observation::{CallNumber, CallStart, Observation, Tagged};

const EVICTED: &str = "evicted";

pub struct Worker<S> {
    limits: WorkerLimits,
    metrics: Arc<Metrics>,
    sink: S,
    /// By number, which is by age.
    open: BTreeMap<CallNumber, Box<OpenCall>>,
    /// Under way and recorded already. Kept so that their end is not taken for that of a lost call.
    settled: BTreeSet<CallNumber>,
    /// Their responses have ended, and the providers work on.
    background: BackgroundCalls,
    unread: UnreadPaths,
    held_bytes: usize,
    /// The newest time an event carried; the end of calls that get none.
    now_unix_ns: u64,
}

struct OpenCall {
    facts: CallFacts,
    /// `None` after a panic.
    reader: Option<CallReader>,
}

impl<S: FnMut(Call)> Worker<S> {
    /// A worker that hands each finished call to `sink`, which must not block.
    pub fn new(limits: WorkerLimits, metrics: Arc<Metrics>, sink: S) -> Self {
        Self {
            limits,
            metrics,
            sink,
            open: BTreeMap::new(),
            settled: BTreeSet::new(),
            background: BackgroundCalls::new(limits.background_calls_max, limits.background_age_ns_max),
            unread: UnreadPaths::default(),
            held_bytes: 0,
            now_unix_ns: 0,
        }
    }

    pub fn observe(&mut self, tagged: Tagged) {
        self.metrics.worker_events.inc();
        let Tagged { call, observation } = tagged;
        match observation {
            Observation::Start(start) => self.start(call, *start),
            Observation::End(end, at, class) => {
                self.now_unix_ns = self.now_unix_ns.max(at);
                self.end(call, RelayEnd { end, at_unix_ns: at, class });
            }
            Observation::ClientLeft(at) => {
                self.now_unix_ns = self.now_unix_ns.max(at);
                if let Some(open) = self.open.get_mut(&call) {
                    open.facts.client_left =
                        Some(ClientLeft { at_unix_ns: at, had_usage: open.facts.response.usage_is_final });
                }
            }
            Observation::Gap => self.read(call, |reader, facts, _, _| reader.gap(facts)),
            Observation::RequestBody(bytes) => {
                self.read(call, |reader, _, limits, _| reader.request_body(&bytes, limits));
            }
            Observation::ResponseHead(head, at) => {
                self.now_unix_ns = self.now_unix_ns.max(at);
                if let Some(open) = self.open.get_mut(&call) {
                    open.facts.status = Some(head.status);
                }
                self.read(call, |reader, facts, limits, metrics| {
                    reader.response_head(&head, facts, limits, metrics);
                });
            }
            Observation::ResponseBody(bytes, at) => {
                self.now_unix_ns = self.now_unix_ns.max(at);
                self.read(call, |reader, facts, _, metrics| {
                    reader.response_body(&bytes, at, facts, metrics);
                });
            }
        }
        self.metrics.calls_open.set(self.open.len() as i64);
        self.metrics.worker_held_bytes.set(self.held_bytes as i64);
        self.metrics.calls_in_background.set(self.background.len() as i64);
    }

    /// Records every open call as ended by the agent.
    pub fn finish(&mut self) {
        while let Some(call) = self.open.keys().next().copied() {
            let at_unix_ns = self.now_unix_ns;
            self.end(call, RelayEnd { end: EndOfStream::RelayKilled, at_unix_ns, class: None });
        }
        self.expire(u64::MAX);
    }

    /// Records the calls in the background that nobody has asked for in time: without usage.
    fn expire(&mut self, now_unix_ns: u64) {
        while let Some(Waiting { mut facts, end }) = self.background.expired(now_unix_ns) {
            facts.response_is_whole = false;
            self.record(facts, RelayEnd { end: EndOfStream::Complete, ..end });
        }
    }

    fn start(&mut self, call: CallNumber, start: CallStart) {
        self.now_unix_ns = self.now_unix_ns.max(start.at_unix_ns);
        self.settled.remove(&call);
        self.evict(call);
        self.expire(self.now_unix_ns);
        let reader = catch_unwind(AssertUnwindSafe(|| CallReader::new((start.endpoint.reader)()))).ok();
        let mut open = OpenCall { facts: CallFacts::new(start), reader };
        if open.reader.is_none() {
            open.lose(&self.metrics);
        }
        if self.open.len() >= self.limits.open_calls_max
            && let Some(oldest) = self.open.keys().next().copied()
        {
            self.evict(oldest);
            self.settle(oldest);
        }
        self.open.insert(call, Box::new(open));
    }

    /// There is no room: records a call, if it is open, before its end. More is to come, so nothing is estimated.
    fn evict(&mut self, call: CallNumber) {
        let Some(open) = self.open.get_mut(&call) else { return };
        open.facts.response_is_whole = false;
        self.metrics.calls_evicted.inc();
        let at_unix_ns = self.now_unix_ns;
        self.end(call, RelayEnd { end: EndOfStream::RelayKilled, at_unix_ns, class: Some(EVICTED) });
    }

    fn settle(&mut self, call: CallNumber) {
        if self.settled.len() >= self.limits.open_calls_max {
            self.settled.pop_first();
        }
        self.settled.insert(call);
    }

    fn read(
        &mut self,
        call: CallNumber,
        step: impl FnOnce(&mut CallReader, &mut CallFacts, &WorkerLimits, &Metrics),
    ) {
        let Some(open) = self.open.get_mut(&call) else { return };
        let OpenCall { facts, reader: Some(reader) } = &mut **open else { return };
        let before = reader.held_bytes();
        let done = catch_unwind(AssertUnwindSafe(|| {
            step(reader, facts, &self.limits, &self.metrics);
            let after = reader.held_bytes();
            if self.held_bytes - before + after <= self.limits.held_bytes_max || after <= before {
                return after;
            }
            self.metrics.fail(Failure::held_bytes);
            reader.release(facts);
            reader.held_bytes()
        }));
        self.held_bytes -= before;
        match done {
            Ok(after) => self.held_bytes += after,
            Err(_) => open.lose(&self.metrics),
        }
    }

    fn end(&mut self, call: CallNumber, relay: RelayEnd) {
        let Some(mut open) = self.open.remove(&call) else {
            if !self.settled.remove(&call) {
                self.metrics.calls_headless.inc();
            }
            return;
        };
        if let Some(reader) = open.reader.take() {
            self.held_bytes -= reader.held_bytes();
            let (facts, metrics) = (&mut open.facts, &*self.metrics);
            let end = AssertUnwindSafe(|| reader.end(relay.end, relay.at_unix_ns, facts, metrics));
            if catch_unwind(end).is_err() {
                open.lose(metrics);
            }
        }
        let facts = open.facts;
        match facts.start.endpoint.purpose {
            Purpose::Call if facts.response.is_running && !facts.response.response_id.is_empty() => {
                if let Some(facts) = self.background.insert(facts, relay) {
                    self.record(facts, relay);
                }
                self.expire(self.now_unix_ns);
            }
            Purpose::Call => self.record(facts, relay),
            Purpose::Unread => match self.unread.complete(facts) {
                Some(facts) => {
                    let upstream = facts.start.upstream.clone();
                    self.metrics.calls_unread.get_or_create(&[("upstream", upstream)]).inc();
                    self.record(facts, relay);
                }
                None => {
                    self.metrics.calls_ignored.inc();
                }
            },
            Purpose::Poll => {
                self.metrics.calls_ignored.inc();
                if let Some(facts) = self.background.complete(facts) {
                    self.record(facts, relay);
                }
            }
        }
    }

    fn record(&mut self, facts: CallFacts, relay: RelayEnd) {
        let call = assemble(facts, relay);
        self.metrics.calls_recorded.get_or_create(&[("end", call.end.name())]).inc();
        match &call.usage {
            Some(usage) if usage.source == UsageSource::Estimated => {
                self.metrics.usage_estimated.inc();
            }
            None if call.http_status.is_some_and(|status| status < 300) => {
                self.metrics.usage_missing.inc();
            }
            _ => {}
        }
        if catch_unwind(AssertUnwindSafe(|| (self.sink)(call))).is_err() {
            self.metrics.worker_panics.inc();
        }
    }
}

impl OpenCall {
    /// A panic: what was read may be half written, so only the facts of the relay stay.
    fn lose(&mut self, metrics: &Metrics) {
        metrics.worker_panics.inc();
        self.reader = None;
        let CallFacts { status, streamed, .. } = self.facts;
        let nothing = CallFacts::new(self.facts.start.clone());
        self.facts = CallFacts { status, streamed, response_is_whole: false, ..nothing };
    }
}

#[cfg(test)]
mod tests;
