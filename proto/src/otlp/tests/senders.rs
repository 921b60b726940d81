//! What senders other than our agent mean, by their own vocabularies.

use super::*;

fn texts_of(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    pairs.iter().map(|(name, value)| key_value(name, text(value))).collect()
}

fn from_scope(scope: &str, attributes: Vec<KeyValue>) -> SpanRecord {
    keep(|keep| read_span(&Resource::default(), scope, &span(attributes), keep)).unwrap()
}

/// Of a chat that used 100 and 50 tokens, with these counts besides.
fn chat(scope: &str, provider: &str, counts: &[(&str, u64)]) -> Quantities {
    let mut attributes = texts_of(&[("gen_ai.operation.name", "chat"), ("gen_ai.provider.name", provider)]);
    attributes.extend(counts.iter().map(|(name, count)| key_value(name, integer(*count))));
    from_scope(scope, attributes).call.usage.unwrap().own
}

#[test]
fn kinds_decide_what_is_a_call_before_the_operation() {
    let facts = [("gen_ai.provider.name", "openai"), ("gen_ai.request.model", "gpt-4.1")];
    for (attribute, value, alone, with_chat) in [
        ("openinference.span.kind", "LLM", "chat", "chat"),
        ("openinference.span.kind", "EMBEDDING", "embeddings", "embeddings"),
        ("openinference.span.kind", "AGENT", "invoke_agent", "invoke_agent"),
        ("openinference.span.kind", "TOOL", "execute_tool", "execute_tool"),
        ("openinference.span.kind", "RETRIEVER", "retrieval", "retrieval"),
        ("openinference.span.kind", "CHAIN", "invoke_workflow", "invoke_workflow"),
        ("openinference.span.kind", "RERANKER", "rerank", "rerank"),
        ("openinference.span.kind", "GUARDRAIL", "guardrail", "guardrail"),
        ("openinference.span.kind", "EVALUATOR", "evaluate", "evaluate"),
        ("openinference.span.kind", "PROMPT", "", ""),
        // No word of the vocabulary, or one that says nothing.
        ("openinference.span.kind", "UNKNOWN", "chat", "chat"),
        ("traceloop.span.kind", "workflow", "invoke_workflow", "invoke_workflow"),
        ("traceloop.span.kind", "task", "", ""),
        ("traceloop.span.kind", "agent", "invoke_agent", "invoke_agent"),
        ("traceloop.span.kind", "tool", "execute_tool", "execute_tool"),
        ("langfuse.observation.type", "generation", "chat", "chat"),
        ("langfuse.observation.type", "embedding", "embeddings", "embeddings"),
        ("langfuse.observation.type", "span", "", ""),
        ("langfuse.observation.type", "event", "", ""),
        ("langfuse.observation.type", "retriever", "retrieval", "retrieval"),
        ("llm.request.type", "chat", "chat", "chat"),
        ("llm.request.type", "completion", "text_completion", "chat"),
        ("llm.request.type", "embedding", "embeddings", "embeddings"),
        ("llm.request.type", "rerank", "rerank", "rerank"),
        ("ai.operationId", "ai.generateText.doGenerate", "chat", "chat"),
        ("ai.operationId", "ai.streamText.doStream", "chat", "chat"),
        ("ai.operationId", "ai.embedMany.doEmbed", "embeddings", "embeddings"),
        ("ai.operationId", "ai.generateText", "invoke_workflow", "invoke_workflow"),
        ("ai.operationId", "ai.embed", "invoke_workflow", "invoke_workflow"),
        ("ai.operationId", "ai.toolCall", "execute_tool", "execute_tool"),
        ("mlflow.spanType", "\"CHAT_MODEL\"", "chat", "chat"),
        ("mlflow.spanType", "\"AGENT\"", "invoke_agent", "invoke_agent"),
        ("langsmith.span.kind", "llm", "chat", "chat"),
        ("langsmith.span.kind", "retriever", "retrieval", "retrieval"),
        ("span.type", "claude_code.llm_request", "chat", "chat"),
        ("span.type", "claude_code.interaction", "invoke_agent", "invoke_agent"),
        ("span.type", "web", "chat", "chat"),
    ] {
        let of = |more: &[(&str, &str)]| {
            read(texts_of(&[&facts[..], &[(attribute, value)], more].concat())).call.operation
        };
        assert_eq!(of(&[]).name(), alone, "{attribute}={value}");
        assert_eq!(
            of(&[("gen_ai.operation.name", "chat")]).name(),
            with_chat,
            "{attribute}={value} and chat"
        );
        let finer = of(&[("gen_ai.operation.name", "execute_tool")]);
        assert!(!finer.is_call(), "{attribute}={value} and execute_tool: {finer:?}");
    }
}

