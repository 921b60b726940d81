//! What we write we read back; what others write we read as they meant it.

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, status::StatusCode};

use super::value::{integer, key_value, text};
use super::*;
use crate::{
    Billing, Call, EndOfStream, Identity, NanoUsd, Operation, SpanId, TokenClass, TokenCounts, TraceId,
    Usage, UsageSource,
};

fn call() -> Call {
    Call {
        trace_id: TraceId::from_bytes([1; 16]).unwrap(),
        span_id: SpanId::from_bytes([2; 8]).unwrap(),
        parent_span_id: SpanId::from_bytes([3; 8]),
        start_unix_ns: 1_800_000_000_000_000_000,
        end_unix_ns: 1_800_000_001_500_000_000,
        time_to_first_token_ns: Some(250_000_000),
        operation: Operation::Chat,
        provider: "anthropic".into(),
        request_model: "claude-sonnet-4-5".into(),
        response_model: "claude-sonnet-4-5-20250929".into(),
        response_id: "msg_1".into(),
        stream: true,
        finish_reasons: vec!["end_turn".into(), "length".into()],
        end: EndOfStream::ClientGone,
        error_type: Some("client_gone".into()),
        http_status: Some(200),
        usage: Some(Usage {
            tokens: TokenCounts::from_pairs(&[
                (TokenClass::InputUncached, 10),
                (TokenClass::CacheRead, 200),
                (TokenClass::CacheWrite5m, 30),
                (TokenClass::CacheWrite1h, 40),
                (TokenClass::OutputText, 5),
                (TokenClass::OutputReasoning, 6),
            ]),
            source: UsageSource::Estimated,
        }),
        billing: Billing {
            service_tier: Some("standard".into()),
            speed: Some("fast".into()),
            inference_geo: Some("us".into()),
            web_search_requests: Some(3),
            reported_cost: NanoUsd::from_nanos(1_234_567_891),
        },
        identity: Identity {
            service: "checkout".into(),
            environment: "prod".into(),
            team: "payments".into(),
            feature: "fraud".into(),
            user: "u-1".into(),
            session: "s-1".into(),
        },
    }
}

fn read_all(request: &ExportTraceServiceRequest) -> Vec<SpanRecord> {
    let mut records = Vec::new();
    for group in &request.resource_spans {
        let resource = Resource::read(&group.resource.as_ref().unwrap().attributes);
        for span in group.scope_spans.iter().flat_map(|scope| &scope.spans) {
            records.push(read_span(&resource, span).unwrap());
        }
    }
    records
}

fn span(attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        start_time_unix_nano: 1,
        end_time_unix_nano: 2,
        attributes,
        ..Default::default()
    }
}

fn read(attributes: Vec<KeyValue>) -> SpanRecord {
    read_span(&Resource::default(), &span(attributes)).unwrap()
}

fn tokens(pairs: &[(&str, u64)]) -> TokenCounts {
    let attributes = pairs.iter().map(|(name, count)| key_value(name, integer(*count))).collect();
    read(attributes).call.usage.unwrap().tokens
}

#[test]
fn a_call_survives_the_wire_without_loss() {
    let full = call();
    let bare = Call {
        parent_span_id: None,
        time_to_first_token_ns: None,
        response_model: String::new(),
        finish_reasons: vec![],
        error_type: None,
        end: EndOfStream::Complete,
        http_status: None,
        usage: None,
        stream: false,
        billing: Billing::default(),
        identity: Identity::default(),
        ..call()
    };
    let empty_usage = Call {
        usage: Some(Usage { tokens: TokenCounts::default(), source: UsageSource::Provider }),
        ..call()
    };
    for original in [full, bare, empty_usage] {
        let records = read_all(&export_request(std::slice::from_ref(&original)));
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].call, original);
        assert_eq!(records[0].name, "chat claude-sonnet-4-5");
    }
}

#[test]
fn spans_are_grouped_by_the_service_that_called() {
    let other = Call { identity: Identity { service: "search".into(), ..Default::default() }, ..call() };
    let request = export_request(&[call(), other, call()]);
    let sizes: Vec<usize> =
        request.resource_spans.iter().map(|group| group.scope_spans[0].spans.len()).collect();
    assert_eq!(sizes, [2, 1]);
    assert_eq!(read_all(&request)[2].call.identity.service, "search");
}

#[test]
fn standard_counts_are_inclusive_for_every_other_reader() {
    let request = export_request(&[call()]);
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    let value = |name: &str| {
        span.attributes
            .iter()
            .find(|attribute| attribute.key == name)
            .unwrap()
            .value
            .clone()
            .unwrap()
            .value
            .unwrap()
    };
    assert_eq!(value("gen_ai.usage.input_tokens"), Value::IntValue(280));
    assert_eq!(value("gen_ai.usage.output_tokens"), Value::IntValue(11));
    assert_eq!(value("gen_ai.usage.cache_write.input_tokens"), Value::IntValue(70));
    assert_eq!(value("gen_ai.usage.cache_creation.input_tokens"), Value::IntValue(70));
    assert_eq!(value("gen_ai.provider.name"), text("anthropic"));
}

