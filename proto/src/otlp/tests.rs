//! What we write we read back; what others write we read as they meant it.

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::trace::v1::{Span, Status, status::StatusCode};

use super::value::{integer, key_value, text, texts};
use super::*;
use crate::unit::Side;
use crate::{
    BillGap, Billing, Call, Condition, Conditions, EndOfStream, Identity, Operation, PicoUsd, Quantities,
    Run, SpanId, TraceId, Unit, Usage, UsageSource,
};

mod recorded;
mod senders;

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
            own: Quantities::from_pairs(&[
                (Unit::InputUncached, 10),
                (Unit::CacheRead, 200),
                (Unit::CacheWrite5m, 30),
                (Unit::CacheWrite1h, 40),
                (Unit::OutputText, 5),
                (Unit::OutputReasoning, 6),
                (Unit::WebSearch, 3),
            ]),
            runs: vec![
                Run {
                    model: "claude-haiku-5".into(),
                    quantities: Quantities::from_pairs(&[(Unit::CacheRead, 7)]),
                },
                Run { model: "".into(), quantities: Quantities::default() },
            ],
            source: UsageSource::Estimated,
        }),
        usage_object: r#"{"input_tokens":10}"#.into(),
        billing: Billing {
            conditions: Conditions::from_pairs(Condition::ALL.map(|condition| (condition, condition.name()))),
            gap: Some(BillGap::Tool),
            reported_cost: PicoUsd::from_picos(1_234_567_891_234),
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

const LIMITS: AttributeLimits = AttributeLimits { count: 256, name_bytes: 256, value_bytes: 4096, depth: 8 };

fn keep<T>(read: impl FnOnce(&mut Keep<'_>) -> T) -> T {
    let allowed = AllowList::new(&["app.*".parse().unwrap()]);
    read(&mut Keep { allowed: &allowed, limits: LIMITS, dropped: &mut DroppedNames::default() })
}

fn read_all(request: &ExportTraceServiceRequest) -> Vec<SpanRecord> {
    let mut records = Vec::new();
    for group in &request.resource_spans {
        let resource = keep(|keep| Resource::read(&group.resource.as_ref().unwrap().attributes, keep));
        for scope in &group.scope_spans {
            let scope_name = &scope.scope.as_ref().unwrap().name;
            let read = |span| keep(|keep| read_span(&resource, scope_name, span, keep)).unwrap();
            records.extend(scope.spans.iter().map(read));
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
    read_only(&span(attributes)).unwrap()
}

fn read_only(span: &Span) -> Result<SpanRecord, SpanError> {
    keep(|keep| read_span(&Resource::default(), "", span, keep))
}

fn tokens(pairs: &[(&str, u64)]) -> Quantities {
    let attributes = pairs.iter().map(|(name, count)| key_value(name, integer(*count))).collect();
    read(attributes).call.usage.unwrap().own
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
    let empty_usage = Call { usage: Some(Usage::of(Quantities::default(), UsageSource::Provider)), ..call() };
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
    let expected = Quantities::from_pairs(&[
        (Unit::InputUncached, 20),
        (Unit::CacheRead, 70),
        (Unit::CacheWrite5m, 10),
        (Unit::OutputText, 30),
        (Unit::OutputReasoning, 20),
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
    assert_eq!(counts.get(Unit::InputUncached), 10);
    assert_eq!(counts.get(Unit::CacheRead), 70);
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
        let read = |keep: &mut Keep<'_>| read_span(&Resource::default(), scope_name, &span(attributes), keep);
        let record = keep(read).unwrap();
        let expected = Quantities::from_pairs(&[
            (Unit::InputUncached, uncached),
            (Unit::CacheRead, 70),
            (Unit::InputAudio, 5),
            (Unit::OutputText, 1),
        ]);
        assert_eq!(record.call.usage.unwrap().own, expected, "{scope_name} {provider}");
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
        tokens(&[pairs, &[("gen_ai.usage.output_tokens", 0)][..]].concat()).total(Side::Input)
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
    assert_eq!(output.total(Side::Output), 100);
    assert_eq!(output.get(Unit::OutputAudio), 30);
}

#[test]
fn absent_usage_is_missing_and_a_reported_zero_is_zero() {
    assert_eq!(read(vec![key_value("gen_ai.operation.name", text("chat"))]).call.usage, None);
    let both = [("gen_ai.usage.input_tokens", 0), ("gen_ai.usage.output_tokens", 0)];
    assert_eq!(tokens(&both), Quantities::default());
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
    assert_eq!(doubles.own.get(Unit::InputUncached), 12);
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
    assert_eq!(usage.own, Quantities::from_pairs(&[(Unit::InputUncached, 12)]));
}

#[test]
fn only_listed_attributes_are_kept_and_the_rest_is_counted_by_name() {
    let attributes = vec![
        key_value("gen_ai.operation.name", text("chat")),
        key_value("gen_ai.request.temperature", Value::DoubleValue(0.5)),
        key_value("gen_ai.input.messages", text("[secret]")),
        key_value("gen_ai.prompt.0.content", text("secret")),
        key_value("brand.new", text("secret")),
        key_value("brand.new", text("secret")),
        key_value("app.tag", text("blue")),
    ];
    let mut dropped = DroppedNames::default();
    let allowed = AllowList::new(&["app.tag".parse().unwrap(), "k8s.*".parse().unwrap()]);
    let mut keep = Keep { allowed: &allowed, limits: LIMITS, dropped: &mut dropped };
    let resource = [
        ("k8s.pod.name", "p-1"),
        ("service.name", "shop"),
        ("process.command_line", "--key secret"),
        ("app.tag", "red"),
    ];
    let resource = Resource::read(&resource.map(|(name, value)| key_value(name, text(value))), &mut keep);
    let record = read_span(&resource, "", &span(attributes.clone()), &mut keep).unwrap();
    let of = |pairs: &[(&str, &str)]| -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    // The span's own value comes before that of its resource.
    let kept = of(&[("gen_ai.request.temperature", "0.5"), ("app.tag", "blue"), ("k8s.pod.name", "p-1")]);
    assert_eq!((record.attributes, record.attributes_dropped), (kept, 4));
    assert_eq!(record.call.identity.service, "shop");
    let mut names: Vec<_> = dropped.names().collect();
    names.sort_unstable();
    let expected = [
        ("brand.new", 2),
        ("gen_ai.input.messages", 1),
        ("gen_ai.prompt.0.content", 1),
        ("process.command_line", 1),
    ];
    assert_eq!(names, expected);
    let refused = allowed_attributes(&span(attributes), &allowed, LIMITS);
    assert_eq!(
        refused,
        of(&[("gen_ai.operation.name", "chat"), ("gen_ai.request.temperature", "0.5"), ("app.tag", "blue")])
    );
}

#[test]
fn texts_where_classes_belong_are_not_kept() {
    let attributes = vec![
        key_value("gen_ai.operation.name", text("chat")),
        key_value("gen_ai.request.model", text("gpt-4.1")),
        key_value("error.type", text("400: cannot answer 'my secret'")),
        key_value("gen_ai.response.finish_reasons", texts(&["stop".into(), "my secret reason".into()])),
    ];
    let mut said = Span { name: "answer my secret question".into(), ..span(attributes) };
    said.status = Some(Status { code: StatusCode::Error.into(), message: "my secret".into() });
    let record = read_only(&said).unwrap();
    assert_eq!((record.name.as_str(), record.call.error_type.as_deref()), ("chat gpt-4.1", Some("_OTHER")));
    assert_eq!(record.call.finish_reasons, ["stop", "_OTHER"]);
    assert!(!format!("{record:?}").contains("secret"));
    keep(|keep| {
        assert!(!format!("{:?}", allowed_attributes(&said, keep.allowed, LIMITS)).contains("secret"));
    });
    assert_eq!(keep(|keep| stored_name(&said, keep.allowed)), "chat gpt-4.1");
    for (attributes, name, stored) in [
        (vec![], "GET /v1/orders?key=secret", "GET /v1/orders"),
        (vec![], "GET", "GET"),
        (vec![], "running tool: get_weather", "running tool: get_weather"),
        (vec![], "please tell me what my secret plan was", "_OTHER"),
        (vec![], &*"n".repeat(129), "_OTHER"),
        (
            vec![("gen_ai.operation.name", "invoke_agent"), ("gen_ai.agent.name", "helper")],
            "secret",
            "invoke_agent helper",
        ),
        (vec![("gen_ai.operation.name", "my secret")], "secret", "_OTHER"),
    ] {
        let attributes = attributes.iter().map(|(name, value)| key_value(name, text(value))).collect();
        let record = read_only(&Span { name: name.into(), ..span(attributes) }).unwrap();
        assert_eq!(record.name, stored, "{name}");
    }
}

#[test]
fn lists_and_maps_become_json_within_bounds() {
    let any = |value| AnyValue { value: Some(value) };
    let list =
        |values: Vec<Value>| Value::ArrayValue(ArrayValue { values: values.into_iter().map(any).collect() });
    let map = |pairs: Vec<(&str, Value)>| {
        Value::KvlistValue(KeyValueList {
            values: pairs.into_iter().map(|(name, value)| key_value(name, value)).collect(),
        })
    };
    let shown =
        |value: Value| read(vec![key_value("app.value", value)]).attributes.pop().map(|(_, text)| text);
    let deep = |depth: usize| (1..depth).fold(list(vec![]), |value, _| list(vec![value]));
    let control = "\u{1}".repeat(700);
    for (value, expected) in [
        (
            list(vec![text("a\"b\n\u{7f}"), integer(7), Value::BoolValue(true)]),
            Some("[\"a\\\"b\\n\u{7f}\",7,true]"),
        ),
        (
            map(vec![("k\"", list(vec![Value::DoubleValue(0.5)])), ("n", map(vec![]))]),
            Some(r#"{"k\"":[0.5],"n":{}}"#),
        ),
        (
            list(vec![Value::DoubleValue(f64::NAN), Value::BytesValue(vec![0xfb, 0xff])]),
            Some(r#"["NaN","+/8="]"#),
        ),
        (Value::BytesValue(vec![0xfb, 0xff]), Some("+/8=")),
        (Value::DoubleValue(1.0), Some("1")),
        (Value::DoubleValue(1e300), Some("1e300")),
        (deep(8), Some("[[[[[[[[]]]]]]]]")),
        (deep(9), None),
        (list(vec![text(&"x".repeat(LIMITS.value_bytes - 3))]), None),
        // Six bytes each as JSON.
        (list(vec![text(&control)]), None),
    ] {
        assert_eq!(shown(value).as_deref(), expected);
    }
    let cut = shown(Value::StringValue("\u{e9}".repeat(LIMITS.value_bytes))).unwrap();
    assert_eq!(cut, "\u{e9}".repeat(LIMITS.value_bytes / 2));
    assert_eq!(shown(Value::BytesValue(vec![0; 10_000])).unwrap().len(), LIMITS.value_bytes);
}

#[test]
fn finish_reasons_are_read_from_lists_and_from_lists_as_text() {
    for (value, expected) in [
        (texts(&["stop".into(), "length".into()]), &["stop", "length"][..]),
        (text(r#"["stop","length"]"#), &["stop", "length"]),
        (text("stop"), &["stop"]),
        (text("[stop"), &["_OTHER"]),
    ] {
        assert_eq!(
            read(vec![key_value("gen_ai.response.finish_reasons", value)]).call.finish_reasons,
            expected
        );
    }
}

#[test]
fn a_reported_cost_is_kept_to_the_pico_dollar() {
    for (value, picos) in [
        (Value::DoubleValue(0.001_234_567_8), 1_234_567_800),
        (text("0.000000000001"), 1),
        (Value::IntValue(2), 2_000_000_000_000),
    ] {
        let record = read(vec![key_value("gen_ai.usage.cost", value)]);
        assert_eq!(record.call.billing.reported_cost.map(PicoUsd::picos), Some(picos));
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
    let call = read_only(&failed).unwrap().call;
    assert_eq!((call.error_type.as_deref(), call.end), (Some("_OTHER"), EndOfStream::ProviderError));
    assert_eq!(call.operation, Operation::NotGenAi);
}

#[test]
fn spans_without_identity_are_refused() {
    for (broken, error) in [
        (Span { trace_id: vec![0; 16], ..span(Vec::new()) }, SpanError::TraceId),
        (Span { trace_id: vec![1; 15], ..span(Vec::new()) }, SpanError::TraceId),
        (Span { span_id: Vec::new(), ..span(Vec::new()) }, SpanError::SpanId),
    ] {
        assert_eq!(read_only(&broken), Err(error));
    }
}

#[test]
fn a_span_without_a_start_or_an_end_has_no_duration() {
    for (start, end, duration) in [(5, 9, Some(4)), (5, 5, Some(0)), (0, 9, None), (5, 0, None), (9, 5, None)]
    {
        let span = Span { start_time_unix_nano: start, end_time_unix_nano: end, ..span(Vec::new()) };
        assert_eq!(read_only(&span).unwrap().duration_ns, duration, "{start} {end}");
    }
}