#[test]
fn no_call_is_believed_over_a_call_whichever_attribute_says_it() {
    for pairs in [
        [("openinference.span.kind", "LLM"), ("langfuse.observation.type", "agent")],
        [("langfuse.observation.type", "agent"), ("openinference.span.kind", "LLM")],
        [("langsmith.span.kind", "retriever"), ("gen_ai.operation.name", "embeddings")],
        [("langsmith.span.kind", "embedding"), ("gen_ai.operation.name", "retrieval")],
    ] {
        let operation = read(texts_of(&pairs)).call.operation;
        assert!(!operation.is_call() && operation != Operation::NotGenAi, "{pairs:?}: {operation:?}");
    }
}

#[test]
fn spans_of_kinds_have_names() {
    let name = |pairs: &[(&str, &str)], own: &str| {
        read_only(&Span { name: own.into(), ..span(texts_of(pairs)) }).unwrap().name
    };
    let chain = ("openinference.span.kind", "CHAIN");
    assert_eq!(name(&[chain], "RunnableSequence"), "RunnableSequence");
    assert_eq!(name(&[chain], "what the user said to the model then"), "_OTHER");
    assert_eq!(
        name(&[("traceloop.span.kind", "agent"), ("traceloop.entity.name", "planner")], "x"),
        "invoke_agent planner"
    );
    let agent = [
        ("gen_ai.operation.name", "invoke_agent"),
        ("gen_ai.request.model", "m"),
        ("gen_ai.agent.name", "a"),
    ];
    assert_eq!(name(&agent, "x"), "invoke_agent a");
    assert_eq!(name(&[("openinference.span.kind", "LLM"), ("llm.model_name", "m")], "x"), "chat m");
}

#[test]
fn only_our_agent_can_say_that_the_provider_counted() {
    let source = |scope: &str, stated: Option<&str>| {
        let mut attributes = texts_of(&[("gen_ai.operation.name", "chat")]);
        attributes.extend(stated.map(|source| key_value("ledgerline.usage.source", text(source))));
        let counts = [
            "ledgerline.usage.unit.input_uncached",
            "gen_ai.usage.input_tokens",
            "gen_ai.usage.output_tokens",
        ];
        attributes.extend(counts.map(|name| key_value(name, integer(7))));
        from_scope(scope, attributes).call.usage.map(|usage| usage.source)
    };
    for stated in UsageSource::ALL {
        assert_eq!(source("ledgerline-agent", Some(stated.name())), Some(stated));
        let elsewhere =
            if stated == UsageSource::Estimated { UsageSource::Estimated } else { UsageSource::Sender };
        for scope in ["", "litellm", "ledgerline-agent2", "ledgerline"] {
            assert_eq!(source(scope, Some(stated.name())), Some(elsewhere), "{scope} {stated:?}");
        }
    }
    for scope in ["ledgerline-agent", "litellm"] {
        assert_eq!(source(scope, Some("missing")), None);
        assert_eq!(source(scope, None), Some(UsageSource::Sender));
        assert_eq!(source(scope, Some("revelation")), Some(UsageSource::Sender));
    }
}

