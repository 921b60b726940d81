//! How an agent names an export request, so that a repeat is recognised.
//!
//! The three values travel as gRPC metadata beside the OTLP request. A retry carries the same values and the same
//! spans; the collector derives the insert's deduplication token from them (Kafka's idempotent producer is the model).

/// Metadata key: the agent's process, a UUID made anew at every start.
pub const PRODUCER_ID_KEY: &str = "ledgerline-producer-id";
/// Metadata key: when that process started, nanoseconds since the Unix epoch.
pub const EPOCH_KEY: &str = "ledgerline-epoch";
/// Metadata key: counts the requests of that epoch, from 1.
pub const SEQUENCE_KEY: &str = "ledgerline-sequence";

/// The identity of one export request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestIdentity {
    /// The producer, a UUID in its usual form.
    pub producer_id: String,
    /// The producer's start, nanoseconds since the Unix epoch.
    pub epoch: u64,
    /// The request's number within the epoch, from 1.
    pub sequence: u64,
}
