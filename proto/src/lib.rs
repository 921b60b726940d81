//! The vocabulary of Ledgerline and its form on the wire.
//!
//! One [`Call`] is one request to a model and its answer: who made it, what it used, how it ended. Agent and
//! collector both speak in these types, so a fact has one name from the provider's bytes to the ClickHouse column.
//! Pure: no I/O, no clock, no async, no randomness.

pub mod attribute;
pub mod call;
pub mod dimension;
pub mod id;
pub mod money;
pub mod otlp;
pub mod producer;
pub mod usage;

pub use call::{BillGap, Billing, Call, EndOfStream, Identity, Operation, Unread};
pub use id::{SpanId, TraceId};
pub use money::NanoUsd;
pub use usage::{TokenClass, TokenCounts, Usage, UsageSource};
