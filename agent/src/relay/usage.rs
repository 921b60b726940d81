//! Asking an `OpenAI` stream for its usage, where the client left that open.
//!
//! Without `stream_options.include_usage` a chat stream carries no token counts at all, and a bill that guesses is not
//! a bill. So the request is collected, the one field is spliced in, and the extra chunk of the answer is hidden. An
//! explicit `false` of the client is respected. This is the only place where the relay changes bytes; it can be
//! switched off (`relay.usage_injection`).

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::amend::{self, Amendment};
use super::body::Start;
use super::headers::is_media_type;
use super::route::Route;
use crate::config::Dialect;
use crate::limits::{AMEND_BODY_BYTES_MAX, AMEND_BYTES_IN_FLIGHT_MAX, REFUSAL_BYTES_MAX};

/// Memory for the requests collected at one time.
#[derive(Clone, Debug)]
pub struct Collecting(Arc<Semaphore>);

/// A share of that memory.
#[derive(Debug)]
pub struct Permit(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Collecting {
    /// [`AMEND_BYTES_IN_FLIGHT_MAX`] bytes.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(Semaphore::new(AMEND_BYTES_IN_FLIGHT_MAX)))
    }
}

impl Default for Collecting {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether this request is to be collected: a chat completion in plain JSON, of known and bounded size, while there is
/// memory for it. Everything else streams through.
pub(super) fn plan(
    collecting: &Collecting,
    route: &Route,
    path: &str,
    parts: &Parts,
    body: &Incoming,
) -> Option<Permit> {
    let is_chat = parts.method == Method::POST
        && route.dialect == Dialect::Openai
        && path.trim_end_matches('/').ends_with("/chat/completions")
        && is_media_type(parts.headers.get(CONTENT_TYPE), "application/json")
        && !parts.headers.contains_key(CONTENT_ENCODING);
    let length = body.size_hint().exact().filter(|length| (1..=AMEND_BODY_BYTES_MAX).contains(length))?;
    if !is_chat {
        return None;
    }
    let permits = u32::try_from(length).ok()?;
    collecting.0.clone().try_acquire_many_owned(permits).ok().map(Permit)
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

/// The request that asks for usage; `None` if it is not a stream, already says so, or cannot be read.
pub(super) fn amended(original: &Bytes) -> Option<Bytes> {
    match amend::ask_for_usage(original) {
        Amendment::Amended(changed) => Some(Bytes::from(changed)),
        Amendment::Untouched(_) => None,
    }
}

/// Headers of the changed request: its new length, and an answer that is not compressed, so that the filter can read it.
pub(super) fn prepare_changed(headers: &mut HeaderMap, length: usize) {
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// What the upstream said to the changed request.
pub(super) enum Asked {
    /// Anything but 400.
    Accepted(Response<Incoming>),
    /// 400 for another reason, and what was read to know that.
    Failed(Response<Incoming>, Start),
    /// 400 because of our field.
    Refused,
}

/// Reads as much of a 400 answer as it takes to know whether our field is the reason.
pub(super) async fn examine(mut response: Response<Incoming>) -> Asked {
    if response.status() != StatusCode::BAD_REQUEST {
        return Asked::Accepted(response);
    }
    let mut start = Start::default();
    let mut text = Vec::new();
    while text.len() < REFUSAL_BYTES_MAX && start.last.is_none() {
        match response.body_mut().frame().await {
            None => break,
            Some(Err(error)) => start.last = Some(Err(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => {
                    text.extend_from_slice(&bytes);
                    start.frames.push_back(bytes);
                }
                Err(frame) => start.last = frame.into_trailers().ok().map(Ok),
            },
        }
    }
    if memchr::memmem::find(&text, b"stream_options").is_some() {
        return Asked::Refused;
    }
    Asked::Failed(response, start)
}
