//! OTLP over gRPC: the one unary method `TraceService/Export`.
//!
//! Written on hyper's HTTP/2 and not on tonic's server, also not with a codec of our own: tonic decompresses before a codec
//! sees a byte, so the memory of a message could not be bounded across requests, and a damaged message would be INTERNAL where
//! ours is INVALID_ARGUMENT with a reason. Tests speak to it with tonic's client and the official exporters.
//!
//! Source: grpc/grpc doc/PROTOCOL-HTTP2.md.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt, Full};
use tokio::time::Instant;
use tonic_types::{ErrorDetails, StatusExt};

use super::Ingest;
use super::decode::Format;
use super::decompress::Encoding;
use super::refusal::Refusal;
use super::reply::{self, Receipt};
use crate::limits;

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// A frame: whether it is compressed, and its length.
const FRAME_HEAD_BYTES: usize = 5;

/// The routes. Every other path is a method that is not offered.
pub fn router(ingest: Arc<Ingest>) -> Router {
    Router::new().route(EXPORT, post(export)).fallback(unknown_method).with_state(ingest)
}

async fn unknown_method(request: Request) -> Response {
    let path = request.uri().path();
    let message =
        format!("this port takes OTLP traces over gRPC ({EXPORT}); it has no {}", path.escape_debug());
    tonic::Status::unimplemented(message).into_http()
}

async fn export(State(ingest): State<Arc<Ingest>>, request: Request) -> Response {
    match ingest.counted("grpc", take(&ingest, request)).await {
        Ok(receipt) => accepted(&receipt),
        Err(refusal) => refused(&refusal),
    }
}

async fn take(ingest: &Arc<Ingest>, request: Request) -> Result<Receipt, Refusal> {
    let (head, body) = request.into_parts();
    let headers = &head.headers;
    let content_type = headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if content_type != b"application/grpc" && !content_type.starts_with(b"application/grpc+proto") {
        return Err(Refusal::Unsupported("content type is not application/grpc".to_owned()));
    }
    let wait = timeout(headers).unwrap_or(limits::REQUEST_WAIT).min(limits::REQUEST_WAIT_MAX);
    let encoding = HeaderName::from_static("grpc-encoding");
    ingest.receive((headers, body), encoding, Format::Protobuf, Instant::now() + wait, message).await
}

/// The one message of a unary call, and whether it is compressed.
fn message(mut frames: Bytes) -> Result<(bool, Bytes), Refusal> {
    let malformed = |what: &str| Refusal::Malformed(format!("not one gRPC message: {what}"));
    if frames.len() < FRAME_HEAD_BYTES {
        return Err(malformed("its head is missing"));
    }
    let compressed = match frames.get_u8() {
        0 => false,
        1 => true,
        _ => return Err(malformed("its first byte is neither 0 nor 1")),
    };
    let length = frames.get_u32() as usize;
    if frames.len() != length {
        return Err(malformed("its length is not that of the body"));
    }
    Ok((compressed, frames))
}

/// `grpc-timeout`: at most 8 digits and a unit.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

fn accepted(receipt: &Receipt) -> Response {
    let body = reply::success(Format::Protobuf, receipt);
    let mut frame = BytesMut::with_capacity(FRAME_HEAD_BYTES + body.len());
    frame.put_u8(0);
    // A response is a few hundred bytes.
    frame.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    frame.put_slice(&body);
    let ok = (HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"));
    let trailers = std::future::ready(Some(Ok::<_, Infallible>(HeaderMap::from_iter([ok]))));
    let body = Body::new(Full::new(frame.freeze()).with_trailers(trailers));
    ([(CONTENT_TYPE, "application/grpc")], body).into_response()
}

fn refused(refusal: &Refusal) -> Response {
    let (code, message) = (refusal.code(), refusal.to_string());
    let status = if refusal.is_transient() {
        let details = ErrorDetails::with_retry_info(Some(limits::RETRY_AFTER));
        tonic::Status::with_error_details(code, message, details)
    } else {
        tonic::Status::new(code, message)
    };
    let mut response: Response = status.into_http();
    response.headers_mut().insert("grpc-accept-encoding", HeaderValue::from_static(Encoding::ACCEPTED));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_is_read_in_every_unit_and_nonsense_is_none() {
        for (text, expected) in [
            ("1H", Some(3_600_000)),
            ("2M", Some(120_000)),
            ("30S", Some(30_000)),
            ("250m", Some(250)),
            ("99999999u", Some(99_999)),
            ("0n", Some(0)),
            ("999999999S", None),
            ("S", None),
            ("5", None),
            ("-1S", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(text));
            assert_eq!(timeout(&headers).map(|wait| wait.as_millis()), expected, "{text}");
        }
    }

    #[test]
    fn a_body_is_exactly_one_message() {
        let of = |bytes: &'static [u8]| message(Bytes::from_static(bytes));
        assert_eq!(of(b"\x00\x00\x00\x00\x02ab").unwrap(), (false, Bytes::from_static(b"ab")));
        assert_eq!(of(b"\x01\x00\x00\x00\x00").unwrap(), (true, Bytes::new()));
        for bytes in [
            &b""[..],
            b"\x00\x00",
            b"\x02\x00\x00\x00\x00",
            b"\x00\x00\x00\x00\x03ab",
            b"\x00\x00\x00\x00\x01ab",
        ] {
            assert!(matches!(of(bytes), Err(Refusal::Malformed(_))), "{bytes:?}");
        }
    }
}
