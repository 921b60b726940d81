//! OTLP over HTTP: `POST /v1/traces`, Protocol Buffers or JSON.
//!
//! Source: opentelemetry-proto docs/specification.md, "OTLP/HTTP".

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
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
    // Every request is counted and answered in OTLP's words, also one that came to the wrong path.
    let router = Router::new().fallback(export).with_state(Shared { ingest, origins: origins.into() });
    if origins.is_empty() { router } else { router.layer(cors) }
}

async fn export(State(shared): State<Shared>, request: Request) -> Response {
    // The response to a content type we do not know is written in the format that people can read.
    let format = format(request.headers()).unwrap_or(Format::Json);
    match shared.ingest.counted("http", take(&shared, request)).await {
        Ok(receipt) => {
            ([(CONTENT_TYPE, format.content_type())], reply::success(format, &receipt)).into_response()
        }
        Err(refusal) => refused(format, &refusal),
    }
}

fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    Format::from_content_type(text.unwrap_or_default())
}

async fn take(Shared { ingest, origins }: &Shared, request: Request) -> Result<Receipt, Refusal> {
    let (head, body) = request.into_parts();
    if !PATHS.contains(&head.uri.path()) {
        return Err(Refusal::NotFound(head.uri.path().escape_debug().to_string()));
    }
    if head.method != Method::POST {
        return Err(Refusal::Method);
    }
    let format = format(&head.headers)?;
    if head.headers.get(ORIGIN).is_some_and(|origin| !origins.contains(origin)) {
        return Err(Refusal::Origin);
    }
    let deadline = Instant::now() + limits::REQUEST_WAIT;
    let whole = |body| Ok((true, body));
    ingest.receive((&head.headers, body), CONTENT_ENCODING, format, deadline, whole).await
}

fn refused(format: Format, refusal: &Refusal) -> Response {
    let body = reply::failure(format, refusal);
    let mut response = (refusal.http_status(), [(CONTENT_TYPE, format.content_type())], body).into_response();
    let headers = response.headers_mut();
    if refusal.is_transient() {
        headers.insert(RETRY_AFTER, limits::RETRY_AFTER.as_secs().into());
    }
    let what_to_send = match refusal {
        Refusal::Method => Some((ALLOW, "POST")),
        Refusal::Unauthenticated(_) => Some((WWW_AUTHENTICATE, "Bearer")),
        Refusal::Unsupported(_) => Some((ACCEPT_ENCODING, Encoding::ACCEPTED)),
        _ => None,
    };
    headers.extend(what_to_send.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}
