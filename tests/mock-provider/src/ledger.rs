//! The oracle: what the mock received, wrote and truly used, call by call. A chunk is entered before it is handed to
//! the connection, so whoever has seen a byte finds it here. It must never lose a call while the recording is full.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use sha2::{Digest, Sha256};
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::answer::TokenUsage;
use crate::request::Api;

/// How much the oracle keeps of each call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recording {
    /// Everything, for ever.
    Full,
    /// No bodies and no chunks (but those of calls that ended badly), and only the newest calls.
    Hashes {
        /// Older calls are forgotten beyond this many.
        calls_max: usize,
    },
}

/// How the mock's side of a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServedEnd {
    /// Still being written.
    Running,
    /// Written to its end.
    Complete,
    /// Cut because the scenario says so.
    CutByScenario,
    /// The peer went away, or the provider was stopped, before the end.
    PeerGone,
}

/// One chunk as it was handed to the connection and flushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedChunk {
    /// Time since the request was complete.
    pub at: Duration,
    /// The bytes; one HTTP chunk or DATA frame.
    pub bytes: Bytes,
}

/// One call from the provider's side.
#[derive(Clone, Debug)]
pub struct ServedCall {
    /// The response id, also sent as `x-mock-call-id`; unique within a provider.
    pub id: String,
    /// Sent as `x-request-id` (OpenAI) or `request-id` (Anthropic).
    pub request_id: String,
    /// The API that was spoken; `None` on paths that are not calls to a model.
    pub api: Option<Api>,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// The HTTP version the request arrived with.
    pub version: Version,
    /// The scenario that answered.
    pub scenario: &'static str,
    /// The request's headers (with [`Recording::Hashes`] only `x-ledgerline-*` and `traceparent`).
    pub request_headers: HeaderMap,
    /// The request's body; `None` with [`Recording::Hashes`].
    pub request_body: Option<Bytes>,
    /// SHA-256 of the request's body, lower-case hexadecimal.
    pub request_sha256: String,
    /// The model that was asked for.
    pub model_requested: String,
    /// The model that answered; `None` if none did.
    pub model_served: Option<String>,
    /// The service tier that answered; `None` if none did.
    pub tier_served: Option<String>,
    /// True if the request asked for a stream.
    pub is_stream: bool,
    /// The status that was sent.
    pub status: StatusCode,
    /// The headers that were sent, but those the HTTP layer adds (`date`, `transfer-encoding`, `content-length`).
    pub response_headers: HeaderMap,
    /// The chunks; with [`Recording::Hashes`] empty once the call is complete.
    pub chunks: Vec<ServedChunk>,
    /// How many bytes of body were handed to the connection.
    pub response_bytes: u64,
    /// SHA-256 of the body so far, set when the call has ended.
    pub response_sha256: Option<String>,
    /// The same without what asking for usage adds: what a client sees if a proxy asked for usage and hides it.
    pub response_sha256_without_usage_event: Option<String>,
    /// Where OpenAI's extra usage event lies in the body, if there is one and the body is not encoded.
    pub usage_event: Option<Range<u64>>,
    /// What was truly used; `None` if the provider refused the call.
    pub usage: Option<TokenUsage>,
    /// True once the final usage stands in the bytes that were written.
    pub usage_was_sent: bool,
    /// How it ended.
    pub end: ServedEnd,
}

impl ServedCall {
    /// The body that was written, put together; `None` if its chunks were not kept.
    pub fn body(&self) -> Option<Vec<u8>> {
        let body: Vec<u8> = self.chunks.iter().flat_map(|chunk| chunk.bytes.iter().copied()).collect();
        (body.len() as u64 == self.response_bytes).then_some(body)
    }

    /// The body without what OpenAI's `include_usage` adds: the extra usage event, and a null in every other event that
    /// is complete.
    pub fn body_without_usage_event(&self) -> Option<Vec<u8>> {
        let mut body = self.body()?;
        if let Some(range) = &self.usage_event {
            let end = (range.end as usize).min(body.len());
            body.drain((range.start as usize).min(end)..end);
        }
        Some(if self.is_stream { without_null_usage(&body) } else { body })
    }
}

/// In a string the quotes would be escaped, so this is a member wherever it stands.
const NULL_USAGE: &[u8] = br#","usage":null"#;

fn without_null_usage(body: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.windows(NULL_USAGE.len()).position(|window| window == NULL_USAGE) {
        let behind = &rest[at + NULL_USAGE.len()..];
        let is_complete = behind.iter().any(|byte| matches!(byte, b'\n' | b'\r')) || behind.ends_with(b"}");
        kept.extend_from_slice(&rest[..if is_complete { at } else { at + NULL_USAGE.len() }]);
        rest = behind;
    }
    kept.extend_from_slice(rest);
    kept
}

