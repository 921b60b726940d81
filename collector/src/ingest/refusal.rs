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

/// Why nothing of a request was taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not what its content type says.
    #[error("cannot read the request: {0}")]
    Malformed(String),
    /// Too large, as it came or decompressed.
    #[error("the request is {what} larger than {limit} bytes; send fewer spans at once")]
    TooLarge {
        /// `as sent`, `decompressed` or `in memory`.
        what: &'static str,
        /// The largest number of bytes that is taken in that form.
        limit: usize,
    },
    /// More spans than one request may have.
    #[error("the request has more than {0} spans; send fewer at once")]
    TooMany(usize),
    /// A content type or encoding we do not have.
    #[error("{0}")]
    Unsupported(String),
    /// No such path.
    #[error("there is no {0} here; send traces to POST /v1/traces")]
    NotFound(String),
    /// The path takes POST alone.
    #[error("this path takes POST only")]
    Method,
    /// Nobody we know.
    #[error(transparent)]
    Unauthenticated(#[from] Unauthenticated),
    /// A page of a web site that the configuration does not name.
    #[error("pages of this origin may not send; name it in ingest.cors.allowed_origins")]
    Origin,
    /// The body did not come in time.
    #[error("the request did not arrive within {0:?}")]
    BodyTimeout(std::time::Duration),
    /// Too much under way; come back.
    #[error("the collector is busy: {0}")]
    Busy(&'static str),
    /// Not stored yet; come back with the same spans.
    #[error(transparent)]
    Unavailable(#[from] WriteError),
    /// The deadline passed before the store answered; come back with the same spans.
    #[error("the store did not answer before the request's deadline")]
    Deadline,
    /// A defect of ours, found while the request was under way; come back, perhaps to another version.
    #[error("the collector failed on this request; its log says where")]
    Internal,
    /// The collector is stopping; come back.
    #[error("the collector is shutting down")]
    Stopping,
}

impl Refusal {
    /// The gRPC code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Malformed(_) | Self::TooLarge { .. } | Self::TooMany(_) => Code::InvalidArgument,
            Self::Unsupported(_) | Self::NotFound(_) | Self::Method => Code::Unimplemented,
            Self::Unauthenticated(_) => Code::Unauthenticated,
            Self::Origin => Code::PermissionDenied,
            Self::BodyTimeout(_)
            | Self::Busy(_)
            | Self::Unavailable(_)
            | Self::Deadline
            | Self::Internal
            | Self::Stopping => Code::Unavailable,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn http_status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } | Self::TooMany(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::BodyTimeout(_)
            | Self::Busy(_)
            | Self::Unavailable(_)
            | Self::Deadline
            | Self::Internal
            | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Whether the sender should come back with the same spans.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.code(), Code::Unavailable)
    }

    /// Every [`Refusal::name`].
    pub const NAMES: [&'static str; 12] = [
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
        "internal",
        "stopping",
    ];

    /// The name in the metric's label.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "malformed",
            Self::TooLarge { .. } | Self::TooMany(_) => "too_large",
            Self::Unsupported(_) => "unsupported",
            Self::NotFound(_) | Self::Method => "path",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Origin => "origin",
            Self::BodyTimeout(_) => "body_timeout",
            Self::Busy(_) => "busy",
            Self::Unavailable(_) => "store_unavailable",
            Self::Deadline => "deadline",
            Self::Internal => "internal",
            Self::Stopping => "stopping",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_sender_keeps_its_spans_exactly_when_they_may_still_be_taken() {
        let check = |refusal: &Refusal, code, status: u16, transient| {
            assert_eq!(
                (refusal.code(), refusal.http_status().as_u16(), refusal.is_transient()),
                (code, status, transient)
            );
            assert!(Refusal::NAMES.contains(&refusal.name()), "{refusal:?}");
        };
        check(&Refusal::Malformed(String::new()), Code::InvalidArgument, 400, false);
        check(&Refusal::TooLarge { what: "as sent", limit: 1 }, Code::InvalidArgument, 413, false);
        check(&Refusal::TooMany(1), Code::InvalidArgument, 413, false);
        check(&Refusal::Unsupported(String::new()), Code::Unimplemented, 415, false);
        check(&Refusal::NotFound(String::new()), Code::Unimplemented, 404, false);
        check(&Refusal::Method, Code::Unimplemented, 405, false);
        check(&Refusal::Unauthenticated(Unauthenticated), Code::Unauthenticated, 401, false);
        check(&Refusal::Origin, Code::PermissionDenied, 403, false);
        for refusal in [
            Refusal::BodyTimeout(Duration::ZERO),
            Refusal::Busy(""),
            Refusal::Unavailable(WriteError::Busy),
            Refusal::Deadline,
            Refusal::Internal,
            Refusal::Stopping,
        ] {
            check(&refusal, Code::Unavailable, 503, true);
        }
    }
}
