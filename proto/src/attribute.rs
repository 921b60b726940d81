//! Attribute names on the wire.
//!
//! OpenTelemetry's GenAI conventions are unreleased and moving. Two dialects are live: the last published text
//! (v1.41) and its successor repository. We write the newer names, plus the older one where a widely shipped reader
//! knows only that, and read both and the names before them, first present wins. What the conventions lack lives
//! under `ledgerline.`.
//!
//! Source: opentelemetry/semantic-conventions v1.41.0 docs/gen-ai, opentelemetry/semantic-conventions-genai main.

/// Resource: the calling service.
pub const SERVICE_NAME: &str = "service.name";
/// Resource: the deployment environment, and its name before semantic conventions 1.27.
pub const ENVIRONMENT: [&str; 2] = ["deployment.environment.name", "deployment.environment"];
/// The operation.
pub const OPERATION: &str = "gen_ai.operation.name";
/// The provider, newest name first.
pub const PROVIDER: [&str; 2] = ["gen_ai.provider.name", "gen_ai.system"];
/// The model asked for.
pub const REQUEST_MODEL: &str = "gen_ai.request.model";
/// Whether the answer was streamed.
pub const REQUEST_STREAM: &str = "gen_ai.request.stream";
/// The model that answered.
pub const RESPONSE_MODEL: &str = "gen_ai.response.model";
/// The provider's id of the answer.
pub const RESPONSE_ID: &str = "gen_ai.response.id";
/// One per choice.
pub const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// Seconds, double.
pub const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// All input tokens, cache included.
pub const INPUT_TOKENS: [&str; 2] = ["gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"];
/// All output tokens, reasoning included.
pub const OUTPUT_TOKENS: [&str; 2] = ["gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"];
/// Input tokens read from a cache.
pub const CACHE_READ_TOKENS: [&str; 2] =
    ["gen_ai.usage.cache_read.input_tokens", "gen_ai.usage.cache_read_input_tokens"];
/// Input tokens written to a cache: new name, v1.41 name, name before.
pub const CACHE_WRITE_TOKENS: [&str; 3] = [
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_creation_input_tokens",
];
/// Output tokens spent on hidden reasoning.
pub const REASONING_TOKENS: [&str; 2] =
    ["gen_ai.usage.reasoning.output_tokens", "gen_ai.usage.reasoning_tokens"];
/// Audio input tokens.
pub const AUDIO_INPUT_TOKENS: &str = "gen_ai.usage.audio.input_tokens";
/// Image input tokens.
pub const IMAGE_INPUT_TOKENS: &str = "gen_ai.usage.image.input_tokens";
/// Audio output tokens.
pub const AUDIO_OUTPUT_TOKENS: &str = "gen_ai.usage.audio.output_tokens";
/// Image output tokens.
pub const IMAGE_OUTPUT_TOKENS: &str = "gen_ai.usage.image.output_tokens";
/// Cost reported by the provider, USD: the proposal, and what shipped before it.
pub const REPORTED_COST: [&str; 2] = ["gen_ai.usage.cost.amount", "gen_ai.usage.cost"];
/// The tier that served the call; OpenAI's convention, then ours for everybody else.
pub const SERVICE_TIER: [&str; 3] =
    ["ledgerline.service_tier", "openai.response.service_tier", "gen_ai.openai.response.service_tier"];
/// Why it failed.
pub const ERROR_TYPE: &str = "error.type";
/// HTTP status of the answer.
pub const HTTP_STATUS: &str = "http.response.status_code";
/// The end user, and the name before it.
pub const USER: [&str; 2] = ["user.id", "enduser.id"];
/// The conversation.
pub const SESSION: [&str; 2] = ["gen_ai.conversation.id", "session.id"];
/// The team that pays.
pub const TEAM: &str = "ledgerline.team";
/// The product feature.
pub const FEATURE: &str = "ledgerline.feature";
/// See [`EndOfStream`](crate::EndOfStream).
pub const END_OF_STREAM: &str = "ledgerline.end_of_stream";
/// See [`UsageSource`](crate::UsageSource); `missing` when there is no usage.
pub const USAGE_SOURCE: &str = "ledgerline.usage.source";
/// Prefix of the disjoint token classes: `ledgerline.usage.cache_write_1h`.
pub const USAGE_CLASS_PREFIX: &str = "ledgerline.usage.tokens.";
/// Anthropic's `speed`.
pub const SPEED: &str = "ledgerline.speed";
/// Anthropic's `inference_geo`.
pub const INFERENCE_GEO: &str = "ledgerline.inference_geo";
/// The agent's name of the upstream of a call that it could not read.
pub const UPSTREAM: &str = "ledgerline.upstream";
/// The path of such a call, without ids.
pub const PATH_TEMPLATE: &str = "url.template";
/// See [`BillGap`](crate::BillGap).
pub const BILL_GAP: &str = "ledgerline.bill_gap";
/// Web searches the provider ran.
pub const WEB_SEARCH_REQUESTS: &str = "ledgerline.web_search_requests";

/// Values of `gen_ai.system` that the newer provider names replaced.
#[must_use]
pub fn provider_name(system: &str) -> &str {
    match system {
        "vertex_ai" => "gcp.vertex_ai",
        "gemini" => "gcp.gemini",
        "az.ai.inference" => "azure.ai.inference",
        "az.ai.openai" => "azure.ai.openai",
        "xai" => "x_ai",
        other => other,
    }
}
