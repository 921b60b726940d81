//! Why a request was not taken, and what that means for its sender. No I/O.
//!
//! OTLP decides by the code: a client drops its data on anything that is not listed as retryable. So whatever may heal is
//! [`Refusal::Busy`] or [`Refusal::Unavailable`] (UNAVAILABLE, 503), and nothing else is.
//!
//! Source: opentelemetry-proto docs/specification.md, "OTLP/gRPC Response" and "OTLP/HTTP Response".

use ledgerline_store::writer::WriteError;

/// Why nothing of a request was taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not what its content type says.
    #[error("cannot read the request: {0}")]
    Garbage(String),
    /// Too large, as it came or unpacked.
    #[error("the request is {what} larger than {limit} bytes; send fewer spans at once")]
    TooLarge {
        /// `packed`, `unpacked` or `in memory`.
        what: &'static str,
        /// The bound.
        limit: usize,
    },
    /// More spans than one request may have.
    #[error("the request has more than {0} spans; send fewer at once")]
    TooMany(usize),
    /// Unpacks to implausibly much.
    #[error("the request unpacks to more than {0} times its size; send it less packed or in smaller parts")]
    Bomb(usize),
    /// A content type or encoding we do not have.
    #[error("{0}")]
    Unsupported(String),
    /// No token, or not one of ours.
    #[error("send one of the collector's tokens as `authorization: Bearer <token>`")]
    Unauthenticated,
    /// The body did not come in time.
    #[error("the request did not arrive within {0:?}")]
    Slow(std::time::Duration),
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
    Panic,
    /// The collector is stopping; come back.
    #[error("the collector is shutting down")]
    Stopping,
}

/// The codes of google.rpc that we answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Done.
    Ok = 0,
    /// The request is at fault; it must not be repeated.
    InvalidArgument = 3,
    /// Not offered here.
    Unimplemented = 12,
    /// Come back.
    Unavailable = 14,
    /// Who are you?
    Unauthenticated = 16,
}

impl Refusal {
    /// The gRPC code.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::Garbage(_) | Self::TooLarge { .. } | Self::TooMany(_) | Self::Bomb(_) => {
                Code::InvalidArgument
            }
            Self::Unsupported(_) => Code::Unimplemented,
            Self::Unauthenticated => Code::Unauthenticated,
            Self::Slow(_)
            | Self::Busy(_)
            | Self::Unavailable(_)
            | Self::Deadline
            | Self::Panic
            | Self::Stopping => Code::Unavailable,
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn http_status(&self) -> u16 {
        match self {
            Self::Garbage(_) => 400,
            Self::TooLarge { .. } | Self::TooMany(_) | Self::Bomb(_) => 413,
            Self::Unsupported(_) => 415,
            Self::Unauthenticated => 401,
            Self::Slow(_)
            | Self::Busy(_)
            | Self::Unavailable(_)
            | Self::Deadline
            | Self::Panic
            | Self::Stopping => 503,
        }
    }

    /// Whether the sender should come back with the same spans.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self.code(), Code::Unavailable)
    }

    /// Every [`Refusal::name`].
    pub const NAMES: [&'static str; 11] = [
        "garbage",
        "too_large",
        "bomb",
        "unsupported",
        "unauthenticated",
        "slow",
        "busy",
        "store_unavailable",
        "deadline",
        "panic",
        "stopping",
    ];

    /// The name in the metric's label.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Garbage(_) => "garbage",
            Self::TooLarge { .. } | Self::TooMany(_) => "too_large",
            Self::Bomb(_) => "bomb",
            Self::Unsupported(_) => "unsupported",
            Self::Unauthenticated => "unauthenticated",
            Self::Slow(_) => "slow",
            Self::Busy(_) => "busy",
            Self::Unavailable(_) => "store_unavailable",
            Self::Deadline => "deadline",
            Self::Panic => "panic",
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
        let check = |refusal: &Refusal, code, status, transient| {
            assert_eq!(
                (refusal.code(), refusal.http_status(), refusal.is_transient()),
                (code, status, transient)
            );
            assert!(Refusal::NAMES.contains(&refusal.name()), "{refusal:?}");
        };
        check(&Refusal::Garbage(String::new()), Code::InvalidArgument, 400, false);
        check(&Refusal::TooLarge { what: "packed", limit: 1 }, Code::InvalidArgument, 413, false);
        check(&Refusal::TooMany(1), Code::InvalidArgument, 413, false);
        check(&Refusal::Bomb(100), Code::InvalidArgument, 413, false);
        check(&Refusal::Unsupported(String::new()), Code::Unimplemented, 415, false);
        check(&Refusal::Unauthenticated, Code::Unauthenticated, 401, false);
        for refusal in [
            Refusal::Slow(Duration::ZERO),
            Refusal::Busy(""),
            Refusal::Unavailable(WriteError::Busy),
            Refusal::Deadline,
            Refusal::Panic,
            Refusal::Stopping,
        ] {
            check(&refusal, Code::Unavailable, 503, true);
        }
    }
}
