//! Every bound of the worker. A call that needs more is still recorded, with less detail.

use crate::limits::OBSERVATIONS_MAX;

/// Bounds of decoding one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Decoded bytes of one answer.
    pub output_bytes_max: u64,
    /// Decoded bytes per encoded byte; counts from `expansion_free_bytes` on.
    pub expansion_max: u64,
    /// Decoded bytes that are allowed whatever their proportion: small answers full of repetition are normal.
    pub expansion_free_bytes: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { output_bytes_max: 32 << 20, expansion_max: 200, expansion_free_bytes: 1 << 20 }
    }
}

/// Calls under way at once. The relay reserves two places in its queue for each call that it observes, so no more than
/// this are under way while those last. Below 1 KiB each without what [`WorkerLimits::held_bytes_max`] bounds: 8 MiB.
pub const OPEN_CALLS_MAX: usize = 8_192;

const _: () = assert!(2 * OPEN_CALLS_MAX >= OBSERVATIONS_MAX);

/// Calls whose providers work on in the background, at most 1 KiB each: 4 MiB.
pub const BACKGROUND_CALLS_MAX: usize = 4_096;

/// How long such a call is waited for: the longest research takes an hour, and its result is fetched soon after.
pub const BACKGROUND_AGE_NS_MAX: u64 = 6 * 3_600 * 1_000_000_000;

/// Bounds of the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerLimits {
    /// Calls under way at once; beyond it the oldest is recorded before its end, and counted.
    pub open_calls_max: usize,
    /// Memory that bodies of all calls under way take: request bodies until the answer begins, answers that are not
    /// streams until they end, of streams one event. Beyond it the call that asks for more loses its details.
    pub held_bytes_max: usize,
    /// Bytes of one request body that are read.
    pub request_bytes_max: usize,
    /// Bytes of one event of a stream. The last event of a response repeats all of it.
    pub event_bytes_max: usize,
    /// Calls in the background; beyond it the oldest is recorded without usage.
    pub background_calls_max: usize,
    /// Their age; beyond it they are recorded without usage.
    pub background_age_ns_max: u64,
    /// Bounds of decoding.
    pub decode: DecodeLimits,
}

impl Default for WorkerLimits {
    fn default() -> Self {
        Self {
            open_calls_max: OPEN_CALLS_MAX,
            held_bytes_max: 12 << 20,
            request_bytes_max: 4 << 20,
            event_bytes_max: 4 << 20,
            background_calls_max: BACKGROUND_CALLS_MAX,
            background_age_ns_max: BACKGROUND_AGE_NS_MAX,
            decode: DecodeLimits::default(),
        }
    }
}
