//! What the relay hands the worker of a call.
//!
//! The relay copies handles ([`Bytes`] are counted references), never contents, and never waits. The worker rebuilds the call
//! from the events of one [`CallNumber`], which arrive in order. This file is the whole border between the two.

use std::sync::Arc;

use bytes::Bytes;
use ledgerline_proto::{Conditions, EndOfStream, Identity, SpanId, TraceId};

use crate::dialect::Endpoint;

/// Numbers the calls of one process, from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CallNumber(pub u64);

/// What is known when the request head has arrived.
#[derive(Clone)]
pub struct CallStart {
    /// Wall time of the request head, nanoseconds since the Unix epoch.
    pub at_unix_ns: u64,
    pub endpoint: &'static Endpoint,
    pub upstream: Arc<str>,
    /// `gen_ai.provider.name` of the upstream, which decides whose prices hold: a dialect is spoken by many.
    pub provider: Arc<str>,
    /// What is known of the upstream that decides the price: its region, what the configuration says.
    pub conditions: Arc<Conditions>,
    /// The path below the upstream's prefix, without the query: `/v1/chat/completions`.
    pub path: Arc<str>,
    /// The caller's trace, or a new one.
    pub trace_id: TraceId,
    pub span_id: SpanId,
    pub parent_span_id: Option<SpanId>,
    pub identity: Identity,
}

#[derive(Clone)]
pub struct ResponseHead {
    pub status: u16,
    pub content_type: Option<Arc<str>>,
    /// `content-encoding`, as sent; the body that follows is still encoded.
    pub content_encoding: Option<Arc<str>>,
    pub has_length: bool,
}

#[derive(Clone)]
pub enum Observation {
    Start(Box<CallStart>),
    /// Bytes of the request body as the client sent them.
    RequestBody(Bytes),
    /// The head of the response, and when it came.
    ResponseHead(ResponseHead, u64),
    /// Bytes of the response as the provider sent them, and when they came (nanoseconds since the Unix epoch).
    ResponseBody(Bytes, u64),
    /// Bytes were left out: the queue or the call's share was full. The counts that follow are not complete.
    Gap,
    /// The client has gone, and when; what of the response follows is read only because the model had finished.
    ClientLeft(u64),
    /// The last event of every call, and when it ended; with our error class where there was no response.
    End(EndOfStream, u64, Option<&'static str>),
}

pub struct Tagged {
    pub call: CallNumber,
    pub observation: Observation,
}
