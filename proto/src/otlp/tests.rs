//! What we write we read back; what others write we read as they meant it.

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, status::StatusCode};

use super::value::{integer, key_value, text};
use super::*;
use crate::usage::Direction;
use crate::{
    BillGap, Billing, Call, EndOfStream, Identity, NanoUsd, Operation, SpanId, TokenClass, TokenCounts,
    TraceId, Usage, UsageSource,
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
            gap: Some(BillGap::Tool),
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
        unread: None,
    }
}

fn read_all(request: &ExportTraceServiceRequest) -> Vec<SpanRecord> {
    let mut records = Vec::new();
    for group in &request.resource_spans {
        let resource = Resource::read(&group.resource.as_ref().unwrap().attributes);
        for scope in &group.scope_spans {
            let scope_name = &scope.scope.as_ref().unwrap().name;
            records.extend(scope.spans.iter().map(|span| read_span(&resource, scope_name, span).unwrap()));
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
    read_span(&Resource::default(), "", &span(attributes)).unwrap()
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
    let counts = tokens(&[
        ("gen_ai.usage.input_tokens", 10),
        ("gen_ai.usage.cache_read.input_tokens", 70),
        ("gen_ai.usage.output_tokens", 1),
    ]);
    assert_eq!(counts.get(TokenClass::InputUncached), 10);
    assert_eq!(counts.get(TokenClass::CacheRead), 70);
}

#[test]
fn senders_known_to_count_exclusively_are_believed() {
    let check = |scope_name: &str, provider: &str, uncached: u64| {
        let pairs = [
            ("gen_ai.provider.name", text(provider)),
            ("gen_ai.operation.name", text("chat")),
            ("gen_ai.usage.input_tokens", integer(100)),
            ("gen_ai.usage.cache_read.input_tokens", integer(70)),
            ("gen_ai.usage.audio.input_tokens", integer(5)),
            ("gen_ai.usage.output_tokens", integer(1)),
        ];
        let attributes = pairs.into_iter().map(|(name, value)| key_value(name, value)).collect();
        let record = read_span(&Resource::default(), scope_name, &span(attributes)).unwrap();
        let expected = TokenCounts::from_pairs(&[
            (TokenClass::InputUncached, uncached),
            (TokenClass::CacheRead, 70),
            (TokenClass::InputAudio, 5),
            (TokenClass::OutputText, 1),
        ]);
        assert_eq!(record.call.usage.unwrap().tokens, expected, "{scope_name} {provider}");
    };
    check("opentelemetry.instrumentation.botocore.bedrock-runtime", "aws.bedrock", 95);
    check("opentelemetry.instrumentation.bedrock", "aws.bedrock", 95);
    check("opentelemetry.instrumentation.anthropic", "anthropic", 25);
    check("openlit.otel.tracing", "anthropic", 95);
    check("openlit.otel.tracing", "openai", 25);
    check("com.anthropic.claude_code.tracing", "anthropic", 95);
    check("", "aws.bedrock", 25);
}

#[test]
fn parts_that_overlap_are_never_counted_twice() {
    let input = |pairs: &[(&str, u64)]| {
        tokens(&[pairs, &[("gen_ai.usage.output_tokens", 0)][..]].concat()).total(Direction::Input)
    };
    let read = "gen_ai.usage.cache_read.input_tokens";
    let (audio, image) = ("gen_ai.usage.audio.input_tokens", "gen_ai.usage.image.input_tokens");
    let whole = ("gen_ai.usage.input_tokens", 100);
    assert_eq!(input(&[whole, (read, 80), (audio, 60)]), 100, "cached audio");
    assert_eq!(input(&[whole, (audio, 60), (image, 60)]), 100);
    assert_eq!(input(&[whole, (read, 300), (audio, 120)]), 400, "an exclusive sender");
    let output = tokens(&[
        ("gen_ai.usage.input_tokens", 0),
        ("gen_ai.usage.output_tokens", 100),
        ("gen_ai.usage.reasoning.output_tokens", 70),
        ("gen_ai.usage.audio.output_tokens", 60),
    ]);
    assert_eq!(output.total(Direction::Output), 100);
    assert_eq!(output.get(TokenClass::OutputAudio), 30);
}

#[test]
fn absent_usage_is_missing_and_a_reported_zero_is_zero() {
    assert_eq!(read(vec![key_value("gen_ai.operation.name", text("chat"))]).call.usage, None);
    let both = [("gen_ai.usage.input_tokens", 0), ("gen_ai.usage.output_tokens", 0)];
    assert_eq!(tokens(&both), TokenCounts::default());
    let input = |value: Value| {
        read(vec![
            key_value("gen_ai.usage.input_tokens", value),
            key_value("gen_ai.usage.output_tokens", integer(1)),
        ])
    };
    for odd in [Value::IntValue(-1), Value::DoubleValue(1.5), text("many"), Value::BoolValue(true)] {
        assert_eq!(input(odd).call.usage, None);
    }
    let doubles = input(Value::DoubleValue(12.0)).call.usage.unwrap();
    assert_eq!(doubles.tokens.get(TokenClass::InputUncached), 12);
}

#[test]
fn one_side_alone_is_missing_except_for_embeddings() {
    let read_side = |operation: &str, name: &str| {
        read(vec![key_value("gen_ai.operation.name", text(operation)), key_value(name, integer(12))])
            .call
            .usage
    };
    for operation in ["chat", "text_completion", "generate_content", "invoke_agent"] {
        assert_eq!(read_side(operation, "gen_ai.usage.input_tokens"), None, "{operation}");
        assert_eq!(read_side(operation, "gen_ai.usage.output_tokens"), None, "{operation}");
    }
    assert_eq!(read_side("embeddings", "gen_ai.usage.output_tokens"), None);
    let usage = read_side("embeddings", "gen_ai.usage.input_tokens").unwrap();
    assert_eq!(usage.tokens, TokenCounts::from_pairs(&[(TokenClass::InputUncached, 12)]));
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
    let call = read_span(&Resource::default(), "", &failed).unwrap().call;
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
        assert_eq!(read_span(&Resource::default(), "", &broken), Err(error));
    }
}
