//! Which name states which fact: the vocabularies of all senders, as tables. Pure.
//!
//! Of the names of one fact the first that is stated counts: the newest of OpenTelemetry's first, then what other
//! instrumentations have of their own. To read another spelling, add it here.
//!
//! Source: as `attribute.rs`; openinference-semantic-conventions, opentelemetry-semantic-conventions-ai, langfuse, langsmith,
//! litellm, mlflow, openlit, pydantic-ai, xai-sdk and the Vercel AI SDK in their versions of 2026.

use std::borrow::Cow;

use crate::attribute;
use crate::condition::Condition;
use crate::unit::{Side, Unit};

/// Where the value of an attribute is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Its text.
    Text(Text),
    /// Itself; whoever asks for the fact knows its forms.
    Form(Form),
    /// A whole number.
    Count(Count),
    /// The sender's word for what the span is, see `kind.rs`.
    Kind,
    /// Counts in JSON or in Python's notation, about the input unless their names say otherwise.
    UsageText(Side),
    /// The quantity of one of our units.
    Unit(Unit),
    /// A word of ours.
    Condition(Condition),
}

macro_rules! facts {
    ($(#[$outer:meta])* $type:ident, $table:ident { $($(#[$inner:meta])* $fact:ident: $names:literal,)* }) => {
        $(#[$outer])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum $type { $($(#[$inner])* $fact,)* }

        impl $type {
            /// How many there are.
            pub(super) const NUMBER: usize = [$($names),*].len();
        }

        /// The names of each, first the one that is trusted most.
        const $table: [($type, &str); $type::NUMBER] = [$(($type::$fact, $names)),*];
    };
}

facts! {
    /// A fact that is a text.
    Text, TEXTS {
        Operation: "gen_ai.operation.name",
        Provider: "gen_ai.provider.name gen_ai.system llm.provider llm.system ai.model.provider mlflow.llm.provider \
            langsmith.metadata.ls_provider",
        RequestModel: "gen_ai.request.model llm.request.model_name llm.model_name ai.model.id \
            langfuse.observation.model.name mlflow.llm.model embedding.model_name reranker.model_name \
            litellm.provider.model",
        /// Too common a name to be believed of any sender.
        ClaudeCodeModel: "model",
        ResponseModel: "gen_ai.response.model llm.response.model_name ai.response.model",
        ResponseId: "gen_ai.response.id ai.response.id",
        /// The provider's answer as JSON, of which its id is read and nothing is kept: OpenInference states it nowhere else.
        Answer: "output.value",
        ErrorType: "error.type",
        ServiceTier: "openai.response.service_tier gen_ai.openai.response.service_tier \
            anthropic.response.service_tier gen_ai.response.service_tier",
        /// RFC 3339.
        FirstTokenAt: "langfuse.observation.completion_start_time",
        CostCurrency: "gen_ai.usage.cost.currency",
        Service: "service.name",
        Environment: "deployment.environment.name deployment.environment",
        Team: "ledgerline.team",
        Feature: "ledgerline.feature",
        User: "user.id enduser.id langfuse.user.id gen_ai.user gen_ai.request.user litellm.end_user.id \
            ai.telemetry.metadata.userId mlflow.trace.user traceloop.association.properties.user_id",
        Session: "gen_ai.conversation.id session.id langfuse.session.id \
            traceloop.association.properties.session_id langsmith.trace.session_id \
            ai.telemetry.metadata.sessionId mlflow.trace.session",
        /// What a span that is no call is about.
        Target: "gen_ai.agent.name gen_ai.tool.name gen_ai.workflow.name gen_ai.data_source.id agent.name tool.name \
            traceloop.entity.name agent_name ai.telemetry.functionId",
        EndOfStream: "ledgerline.end_of_stream",
        UsageSource: "ledgerline.usage.source",
        UsageRuns: "ledgerline.usage.runs",
        UsageObject: "ledgerline.usage.object",
        BillGap: "ledgerline.bill_gap",
    }
}

facts! {
    /// A fact that senders state in forms of their own.
    Form, FORMS {
        /// A boolean, or its text.
        Stream: "gen_ai.request.stream gen_ai.is_streaming llm.is_streaming",
        /// A list of texts, one text, or a list as JSON.
        FinishReasons: "gen_ai.response.finish_reasons gen_ai.response.finish_reason gen_ai.response.stop_reason \
            llm.finish_reason ai.response.finishReason anthropic.message.stop_reason",
        FirstTokenSeconds: "gen_ai.response.time_to_first_chunk gen_ai.client.inference.time_to_first_chunk \
            gen_ai.client.operation.time_to_first_chunk gen_ai.server.time_to_first_token",
        FirstTokenMs: "ai.response.msToFirstChunk ttft_ms",
        /// In USD.
        Cost: "gen_ai.usage.cost.amount gen_ai.usage.cost gen_ai.cost.total_cost llm.cost.total operation.cost \
            litellm.cost.total gen_ai.usage.total_cost",
        /// JSON with the sum in it.
        CostDetails: "mlflow.llm.cost langfuse.observation.cost_details",
    }
}

facts! {
    /// A fact that is a whole number.
    Count, COUNTS {
        Input: "gen_ai.usage.input_tokens gen_ai.usage.prompt_tokens llm.token_count.prompt llm.usage.prompt_tokens \
            ai.usage.inputTokens ai.usage.promptTokens ai.usage.tokens input_tokens",
        Output: "gen_ai.usage.output_tokens gen_ai.usage.completion_tokens llm.token_count.completion \
            llm.usage.completion_tokens ai.usage.outputTokens ai.usage.completionTokens output_tokens",
        Total: "gen_ai.usage.total_tokens llm.token_count.total llm.usage.total_tokens ai.usage.totalTokens",
        CacheRead: "gen_ai.usage.cache_read.input_tokens gen_ai.usage.cache_read_input_tokens \
            gen_ai.usage.cache_read_tokens gen_ai.usage.input_cached_tokens gen_ai.usage.cached_input_tokens \
            gen_ai.usage.cached_tokens gen_ai.usage.details.cache_read_tokens \
            gen_ai.usage.details.cache_read_input_tokens gen_ai.usage.details.cached_tokens \
            gen_ai.usage.prompt_tokens_details.cached_tokens gen_ai.usage.input_tokens_details.cached_tokens \
            gen_ai.usage.cached_prompt_text_tokens llm.token_count.prompt_details.cache_read \
            llm.token_count.prompt_details.cache_input llm.usage.cache_read_input_tokens \
            ai.usage.inputTokenDetails.cacheReadTokens ai.usage.cachedInputTokens cache_read_tokens \
            cache_read_input_tokens",
        CacheWrite: "gen_ai.usage.cache_write.input_tokens gen_ai.usage.cache_creation.input_tokens \
            gen_ai.usage.cache_creation_input_tokens gen_ai.usage.cache_write_input_tokens \
            gen_ai.usage.cache_write_tokens gen_ai.usage.cache_creation_tokens gen_ai.usage.input_cache_creation \
            gen_ai.usage.details.cache_write_tokens gen_ai.usage.details.cache_creation_input_tokens \
            gen_ai.usage.prompt_tokens_details.cache_creation_tokens \
            gen_ai.usage.prompt_tokens_details.cache_write_tokens llm.token_count.prompt_details.cache_write \
            llm.usage.cache_creation_input_tokens ai.usage.inputTokenDetails.cacheWriteTokens \
            cache_creation_tokens cache_creation_input_tokens",
        CacheWrite5m: "anthropic.usage.cache_creation.ephemeral_5m_input_tokens \
            gen_ai.usage.cache_creation.ephemeral_5m_input_tokens gen_ai.usage.details.ephemeral_5m_input_tokens \
            gen_ai.usage.input_cache_creation_5m",
        CacheWrite1h: "anthropic.usage.cache_creation.ephemeral_1h_input_tokens \
            gen_ai.usage.cache_creation.ephemeral_1h_input_tokens gen_ai.usage.details.ephemeral_1h_input_tokens \
            gen_ai.usage.cache_creation_input_tokens_above_1hr gen_ai.usage.input_cache_creation_1h",
        Reasoning: "gen_ai.usage.reasoning.output_tokens gen_ai.usage.reasoning_tokens \
            gen_ai.usage.output_reasoning_tokens gen_ai.usage.details.reasoning_tokens \
            gen_ai.usage.completion_tokens_details.reasoning_tokens \
            gen_ai.usage.output_tokens_details.reasoning_tokens llm.token_count.completion_details.reasoning \
            llm.usage.reasoning_tokens ai.usage.outputTokenDetails.reasoningTokens ai.usage.reasoningTokens",
        InputAudio: "gen_ai.usage.audio.input_tokens gen_ai.usage.input_audio_tokens \
            gen_ai.usage.details.input_audio_tokens gen_ai.usage.prompt_tokens_details.audio_tokens \
            llm.token_count.prompt_details.audio",
        OutputAudio: "gen_ai.usage.audio.output_tokens gen_ai.usage.output_audio_tokens \
            gen_ai.usage.details.output_audio_tokens gen_ai.usage.completion_tokens_details.audio_tokens \
            llm.token_count.completion_details.audio",
        InputImage: "gen_ai.usage.image.input_tokens gen_ai.usage.prompt_image_tokens",
        OutputImage: "gen_ai.usage.image.output_tokens",
        WebSearch: "gen_ai.usage.web_search_requests gen_ai.usage.server_tool_use.web_search_requests \
            gen_ai.usage.details.web_search_requests gen_ai.usage.details.server_tool_use.web_search_requests \
            anthropic.usage.server_tool_use.web_search_requests",
        HttpStatus: "http.response.status_code http.status_code error.code",
        /// So many of them are one USD: [`TICKS_PER_USD`].
        CostTicks: "gen_ai.usage.cost_in_usd_ticks",
    }
}

/// xAI's unit of money.
pub(super) const TICKS_PER_USD: u64 = 10_000_000_000;

const KINDS: &str = "openinference.span.kind traceloop.span.kind langfuse.observation.type llm.request.type \
    ai.operationId mlflow.spanType langsmith.span.kind gen_ai.span.kind lmnr.span.type span.type";

const USAGE_TEXTS: [(Side, &str); 2] = [
    (
        Side::Input,
        "langfuse.observation.usage_details mlflow.chat.tokenUsage metadata.usage_object gen_ai.usage.raw \
         gen_ai.usage.details gen_ai.usage.input_token_details gen_ai.usage.prompt_tokens_details \
         input_token_details ai.response.providerMetadata",
    ),
    (
        Side::Output,
        "gen_ai.usage.output_token_details gen_ai.usage.completion_tokens_details output_token_details",
    ),
];

/// Every name, with its place among the names of its fact.
pub(super) fn readings() -> impl Iterator<Item = (Cow<'static, str>, Reading, u8)> {
    let texts = TEXTS.map(|(fact, names)| (Reading::Text(fact), names)).into_iter();
    let forms = FORMS.map(|(fact, names)| (Reading::Form(fact), names));
    let counts = COUNTS.map(|(fact, names)| (Reading::Count(fact), names));
    let usage_texts = USAGE_TEXTS.map(|(side, names)| (Reading::UsageText(side), names));
    let listed = texts.chain(forms).chain(counts).chain(usage_texts).chain([(Reading::Kind, KINDS)]);
    let listed = listed.flat_map(|(reading, names)| {
        let places = names.split_ascii_whitespace().zip(0..);
        places.map(move |(name, place)| (Cow::Borrowed(name), reading, place))
    });
    let ours = |prefix: &str, name: &str, reading| (Cow::Owned(format!("{prefix}{name}")), reading, 0);
    let units = Unit::ALL.map(|unit| ours(attribute::USAGE_UNIT_PREFIX, unit.name(), Reading::Unit(unit)));
    let conditions = Condition::ALL
        .map(|condition| ours(attribute::CONDITION_PREFIX, condition.name(), Reading::Condition(condition)));
    listed.chain(units).chain(conditions)
}

/// What a name within a usage object says, in an object that is about that side; `None` for what is no count of ours.
pub(super) fn usage_key(key: &str, side: Side) -> Option<Count> {
    Some(match key {
        "input" | "input_tokens" | "inputTokens" | "prompt_tokens" | "promptTokens" | "promptTokenCount" => {
            Count::Input
        }
        "output"
        | "output_tokens"
        | "outputTokens"
        | "completion_tokens"
        | "completionTokens"
        | "candidatesTokenCount" => Count::Output,
        "total" | "total_tokens" | "totalTokens" | "totalTokenCount" => Count::Total,
        "cache_read"
        | "cache_read_tokens"
        | "cache_read_input_tokens"
        | "cacheReadInputTokens"
        | "cached_tokens"
        | "cached_input_tokens"
        | "cachedInputTokens"
        | "cachedPromptTokens"
        | "cachedContentTokenCount"
        | "input_cached_tokens"
        | "input_cache_read"
        | "input_cache_read_tokens" => Count::CacheRead,
        "cache_creation"
        | "cache_creation_tokens"
        | "cache_creation_input_tokens"
        | "cacheCreationInputTokens"
        | "cache_write"
        | "cache_write_tokens"
        | "cache_write_input_tokens"
        | "cacheWriteInputTokens"
        | "input_cache_creation"
        | "input_cache_write"
        | "input_cache_creation_tokens" => Count::CacheWrite,
        "ephemeral_5m_input_tokens" | "input_cache_creation_5m" => Count::CacheWrite5m,
        "ephemeral_1h_input_tokens" | "input_cache_creation_1h" | "cache_creation_input_tokens_above_1hr" => {
            Count::CacheWrite1h
        }
        "reasoning"
        | "reasoning_tokens"
        | "reasoningTokens"
        | "thoughtsTokenCount"
        | "output_reasoning"
        | "output_reasoning_tokens" => Count::Reasoning,
        "audio" | "audio_tokens" if side == Side::Output => Count::OutputAudio,
        "audio" | "audio_tokens" | "input_audio" | "input_audio_tokens" => Count::InputAudio,
        "output_audio" | "output_audio_tokens" => Count::OutputAudio,
        "image" | "image_tokens" if side == Side::Output => Count::OutputImage,
        "image" | "image_tokens" | "input_image" | "input_image_tokens" => Count::InputImage,
        "output_image" | "output_image_tokens" => Count::OutputImage,
        // Within Anthropic's `server_tool_use`; those that OpenAI bills are in no usage object.
        "web_search_requests" | "webSearchRequests" => Count::WebSearch,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_name_states_two_facts() {
        let mut seen = HashSet::new();
        for (name, reading, place) in readings() {
            assert!(seen.insert(name.clone()), "{name} {reading:?} {place}");
        }
        assert!(seen.len() > 150);
    }
}
