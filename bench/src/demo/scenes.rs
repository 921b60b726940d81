//! What makes the company plausible beside its ordinary calls: a provider that fails, a model without a price, a path that
//! nobody reads, and an assistant that calls tools and traces itself with an OpenTelemetry SDK.
//!
//! A stream that is cut off is among the ordinary calls. Everything goes through the agent, as a service's calls do; the spans
//! of the assistant go to the collector, which must bill its calls once.

use std::time::Duration;

use anyhow::{Context, ensure};
use http::{Method, StatusCode};
use ledgerline_mock_provider::{MockProvider, Recorded, Step};
use ledgerline_process::{Clock, SystemClock};
use ledgerline_testkit::http::{Answer, send};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::spans::{self, Resource, Span};

/// Further upstreams of the agent; `{provider}` is the mock.
pub const UPSTREAMS: &str = "- {name: groq, prefix: /groq, url: '{provider}', dialect: openai, provider: groq}\n\
     - {name: azure, prefix: /azure, url: '{provider}', dialect: openai, provider: azure.ai.openai}";

const IMAGE: &str = "an-image";
/// Between two rounds of the scenes.
const PAUSE: Duration = Duration::from_millis(1_500);

/// Where the scenes are played.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The agent, without a path.
    pub agent: String,
    /// OTLP over HTTP.
    pub otlp_http: String,
}

/// Lets the provider answer what is no call in any dialect.
pub fn prepare(provider: &MockProvider) {
    let body = br#"{"created":1793000000,"data":[{"b64_json":"aGVsbG8="}]}"#.as_slice();
    let answer = Recorded {
        status: StatusCode::OK,
        content_type: "application/json",
        steps: vec![Step::Chunk(body.into())],
    };
    provider.record(IMAGE, answer);
}

/// Plays every scene again and again until `stop`, each round to its end; returns the ids of the answers that came whole.
///
/// # Errors
/// When the agent does not answer or the collector refuses spans.
pub async fn play(stage: &Stage, stop: &CancellationToken) -> anyhow::Result<Vec<String>> {
    let mut whole = Vec::new();
    for round in 0.. {
        for page in 0..PAGES.len() {
            whole.extend(translate(stage, round, page).await?);
        }
        whole.extend(evaluate(stage, round).await?);
        draw(stage).await?;
        whole.extend(assist(stage, round).await?);
        let pause = tokio::time::timeout(PAUSE, stop.cancelled()).await;
        if pause.is_ok() {
            break;
        }
    }
    Ok(whole)
}