#[test]
fn the_total_tells_whether_parts_are_inside_or_beside() {
    use Unit::{CacheRead, CacheWrite5m, InputUncached, OutputReasoning, OutputText};
    const READ: &str = "gen_ai.usage.cache_read.input_tokens";
    const REASONING: &str = "gen_ai.usage.reasoning_tokens";
    let of = |scope: &str, provider: &str, parts: &[(&str, u64)], total: Option<u64>| {
        let sides = [("gen_ai.usage.input_tokens", 1000), ("gen_ai.usage.output_tokens", 100)];
        let total = total.map(|total| ("gen_ai.usage.total_tokens", total));
        let counts: Vec<_> = sides.into_iter().chain(parts.iter().copied()).chain(total).collect();
        let own = chat(scope, provider, &counts);
        [InputUncached, CacheRead, CacheWrite5m, OutputText, OutputReasoning].map(|unit| own.get(unit))
    };
    let cached = [(READ, 600)];
    let write = [(READ, 600), ("gen_ai.usage.cache_creation.input_tokens", 200)];
    let both = [(READ, 600), (REASONING, 60)];
    let equal = [(READ, 60), (REASONING, 60)];
    let (bedrock, google) =
        ("opentelemetry.instrumentation.bedrock", "opentelemetry.instrumentation.google_generativeai");
    for (scope, parts, total, expected) in [
        ("", &cached[..], None, [400, 600, 0, 100, 0]),
        ("", &cached, Some(1100), [400, 600, 0, 100, 0]),
        ("", &cached, Some(1700), [1000, 600, 0, 100, 0]),
        ("", &write, Some(1900), [1000, 600, 200, 100, 0]),
        ("", &both, Some(1760), [1000, 600, 0, 100, 60]),
        ("", &both, Some(1160), [400, 600, 0, 100, 60]),
        ("", &both, Some(1700), [1000, 600, 0, 40, 60]),
        // Either of the parts could be beside: it proves nothing.
        ("", &equal, Some(1160), [940, 60, 0, 40, 60]),
        // A total that fits no reading.
        ("", &cached, Some(1234), [400, 600, 0, 100, 0]),
        // What is known of the sender's code comes after its total, and before the conventions.
        (bedrock, &cached, None, [1000, 600, 0, 100, 0]),
        (bedrock, &cached, Some(1700), [1000, 600, 0, 100, 0]),
        (bedrock, &cached, Some(1100), [400, 600, 0, 100, 0]),
        (bedrock, &cached, Some(1234), [1000, 600, 0, 100, 0]),
        (google, &both, None, [400, 600, 0, 100, 60]),
        (google, &both, Some(1100), [400, 600, 0, 40, 60]),
        // It adds up input and output whatever they hold.
        ("openlit.instrumentation.anthropic", &cached, Some(1100), [1000, 600, 0, 100, 0]),
        // What does not fit cannot be inside.
        ("", &[(READ, 1001), (REASONING, 101)], Some(1100), [1000, 1001, 0, 100, 101]),
    ] {
        assert_eq!(of(scope, "anthropic", parts, total), expected, "{scope} {parts:?} {total:?}");
    }
}

