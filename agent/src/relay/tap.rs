//! Copies what passes to the worker, and never waits for it.
//!
//! One bounded queue for all calls. When a call starts, two places in it are reserved, so that every call that was started
//! also ends for the worker, and bytes that were left out are told in their place, at the latest before the end. Bytes on
//! the way are counted against a limit. A call that gets no places is forwarded all the same and counted as unobserved.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ledgerline_process::{Clock, locked};
use ledgerline_proto::EndOfStream;
use memchr::memmem;
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio_util::sync::CancellationToken;

use crate::limits::{OBSERVED_COPY_BYTES_MAX, RelayLimits};
use crate::metrics::Metrics;
use crate::observation::{CallNumber, CallStart, Observation, ResponseHead, Tagged};

pub(crate) struct Tap {
    sender: mpsc::Sender<Tagged>,
    shared: Arc<Shared>,
    next_call: AtomicU64,
}

struct Shared {
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    bytes_max: i64,
    /// The agent stops: a call that is broken off from now on was broken off by us.
    killed: CancellationToken,
}

impl Shared {
    /// Counts bytes as on the way. Returns whether they fit; they are to be released in any case.
    fn charge(&self, bytes: &Bytes) -> bool {
        let length = length(bytes);
        self.metrics.observed_bytes.inc_by(length) + length <= self.bytes_max
    }

    fn release(&self, bytes: &Bytes) {
        self.metrics.observed_bytes.dec_by(length(bytes));
    }
}

fn length(bytes: &Bytes) -> i64 {
    i64::try_from(bytes.len()).unwrap_or(i64::MAX)
}

pub(crate) struct Observations {
    receiver: mpsc::Receiver<Tagged>,
    shared: Arc<Shared>,
}