/// Who calls: service, team, feature.
type Caller = (&'static str, &'static str, &'static str);

async fn call(
    stage: &Stage,
    path: &str,
    (service, team, feature): Caller,
    more: &[(&str, &str)],
    body: &Value,
) -> anyhow::Result<Answer> {
    let mut headers = vec![
        ("content-type", "application/json"),
        ("authorization", "Bearer sk-mock-demo"),
        ("x-ledgerline-service", service),
        ("x-ledgerline-environment", "production"),
        ("x-ledgerline-team", team),
        ("x-ledgerline-feature", feature),
    ];
    headers.extend_from_slice(more);
    send(Method::POST, &format!("{}{path}", stage.agent), &headers, body.to_string()).await
}

fn chat(model: &str, prompt: &str) -> Value {
    json!({ "model": model, "messages": [{ "role": "user", "content": prompt }] })
}

/// The id of an answer, if it is one.
fn id(answer: &Answer) -> Option<String> {
    let id = answer.headers.get("x-mock-call-id")?.to_str().ok()?;
    answer.status.is_success().then(|| id.to_owned())
}

/// What becomes of the calls of a round. With the one of [`evaluate`] two of three at that provider fail: an outage at any moment.
const PAGES: [&str; 5] = ["error_503", "error_400", "error_429", "error_503", "plain"];

/// A provider that refuses four calls of five, one of them a stream: it goes to the provider twice, once as the agent has changed it.
async fn translate(stage: &Stage, round: u64, page: usize) -> anyhow::Result<Option<String>> {
    let scenario = PAGES[page];
    let headers = [("x-mock-scenario", scenario), ("x-mock-params", "input_tokens=420;output_tokens=380")];
    let mut body = chat("llama-3.3-70b-versatile", &format!("Translate product page {round}.{page}."));
    body["stream"] = json!(scenario == "error_400");
    let caller = ("translator", "growth", "product-pages");
    Ok(id(&call(stage, "/groq/v1/chat/completions", caller, &headers, &body).await?))
}

/// A model that is in no price book: its calls are counted and their cost is unknown.
async fn evaluate(stage: &Stage, round: u64) -> anyhow::Result<Option<String>> {
    let body = chat("house-llama-70b", &format!("Grade answer {round}."));
    let headers = [("x-mock-params", "input_tokens=1800;output_tokens=90")];
    let caller = ("nightly-evaluation", "research", "grading");
    Ok(id(&call(stage, "/groq/v1/chat/completions", caller, &headers, &body).await?))
}

/// A path that no dialect reads, so nobody knows what it cost.
async fn draw(stage: &Stage) -> anyhow::Result<()> {
    let body = json!({ "model": "gpt-image-1", "prompt": "a ledger on a line" });
    let caller = ("campaigns", "marketing", "pictures");
    let path = "/openai/v1/images/generations";
    let answer = call(stage, path, caller, &[("x-mock-recorded", IMAGE)], &body).await?;
    ensure!(answer.status.is_success(), "no image: {}", answer.text());
    Ok(())
}

/// An assistant: it asks a model, runs two tools, asks again, and reports all of it as a trace. Its calls pass the agent, which
/// sees them below the spans of the assistant's instrumentation.
async fn assist(stage: &Stage, round: u64) -> anyhow::Result<Vec<String>> {
    const MODEL: &str = "gpt-4.1-mini";
    let caller = ("assistant", "support", "refunds");
    let start = SystemClock.now_unix_ns();
    let trace_id = format!("{start:016x}{:016x}", round + 1);
    let mut spans = vec![span(&trace_id, 1, 0, "invoke_agent refunds", start)];
    let mut answered = Vec::new();
    for (step, scenario) in [(2, "tool_call"), (5, "plain")] {
        let began = SystemClock.now_unix_ns();
        let traceparent = format!("00-{trace_id}-{:016x}-01", span_number(&trace_id, step));
        let headers = [
            ("traceparent", traceparent.as_str()),
            ("x-mock-scenario", scenario),
            ("x-mock-params", "input_tokens=900;cached_tokens=600;output_tokens=120"),
        ];
        let body = chat(MODEL, &format!("Refund of order {round}, step {step}."));
        let answer = call(stage, "/openai/v1/chat/completions", caller, &headers, &body).await?;
        let id = id(&answer).context("the assistant got no answer")?;
        let usage = answer.json()?["usage"].clone();
        let mut chat = span(&trace_id, step, 1, &format!("chat {MODEL}"), began);
        for (name, value) in [
            ("gen_ai.operation.name", json!("chat")),
            ("gen_ai.provider.name", json!("openai")),
            ("gen_ai.request.model", json!(MODEL)),
            ("gen_ai.response.id", json!(id)),
            ("gen_ai.usage.input_tokens", usage["prompt_tokens"].clone()),
            ("gen_ai.usage.output_tokens", usage["completion_tokens"].clone()),
        ] {
            chat.set(name, value);
        }
        spans.push(chat);
        answered.push(id);
        if step == 2 {
            spans.extend(["look_up_order", "check_policy"].iter().zip(3..).map(|(tool, number)| {
                let mut tool_span = span(&trace_id, number, 1, &format!("execute_tool {tool}"), began);
                tool_span.set("gen_ai.operation.name", "execute_tool");
                tool_span.set("gen_ai.tool.name", *tool);
                tool_span
            }));
        }
    }
    spans[0].set("gen_ai.operation.name", "invoke_agent");
    spans[0].set("gen_ai.agent.name", "refunds");
    spans[0].end_unix_ns = SystemClock.now_unix_ns();
    let (service, team, feature) = caller;
    for span in &mut spans {
        span.set("ledgerline.team", team);
        span.set("ledgerline.feature", feature);
    }
    let resource = Resource {
        service: service.to_owned(),
        environment: "production".to_owned(),
        scope: "opentelemetry.instrumentation.openai_v2",
    };
    spans::export(&stage.otlp_http, &[spans::resource(&resource, &spans)]).await?;
    Ok(answered)
}

/// Span ids that are unique to their trace and to the demo.
fn span_number(trace_id: &str, number: u64) -> u64 {
    let time = u64::from_str_radix(&trace_id[..16], 16).unwrap_or_default();
    (time << 8) | number
}

fn span(trace_id: &str, number: u64, parent: u64, name: &str, start_unix_ns: u64) -> Span {
    let parent_span_id =
        if parent == 0 { String::new() } else { format!("{:016x}", span_number(trace_id, parent)) };
    Span {
        trace_id: trace_id.to_owned(),
        span_id: format!("{:016x}", span_number(trace_id, number)),
        parent_span_id,
        name: name.to_owned(),
        start_unix_ns,
        end_unix_ns: SystemClock.now_unix_ns().max(start_unix_ns + 1),
        attributes: Vec::new(),
    }
}
