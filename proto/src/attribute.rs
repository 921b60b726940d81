//! Attribute names on the wire.
//!
//! OpenTelemetry's GenAI conventions are unreleased and moving. Two dialects are live: the last published text
//! (v1.41) and its successor repository. We write the newer names, plus the older one where a widely shipped reader
//! knows only that, and read both and the names before them, first present wins. What the conventions lack lives
//! under `ledgerline.`.
//!
//! Source: opentelemetry/semantic-conventions v1.41.0 docs/gen-ai, opentelemetry/semantic-conventions-genai main.

pub(crate) const SERVICE_NAME: &str = "service.name";
/// Resource: the deployment environment, and its name before semantic conventions 1.27.
pub(crate) const ENVIRONMENT: [&str; 2] = ["deployment.environment.name", "deployment.environment"];
pub(crate) const OPERATION: &str = "gen_ai.operation.name";
/// The provider, newest name first.
pub(crate) const PROVIDER: [&str; 2] = ["gen_ai.provider.name", "gen_ai.system"];
pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(crate) const REQUEST_STREAM: &str = "gen_ai.request.stream";
pub(crate) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(crate) const RESPONSE_ID: &str = "gen_ai.response.id";
/// One per choice.
pub(crate) const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// Seconds, double.
pub(crate) const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// All input tokens, cache included.
pub(crate) const INPUT_TOKENS: [&str; 2] = ["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"];
/// All output tokens, reasoning included.
pub(crate) const OUTPUT_TOKENS: [&str; 2] = ["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"];
pub(crate) const CACHE_READ_TOKENS: [&str; 2] =
    ["gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"];
/// Input tokens written to a cache: new name, v1.41 name, name before.
pub(crate) const CACHE_WRITE_TOKENS: [&str; 3] = [
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
];
pub(crate) const REASONING_TOKENS: [&str; 2] =
    ["gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"];
pub(crate) const AUDIO_INPUT_TOKENS: &str = "gen_ai.usage.audio.input_tokens";
pub(crate) const IMAGE_INPUT_TOKENS: &str = "gen_ai.usage.image.input_tokens";
pub(crate) const AUDIO_OUTPUT_TOKENS: &str = "gen_ai.usage.audio.output_tokens";
pub(crate) const IMAGE_OUTPUT_TOKENS: &str = "gen_ai.usage.image.output_tokens";
/// Cost reported by the provider, USD: the proposal, and what shipped before it.
pub(crate) const REPORTED_COST: [&str; 2] = ["gen_ai.usage.cost.amount", "gen_ai.usage.cost"];
/// The tier that served the call, in OpenAI's convention.
pub(crate) const OPENAI_SERVICE_TIER: [&str; 2] =
    ["openai.response.service_tier", "gen_ai.openai.response.service_tier"];
/// Prefix of the conditions: `ledgerline.condition.service_tier`.
pub(crate) const CONDITION_PREFIX: &str = "ledgerline.condition.";
pub(crate) const ERROR_TYPE: &str = "error.type";
/// HTTP status of the answer.
pub const HTTP_STATUS: &str = "http.response.status_code";
/// The end user, and the name before it.
pub(crate) const USER: [&str; 2] = ["user.id", "enduser.id"];
/// The conversation.
pub(crate) const SESSION: [&str; 2] = ["gen_ai.conversation.id", "session.id"];
/// The team that pays.
pub const TEAM: &str = "ledgerline.team";
/// The product feature.
pub const FEATURE: &str = "ledgerline.feature";
/// See [`EndOfStream`](crate::EndOfStream).
pub const END_OF_STREAM: &str = "ledgerline.end_of_stream";
/// See [`UsageSource`](crate::UsageSource); `missing` when there is no usage.
pub(crate) const USAGE_SOURCE: &str = "ledgerline.usage.source";
/// Prefix of the disjoint units of the call's own model: `ledgerline.usage.unit.cache_write_1h`.
pub(crate) const USAGE_UNIT_PREFIX: &str = "ledgerline.usage.unit.";
/// What other models used within the call: JSON, `[{"model": "...", "units": {"output_text": 12}}]`.
pub(crate) const USAGE_RUNS: &str = "ledgerline.usage.runs";
/// The provider's usage object, JSON.
pub(crate) const USAGE_OBJECT: &str = "ledgerline.usage.object";
/// The agent's name of the upstream of a call that it could not read.
pub(crate) const UPSTREAM: &str = "ledgerline.upstream";
/// The path of such a call, without ids.
pub(crate) const PATH_TEMPLATE: &str = "url.template";
pub(crate) const BILL_GAP: &str = "ledgerline.bill_gap";

/// Values of `gen_ai.system` that the newer provider names replaced.
pub(crate) fn provider_name(system: &str) -> &str {
    match system {
        "vertex_ai" => "gcp.vertex_ai",
        "gemini" => "gcp.gemini",
        "az.ai.inference" => "azure.ai.inference",
        "az.ai.openai" => "azure.ai.openai",
        "xai" => "x_ai",
        other => other,
    }
}
