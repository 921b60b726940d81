//! Injects a request for usage into a stream, where the client left that open.
//!
//! Without `stream_options.include_usage` a chat stream carries no token counts at all, and a bill that guesses is not
//! a bill. So the request is collected, the one field is spliced in, and what comes of it in the response is stripped. An
//! explicit `false` of the client is respected. This is the only place where the relay changes bytes; it can be
//! switched off for all upstreams or for one (`usage_injection`), and it switches itself off for an upstream that
//! refuses the field or answers in a way that we cannot filter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use http::StatusCode;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use http::request::Parts;
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::headers::is_media_type;
use super::inject::{NotInjected, inject_usage};
use crate::dialect::{Endpoint, UsageInjection};
use crate::limits::{
    INJECT_BODY_BYTES_MAX, INJECT_BYTES_IN_FLIGHT_MAX, INJECT_COPIES, INJECT_INLINE_BYTES_MAX,
};
use crate::metrics::NotInjectedReason;

/// Headers that hold a digest of the body or sign it: such a body cannot be changed without being refused.
const BODY_DIGESTS: [HeaderName; 5] = [
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("signature"),
    HeaderName::from_static("x-amz-content-sha256"),
];

/// Memory for the requests collected at one time, shared by all upstreams.
#[derive(Clone, Debug)]
pub struct Collecting(Arc<Semaphore>);

/// A share of that memory.
#[derive(Debug)]
pub struct Permit(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Collecting {
    /// [`INJECT_BYTES_IN_FLIGHT_MAX`] bytes.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(INJECT_BYTES_IN_FLIGHT_MAX)))
    }
}

impl Default for Collecting {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether usage is injected into the streams of one upstream.
#[derive(Debug)]
pub struct InjectionPolicy {
    collecting: Collecting,
    /// It refused our field, or answered in a way that we cannot filter. Holds until the agent starts again.
    disabled: AtomicBool,
}

/// What is to be done with a request.
#[derive(Debug)]
pub(super) enum Plan {
    /// Pass it through.
    Stream,
    /// Pass it through, although its stream may carry no usage.
    StreamAsItIs(NotInjectedReason),
    /// Collect it.
    Collect(Permit),
}

impl InjectionPolicy {
    /// Injects until an upstream turns out not to bear it.
    #[must_use]
    pub fn new(collecting: Collecting) -> Self {
        Self { collecting, disabled: AtomicBool::new(false) }
    }

    /// From now on nothing is injected into streams of this upstream.
    pub(super) fn disable(&self, upstream: &str, reason: &'static str) {
        if !self.disabled.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                upstream,
                reason,
                "streams of this upstream are no longer asked for usage and their usage is estimated; set its \
                 usage_injection to false, or let clients send stream_options.include_usage"
            );
        }
    }

    /// Whether this request is to be collected: a call whose dialect says so, in plain JSON, unsigned, of known and bounded size,
    /// while there is memory for it. Everything else streams through.
    pub(super) fn plan(&self, endpoint: Option<&Endpoint>, parts: &Parts, body: &Incoming) -> Plan {
        let is_injected = endpoint.is_some_and(|it| it.usage_injection == UsageInjection::StreamOptions);
        if !is_injected || body.is_end_stream() {
            return Plan::Stream;
        }
        let is_plain_json = is_media_type(parts.headers.get(CONTENT_TYPE), "application/json")
            && is_plain(&parts.headers)
            && !BODY_DIGESTS.iter().any(|name| parts.headers.contains_key(name));
        if !is_plain_json {
            return Plan::StreamAsItIs(NotInjectedReason::encoding);
        }
        if self.disabled.load(Ordering::Relaxed) {
            return Plan::StreamAsItIs(NotInjectedReason::disabled);
        }
        let length = body.size_hint().exact().filter(|length| *length <= INJECT_BODY_BYTES_MAX);
        let Some(permits) = length.and_then(|length| u32::try_from(length * INJECT_COPIES).ok()) else {
            return Plan::StreamAsItIs(NotInjectedReason::size);
        };
        match self.collecting.0.clone().try_acquire_many_owned(permits) {
            Ok(permit) => Plan::Collect(Permit(permit)),
            Err(_) => Plan::StreamAsItIs(NotInjectedReason::memory),
        }
    }
}

/// Reads a request whole, with its trailers.
///
/// # Errors
/// When the client breaks off.
pub(super) async fn collect(body: Incoming) -> Result<(Bytes, Option<HeaderMap>), hyper::Error> {
    let collected = body.collect().await?;
    let trailers = collected.trailers().cloned();
    Ok((collected.to_bytes(), trailers))
}

/// The request with usage injected, or why it is sent as it came. Large ones are read on another thread, because those
/// that forward must not be kept for milliseconds.
pub(super) async fn injected(original: &Bytes) -> Result<Bytes, NotInjected> {
    let injected = if original.len() <= INJECT_INLINE_BYTES_MAX {
        inject_usage(original)
    } else {
        let original = original.clone();
        tokio::task::spawn_blocking(move || inject_usage(&original))
            .await
            .unwrap_or(Err(NotInjected::NotUnderstood))
    };
    injected.map(Bytes::from)
}

/// Headers of the changed request: its new length, and an answer that is not compressed, so that the filter can read it.
pub(super) fn prepare_changed(headers: &mut HeaderMap, length: usize) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// Whether this status may be the answer to our field: servers that check their input say 400, or 422 as `FastAPI`
/// does. The reason is not looked for in the text, which may be compressed or in any words.
pub(super) fn may_be_our_fault(status: StatusCode) -> bool {
    matches!(status, StatusCode::BAD_REQUEST | StatusCode::UNPROCESSABLE_ENTITY)
}

/// Whether a body can be read as it is. `none` is not in RFC 9110, but servers send it.
pub(super) fn is_plain(headers: &HeaderMap) -> bool {
    headers.get_all(CONTENT_ENCODING).iter().all(|value| {
        value.to_str().is_ok_and(|value| {
            value.split(',').map(str::trim).all(|coding| {
                coding.is_empty()
                    || coding.eq_ignore_ascii_case("identity")
                    || coding.eq_ignore_ascii_case("none")
            })
        })
    })
}
