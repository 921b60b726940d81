//! Calls that the collector has not acknowledged, in memory and bounded in bytes.
//!
//! Calls gather in an open request, which is sealed when it is full or has waited long enough: encoded once, numbered, and
//! never changed or thrown away, because an earlier attempt may have reached the collector. So a full spool refuses the
//! newest call: it is certainly not stored anywhere, and a counted loss is better for the books than a doubtful request.
//!
//! Requests that have to wait are kept compressed, about seven times smaller; one that is sent at once never is.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use ledgerline_process::locked;
use ledgerline_process::throttle::Throttle;
use ledgerline_proto::Call;
use ledgerline_proto::otlp::export_request;
use prost::Message;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::limits::{
    EXPORT_CALLS_MAX, EXPORT_LINGER, EXPORT_REQUEST_BYTES, SPOOL_COMPRESSION_LEVEL, WARNING_EVERY,
};
use crate::metrics::{DropReason, Metrics};

/// A request that never changes again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedRequest {
    /// Its number, from 1 and without holes.
    pub sequence: u64,
    pub calls: usize,
    bytes: Bytes,
    /// Its length before it was compressed, if it was.
    plain_length: Option<usize>,
}

impl SealedRequest {
    /// The encoded `ExportTraceServiceRequest`, the same bytes at each attempt. `None` if memory was corrupted.
    pub fn message(&self) -> Option<Bytes> {
        match self.plain_length {
            None => Some(self.bytes.clone()),
            Some(length) => zstd::bulk::decompress(&self.bytes, length).ok().map(Bytes::from),
        }
    }
}

/// All methods take a moment and none waits, but [`Spool::next`].
pub struct Spool {
    /// A panic would leave counts in disorder, not calls.
    state: Mutex<State>,
    /// A call came, or the spool was closed.
    changed: Notify,
    bytes_max: usize,
    metrics: Arc<Metrics>,
    warnings: Throttle,
}

#[derive(Default)]
struct State {
    open: Vec<Call>,
    open_bytes: usize,
    open_since: Option<Instant>,
    sealed: VecDeque<SealedRequest>,
    /// Bytes of `open`, `sealed` and what the sender holds.
    bytes: usize,
    last_sequence: u64,
    closed: bool,
    /// Refused since the last warning.
    refused: u64,
}

impl Spool {
    pub fn new(bytes_max: usize, metrics: Arc<Metrics>) -> Self {
        let warnings = Throttle::new(WARNING_EVERY);
        Self { state: Mutex::default(), changed: Notify::new(), bytes_max, metrics, warnings }
    }

    /// Takes a finished call, or counts it as dropped when there is no room.
    pub fn push(&self, call: Call) {
        let size = call_bytes(&call);
        let mut state = locked(&self.state);
        if state.bytes + size > self.bytes_max {
            self.refuse(&mut state);
            return;
        }
        state.bytes += size;
        state.open_bytes += size;
        state.open.push(call);
        state.open_since.get_or_insert_with(Instant::now);
        let first_or_full = state.open.len() == 1 || state.open_is_full();
        if state.open_is_full() {
            state.seal();
        }
        self.show(&state);
        self.metrics.calls_waiting.inc();
        drop(state);
        if first_or_full {
            self.changed.notify_one();
        }
    }

    fn refuse(&self, state: &mut State) {
        self.metrics.count_dropped(DropReason::spool_full, 1);
        state.refused += 1;
        if self.warnings.passes() {
            tracing::warn!(
                dropped = state.refused,
                spool_bytes_max = self.bytes_max,
                "the collector does not keep up and the spool is full; finished calls are not recorded"
            );
            state.refused = 0;
        }
    }

    /// The next request to send. Waits until one is sealed; `None` after [`Spool::close`] when all were handed out.
    /// Cancel-safe: a request is handed out only when this returns. For one caller.
    pub async fn next(&self) -> Option<SealedRequest> {
        loop {
            let linger_until = {
                let mut state = locked(&self.state);
                let due = state.open_since.is_some_and(|since| since.elapsed() >= EXPORT_LINGER);
                if state.sealed.is_empty() && (due || state.closed) {
                    state.seal();
                    self.show(&state);
                }
                if let Some(request) = state.sealed.pop_front() {
                    return Some(request);
                }
                if state.closed {
                    return None;
                }
                state.open_since.map(|since| since + EXPORT_LINGER)
            };
            match linger_until {
                None => self.changed.notified().await,
                Some(until) => tokio::select! {
                    () = tokio::time::sleep_until(until) => {}
                    () = self.changed.notified() => {}
                },
            }
        }
    }

    /// A request is done with, whatever its fate: its memory is free.
    pub fn release(&self, request: &SealedRequest) {
        let mut state = locked(&self.state);
        state.bytes = state.bytes.saturating_sub(request.bytes.len());
        self.show(&state);
        self.metrics.calls_waiting.dec_by(i64::try_from(request.calls).unwrap_or(i64::MAX));
    }

    /// No more calls will come; what is open is sealed at once.
    pub fn close(&self) {
        locked(&self.state).closed = true;
        self.changed.notify_one();
    }

    fn show(&self, state: &State) {
        self.metrics.spool_bytes.set(i64::try_from(state.bytes).unwrap_or(i64::MAX));
    }
}

impl State {
    fn open_is_full(&self) -> bool {
        self.open.len() >= EXPORT_CALLS_MAX || self.open_bytes >= EXPORT_REQUEST_BYTES
    }

    fn seal(&mut self) {
        self.open_since = None;
        if self.open.is_empty() {
            return;
        }
        let calls = self.open.len();
        let plain = export_request(&self.open).encode_to_vec();
        let compressed = if self.sealed.is_empty() { None } else { compress(&plain) };
        let plain_length = compressed.is_some().then_some(plain.len());
        let bytes = compressed.unwrap_or_else(|| plain.into());
        self.last_sequence += 1;
        self.bytes = self.bytes.saturating_sub(self.open_bytes) + bytes.len();
        self.open.clear();
        self.open_bytes = 0;
        self.sealed.push_back(SealedRequest { sequence: self.last_sequence, calls, bytes, plain_length });
    }
}

/// `None` only for want of memory; the request is good as it is. The copy is exactly as large as it must be; the
/// compressor's buffer is as large as its input.
fn compress(plain: &[u8]) -> Option<Bytes> {
    zstd::bulk::compress(plain, SPOOL_COMPRESSION_LEVEL).ok().map(|buffer| Bytes::copy_from_slice(&buffer))
}

/// About how many bytes a call takes in a request, never much less: 24 attributes with their names, and its texts.
fn call_bytes(call: &Call) -> usize {
    const FIXED: usize = 1_100;
    let identity = &call.identity;
    let texts = [
        &identity.service,
        &identity.environment,
        &identity.team,
        &identity.feature,
        &identity.user,
        &identity.session,
        &call.provider,
        &call.request_model,
        &call.response_model,
        &call.response_id,
    ];
    FIXED
        + texts.into_iter().map(String::len).sum::<usize>()
        + call.request_model.len()
        + call.error_type.as_ref().map_or(0, String::len)
        + call.unread.as_ref().map_or(0, |unread| unread.upstream.len() + unread.path.len() + 64)
        + call.finish_reasons.iter().map(|reason| reason.len() + 4).sum::<usize>()
}

#[cfg(test)]
pub(super) mod tests;
