//! What the tests of this crate are made of.

use ledgerline_proto::Call;

use super::normalise::BatchContext;

#[allow(dead_code, reason = "the sums are for tests over a store")]
#[path = "../../../store/tests/integration/spans.rs"]
mod spans;

/// A request that came in at [`NOW_NS`].
pub fn context() -> BatchContext {
    BatchContext { tenant: "t".into(), batch_id: 1, now_unix_ns: NOW_NS, price_version: "v".into() }
}

/// 2026-11-24T12:00:00Z.
pub const NOW_NS: u64 = 1_795_521_600_000_000_000;

/// A finished chat with that OpenAI model: two seconds, a second ago.
pub fn call(model: &str) -> Call {
    Call {
        start_unix_ns: NOW_NS - 3_000_000_000,
        time_to_first_token_ns: Some(250_000_000),
        request_model: model.into(),
        response_model: model.into(),
        ..spans::call(0, NOW_NS - 1_000_000_000)
    }
}
