//! OTLP over HTTP: `POST /v1/traces`, Protocol Buffers or JSON.
//!
//! Source: opentelemetry-proto docs/specification.md, "OTLP/HTTP".

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{
    ACCEPT_ENCODING, ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, ORIGIN, RETRY_AFTER,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, Method};
use tokio::time::Instant;
use tower_http::cors::CorsLayer;

use super::Ingest;
use super::decode::Format;
use super::decompress::Encoding;
use super::refusal::Refusal;
use super::reply::{self, Receipt};
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

async fn not_found(State(shared): State<Shared>, request: Request) -> Response {
    let path = request.uri().path().escape_debug().to_string();
    respond(&shared, format(request.headers()), async { Err(Refusal::NotFound(path)) }).await
}

async fn not_allowed(State(shared): State<Shared>, request: Request) -> Response {
    let mut response = respond(&shared, format(request.headers()), async { Err(Refusal::Method) }).await;
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response
}

async fn export(State(shared): State<Shared>, request: Request) -> Response {
    let format = format(request.headers());
    respond(&shared, format, take(&shared, request)).await
}

fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Format::from_content_type(text.unwrap_or_default())
}

async fn take(Shared { ingest, origins }: &Shared, request: Request) -> Result<Receipt, Refusal> {
    let (head, body) = request.into_parts();
    let format = format(&head.headers)?;
    if head.headers.get(ORIGIN).is_some_and(|origin| !origins.contains(origin)) {
        return Err(Refusal::Origin);
    }
    let deadline = Instant::now() + limits::REQUEST_WAIT;
    let whole = |body| Ok((true, body));
    ingest.receive((&head.headers, body), CONTENT_ENCODING, format, deadline, whole).await
}

async fn respond(
    shared: &Shared,
    format: Result<Format, Refusal>,
    request: impl Future<Output = Result<Receipt, Refusal>>,
) -> Response {
    // The response to a content type we do not know is written in the format that people can read.
    let format = format.unwrap_or(Format::Json);
    match shared.ingest.counted("http", request).await {
        Ok(receipt) => {
            ([(CONTENT_TYPE, format.content_type())], reply::success(format, &receipt)).into_response()
        }
        Err(refusal) => refused(format, &refusal),
    }
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