#[test]
fn both_dialects_and_the_names_before_them_mean_the_same() {
    let expected = TokenCounts::from_pairs(&[
        (TokenClass::InputUncached, 20),
        (TokenClass::CacheRead, 70),
        (TokenClass::CacheWrite5m, 10),
        (TokenClass::OutputText, 30),
        (TokenClass::OutputReasoning, 20),
    ]);
    for names in [
        [
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.cache_read.input_tokens",
            "gen_ai.usage.cache_write.input_tokens",
            "gen_ai.usage.output_tokens",
            "gen_ai.usage.reasoning.output_tokens",
        ],
        [
            "gen_ai.usage.prompt_tokens",
            "gen_ai.usage.cache_read_input_tokens",
            "gen_ai.usage.cache_creation.input_tokens",
            "gen_ai.usage.completion_tokens",
            "gen_ai.usage.reasoning_tokens",
        ],
    ] {
        let pairs: Vec<_> = names.into_iter().zip([100, 70, 10, 50, 20]).collect();
        assert_eq!(tokens(&pairs), expected);
    }
}

#[test]
fn cached_tokens_that_exceed_the_input_show_an_exclusive_sender() {
    let counts = tokens(&[("gen_ai.usage.input_tokens", 10), ("gen_ai.usage.cache_read.input_tokens", 70)]);
    assert_eq!(counts.get(TokenClass::InputUncached), 10);
    assert_eq!(counts.get(TokenClass::CacheRead), 70);
}

#[test]
fn absent_usage_is_missing_and_a_reported_zero_is_zero() {
    assert_eq!(read(vec![key_value("gen_ai.operation.name", text("chat"))]).call.usage, None);
    assert_eq!(tokens(&[("gen_ai.usage.input_tokens", 0)]), TokenCounts::default());
    for odd in [Value::IntValue(-1), Value::DoubleValue(1.5), text("many"), Value::BoolValue(true)] {
        assert_eq!(read(vec![key_value("gen_ai.usage.input_tokens", odd)]).call.usage, None);
    }
    let doubles =
        read(vec![key_value("gen_ai.usage.input_tokens", Value::DoubleValue(12.0))]).call.usage.unwrap();
    assert_eq!(doubles.tokens.get(TokenClass::InputUncached), 12);
}

#[test]
fn content_is_left_out_and_counted() {
    let record = read(vec![
        key_value("gen_ai.operation.name", text("chat")),
        key_value("gen_ai.input.messages", text("[secret]")),
        key_value("gen_ai.prompt.0.content", text("secret")),
        key_value("app.tag", text("blue")),
    ]);
    assert_eq!(record.content_dropped, 2);
    assert_eq!(record.attributes, [("app.tag".to_owned(), "blue".to_owned())]);
    assert!(!format!("{record:?}").contains("secret"));
}

#[test]
fn a_reported_cost_is_kept_to_the_nano_dollar() {
    for (value, nanos) in [
        (Value::DoubleValue(0.001_234_567_8), 1_234_568),
        (text("0.000000001"), 1),
        (Value::IntValue(2), 2_000_000_000),
    ] {
        let record = read(vec![key_value("gen_ai.usage.cost", value)]);
        assert_eq!(record.call.billing.reported_cost.map(NanoUsd::nanos), Some(nanos));
    }
    for value in [Value::DoubleValue(f64::NAN), Value::DoubleValue(1e300), text("a lot")] {
        assert_eq!(read(vec![key_value("gen_ai.usage.cost", value)]).call.billing.reported_cost, None);
    }
}

#[test]
fn a_failed_span_without_a_type_is_still_an_error() {
    let failed = Span {
        status: Some(Status { code: StatusCode::Error.into(), ..Default::default() }),
        ..span(Vec::new())
    };
    let call = read_span(&Resource::default(), &failed).unwrap().call;
    assert_eq!((call.error_type.as_deref(), call.end), (Some("_OTHER"), EndOfStream::ProviderError));
    assert_eq!(call.operation, Operation::NotGenAi);
}

#[test]
fn spans_without_identity_or_end_are_refused() {
    for (broken, error) in [
        (Span { trace_id: vec![0; 16], ..span(Vec::new()) }, SpanError::TraceId),
        (Span { trace_id: vec![1; 15], ..span(Vec::new()) }, SpanError::TraceId),
        (Span { span_id: Vec::new(), ..span(Vec::new()) }, SpanError::SpanId),
        (Span { end_time_unix_nano: 0, ..span(Vec::new()) }, SpanError::EndTime),
        (Span { start_time_unix_nano: 3, ..span(Vec::new()) }, SpanError::NegativeDuration),
    ] {
        assert_eq!(read_span(&Resource::default(), &broken), Err(error));
    }
}
