//! What is told of a span, and what is answered. Pure types.

use ledgerline_proto::id::{SpanId, TraceId};
use ledgerline_proto::otlp::SCOPE_NAME;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// One report of a span, from one request of a tenant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its own identity.
    pub span_id: SpanId,
    /// The span it was started under.
    pub parent_span_id: Option<SpanId>,
    /// What decides whether it is billed; `None` for a plain span, which only links others.
    pub call: Option<CallSight>,
}

/// The facts of a call that decide which of its sights is billed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallSight {
    /// Who saw it.
    pub observer: Observer,
    /// The provider's name of the response, where the sender states it.
    pub response: Option<ResponseId>,
    /// How good its counts are.
    pub usage: UsageRank,
    /// Nanoseconds since the Unix epoch; 0 where unknown, which is taken for the end.
    pub start_unix_ns: u64,
    /// Nanoseconds since the Unix epoch.
    pub end_unix_ns: u64,
}

/// Who made a span. Two sights by one observer are two calls, whatever their response ids say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observer {
    /// Our agent, which saw the provider's own bytes.
    Agent,
    /// An instrumentation, by a hash of its scope's name. Two scopes with one hash (1 pair in 4 billion) are one observer: their
    /// sights of a call are not matched by response id.
    Scope(u32),
}

impl Observer {
    /// The observer whose spans carry this instrumentation scope; an empty name is an observer, too.
    pub fn of_scope(name: &str) -> Self {
        if name == SCOPE_NAME { Self::Agent } else { Self::Scope(xxh3_64(name.as_bytes()) as u32) }
    }
}

/// The provider's name of a response, as a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseId(u64);

impl ResponseId {
    /// `None` for an empty text, which names nothing.
    pub fn of(text: &str) -> Option<Self> {
        (!text.is_empty()).then(|| Self(xxh3_64(text.as_bytes())))
    }

    /// The same response id of two tenants is two responses. Never 0.
    pub(super) fn key(self, tenant: u64) -> u64 {
        xxh3_64_with_seed(&self.0.to_be_bytes(), tenant).max(1)
    }
}

/// How good the counts of a sight are; the greater is preferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageRank {
    /// No counts.
    Missing,
    /// Estimated from the bytes that passed.
    Estimated,
    /// A third party's own count.
    Sender,
    /// Counted with the model's tokenizer.
    Counted,
    /// The provider's, read after the client had gone.
    Drained,
    /// The provider's.
    Provider,
}

/// What a span of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No call.
    Plain,
    /// A call that is billed with this row.
    Counts,
    /// A call above a call.
    Wrapper,
    /// A call that is billed with another span: another's sight of it.
    Repeat,
    /// The same span was sent before; its row is there.
    Again,
}

/// A row that was stored before, and the change of what is booked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Correction {
    /// The span's trace.
    pub trace_id: TraceId,
    /// The span.
    pub span_id: SpanId,
    /// When it ended, nanoseconds since the Unix epoch: finds its row fast.
    pub end_unix_ns: u64,
    /// What to book.
    pub change: Change,
    /// Why it does not count any more, or why it did not count before.
    pub cause: Cause,
}

/// Why a call is not billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Another of its sights is.
    Repeat,
    /// It is above calls that are.
    Wrapper,
}

/// The sign of a correction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// The row counted and does not any more: book its bill with a minus.
    TakeBack,
    /// The row did not count and does now: book its bill.
    Count,
}

impl Change {
    /// What it adds to the number of times a row counts.
    pub const fn sign(self) -> i32 {
        match self {
            Self::TakeBack => -1,
            Self::Count => 1,
        }
    }
}

/// Another request that is under way holds a span or a response id of this one. Ask again when one was committed or abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another request under way holds sights of the same call")]
pub struct Conflict;
