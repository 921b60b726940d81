//! Attribute names that we write.
//!
//! OpenTelemetry's GenAI conventions are unreleased and moving. Two dialects are live: the last published text
//! (v1.41) and its successor repository. We write the newer names, plus the older one where a widely shipped reader
//! knows only that. What the conventions lack lives under `ledgerline.`. All names that are read stand in
//! `otlp/names.rs`.
//!
//! Source: opentelemetry/semantic-conventions v1.41.0 docs/gen-ai, opentelemetry/semantic-conventions-genai main.

pub(crate) const SERVICE_NAME: &str = "service.name";
/// Resource: the deployment environment.
pub(crate) const ENVIRONMENT: &str = "deployment.environment.name";
pub(crate) const OPERATION: &str = "gen_ai.operation.name";
pub(crate) const PROVIDER: &str = "gen_ai.provider.name";
pub(crate) const REQUEST_MODEL: &str = "gen_ai.request.model";
pub(crate) const REQUEST_STREAM: &str = "gen_ai.request.stream";
pub(crate) const RESPONSE_MODEL: &str = "gen_ai.response.model";
pub(crate) const RESPONSE_ID: &str = "gen_ai.response.id";
/// One per choice.
pub(crate) const FINISH_REASONS: &str = "gen_ai.response.finish_reasons";
/// Seconds, double.
pub(crate) const TIME_TO_FIRST_CHUNK: &str = "gen_ai.response.time_to_first_chunk";
/// All input tokens, cache included.
pub(crate) const INPUT_TOKENS: &str = "gen_ai.usage.input_tokens";
/// All output tokens, reasoning included.
pub(crate) const OUTPUT_TOKENS: &str = "gen_ai.usage.output_tokens";
pub(crate) const CACHE_READ_TOKENS: &str = "gen_ai.usage.cache_read.input_tokens";
/// Input tokens written to a cache: new name, v1.41 name.
pub(crate) const CACHE_WRITE_TOKENS: [&str; 2] =
    ["gen_ai.usage.cache_write.input_tokens", "gen_ai.usage.cache_creation.input_tokens"];
pub(crate) const REASONING_TOKENS: &str = "gen_ai.usage.reasoning.output_tokens";
/// Cost reported by the provider, USD: a proposal.
pub(crate) const REPORTED_COST: &str = "gen_ai.usage.cost.amount";
/// The tier that served the call, in OpenAI's convention.
pub(crate) const OPENAI_SERVICE_TIER: &str = "openai.response.service_tier";
/// Prefix of the conditions: `ledgerline.condition.service_tier`.
pub(crate) const CONDITION_PREFIX: &str = "ledgerline.condition.";
pub(crate) const ERROR_TYPE: &str = "error.type";
/// HTTP status of the answer.
pub const HTTP_STATUS: &str = "http.response.status_code";
/// The end user.
pub(crate) const USER: &str = "user.id";
/// The conversation.
pub(crate) const SESSION: &str = "gen_ai.conversation.id";
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
