//! OTLP over HTTP: `POST /v1/traces`, Protocol Buffers or JSON.
//!
//! Source: opentelemetry-proto docs/specification.md, "OTLP/HTTP".

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request as HttpRequest, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use ledgerline_proto::producer::{EPOCH_KEY, PRODUCER_ID_KEY, RequestIdentity, SEQUENCE_KEY};
use tokio::time::Instant;

use super::decode::Format;
use super::refusal::Refusal;
use super::reply::{self, Receipt};
use super::unpack::Encoding;
use super::{Ingest, Request, body};
use crate::limits;
use crate::metrics::{Protocol, Reason};
use ledgerline_store::writer::Transport;

/// Where OTLP says traces go, and where senders that are configured for Langfuse put them.
const PATHS: [&str; 2] = ["/v1/traces", "/api/public/otel/v1/traces"];

/// The routes.
pub fn router<T: Transport + 'static>(ingest: Arc<Ingest<T>>) -> Router {
    PATHS
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, post(export::<T>)))
        .with_state(ingest)
}

async fn export<T: Transport + 'static>(
    State(ingest): State<Arc<Ingest<T>>>,
    request: HttpRequest,
) -> Response {
    let begun = Instant::now();
    ingest.metrics.requests.get_or_create(&Protocol { protocol: "http" }).inc();
    let format = format(request.headers());
    // An answer to a content type we do not know is written in the format that people can read.
    let answer = format.as_ref().map_or(Format::Json, |format| *format);
    let outcome = match format {
        Ok(format) => take(&ingest, format, request, begun).await,
        Err(refusal) => Err(refusal),
    };
    ingest.metrics.request_seconds.observe(begun.elapsed().as_secs_f64());
    match outcome {
        Ok(receipt) => accepted(answer, &receipt),
        Err(refusal) => {
            ingest.metrics.refused.get_or_create(&Reason { reason: refusal.name() }).inc();
            refused(answer, &refusal)
        }
    }
}

fn format(headers: &HeaderMap) -> Result<Format, Refusal> {
    Format::from_content_type(
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default(),
    )
}

async fn take<T: Transport + 'static>(
    ingest: &Arc<Ingest<T>>,
    format: Format,
    request: HttpRequest,
    begun: Instant,
) -> Result<Receipt, Refusal> {
    let (head, http_body) = request.into_parts();
    let tenant = ingest.authentication.tenant(&head.headers)?;
    let encoding = head.headers.get(CONTENT_ENCODING).map_or(Ok(""), http::HeaderValue::to_str);
    let encoding = Encoding::from_name(encoding.unwrap_or("not text"))?;
    let mut grant = ingest.admission.enter();
    let body = body::read(http_body, &mut grant).await?;
    let (producer, deadline) = (producer(&head.headers), begun + limits::REQUEST_WAIT);
    ingest.export(Request { tenant, producer, format, encoding, body, grant, deadline }).await
}

fn accepted(format: Format, receipt: &Receipt) -> Response {
    ([(CONTENT_TYPE, format.content_type())], reply::success(format, receipt)).into_response()
}

fn refused(format: Format, refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = reply::failure(format, refusal.code(), &refusal.to_string());
    let mut response = (status, [(CONTENT_TYPE, format.content_type())], body).into_response();
    let headers = response.headers_mut();
    if refusal.is_transient() {
        headers.insert(RETRY_AFTER, limits::RETRY_AFTER.as_secs().into());
    }
    match refusal {
        Refusal::Unauthenticated => {
            headers.insert(WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"));
        }
        Refusal::Unsupported(_) => {
            headers.insert(ACCEPT_ENCODING, http::HeaderValue::from_static(Encoding::ACCEPTED));
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
