//! Spans that real instrumentations sent, against what a person reads in them.

use super::*;

const SPANS: &str = include_str!("../../../tests/fixtures/instrumentations.jsonl");
const EXPECTED: &str = include_str!("../../../tests/fixtures/instrumentations.txt");

/// A span with the scope and the service that sent it.
pub(super) struct Recorded {
    pub(super) service: String,
    pub(super) scope: String,
    pub(super) span: Span,
}

fn value(json: &serde_json::Value) -> Option<Value> {
    let (kind, value) = json.as_object()?.iter().next()?;
    Some(match kind.as_str() {
        "stringValue" => text(value.as_str()?),
        "boolValue" => Value::BoolValue(value.as_bool()?),
        "intValue" => Value::IntValue(value.as_str()?.parse().ok()?),
        "doubleValue" => Value::DoubleValue(value.as_f64()?),
        "arrayValue" => {
            let items = value.get("values").and_then(|list| list.as_array()).cloned().unwrap_or_default();
            let values = items.iter().map(|item| AnyValue { value: self::value(item) }).collect();
            Value::ArrayValue(ArrayValue { values })
        }
        other => panic!("{other}"),
    })
}

fn attributes(json: &serde_json::Value) -> Vec<KeyValue> {
    let pair = |json: &serde_json::Value| KeyValue {
        key: json["key"].as_str().unwrap().to_owned(),
        value: Some(AnyValue { value: value(&json["value"]) }),
        ..Default::default()
    };
    json["attributes"].as_array().into_iter().flatten().map(pair).collect()
}

/// All of them.
pub(super) fn recorded() -> Vec<Recorded> {
    let list = |json: &serde_json::Value, name: &str| json[name].as_array().cloned().unwrap_or_default();
    let time = |json: &serde_json::Value| json.as_str().unwrap().parse().unwrap();
    let mut all = Vec::new();
    for line in SPANS.lines() {
        let request: serde_json::Value = serde_json::from_str(line).unwrap();
        for resource in list(&request, "resourceSpans") {
            let service = attributes(&resource["resource"])
                .into_iter()
                .find(|attribute| attribute.key == "service.name")
                .and_then(|attribute| match attribute.value?.value? {
                    Value::StringValue(text) => Some(text),
                    _ => None,
                })
                .unwrap();
            for scope in list(&resource, "scopeSpans") {
                for json in list(&scope, "spans") {
                    all.push(Recorded {
                        service: service.clone(),
                        scope: scope["scope"]["name"].as_str().unwrap().to_owned(),
                        span: Span {
                            name: json["name"].as_str().unwrap().to_owned(),
                            start_time_unix_nano: time(&json["startTimeUnixNano"]),
                            end_time_unix_nano: time(&json["endTimeUnixNano"]),
                            status: json["status"]["code"]
                                .as_i64()
                                .map(|code| Status { code: code.try_into().unwrap(), ..Default::default() }),
                            ..span(attributes(&json))
                        },
                    });
                }
            }
        }
    }
    all
}

impl Recorded {
    pub(super) fn read(&self) -> SpanRecord {
        keep(|keep| read_span(&Resource::default(), &self.scope, &self.span, keep)).unwrap()
    }

    fn case(&self) -> String {
        let case =
            self.span.attributes.iter().find(|attribute| attribute.key == "ledgerline.feature").unwrap();
        match case.value.clone().unwrap().value.unwrap() {
            Value::StringValue(text) => text,
            _ => panic!("no case"),
        }
    }
}

/// What a line of the expectations says of the spans that it is about.
fn facts(call: &Call) -> Vec<String> {
    const LETTERS: [(&str, Unit); 6] = [
        ("i", Unit::InputUncached),
        ("r", Unit::CacheRead),
        ("w", Unit::CacheWrite5m),
        ("h", Unit::CacheWrite1h),
        ("o", Unit::OutputText),
        ("g", Unit::OutputReasoning),
    ];
    let units = call.usage.as_ref().map(|usage| {
        assert_eq!((usage.source, usage.runs.len()), (UsageSource::Sender, 0));
        let letter = |unit| LETTERS.iter().find(|(_, known)| *known == unit).unwrap().0;
        let words = usage.own.nonzero().map(|(unit, count)| format!("{}{count}", letter(unit)));
        words.collect::<Vec<_>>().join(" ")
    });
    let texts = [call.operation.name(), &call.provider, &call.request_model, &call.response_model];
    let texts = texts.map(str::to_owned).into_iter().chain([units.unwrap_or_default()]);
    texts.map(|text| if text.is_empty() { "-".to_owned() } else { text }).collect()
}