pub(crate) fn tap(limits: RelayLimits, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> (Tap, Observations) {
    let (sender, receiver) = mpsc::channel(limits.observations_max);
    let shared = Arc::new(Shared {
        clock,
        metrics,
        bytes_max: i64::try_from(limits.observed_bytes_max).unwrap_or(i64::MAX),
        killed: CancellationToken::new(),
    });
    (Tap { sender, shared: shared.clone(), next_call: AtomicU64::new(1) }, Observations { receiver, shared })
}

impl Tap {
    pub fn now_unix_ns(&self) -> u64 {
        self.shared.clock.now_unix_ns()
    }

    /// To be cancelled before the calls that still run are broken off by us.
    pub fn killed(&self) -> &CancellationToken {
        &self.shared.killed
    }

    pub fn ignore(&self) {
        self.shared.metrics.calls_observed.inc();
        self.shared.metrics.calls_ignored.inc();
    }

    /// Starts to observe a call. `None`: the worker is too far behind, the call is counted as unobserved.
    pub fn start(&self, start: CallStart) -> Option<ObservedCall> {
        self.shared.metrics.calls_observed.inc();
        let started = self.try_start(start);
        if started.is_none() {
            self.shared.metrics.calls_unobserved.inc();
        }
        started
    }

    fn try_start(&self, start: CallStart) -> Option<ObservedCall> {
        let finish_field = start.endpoint.finish_field;
        let end = self.sender.clone().try_reserve_owned().ok()?;
        let gap = self.sender.clone().try_reserve_owned().ok()?;
        let call = CallNumber(self.next_call.fetch_add(1, Ordering::Relaxed));
        let tagged = Tagged { call, observation: Observation::Start(Box::new(start)) };
        self.sender.try_send(tagged).ok()?;
        Some(ObservedCall(Arc::new(CallTap {
            call,
            finish_field,
            sender: self.sender.clone(),
            shared: self.shared.clone(),
            gap_is_due: AtomicBool::new(false),
            has_gaps: AtomicBool::new(false),
            last: Mutex::new(Some([gap, end])),
        })))
    }
}

pub(crate) struct CallTap {
    call: CallNumber,
    /// See [`Endpoint::finish_field`](crate::dialect::Endpoint).
    finish_field: Option<&'static str>,
    sender: mpsc::Sender<Tagged>,
    shared: Arc<Shared>,
    /// Bytes were left out since the last event, and the worker does not know.
    gap_is_due: AtomicBool,
    has_gaps: AtomicBool,
    /// Places in the queue for a gap that could not be reported before, and for the end.
    last: Mutex<Option<[OwnedPermit<Tagged>; 2]>>,
}

impl CallTap {
    pub fn request_body(&self, bytes: &Bytes) {
        self.copy(bytes, Observation::RequestBody);
    }

    pub fn response_head(&self, head: ResponseHead) {
        let at = self.shared.clock.now_unix_ns();
        self.offer(Observation::ResponseHead(head, at));
    }

    pub fn response_body(&self, bytes: &Bytes) {
        let at = self.shared.clock.now_unix_ns();
        self.copy(bytes, |bytes| Observation::ResponseBody(bytes, at));
    }

    pub fn client_left(&self) {
        let at = self.shared.clock.now_unix_ns();
        self.offer(Observation::ClientLeft(at));
    }

    /// Whether the model says in these bytes that it has finished, and its usage is still to come.
    pub fn has_finished_in(&self, bytes: &[u8]) -> bool {
        let Some(field) = self.finish_field else { return false };
        // The field's value is null until then.
        let is_text = |behind: &[u8]| {
            let value = behind.strip_prefix(b"\"").map(<[u8]>::trim_ascii_start);
            let value = value.and_then(|value| value.strip_prefix(b":")).map(<[u8]>::trim_ascii_start);
            value.is_some_and(|value| value.starts_with(b"\""))
        };
        memmem::find_iter(bytes, field).any(|at| is_text(&bytes[at + field.len()..]))
    }

    pub fn is_killed(&self) -> bool {
        self.shared.killed.is_cancelled()
    }

    fn copy(&self, bytes: &Bytes, observation: impl FnOnce(Bytes) -> Observation) {
        if bytes.is_empty() {
            return;
        }
        if !self.shared.charge(bytes) {
            self.gap();
            self.shared.release(bytes);
            return;
        }
        let handle = if bytes.len() <= OBSERVED_COPY_BYTES_MAX {
            Bytes::copy_from_slice(bytes)
        } else {
            bytes.clone()
        };
        if !self.offer(observation(handle)) {
            self.shared.release(bytes);
        }
    }

    fn offer(&self, observation: Observation) -> bool {
        let sent = self.report_gap() && self.sender.try_send(Tagged { call: self.call, observation }).is_ok();
        if !sent {
            self.gap();
        }
        sent
    }

    /// Reports bytes left out before what comes now. Returns whether the worker knows of all gaps.
    fn report_gap(&self) -> bool {
        if !self.gap_is_due.swap(false, Ordering::Relaxed) {
            return true;
        }
        let is_sent = self.sender.try_send(self.gap_event()).is_ok();
        self.gap_is_due.fetch_or(!is_sent, Ordering::Relaxed);
        is_sent
    }

    fn gap_event(&self) -> Tagged {
        Tagged { call: self.call, observation: Observation::Gap }
    }

    fn gap(&self) {
        self.gap_is_due.store(true, Ordering::Relaxed);
        if !self.has_gaps.swap(true, Ordering::Relaxed) {
            self.shared.metrics.calls_with_gaps.inc();
        }
    }
}

/// The owner of an observation: it ends the call, at the latest when it is dropped.
pub(crate) struct ObservedCall(Arc<CallTap>);

impl ObservedCall {
    /// The tap, for the body of the request, which has its own life.
    pub fn tap(&self) -> &Arc<CallTap> {
        &self.0
    }

    /// The call has ended. What comes first counts.
    pub fn end(&self, end: EndOfStream, class: Option<&'static str>) {
        let last = locked(&self.0.last).take();
        if let Some([gap, place]) = last {
            if self.0.gap_is_due.swap(false, Ordering::Relaxed) {
                gap.send(self.0.gap_event());
            }
            let at = self.0.shared.clock.now_unix_ns();
            place.send(Tagged { call: self.0.call, observation: Observation::End(end, at, class) });
        }
    }
}

impl Drop for ObservedCall {
    fn drop(&mut self) {
        self.end(if self.0.is_killed() { EndOfStream::RelayKilled } else { EndOfStream::ClientGone }, None);
    }
}

impl Observations {
    pub async fn next(&mut self) -> Option<Tagged> {
        self.receiver.recv().await.inspect(|tagged| self.release(tagged))
    }

    pub fn try_next(&mut self) -> Option<Tagged> {
        self.receiver.try_recv().ok().inspect(|tagged| self.release(tagged))
    }

    fn release(&self, tagged: &Tagged) {
        if let Observation::RequestBody(bytes) | Observation::ResponseBody(bytes, _) = &tagged.observation {
            self.shared.release(bytes);
        }
    }
}

#[cfg(test)]
mod tests;
