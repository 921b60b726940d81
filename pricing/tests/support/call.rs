//! A call to start from: each test sets what it is about.

use ledgerline_proto::{Billing, Call, EndOfStream, Identity, Operation, SpanId, TraceId};

/// A chat of 2026-11-20T00:00:00Z that nobody counted.
pub fn call(provider: &str, model: &str) -> Call {
    Call {
        trace_id: TraceId::from_bytes([1; 16]).unwrap(),
        span_id: SpanId::from_bytes([1; 8]).unwrap(),
        parent_span_id: None,
        start_unix_ns: 1_795_132_800_000_000_000,
        end_unix_ns: 1_795_132_801_000_000_000,
        time_to_first_token_ns: None,
        operation: Operation::Chat,
        provider: provider.to_owned(),
        request_model: String::new(),
        response_model: model.to_owned(),
        response_id: String::new(),
        stream: false,
        finish_reasons: Vec::new(),
        end: EndOfStream::Complete,
        error_type: None,
        http_status: Some(200),
        usage: None,
        usage_object: String::new(),
        billing: Billing::default(),
        identity: Identity::default(),
        unread: None,
    }
}
