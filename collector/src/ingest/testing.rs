//! What the tests of this crate are made of.

use ledgerline_proto::{
    Billing, Call, EndOfStream, Identity, Operation, SpanId, TokenClass, TokenCounts, TraceId, Usage,
    UsageSource,
};

use super::normalise::BatchContext;

/// A request that came in at [`NOW_NS`].
pub fn context() -> BatchContext {
    BatchContext { tenant: "t".into(), batch_id: 1, now_unix_ns: NOW_NS, price_version: "v".into() }
}

/// 2026-11-24T12:00:00Z.
pub const NOW_NS: u64 = 1_795_521_600_000_000_000;

/// A finished chat with that OpenAI model: 1,000 tokens in, 100 out, two seconds, a second ago.
pub fn call(model: &str) -> Call {
    let tokens =
        TokenCounts::from_pairs(&[(TokenClass::InputUncached, 1_000), (TokenClass::OutputText, 100)]);
    Call {
        trace_id: TraceId::from_bytes([1; 16]).unwrap(),
        span_id: SpanId::from_bytes([2; 8]).unwrap(),
        parent_span_id: None,
        start_unix_ns: NOW_NS - 3_000_000_000,
        end_unix_ns: NOW_NS - 1_000_000_000,
        time_to_first_token_ns: Some(250_000_000),
        operation: Operation::Chat,
        provider: "openai".into(),
        request_model: model.into(),
        response_model: model.into(),
        response_id: "r-1".into(),
        stream: true,
        finish_reasons: vec!["stop".into()],
        end: EndOfStream::Complete,
        error_type: None,
        http_status: Some(200),
        usage: Some(Usage { tokens, source: UsageSource::Provider }),
        billing: Billing::default(),
        identity: Identity { service: "checkout".into(), team: "payments".into(), ..Identity::default() },
        unread: None,
    }
}