/// The calls of one provider.
#[derive(Debug)]
pub struct Ledger {
    recording: Recording,
    state: Mutex<State>,
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    calls: BTreeMap<u64, Arc<Mutex<ServedCall>>>,
    by_id: HashMap<String, u64>,
    occurrences: HashMap<u64, u64>,
    next: u64,
    ended: usize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic elsewhere in a test must not hide what the provider served.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// An empty ledger.
    pub(super) fn new(recording: Recording) -> Self {
        Self { recording, state: Mutex::default(), ended: Notify::new() }
    }

    /// All calls in order of arrival.
    pub fn calls(&self) -> Vec<ServedCall> {
        lock(&self.state).calls.values().map(|call| lock(call).clone()).collect()
    }

    /// The call with this response id or request id.
    pub fn call(&self, id: &str) -> Option<ServedCall> {
        let state = lock(&self.state);
        let call = state.by_id.get(id).and_then(|number| state.calls.get(number))?;
        let call = lock(call).clone();
        Some(call)
    }

    /// Forgets the calls, not the counters that keep ids unique.
    pub fn clear(&self) {
        let mut state = lock(&self.state);
        state.calls.clear();
        state.by_id.clear();
        state.ended = 0;
    }

    /// Waits until this many calls have ended since the start or the last `clear`.
    pub async fn wait_ended(&self, count: usize, deadline: Duration) -> anyhow::Result<Vec<ServedCall>> {
        let end = Instant::now() + deadline;
        loop {
            let notified = self.ended.notified();
            let ended = lock(&self.state).ended;
            if ended >= count {
                return Ok(self.calls());
            }
            if tokio::time::timeout_at(end, notified).await.is_err() {
                bail!("mock provider: {ended} of {count} calls ended within {deadline:?}");
            }
        }
    }

    /// How often this seed was seen before.
    pub(super) fn occurrence(&self, seed: u64) -> u64 {
        let mut state = lock(&self.state);
        let count = state.occurrences.entry(seed).or_insert(0);
        *count += 1;
        *count - 1
    }

    /// Enters a call that is about to be answered.
    pub(super) fn open(
        self: &Arc<Self>,
        mut call: ServedCall,
        started: Instant,
        usage_end: Option<u64>,
    ) -> Entry {
        if let Recording::Hashes { .. } = self.recording {
            call.request_body = None;
            call.response_headers = HeaderMap::new();
            let kept = |name: &str| name.starts_with("x-ledgerline-") || name == "traceparent";
            call.request_headers =
                call.request_headers.iter().filter(|(name, _)| kept(name.as_str())).map(own).collect();
        }
        let (id, request_id) = (call.id.clone(), call.request_id.clone());
        let call = Arc::new(Mutex::new(call));
        let mut state = lock(&self.state);
        let number = state.next;
        state.next += 1;
        state.calls.insert(number, Arc::clone(&call));
        state.by_id.insert(id, number);
        state.by_id.insert(request_id, number);
        if let Recording::Hashes { calls_max } = self.recording {
            while state.calls.len() > calls_max {
                if let Some((_, oldest)) = state.calls.pop_first() {
                    let oldest = lock(&oldest);
                    state.by_id.remove(&oldest.id);
                    state.by_id.remove(&oldest.request_id);
                }
            }
        }
        drop(state);
        Entry {
            ledger: Arc::clone(self),
            call,
            started,
            usage_end,
            sha256: Sha256::new(),
            written: 0,
            is_open: true,
        }
    }
}

fn own((name, value): (&http::HeaderName, &http::HeaderValue)) -> (http::HeaderName, http::HeaderValue) {
    (name.clone(), value.clone())
}

/// The pen of one call. Dropping it before the end enters that the peer went away.
#[derive(Debug)]
pub(super) struct Entry {
    ledger: Arc<Ledger>,
    call: Arc<Mutex<ServedCall>>,
    started: Instant,
    usage_end: Option<u64>,
    sha256: Sha256,
    written: u64,
    is_open: bool,
}

impl Entry {
    /// Enters a chunk; to be called before the connection gets it.
    pub(super) fn chunk(&mut self, bytes: &Bytes) {
        self.written += bytes.len() as u64;
        self.sha256.update(bytes);
        let mut call = lock(&self.call);
        call.response_bytes = self.written;
        call.usage_was_sent = self.usage_end.is_some_and(|end| self.written >= end);
        call.chunks.push(ServedChunk { at: self.started.elapsed(), bytes: bytes.clone() });
    }

    /// Enters the end; later ends are ignored.
    pub(super) fn end(&mut self, end: ServedEnd) {
        if !std::mem::replace(&mut self.is_open, false) {
            return;
        }
        let mut call = lock(&self.call);
        call.end = end;
        call.response_sha256 = Some(hexadecimal(&self.sha256.clone().finalize()));
        call.response_sha256_without_usage_event =
            call.body_without_usage_event().map(|body| hexadecimal(&Sha256::digest(&body)));
        if self.ledger.recording != Recording::Full && end == ServedEnd::Complete {
            call.chunks = Vec::new();
        }
        drop(call);
        lock(&self.ledger.state).ended += 1;
        self.ledger.ended.notify_waiters();
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.end(ServedEnd::PeerGone);
    }
}

/// Lower-case hexadecimal.
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
