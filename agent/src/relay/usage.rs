//! When usage is injected into a stream (see [`super::inject`]), and what that does to request and response.
//!
//! The only place where the relay changes bytes. It can be switched off for all upstreams or for one (`usage_injection`), and
//! switches itself off for a while for an upstream that refuses the field or responds in a way that we cannot filter.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use http::request::Parts;
use http_body::Body;
use hyper::body::Incoming;
use ledgerline_process::locked;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::headers;
use super::inject::{NotInjected, inject_usage};
use crate::dialect::Endpoint;
use crate::limits::{INJECT_BODY_BYTES_MAX, INJECT_COPIES, INJECT_INLINE_BYTES_MAX, INJECTION_PAUSE};
use crate::metrics::NotInjectedReason;
use crate::wire::framing::media_type;

/// Headers that hold a digest of the body or sign it: such a body cannot be changed without being refused.
const BODY_DIGESTS: [HeaderName; 5] = [
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("signature"),
    HeaderName::from_static("x-amz-content-sha256"),
];

#[derive(Debug)]
pub struct InjectionPolicy {
    /// Bytes for the requests collected at one time, shared by all upstreams.
    memory: Arc<Semaphore>,
    /// It refused our field, or responded in a way that we cannot filter: left alone until then.
    disabled_until: Mutex<Option<Instant>>,
}

#[derive(Debug)]
pub(super) enum Plan {
    Stream,
    /// Pass it through, although its stream may carry no usage.
    StreamAsItIs(NotInjectedReason),
    /// Collect it, with its share of the memory.
    Collect(OwnedSemaphorePermit),
}

impl InjectionPolicy {
    pub fn new(memory: Arc<Semaphore>) -> Self {
        Self { memory, disabled_until: Mutex::default() }
    }

    /// For [`INJECTION_PAUSE`] nothing is injected for this upstream: other models behind it may know the field.
    pub(super) fn disable(&self, upstream: &str, reason: &'static str) {
        let now = Instant::now();
        let before = locked(&self.disabled_until).replace(now + INJECTION_PAUSE);
        if before.is_none_or(|until| until <= now) {
            tracing::warn!(
                upstream,
                reason,
                pause_seconds = INJECTION_PAUSE.as_secs(),
                "streams of this upstream are not asked for usage for a while and their usage is estimated; set its \
                 usage_injection to false, or let clients send stream_options.include_usage"
            );
        }
    }

    fn is_disabled(&self) -> bool {
        locked(&self.disabled_until).is_some_and(|until| Instant::now() < until)
    }

    /// Collects plain, unsigned JSON of known and bounded size, while there is memory; everything else streams through.
    pub(super) fn plan(&self, endpoint: Option<&Endpoint>, parts: &Parts, body: &Incoming) -> Plan {
        let is_injected = endpoint.is_some_and(|endpoint| endpoint.injects_usage);
        if !is_injected || body.is_end_stream() {
            return Plan::Stream;
        }
        let is_plain_json = headers::text(&parts.headers, &CONTENT_TYPE)
            .is_some_and(|value| media_type(value).eq_ignore_ascii_case("application/json"))
            && is_plain(&parts.headers)
            && !BODY_DIGESTS.iter().any(|name| parts.headers.contains_key(name));
        if !is_plain_json {
            return Plan::StreamAsItIs(NotInjectedReason::encoding);
        }
        if self.is_disabled() {
            return Plan::StreamAsItIs(NotInjectedReason::disabled);
        }
        let length = body.size_hint().exact().filter(|length| *length <= INJECT_BODY_BYTES_MAX);
        let Some(bytes) = length.and_then(|length| u32::try_from(length * INJECT_COPIES).ok()) else {
            return Plan::StreamAsItIs(NotInjectedReason::size);
        };
        match self.memory.clone().try_acquire_many_owned(bytes) {
            Ok(permit) => Plan::Collect(permit),
            Err(_) => Plan::StreamAsItIs(NotInjectedReason::memory),
        }
    }
}

/// The request with usage injected, or why it is sent as it came. Large ones are read on a thread that does not forward.
pub(super) async fn injected(original: &Bytes) -> Result<Bytes, NotInjected> {
    if original.len() <= INJECT_INLINE_BYTES_MAX {
        return inject_usage(original).map(Bytes::from);
    }
    let original = original.clone();
    let injected = tokio::task::spawn_blocking(move || inject_usage(&original)).await;
    injected.unwrap_or(Err(NotInjected::NotUnderstood)).map(Bytes::from)
}

/// Headers of the changed request: its new length, and a response that is not compressed, so that the filter can read it.
pub(super) fn prepare_changed(headers: &mut HeaderMap, length: usize) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Whether this may be the response to our field: servers that check their input say 400, or 422 as `FastAPI` does.
pub(super) fn may_be_our_fault(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
}

/// Whether a body can be read as it is. `none` is not in RFC 9110, but servers send it.
pub(super) fn is_plain(headers: &HeaderMap) -> bool {
    let is_plain = |coding: &str| ["", "identity", "none"].iter().any(|it| coding.eq_ignore_ascii_case(it));
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|value| value.to_str().is_ok_and(|value| value.split(',').all(|coding| is_plain(coding.trim()))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_refused_the_field_is_asked_again_after_a_while() {
        let policy = InjectionPolicy::new(Arc::new(Semaphore::new(1)));
        assert!(!policy.is_disabled());
        for _ in 0..2 {
            policy.disable("openai", "it refuses the field");
            tokio::time::advance(INJECTION_PAUSE / 2).await;
            assert!(policy.is_disabled());
            tokio::time::advance(INJECTION_PAUSE / 2).await;
            assert!(!policy.is_disabled());
        }
    }
}