#[test]
fn each_recorded_span_says_what_a_person_reads_in_it() {
    let lines: Vec<Vec<&str>> = EXPECTED
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split('|').map(str::trim).collect())
        .collect();
    let mut used = vec![false; lines.len()];
    let (spans, mut wrong) = (recorded(), Vec::new());
    assert_eq!(spans.len(), 277);
    for recorded in &spans {
        let (case, found) = (recorded.case(), facts(&recorded.read().call));
        let about: Vec<usize> = (0..lines.len())
            .filter(|index| {
                let line = &lines[*index];
                (line[0] == "*" || line[0] == recorded.service)
                    && recorded.scope.ends_with(line[1])
                    && line[2] == recorded.span.name
                    && line[3].split(' ').any(|known| known == case)
            })
            .collect();
        let right = about.iter().find(|index| lines[**index][4..] == found);
        match right {
            Some(index) => used[*index] = true,
            None => wrong.push(format!("{} {} {case}: {found:?}", recorded.service, recorded.span.name)),
        }
        // LiteLLM's two spans of one case are told apart by what they say only.
        assert!(about.len() == 1 || recorded.service == "litellm" && case == "stream", "{about:?} {case}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(
        used.iter().all(|used| *used),
        "{:?}",
        used.iter().position(|used| !used).map(|index| &lines[index])
    );
}

#[test]
fn facts_beside_the_counts_are_read_of_recorded_spans() {
    let find = |service: &str, name: &str, case: &str| {
        let found = recorded().into_iter().find(|recorded| {
            recorded.service == service
                && recorded.span.name == name
                && recorded.case() == case
                && !recorded.scope.starts_with("com.")
        });
        found.unwrap().read().call
    };
    // The span began at 17:25:15.519737 less what is asserted.
    let langfuse = find("langfuse-openai", "OpenAI-generation", "stream");
    let first = langfuse.start_unix_ns + langfuse.time_to_first_token_ns.unwrap();
    assert_eq!((first, langfuse.stream), (1_795_713_915_519_737_000, true));
    let pydantic = find("pydantic-ai", "chat gpt-4.1-mini", "aborted");
    assert_eq!((pydantic.time_to_first_token_ns, pydantic.stream), (Some(156_609_000), true));
    assert_eq!(pydantic.identity.session, "01a218e4-2239-7777-b588-250b3c2fab31");
    let cached = find("pydantic-ai", "chat claude-sonnet-4-5", "an_cached");
    assert_eq!(cached.billing.reported_cost.map(PicoUsd::picos), Some(2_775_000_000));
    let litellm = find("litellm", "chat gpt-4.1-mini", "aborted");
    assert_eq!(litellm.billing.reported_cost.map(PicoUsd::picos), Some(372_800_000));
    assert_eq!(litellm.finish_reasons, ["stop"]);
    let failed = find("litellm", "chat gpt-4.1-mini", "error");
    assert_eq!((failed.http_status, failed.error_type.as_deref()), (Some(429), Some("RateLimitError")));
    let traceloop = find("traceloop-openai", "openai.chat", "iu_cached");
    assert!(traceloop.stream && traceloop.time_to_first_token_ns.is_none());
    // It states a time to the first token of answers that were no streams, too.
    let openlit = find("openlit-openai", "chat gpt-4.1-mini", "plain");
    assert_eq!((openlit.stream, openlit.time_to_first_token_ns), (false, None));
    let openinference = find("openinference-anthropic", "messages.create", "tools");
    assert_eq!(openinference.finish_reasons, ["tool_use"]);
    let refused = find("openlit-openai", "POST", "error");
    assert_eq!((refused.http_status, refused.operation), (Some(429), Operation::NotGenAi));
}