#[test]
fn every_spelling_of_a_count_is_read() {
    let whole = [("gen_ai.usage.input_tokens", 1000), ("gen_ai.usage.output_tokens", 500)];
    let get = |name: &str, unit: Unit| chat("", "openai", &[&whole[..], &[(name, 70)]].concat()).get(unit);
    for name in [
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cache_read_tokens",
        "gen_ai.usage.input_cached_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cache_read_input_tokens",
        "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "gen_ai.usage.cached_prompt_text_tokens",
        "llm.token_count.prompt_details.cache_read",
        "ai.usage.cachedInputTokens",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        "cache_read_tokens",
    ] {
        assert_eq!(get(name, Unit::CacheRead), 70, "{name}");
    }
    for name in [
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_tokens",
        "gen_ai.usage.input_cache_creation",
        "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.details.cache_creation_input_tokens",
        "gen_ai.usage.prompt_tokens_details.cache_creation_tokens",
        "llm.token_count.prompt_details.cache_write",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
        "cache_creation_tokens",
        "anthropic.usage.cache_creation.ephemeral_5m_input_tokens",
    ] {
        assert_eq!(get(name, Unit::CacheWrite5m), 70, "{name}");
    }
    for name in [
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
        "gen_ai.usage.details.ephemeral_1h_input_tokens",
        "gen_ai.usage.cache_creation_input_tokens_above_1hr",
    ] {
        assert_eq!((get(name, Unit::CacheWrite1h), get(name, Unit::CacheWrite5m)), (70, 0), "{name}");
    }
    for name in [
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "ai.usage.reasoningTokens",
        "ai.usage.outputTokenDetails.reasoningTokens",
    ] {
        assert_eq!((get(name, Unit::OutputReasoning), get(name, Unit::OutputText)), (70, 430), "{name}");
    }
    for (name, unit) in [
        ("gen_ai.usage.details.input_audio_tokens", Unit::InputAudio),
        ("llm.token_count.prompt_details.audio", Unit::InputAudio),
        ("gen_ai.usage.completion_tokens_details.audio_tokens", Unit::OutputAudio),
        ("llm.token_count.completion_details.audio", Unit::OutputAudio),
    ] {
        assert_eq!(get(name, unit), 70, "{name}");
    }
}

#[test]
fn searches_are_read_wherever_a_sender_puts_them() {
    let whole = [("gen_ai.usage.input_tokens", 1000), ("gen_ai.usage.output_tokens", 500)];
    for name in
        ["gen_ai.usage.server_tool_use.web_search_requests", "gen_ai.usage.details.web_search_requests"]
    {
        let quantities = chat("", "anthropic", &[&whole[..], &[(name, 3)]].concat());
        assert_eq!(
            (quantities.get(Unit::WebSearch), quantities.get(Unit::InputUncached)),
            (3, 1000),
            "{name}"
        );
    }
    let usage = r#"{"input_tokens": 1000, "output_tokens": 500, "server_tool_use": {"web_search_requests": 3, "web_fetch_requests": 2}}"#;
    for name in ["langfuse.observation.usage_details", "gen_ai.usage.raw"] {
        let pairs = [("gen_ai.operation.name", "chat"), ("gen_ai.provider.name", "anthropic"), (name, usage)];
        let own = read(texts_of(&pairs)).call.usage.unwrap().own;
        let counts = [Unit::WebSearch, Unit::InputUncached, Unit::OutputText].map(|unit| own.get(unit));
        assert_eq!(counts, [3, 1000, 500], "{name}");
    }
}

#[test]
fn the_better_name_of_a_count_is_believed() {
    let whole = [("gen_ai.usage.input_tokens", 1000), ("gen_ai.usage.output_tokens", 500)];
    for (input, output) in [
        ("gen_ai.usage.prompt_tokens", "gen_ai.usage.completion_tokens"),
        ("llm.usage.prompt_tokens", "llm.usage.completion_tokens"),
        ("llm.token_count.prompt", "llm.token_count.completion"),
        ("ai.usage.inputTokens", "ai.usage.outputTokens"),
        ("ai.usage.promptTokens", "ai.usage.completionTokens"),
        ("input_tokens", "output_tokens"),
    ] {
        let own = chat("", "openai", &[(input, 100), (output, 50)]);
        assert_eq!(
            own,
            Quantities::from_pairs(&[(Unit::InputUncached, 100), (Unit::OutputText, 50)]),
            "{input}"
        );
    }
    // The better name counts, wherever it stands, and a value that is no count is passed over.
    let own = chat("", "", &[("llm.token_count.prompt", 9), whole[1], whole[0], ("input_tokens", 9)]);
    assert_eq!(own.get(Unit::InputUncached), 1000);
    let attributes = vec![
        key_value("gen_ai.usage.input_tokens", text("many")),
        key_value("gen_ai.usage.prompt_tokens", integer(7)),
        key_value("gen_ai.usage.output_tokens", integer(7)),
    ];
    assert_eq!(read(attributes).call.usage.unwrap().own.get(Unit::InputUncached), 7);
}

