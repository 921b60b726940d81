//! Why a request was not taken, and what that means for its sender. No I/O.
//!
//! OTLP decides by the code: a client drops its data on anything that is not listed as retryable. So whatever may heal is
//! [`Refusal::Busy`] or [`Refusal::Unavailable`] (UNAVAILABLE, 503), and nothing else is.
//!
//! Source: opentelemetry-proto docs/specification.md, "OTLP/gRPC Response" and "OTLP/HTTP Response".

use http::StatusCode;
use tonic::Code;

use crate::access::Unauthenticated;
use ledgerline_store::writer::WriteError;

#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("cannot read the request: {0}")]
    Malformed(String),
    #[error("the request is {what} larger than {limit} bytes; send fewer spans at once")]
    TooLarge {
        /// `as sent`, `decompressed` or `in memory`.
        what: &'static str,
        limit: usize,
    },
    #[error("the request has more than {0} spans; send fewer at once")]
    TooMany(usize),
    #[error("{0}")]
    Unsupported(String),
    #[error("there is no {0} here; send traces to POST /v1/traces")]
    NotFound(String),
    #[error("this path takes POST only")]
    Method,
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
    /// A page of a web site that the configuration does not name.
    #[error("pages of this origin may not send; name it in ingest.cors.allowed_origins")]
    Origin,
    #[error("the request did not arrive within {0:?}")]
    BodyTimeout(std::time::Duration),
    #[error("the collector is busy: {0}")]
    Busy(&'static str),
    /// Not stored yet; come back with the same spans.
    #[error(transparent)]
    Unavailable(#[from] WriteError),
    /// The deadline passed before the store answered; come back with the same spans.
    #[error("the store did not answer before the request's deadline")]
    Deadline,
    #[error(
        "the collector reads the spans of the last hours, so that no call is billed twice; come back with the same spans"
    )]
    Recovering,
    /// A defect of ours, found while the request was under way; come back, perhaps to another version.
    #[error("the collector failed on this request; its log says where")]
    Internal,
    #[error("the collector is shutting down")]
    Stopping,
}

impl Refusal {
    /// Every [`Refusal::name`].
    pub const NAMES: [&'static str; 13] = [
        "malformed",
        "too_large",
        "unsupported",
        "path",
        "unauthenticated",
        "origin",
        "body_timeout",
        "busy",
        "store_unavailable",
        "deadline",
        "recovering",
        "internal",
        "stopping",
    ];

    const fn verdict(&self) -> (&'static str, Code, StatusCode) {
        const fn later(name: &'static str) -> (&'static str, Code, StatusCode) {
            (name, Code::Unavailable, StatusCode::SERVICE_UNAVAILABLE)
        }
        match self {
            Self::Malformed(_) => ("malformed", Code::InvalidArgument, StatusCode::BAD_REQUEST),
            Self::TooLarge { .. } | Self::TooMany(_) => {
                ("too_large", Code::InvalidArgument, StatusCode::PAYLOAD_TOO_LARGE)
            }
            Self::Unsupported(_) => ("unsupported", Code::Unimplemented, StatusCode::UNSUPPORTED_MEDIA_TYPE),
            Self::NotFound(_) => ("path", Code::Unimplemented, StatusCode::NOT_FOUND),
            Self::Method => ("path", Code::Unimplemented, StatusCode::METHOD_NOT_ALLOWED),
            Self::Unauthenticated(_) => ("unauthenticated", Code::Unauthenticated, StatusCode::UNAUTHORIZED),
            Self::Origin => ("origin", Code::PermissionDenied, StatusCode::FORBIDDEN),
            Self::BodyTimeout(_) => later("body_timeout"),
            Self::Busy(_) => later("busy"),
            Self::Unavailable(_) => later("store_unavailable"),
            Self::Deadline => later("deadline"),
            Self::Recovering => later("recovering"),
            Self::Internal => later("internal"),
            Self::Stopping => later("stopping"),
        }
    }

    /// The name in the metric's label.
    pub const fn name(&self) -> &'static str {
        self.verdict().0
    }

    pub const fn code(&self) -> Code {
        self.verdict().1
    }

    pub const fn http_status(&self) -> StatusCode {
        self.verdict().2
    }

    /// Whether the sender should come back with the same spans.
    pub const fn is_transient(&self) -> bool {
        matches!(self.code(), Code::Unavailable)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_sender_keeps_its_spans_exactly_when_they_may_still_be_taken() {
        for (refusal, code, status) in [
            (Refusal::Malformed(String::new()), Code::InvalidArgument, 400),
            (Refusal::TooLarge { what: "as sent", limit: 1 }, Code::InvalidArgument, 413),
            (Refusal::TooMany(1), Code::InvalidArgument, 413),
            (Refusal::Unsupported(String::new()), Code::Unimplemented, 415),
            (Refusal::NotFound(String::new()), Code::Unimplemented, 404),
            (Refusal::Method, Code::Unimplemented, 405),
            (Refusal::Unauthenticated(Unauthenticated), Code::Unauthenticated, 401),
            (Refusal::Origin, Code::PermissionDenied, 403),
            (Refusal::BodyTimeout(Duration::ZERO), Code::Unavailable, 503),
            (Refusal::Busy(""), Code::Unavailable, 503),
            (Refusal::Unavailable(WriteError::Busy), Code::Unavailable, 503),
            (Refusal::Deadline, Code::Unavailable, 503),
            (Refusal::Recovering, Code::Unavailable, 503),
            (Refusal::Internal, Code::Unavailable, 503),
            (Refusal::Stopping, Code::Unavailable, 503),
        ] {
            assert_eq!((refusal.code(), refusal.http_status().as_u16()), (code, status), "{refusal:?}");
            assert_eq!(refusal.is_transient(), status == 503, "{refusal:?}");
            assert!(Refusal::NAMES.contains(&refusal.name()), "{refusal:?}");
        }
    }
}
