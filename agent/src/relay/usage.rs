//! When usage is injected into a stream (see [`super::inject`]), and what that does to request and response.
//!
//! The only place where the relay changes bytes. It can be switched off for all upstreams or for one (`usage_injection`), and
//! switches itself off for a while for a model whose server refuses the field, and for an upstream that responds in a way that
//! we cannot filter.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use http::request::Parts;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use ledgerline_process::locked;
use memchr::memmem;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::headers;
use super::inject::{NotInjected, inject_usage};
use crate::dialect::Endpoint;
use crate::limits::{
    INJECT_BODY_BYTES_MAX, INJECT_COPIES, INJECT_INLINE_BYTES_MAX, INJECTION_MODEL_BYTES_MAX,
    INJECTION_MODELS_MAX, INJECTION_PAUSE, REFUSAL_BYTES_MAX, REFUSAL_WAIT, UNCLEAR_REFUSALS,
};
use crate::metrics::NotInjectedReason;
use crate::wire::framing::media_type;
use crate::wire::json::unique_members;

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
    /// What the upstream made of our field, by the model asked for: behind one address stand servers of different make. Under
    /// the empty name: by the upstream as such.
    models: Mutex<HashMap<String, Experience>>,
}

#[derive(Debug, Default)]
struct Experience {
    /// Left alone until then.
    disabled_until: Option<Instant>,
    /// Refusals in a row, each taken back with success, that did not say what they were for.
    unclear_refusals: u32,
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
        Self { memory, models: Mutex::default() }
    }

    /// For [`INJECTION_PAUSE`] nothing is injected for any model of this upstream.
    pub(super) fn disable(&self, upstream: &str, reason: &'static str) {
        self.disable_model(upstream, "", reason);
    }

    /// For [`INJECTION_PAUSE`] nothing is injected for this model.
    fn disable_model(&self, upstream: &str, model: &str, reason: &'static str) {
        let now = Instant::now();
        let mut models = locked(&self.models);
        if models.len() >= INJECTION_MODELS_MAX {
            models.retain(|_, known| known.disabled_until.is_some_and(|until| until > now));
        }
        if models.len() >= INJECTION_MODELS_MAX && !models.contains_key(model) {
            return;
        }
        let before =
            models.entry(model.to_owned()).or_default().disabled_until.replace(now + INJECTION_PAUSE);
        if before.is_none_or(|until| until <= now) {
            tracing::warn!(
                upstream,
                model,
                reason,
                pause_seconds = INJECTION_PAUSE.as_secs(),
                "streams are not asked for usage for a while and their usage is estimated; set usage_injection of this \
                 upstream to false, or let clients send stream_options.include_usage"
            );
        }
    }

    /// It refused the changed request and took the client's own. One refusal that names our field tells enough; others may
    /// have had a reason of their own, and tell it only in a row.
    pub(super) fn taken_back(&self, upstream: &str, model: &str, names_our_field: bool) {
        let refusals = {
            let mut models = locked(&self.models);
            let refusals = models.get_mut(model).map(|known| {
                known.unclear_refusals += 1;
                known.unclear_refusals
            });
            if refusals.is_none() && models.len() < INJECTION_MODELS_MAX {
                models.insert(model.to_owned(), Experience { unclear_refusals: 1, ..Experience::default() });
            }
            refusals.unwrap_or(1)
        };
        if names_our_field || refusals >= UNCLEAR_REFUSALS {
            self.disable_model(upstream, model, "it refuses stream_options.include_usage");
        }
    }

    /// It took the changed request.
    pub(super) fn taken(&self, model: &str) {
        if let Some(known) = locked(&self.models).get_mut(model) {
            known.unclear_refusals = 0;
        }
    }

    /// Whether this model is left alone.
    pub(super) fn is_disabled(&self, model: &str) -> bool {
        let now = Instant::now();
        locked(&self.models)
            .get(model)
            .is_some_and(|known| known.disabled_until.is_some_and(|until| now < until))
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
        if self.is_disabled("") {
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

/// The model that a request names, where it can be read without a copy.
pub(super) fn model(body: &[u8]) -> &str {
    let named = unique_members(body, ["model"]).and_then(|[model]| body.get(model?.value));
    let text = named.and_then(|text| str::from_utf8(text).ok()).unwrap_or_default();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
    if text.len() <= INJECTION_MODEL_BYTES_MAX { text } else { "" }
}

/// Whether a refusal says that it is for our field. Reads no more of it than an error takes.
pub(super) async fn names_our_field(refusal: Response<Incoming>) -> bool {
    let read = Limited::new(refusal.into_body(), REFUSAL_BYTES_MAX).collect();
    let Ok(Ok(read)) = timeout(REFUSAL_WAIT, read).await else { return false };
    let body = read.to_bytes();
    OUR_FIELDS.iter().any(|field| memmem::find(&body, field).is_some())
}

const OUR_FIELDS: [&[u8]; 2] = [b"stream_options", b"include_usage"];

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

    fn policy() -> InjectionPolicy {
        InjectionPolicy::new(Arc::new(Semaphore::new(1)))
    }

    #[tokio::test(start_paused = true)]
    async fn a_model_that_refused_the_field_is_asked_again_after_a_while_and_others_always() {
        let policy = policy();
        for _ in 0..2 {
            assert!(!policy.is_disabled("old"));
            policy.taken_back("openai", "old", true);
            tokio::time::advance(INJECTION_PAUSE / 2).await;
            assert!(policy.is_disabled("old") && !policy.is_disabled("new") && !policy.is_disabled(""));
            tokio::time::advance(INJECTION_PAUSE / 2).await;
        }
        policy.disable("openai", "it compresses");
        assert!(policy.is_disabled("") && !policy.is_disabled("new"));
    }

    #[test]
    fn refusals_that_do_not_say_why_count_in_a_row_only() {
        let policy = policy();
        for _ in 0..5 {
            (1..UNCLEAR_REFUSALS).for_each(|_| policy.taken_back("openai", "m", false));
            assert!(!policy.is_disabled("m"));
            policy.taken("m");
        }
        (0..UNCLEAR_REFUSALS).for_each(|_| policy.taken_back("openai", "m", false));
        assert!(policy.is_disabled("m"));
    }

    #[test]
    fn as_many_models_are_remembered_as_fit() {
        let policy = policy();
        for number in 0..2 * INJECTION_MODELS_MAX {
            policy.taken_back("openai", &format!("m{number}"), true);
        }
        assert_eq!(locked(&policy.models).len(), INJECTION_MODELS_MAX);
    }

    #[test]
    fn the_model_of_a_request_is_read_where_it_is_plain() {
        for (body, expected) in [
            (r#"{"stream":true,"model":"gpt-4o"}"#, "gpt-4o"),
            (r#"{"model":7}"#, ""),
            (r#"{"model":"a","model":"b"}"#, ""),
            ("[]", ""),
        ] {
            assert_eq!(model(body.as_bytes()), expected, "{body}");
        }
    }
}