/// The units of a chat with these texts.
fn units(pairs: &[(&str, &str)]) -> String {
    let attributes = texts_of(&[&[("gen_ai.operation.name", "chat")], pairs].concat());
    let usage = read(attributes).call.usage.unwrap();
    usage.own.nonzero().map(|(unit, count)| format!("{unit} {count}")).collect::<Vec<_>>().join(", ")
}

#[test]
fn what_the_provider_said_fills_in_what_the_sender_left_out() {
    let provider = r#"{"anthropic":{"usage":{"input_tokens":50,"cache_creation_input_tokens":300,"cache_creation":{"ephemeral_5m_input_tokens":100,"ephemeral_1h_input_tokens":200},"output_tokens":50}}}"#;
    let vercel = [
        ("ai.usage.inputTokens", "1350"),
        ("ai.usage.outputTokens", "50"),
        ("ai.usage.cachedInputTokens", "1000"),
        ("ai.response.providerMetadata", provider),
    ];
    let expected =
        "input_uncached 50, cache_read 1000, cache_write_5m 100, cache_write_1h 200, output_text 50";
    assert_eq!(units(&vercel), expected);
}

#[test]
fn usage_objects_as_text_are_read() {
    let sides = [("gen_ai.usage.input_tokens", "1500"), ("gen_ai.usage.output_tokens", "50")];
    let anthropic =
        "input_uncached 50, cache_read 1000, cache_write_5m 100, cache_write_1h 200, output_text 50";
    let openai = "input_uncached 476, cache_read 1024, output_text 18, output_reasoning 32";
    for (pairs, expected) in [
        // LangSmith, as Python prints it.
        (
            &[
                sides[0],
                sides[1],
                ("gen_ai.usage.input_token_details", "{'audio': 0, 'cache_read': 1024}"),
                ("gen_ai.usage.output_token_details", "{'reasoning': 32}"),
            ][..],
            openai,
        ),
        (
            &[
                sides[0],
                sides[1],
                ("output_token_details", r#"{"audio":7}"#),
                ("input_token_details", r#"{"audio":9}"#),
            ],
            "input_uncached 1491, input_audio 9, output_text 43, output_audio 7",
        ),
        // MLflow.
        (
            &[(
                "mlflow.chat.tokenUsage",
                r#"{"input_tokens":1350,"output_tokens":50,"total_tokens":1400,"cache_read_input_tokens":1000,"cache_creation_input_tokens":300,"cache_creation_input_tokens_above_1hr":200}"#,
            )],
            anthropic,
        ),
        // Langfuse: its keys are beside each other.
        (
            &[(
                "langfuse.observation.usage_details",
                r#"{"input":50,"input_cached_tokens":1000,"input_cache_creation_5m":100,"input_cache_creation_1h":200,"output":50,"total":1400}"#,
            )],
            anthropic,
        ),
        (
            &[(
                "langfuse.observation.usage_details",
                r#"{"input":476,"input_cached_tokens":1024,"output":18,"output_reasoning_tokens":32,"input_audio_tokens":477}"#,
            )],
            "input_uncached 476, cache_read 1024, input_audio 477, output_text 18, output_reasoning 32",
        ),
        // And OpenAI's object in the same place.
        (
            &[(
                "langfuse.observation.usage_details",
                r#"{"input_tokens":1500,"input_tokens_details":{"cached_tokens":1024},"output_tokens":50,"output_tokens_details":{"reasoning_tokens":32},"total_tokens":1550}"#,
            )],
            openai,
        ),
    ] {
        assert_eq!(units(pairs), expected, "{pairs:?}");
    }
}

#[test]
fn names_of_models_people_and_sessions_are_read_in_all_vocabularies() {
    let call = |pairs: &[(&str, &str)]| read(texts_of(pairs)).call;
    let vercel = call(&[
        ("ai.operationId", "ai.streamText.doStream"),
        ("ai.model.provider", "anthropic.messages"),
        ("ai.model.id", "claude-sonnet-4-5"),
        ("ai.response.model", "claude-sonnet-4-5-20250929"),
        ("ai.response.id", "msg_1"),
        ("ai.telemetry.metadata.userId", "u"),
        ("ai.telemetry.metadata.sessionId", "s"),
        ("ai.response.finishReason", "stop"),
    ]);
    assert_eq!((vercel.provider.as_str(), vercel.model()), ("anthropic", "claude-sonnet-4-5-20250929"));
    assert_eq!((vercel.request_model.as_str(), vercel.response_id.as_str()), ("claude-sonnet-4-5", "msg_1"));
    assert_eq!((vercel.identity.user.as_str(), vercel.identity.session.as_str()), ("u", "s"));
    assert_eq!((vercel.stream, vercel.finish_reasons), (true, vec!["stop".to_owned()]));
    let mlflow = call(&[
        ("mlflow.spanType", "\"CHAT_MODEL\""),
        ("mlflow.llm.model", "\"gpt-4.1\""),
        ("mlflow.llm.provider", "\"openai\""),
        ("mlflow.trace.session", "s"),
    ]);
    assert_eq!(
        (mlflow.provider.as_str(), mlflow.model(), mlflow.identity.session.as_str()),
        ("openai", "gpt-4.1", "s")
    );
    // A common word is the model of Claude Code's spans only, which name no provider.
    assert_eq!(call(&[("model", "Corolla")]).model(), "");
    let claude = texts_of(&[("span.type", "claude_code.llm_request"), ("model", "claude-opus-5")]);
    let claude = from_scope("com.anthropic.claude_code.tracing", claude).call;
    assert_eq!(
        (claude.provider.as_str(), claude.model(), claude.operation.name()),
        ("anthropic", "claude-opus-5", "chat")
    );
}

#[test]
fn the_id_of_an_answer_is_read_from_the_answer_where_it_stands_nowhere_else() {
    let id = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = [("openinference.span.kind", "LLM")].iter().chain(pairs).copied().collect();
        read(texts_of(&pairs)).call.response_id
    };
    for (answer, expected) in [
        (r#"{"id":"chatcmpl-9","choices":[]}"#, "chatcmpl-9"),
        (" {\n  \"id\" : \"msg_01.x\" }", "msg_01.x"),
        (r#"{"choices": [{"message": {"id": "call_1"}}], "id": "chatcmpl-7"}"#, "chatcmpl-7"),
        (r#"{"choices": [{"id": "call_1"}]}"#, ""),
        (r#"{"id":"Please call +39 06"}"#, ""),
        (r#"{"id":7}"#, ""),
        (r#"{"id":"open"#, ""),
        ("Hello there", ""),
    ] {
        assert_eq!(id(&[("output.value", answer)]), expected, "{answer}");
    }
    let long = format!(r#"{{"id":"{}"}}"#, "x".repeat(129));
    assert_eq!(id(&[("output.value", &long)]), "");
    assert_eq!(id(&[("output.value", r#"{"id":"a"}"#), ("gen_ai.response.id", "b")]), "b");
}

#[test]
fn times_to_the_first_token_are_read_in_every_unit() {
    let first = |name: &str, value: Value| {
        let mut of = span(vec![key_value(name, value)]);
        of.start_time_unix_nano = 1_767_225_600_000_000_000;
        let call = read_only(&of).unwrap().call;
        (call.time_to_first_token_ns, call.stream)
    };
    for (name, value, nanoseconds) in [
        ("gen_ai.response.time_to_first_chunk", Value::DoubleValue(0.25), 250_000_000),
        ("gen_ai.client.operation.time_to_first_chunk", text("0.25"), 250_000_000),
        ("gen_ai.server.time_to_first_token", Value::IntValue(2), 2_000_000_000),
        ("ai.response.msToFirstChunk", Value::DoubleValue(250.5), 250_500_000),
        ("ai.response.msToFirstChunk", Value::IntValue(250), 250_000_000),
        ("langfuse.observation.completion_start_time", text("\"2026-01-01T00:00:00.25Z\""), 250_000_000),
        ("langfuse.observation.completion_start_time", text("2026-01-01T01:00:01+01:00"), 1_000_000_000),
    ] {
        assert_eq!(first(name, value.clone()), (Some(nanoseconds), true), "{name} {value:?}");
    }
    for (name, value) in [
        ("gen_ai.response.time_to_first_chunk", Value::DoubleValue(f64::INFINITY)),
        ("gen_ai.response.time_to_first_chunk", Value::DoubleValue(-1.0)),
        ("ai.response.msToFirstChunk", text("soon")),
        // Before the span began.
        ("langfuse.observation.completion_start_time", text("2025-01-01T00:00:00Z")),
        ("langfuse.observation.completion_start_time", text("yesterday")),
    ] {
        assert_eq!(first(name, value.clone()), (None, false), "{name} {value:?}");
    }
    let stated = vec![
        key_value("gen_ai.is_streaming", Value::BoolValue(false)),
        key_value("gen_ai.server.time_to_first_token", Value::DoubleValue(0.5)),
    ];
    let call = read(stated).call;
    assert_eq!((call.stream, call.time_to_first_token_ns), (false, None), "of no stream");
}

#[test]
fn reported_costs_are_read_under_all_names() {
    let cost = |pairs: &[(&str, Value)]| {
        let attributes = pairs.iter().map(|(name, value)| key_value(name, value.clone())).collect();
        read(attributes).call.billing.reported_cost.map(PicoUsd::picos)
    };
    let usd = || Value::DoubleValue(0.002_775);
    for name in [
        "gen_ai.usage.cost",
        "gen_ai.cost.total_cost",
        "llm.cost.total",
        "operation.cost",
        "litellm.cost.total",
    ] {
        assert_eq!(cost(&[(name, usd())]), Some(2_775_000_000), "{name}");
    }
    assert_eq!(cost(&[("gen_ai.usage.cost_in_usd_ticks", Value::IntValue(27_750_000))]), Some(2_775_000_000));
    for details in [r#"{"input": 0.002, "total": 0.002775}"#, r#"{"total_cost":0.002775}"#] {
        assert_eq!(cost(&[("mlflow.llm.cost", text(details))]), Some(2_775_000_000));
    }
    assert_eq!(cost(&[("gen_ai.usage.cost", text("2.775e-3"))]), Some(2_775_000_000));
    let amount = ("gen_ai.usage.cost.amount", usd());
    let currency = |code: &str| ("gen_ai.usage.cost.currency", text(code));
    assert_eq!(cost(&[amount.clone(), currency("USD")]), Some(2_775_000_000));
    assert_eq!(cost(&[amount, currency("EUR")]), None);
    assert_eq!(cost(&[("gen_ai.usage.cost_in_usd_ticks", Value::IntValue(i64::MAX))]), None);
}

#[test]
fn a_status_is_a_status_under_any_name() {
    let status = |name: &str, value: Value| read(vec![key_value(name, value)]).call.http_status;
    assert_eq!(status("http.response.status_code", integer(429)), Some(429));
    assert_eq!(status("http.status_code", text("529")), Some(529));
    assert_eq!(status("error.code", text("429")), Some(429));
    for (name, value) in
        [("error.code", text("1013")), ("error.code", text("rate_limit")), ("error.code", integer(7))]
    {
        assert_eq!(status(name, value), None);
    }
}
