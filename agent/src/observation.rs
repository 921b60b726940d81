//! What the relay tells the worker about a call.
//!
//! The relay copies handles ([`Bytes`] are counted references), never contents, and never waits: every hand-over is a
//! `try_send` on one bounded queue. The worker rebuilds the call from the events of one [`CallNumber`], which arrive
//! in order. This file is the whole border between the two.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use ledgerline_proto::{EndOfStream, Identity, SpanId, TraceId};

use crate::dialect::Endpoint;

/// Numbers the calls of one process, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallNumber(pub u64);

/// What is known when the request head has arrived.
#[derive(Clone, Debug)]
pub struct CallStart {
    /// Wall time of the request head, nanoseconds since the Unix epoch.
    pub at_unix_ns: u64,
    /// What is called.
    pub endpoint: &'static Endpoint,
    /// The upstream's name in the configuration.
    pub upstream: Arc<str>,
    /// `gen_ai.provider.name` of the upstream, which decides whose prices hold: a dialect is spoken by many.
    pub provider: Arc<str>,
    /// The path below the upstream's prefix, without the query: `/v1/chat/completions`.
    pub path: Arc<str>,
    /// The caller's trace, or a new one.
    pub trace_id: TraceId,
    /// The span of this call.
    pub span_id: SpanId,
    /// The caller's span.
    pub parent_span_id: Option<SpanId>,
    /// Who calls.
    pub identity: Identity,
}

/// The head of the answer.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// HTTP status.
    pub status: u16,
    /// `content-type`, as sent.
    pub content_type: Option<Arc<str>>,
    /// `content-encoding`, as sent; the body that follows is still encoded.
    pub content_encoding: Option<Arc<str>>,
    /// Whether the head states the length of the body.
    pub has_length: bool,
}

/// One event in the life of a call.
#[derive(Clone)]
pub enum Observation {
    /// The request head has arrived.
    Start(Box<CallStart>),
    /// Bytes of the request body as the client sent them.
    RequestBody(Bytes),
    /// The head of the answer, and when it came.
    ResponseHead(ResponseHead, u64),
    /// Bytes of the answer as the provider sent them, and when they came (nanoseconds since the Unix epoch).
    ResponseBody(Bytes, u64),
    /// Bytes were left out: the queue or the call's share was full. The counts that follow are not complete.
    Gap,
    /// The last event of every call, and when it ended. The text is our error class where there was no answer:
    /// `connect`, `timeout`, `upstream_reset`.
    End(EndOfStream, u64, Option<&'static str>),
}

/// Bodies are somebody's prompts and answers, and an identity names people: lengths, no contents.
impl fmt::Debug for Observation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start(start) => write!(f, "Start({})", start.path),
            Self::RequestBody(bytes) => write!(f, "RequestBody({} bytes)", bytes.len()),
            Self::ResponseHead(head, at) => f.debug_tuple("ResponseHead").field(head).field(at).finish(),
            Self::ResponseBody(bytes, at) => write!(f, "ResponseBody({} bytes, {at})", bytes.len()),
            Self::Gap => f.write_str("Gap"),
            Self::End(end, at, class) => f.debug_tuple("End").field(end).field(at).field(class).finish(),
        }
    }
}

/// An event and the call it belongs to.
#[derive(Clone, Debug)]
pub struct Tagged {
    /// The call.
    pub call: CallNumber,
    /// What happened.
    pub observation: Observation,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_not_printed() {
        let body = Bytes::from_static(b"secret");
        for (observation, expected) in [
            (Observation::RequestBody(body.clone()), "RequestBody(6 bytes)"),
            (Observation::ResponseBody(body, 7), "ResponseBody(6 bytes, 7)"),
        ] {
            let tagged = Tagged { call: CallNumber(1), observation };
            let expected = format!("Tagged {{ call: CallNumber(1), observation: {expected} }}");
            assert_eq!(format!("{tagged:?}"), expected);
        }
    }
}
