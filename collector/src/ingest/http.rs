//! OTLP over HTTP: `POST /v1/traces`, Protocol Buffers or JSON.
//!
//! Source: opentelemetry-proto docs/specification.md, "OTLP/HTTP".

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request as HttpRequest, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{
    ACCEPT_ENCODING, ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ORIGIN, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method};
use ledgerline_proto::producer::{EPOCH_KEY, PRODUCER_ID_KEY, RequestIdentity, SEQUENCE_KEY};
use tokio::time::Instant;
use tower_http::cors::CorsLayer;

use super::decode::Format;
use super::decompress::Encoding;
use super::refusal::Refusal;
use super::reply::{self, Receipt};
use super::{Ingest, Request, body};
use crate::limits;

/// Where OTLP says traces go, and where senders that are configured for Langfuse put them.
const PATHS: [&str; 2] = ["/v1/traces", "/api/public/otel/v1/traces"];

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    ingest: Arc<Ingest>,
    /// Pages of these may send. A browser names the page's origin with every POST and lets no page change that, so this also
    /// keeps out a page that got here by a name of its own (DNS rebinding).
    origins: Arc<[HeaderValue]>,
}

/// The routes. Web pages may send if they are of these origins.
pub fn router(ingest: Arc<Ingest>, origins: &[HeaderValue]) -> Router {
    let cors = CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE])
        .expose_headers([RETRY_AFTER])
        .max_age(limits::PREFLIGHT_AGE_MAX);
    let router = PATHS
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, post(export)))
        .method_not_allowed_fallback(not_allowed)
        .fallback(not_found)
        .with_state(Shared { ingest, origins: origins.into() });
    if origins.is_empty() { router } else { router.layer(cors) }
}

async fn not_found(State(shared): State<Shared>, request: HttpRequest) -> Response {
    let path = request.uri().path().escape_debug().to_string();
    elsewhere(&shared, &request, &Refusal::NotFound(path))
}

async fn not_allowed(State(shared): State<Shared>, request: HttpRequest) -> Response {
    let mut response = elsewhere(&shared, &request, &Refusal::Method);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

fn elsewhere(shared: &Shared, request: &HttpRequest, refusal: &Refusal) -> Response {
    let metrics = &shared.ingest.parts.metrics;
    metrics.requests.of(["http"]).inc();
    metrics.refused.of([refusal.name()]).inc();
    refused(format(request.headers()).unwrap_or(Format::Json), refusal)
}

async fn export(State(shared): State<Shared>, request: HttpRequest) -> Response {
    let begun = Instant::now();
    let metrics = &shared.ingest.parts.metrics;
    metrics.requests.of(["http"]).inc();
    let format = format(request.headers());
    // The response to a content type we do not know is written in the format that people can read.
    let response_format = format.as_ref().map_or(Format::Json, |format| *format);
    let outcome = match format {
        Ok(format) => take(&shared, format, request, begun).await,
        Err(refusal) => Err(refusal),
    };
    metrics.request_seconds.observe(begun.elapsed().as_secs_f64());
    match outcome {
        Ok(receipt) => accepted(response_format, &receipt),
        Err(refusal) => {
            metrics.refused.of([refusal.name()]).inc();
            refused(response_format, &refusal)
        }
    }
}

fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    Format::from_content_type(
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default(),
    )
}

async fn take(
    Shared { ingest, origins }: &Shared,
    format: Format,
    request: HttpRequest,
    begun: Instant,
) -> Result<Receipt, Refusal> {
    let (head, http_body) = request.into_parts();
    if head.headers.get(ORIGIN).is_some_and(|origin| !origins.contains(origin)) {
        return Err(Refusal::Origin);
    }
    let principal = ingest.parts.access.principal(&head.headers)?;
    let encoding = head.headers.get(CONTENT_ENCODING).map_or(Ok(""), HeaderValue::to_str);
    let encoding = Encoding::from_name(encoding.unwrap_or("not text"))?;
    let mut grant = ingest.admission.enter();
    let body = body::read(http_body, &mut grant).await?;
    let (producer, deadline) = (producer(&head.headers), begun + limits::REQUEST_WAIT);
    ingest.export(Request { principal, producer, format, encoding, body, grant, deadline }).await
}

fn accepted(format: Format, receipt: &Receipt) -> Response {
    ([(CONTENT_TYPE, format.content_type())], reply::success(format, receipt)).into_response()
}

fn refused(format: Format, refusal: &Refusal) -> Response {
    let body = reply::failure(format, refusal);
    let mut response = (refusal.http_status(), [(CONTENT_TYPE, format.content_type())], body).into_response();
    let headers = response.headers_mut();
    if refusal.is_transient() {
        headers.insert(RETRY_AFTER, limits::RETRY_AFTER.as_secs().into());
    }
    match refusal {
        Refusal::Unauthenticated(_) => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        Refusal::Unsupported(_) => {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(Encoding::ACCEPTED));
        }
        _ => {}
    }
    response
}

/// The agent's numbering. Without all three it is some other sender, whose request is named by its spans alone.
pub(super) fn producer(headers: &HeaderMap) -> Option<RequestIdentity> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    Some(RequestIdentity {
        producer_id: text(PRODUCER_ID_KEY).filter(|id| !id.is_empty() && id.len() <= 64)?.to_owned(),
        epoch: text(EPOCH_KEY)?.parse().ok()?,
        sequence: text(SEQUENCE_KEY)?.parse().ok()?,
    })
}
