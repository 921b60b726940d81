//! What the worker counts about itself. Plain atomics: the process maps them to its metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use ledgerline_proto::EndOfStream;

use super::unread::UnreadCounts;

/// Why a part of a call could not be read. The call itself is recorded all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `content-encoding` names one we do not decode.
    UnknownEncoding,
    /// The body is not what `content-encoding` says.
    CorruptEncoding,
    /// The response is larger than we observe.
    ResponseTooLarge,
    /// The response expands out of proportion.
    Expansion,
    /// All calls under way together hold too much.
    HeldBytes,
    /// An event of a stream is too long.
    EventTooLarge,
    /// An event of a stream is not the JSON its dialect expects.
    MalformedEvent,
    /// A response is not the JSON its dialect expects.
    MalformedBody,
    /// A request body is not JSON, or longer than we read.
    UnreadRequest,
}

impl Failure {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::UnknownEncoding,
        Self::CorruptEncoding,
        Self::ResponseTooLarge,
        Self::Expansion,
        Self::HeldBytes,
        Self::EventTooLarge,
        Self::MalformedEvent,
        Self::MalformedBody,
        Self::UnreadRequest,
    ];

    /// The value of the metric's label `reason`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UnknownEncoding => "unknown_encoding",
            Self::CorruptEncoding => "corrupt_encoding",
            Self::ResponseTooLarge => "response_too_large",
            Self::Expansion => "expansion",
            Self::HeldBytes => "held_bytes",
            Self::EventTooLarge => "event_too_large",
            Self::MalformedEvent => "malformed_event",
            Self::MalformedBody => "malformed_body",
            Self::UnreadRequest => "unread_request",
        }
    }
}

/// Counters since the start of the process; the two gauges say so.
#[derive(Debug, Default)]
pub struct WorkerCounters {
    /// Events taken from the relay.
    pub events_observed: AtomicU64,
    /// Calls recorded, by how they ended; in the order of [`EndOfStream::ALL`].
    pub calls_recorded: [AtomicU64; EndOfStream::ALL.len()],
    /// Requests that are not calls to a model.
    pub requests_ignored: AtomicU64,
    /// Calls that no dialect reads.
    pub calls_unread: UnreadCounts,
    /// Calls that ended but whose beginning was not seen: not recorded.
    pub calls_unobserved: AtomicU64,
    /// Calls recorded before their end, because too many were under way: without usage unless it was stated by then.
    pub calls_evicted: AtomicU64,
    /// Losses between relay and worker.
    pub gaps: AtomicU64,
    /// Panics caught while reading a call; the call is recorded without usage.
    pub panics: AtomicU64,
    /// Calls recorded with an estimated usage.
    pub usage_estimated: AtomicU64,
    /// Calls with a successful answer recorded without usage.
    pub usage_missing: AtomicU64,
    /// Runs of other models within calls, which are billed but not in the record.
    pub foreign_runs: AtomicU64,
    /// What could not be read, in the order of [`Failure::ALL`].
    pub failures: [AtomicU64; Failure::ALL.len()],
    /// Calls under way now.
    pub open_calls: AtomicU64,
    /// Calls now whose providers work on in the background.
    pub background_calls: AtomicU64,
    /// Bytes of bodies held now.
    pub held_bytes: AtomicU64,
}

impl WorkerCounters {
    /// The counter of calls with that ending.
    #[must_use]
    pub fn recorded(&self, end: EndOfStream) -> &AtomicU64 {
        let [complete, provider_error, client_gone, relay_killed] = &self.calls_recorded;
        match end {
            EndOfStream::Complete => complete,
            EndOfStream::ProviderError => provider_error,
            EndOfStream::ClientGone => client_gone,
            EndOfStream::RelayKilled => relay_killed,
        }
    }

    /// The counter of that reason.
    #[must_use]
    pub fn failure(&self, failure: Failure) -> &AtomicU64 {
        &self.failures[failure as usize]
    }

    pub(super) fn fail(&self, failure: Failure) {
        add_one(self.failure(failure));
    }
}

pub(super) fn add_one(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_has_its_own_counter() {
        let counters = WorkerCounters::default();
        for (index, failure) in Failure::ALL.into_iter().enumerate() {
            assert_eq!(failure as usize, index);
            counters.fail(failure);
            assert_eq!(counters.failures[index].load(Ordering::Relaxed), 1, "{}", failure.name());
        }
        for (index, end) in EndOfStream::ALL.into_iter().enumerate() {
            add_one(counters.recorded(end));
            assert_eq!(counters.calls_recorded[index].load(Ordering::Relaxed), 1, "{end:?}");
        }
    }
}
