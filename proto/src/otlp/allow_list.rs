//! Which attributes of a sender are kept: an allow-list of names. Pure.
//!
//! A list of what is forbidden cannot hold: every instrumentation has names of its own for prompts, answers, headers and URLs,
//! and each release brings new ones. So what is neither listed here nor named by the user is dropped, and counted by its name.
//! What a name may be listed for: counts, money, identifiers, versions and words of a closed vocabulary. What it may not: text
//! that people or models wrote, URLs (their queries carry keys), headers, addresses of clients, settings as one JSON text.
//!
//! Source: opentelemetry/semantic-conventions-genai and v1.41.0 docs/gen-ai, docs/http, docs/rpc; the instrumentations' own
//! code in the versions of 2026.

use std::borrow::Cow;
use std::collections::HashMap;
use std::str::FromStr;

use super::names::{Reading, Text, readings};
use crate::attribute as name;

/// What becomes of an attribute, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its value is a column of the span.
    Column,
    /// As a column, but only a word: it is a class by the conventions, and senders put messages into it.
    WordColumn,
    /// Kept as an attribute.
    Attribute,
    /// Kept as an attribute because the user named it.
    Named,
    /// Neither stored nor shown, but counted.
    Dropped,
}

/// Attributes that become columns and must be words.
const WORD_COLUMNS: [&str; 3] = [name::OPERATION, name::ERROR_TYPE, name::FINISH_REASONS];

/// The beginning of our own names. Those that are read become columns.
const OUR_PREFIX: &str = "ledgerline.";

/// Attributes that are kept beside the columns, a group for each reason.
const ATTRIBUTES: &[&str] = &[
    // What was asked for, as numbers and words: explains cost and quality. Not stop sequences and not the response's format,
    // which are text of the application.
    "gen_ai.conversation.compacted gen_ai.embeddings.dimension.count gen_ai.is_streaming \
     gen_ai.openai.request.seed gen_ai.openai.request.service_tier gen_ai.output.type gen_ai.prompt.name \
     gen_ai.prompt.version gen_ai.request.choice.count gen_ai.request.encoding_formats \
     gen_ai.request.frequency_penalty gen_ai.request.max_tokens gen_ai.request.presence_penalty \
     gen_ai.request.previous_response.id gen_ai.request.reasoning.level gen_ai.request.reasoning_effort \
     gen_ai.request.seed gen_ai.request.temperature gen_ai.request.top_k gen_ai.request.top_p \
     gen_ai.retrieval.top_k gen_ai.token.type",
    // How the provider answered, as words, times and versions.
    "anthropic.message.stop_reason anthropic.request.id anthropic.response.service_tier \
     aws.bedrock.guardrail.id aws.bedrock.knowledge_base.id azure.resource_provider.namespace \
     gen_ai.client.operation.time_to_first_chunk gen_ai.openai.response.system_fingerprint \
     gen_ai.response.finish_reason gen_ai.response.service_tier gen_ai.response.stop_reason \
     gen_ai.server.time_per_output_token gen_ai.server.time_to_first_token openai.api.type \
     openai.request.service_tier openai.response.system_fingerprint",
    // Which agent, tool, data source or evaluation: identifiers and names of code. Not descriptions, arguments, results, queries,
    // documents and explanations.
    "agent_name gen_ai.agent.call.id gen_ai.agent.id gen_ai.agent.name gen_ai.agent.version \
     gen_ai.data_source.id gen_ai.evaluation.name gen_ai.evaluation.score.label gen_ai.evaluation.score.value \
     gen_ai.memory.record.count gen_ai.memory.record.id gen_ai.memory.store.id gen_ai.tool.call.id \
     gen_ai.tool.name gen_ai.tool.type gen_ai.workflow.name mcp.method.name mcp.protocol.version mcp.session.id",
    // Usage and cost as senders state it, under names of their own: should our reading be wrong, this is the evidence. The
    // prefixes below are for the same.
    "cache_creation_tokens cache_read_tokens gen_ai.client.token.usage input_tokens \
     langfuse.observation.cost_details langfuse.observation.usage_details metadata.usage_object \
     mlflow.chat.tokenUsage mlflow.llm.cost operation.cost output_tokens",
    // What a span is and which model it names, in the words of other instrumentations: decides whether it is a call.
    "ai.model.id ai.model.provider ai.operationId ai.response.finishReason ai.response.id ai.response.model \
     ai.response.msToFinish ai.response.msToFirstChunk ai.telemetry.functionId embedding.model_name \
     langfuse.environment langfuse.observation.completion_start_time langfuse.observation.level \
     langfuse.observation.model.name langfuse.observation.prompt.name langfuse.observation.prompt.version \
     langfuse.observation.type langfuse.release langfuse.version langsmith.span.kind litellm.cache_hit \
     litellm.call_id litellm.call_type litellm.provider.model llm.finish_reason llm.is_streaming llm.model_name \
     llm.provider llm.request.model_name llm.request.type llm.response.model_name llm.system logfire.level_num \
     logfire.span_type mlflow.llm.model mlflow.llm.provider mlflow.spanType model_name openinference.span.kind \
     operation.name pydantic_ai.cache.established_tokens pydantic_ai.cache.hit_ratio reranker.model_name \
     reranker.top_k span.type traceloop.entity.name traceloop.prompt.key traceloop.prompt.version \
     traceloop.span.kind traceloop.workflow.name gen_ai.span.kind lmnr.span.type",
    // Where the request went: methods, codes, sizes and the server. Not URLs, paths, headers and clients.
    "error.code error.llm_provider http.method http.request.body.size http.request.method \
     http.request.resend_count http.response.body.size http.route http.status_code network.protocol.name \
     network.protocol.version network.transport rpc.grpc.status_code rpc.method rpc.response.status_code \
     rpc.service rpc.system rpc.system.name server.address server.port url.scheme url.template",
    // Which software sent the span.
    "gen_ai.application_name gen_ai.environment gen_ai.sdk.version service.namespace service.version \
     telemetry.sdk.language telemetry.sdk.name telemetry.sdk.version",
];

/// Names that begin so are kept, too: our own, and counts of tokens and money whose names have no end.
const PREFIXES: &[&str] = &[
    OUR_PREFIX,
    "ai.usage.",
    "anthropic.usage.",
    "gen_ai.aggregated_usage.",
    "gen_ai.cost.",
    "gen_ai.usage.",
    "litellm.cost.",
    "llm.cost.",
    "llm.token_count.",
    "llm.usage.",
];

/// What people and models wrote, by name or by the beginning of a flattened name. Not even a user's prefix keeps it: content
/// is for content capture, which redacts.
const CONTENT: &[&str] = &[
    "ai.prompt ai.response.object ai.response.reasoning ai.response.text ai.response.toolCalls ai.toolCall.args \
     ai.toolCall.result embedding.embeddings exception.message exception.stacktrace gen_ai.completion \
     gen_ai.input.messages gen_ai.output.messages gen_ai.prompt gen_ai.system_instructions \
     gen_ai.tool.call.arguments gen_ai.tool.call.result gen_ai.tool.definitions input.value \
     langfuse.observation.input langfuse.observation.output langfuse.trace.input langfuse.trace.output \
     llm.input_messages llm.invocation_parameters llm.output_messages llm.prompts mlflow.spanInputs \
     mlflow.spanOutputs output.value pydantic_ai.all_messages traceloop.entity.input traceloop.entity.output",
];

/// The last parts of names whose values are credentials.
const CREDENTIALS: &[&str] =
    &["api-key api_key authorization cookie proxy-authorization proxy_authorization set-cookie set_cookie \
     x-api-key x_api_key x-goog-api-key"];

/// The names of a list, several of which stand in one text.
fn names(list: &[&'static str]) -> impl Iterator<Item = &'static str> {
    list.iter().flat_map(|names| names.split_ascii_whitespace())
}

fn is_content(name: &str) -> bool {
    names(CONTENT).any(|content| {
        name.strip_prefix(content).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    })
}

fn is_credential(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| names(CREDENTIALS).any(|name| name == last))
}

/// A user's addition to the list: a name, or `beginning*` for all names that begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Exactly this name.
    Name(String),
    /// Every name that begins so, but for those of message content and credentials.
    Prefix(String),
}

/// Why a text is no addition to the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what is wrong")]
pub enum PatternError {
    #[error("must name an attribute, or the beginning of names before a `*`")]
    Empty,
    #[error("may have a `*` at its end only, and no spaces")]
    Malformed,
    #[error("is message content, which is never kept as an attribute")]
    Content,
    #[error("is a credential, which is never kept")]
    Credential,
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let (start, is_prefix) = text.strip_suffix('*').map_or((text, false), |start| (start, true));
        if start.is_empty() {
            return Err(PatternError::Empty);
        }
        if start.contains(|part: char| part == '*' || part.is_whitespace() || part.is_control()) {
            return Err(PatternError::Malformed);
        }
        let stem = if is_prefix { start.trim_end_matches('.') } else { start };
        // A kept name within content's, as `gen_ai.prompt.name`, is fine to repeat.
        if is_content(stem) && !names(ATTRIBUTES).any(|name| name == stem) {
            return Err(PatternError::Content);
        }
        if is_credential(stem) {
            return Err(PatternError::Credential);
        }
        Ok(if is_prefix { Self::Prefix(start.to_owned()) } else { Self::Name(start.to_owned()) })
    }
}

/// What is known of a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub verdict: Verdict,
    /// The fact that it states, and its place among the names of that fact.
    pub reading: Option<(Reading, u8)>,
}

/// The names that are kept, and those that are read. Made once, asked once for each attribute.
#[derive(Clone, Debug)]
pub struct AllowList {
    names: foldhash::HashMap<Cow<'static, str>, Entry>,
    prefixes: Vec<String>,
}

impl AllowList {
    /// The list that everybody has, and these additions.
    pub fn new(additions: &[Pattern]) -> Self {
        let plain = |verdict| Entry { verdict, reading: None };
        let mut names: foldhash::HashMap<Cow<'static, str>, Entry> =
            self::names(ATTRIBUTES).map(|name| (Cow::Borrowed(name), plain(Verdict::Attribute))).collect();
        for (name, reading, place) in readings() {
            let verdict = verdict_of_read(&name, reading);
            names.entry(name).or_insert(plain(verdict)).reading = Some((reading, place));
        }
        let mut prefixes = Vec::new();
        for addition in additions {
            match addition {
                Pattern::Name(name) => {
                    let entry = names.entry(Cow::Owned(name.clone())).or_insert(plain(Verdict::Named));
                    if entry.verdict == Verdict::Dropped {
                        entry.verdict = Verdict::Named;
                    }
                }
                Pattern::Prefix(prefix) => prefixes.push(prefix.clone()),
            }
        }
        Self { names, prefixes }
    }

    /// What is known of a name.
    pub(super) fn entry(&self, name: &str) -> Entry {
        let known = self.names.get(name);
        if let Some(entry) = known.filter(|entry| entry.verdict != Verdict::Dropped) {
            return *entry;
        }
        let is_named = || self.prefixes.iter().any(|prefix| name.starts_with(prefix));
        let verdict = if begins_as_kept(name) {
            Verdict::Attribute
        } else if is_named() && !is_content(name) && !is_credential(name) {
            Verdict::Named
        } else {
            Verdict::Dropped
        };
        Entry { verdict, reading: known.and_then(|entry| entry.reading) }
    }
}

fn begins_as_kept(name: &str) -> bool {
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What becomes of an attribute that states a fact, unless it is listed: it is the column of that fact. Counts are kept as they
/// were sent besides; objects with more than counts in them are read and not kept.
fn verdict_of_read(name: &str, reading: Reading) -> Verdict {
    match reading {
        _ if WORD_COLUMNS.contains(&name) => Verdict::WordColumn,
        _ if !name.starts_with(OUR_PREFIX) && begins_as_kept(name) => Verdict::Attribute,
        Reading::UsageText(_) | Reading::Text(Text::Answer) => Verdict::Dropped,
        _ => Verdict::Column,
    }
}

/// How many different names one request's [`DroppedNames`] tells apart.
const DROPPED_NAMES_MAX: usize = 256;

/// How often attributes were dropped, by name.
#[derive(Clone, Debug, Default)]
pub struct DroppedNames {
    counts: HashMap<String, u64>,
    more: u64,
}

impl DroppedNames {
    /// Counts one more of that name.
    pub fn count(&mut self, name: &str) {
        if let Some(count) = self.counts.get_mut(name) {
            *count += 1;
        } else if self.counts.len() < DROPPED_NAMES_MAX {
            self.counts.insert(name.to_owned(), 1);
        } else {
            self.more += 1;
        }
    }

    /// Each name with its count.
    pub fn names(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(name, count)| (name.as_str(), *count))
    }

    /// How many had names beyond the bound.
    pub const fn more(&self) -> u64 {
        self.more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(list: &AllowList, name: &str) -> Verdict {
        list.entry(name).verdict
    }

    #[test]
    fn no_name_is_listed_twice_and_none_is_content() {
        let attributes: Vec<&str> = names(ATTRIBUTES).collect();
        let all: Vec<&str> = WORD_COLUMNS.iter().chain(&attributes).copied().collect();
        for (index, name) in all.iter().enumerate() {
            assert!(!all[..index].contains(name), "{name} is listed twice");
            assert!(!is_credential(name), "{name}");
            assert!(!is_content(name) || name.starts_with("gen_ai.prompt."), "{name}");
            assert!(
                !PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || !attributes.contains(name),
                "{name} has its prefix"
            );
        }
        for prefix in PREFIXES {
            assert!(!names(CONTENT).any(|content| content.starts_with(prefix)), "{prefix}");
        }
    }

    #[test]
    fn what_is_not_listed_is_dropped() {
        let list = AllowList::new(&[]);
        let dropped = "input.value llm.input_messages.0.message.content langfuse.observation.input pydantic_ai.all_messages \
             ai.prompt.messages url.full url.query http.url http.request.header.authorization llm.invocation_parameters \
             gen_ai.input.messages gen_ai.prompt gen_ai.prompt.0.content gen_ai.prompt.variable.name \
             gen_ai.tool.description exception.message db.query.text app.route gen_ai.usage metadata logfire.msg";
        for name in names(&[dropped]).chain([""]) {
            assert_eq!(verdict(&list, name), Verdict::Dropped, "{name}");
        }
        let kept = "gen_ai.usage.details.cache_read_tokens ledgerline.later gen_ai.prompt.name llm.token_count.prompt";
        for name in names(&[kept]) {
            assert_eq!(verdict(&list, name), Verdict::Attribute, "{name}");
        }
        assert_eq!(verdict(&list, "ledgerline.usage.unit.cache_read"), Verdict::Column);
        assert_eq!(verdict(&list, "error.type"), Verdict::WordColumn);
    }

    #[test]
    fn users_add_names_and_beginnings_but_no_content() {
        let additions = names(&["app.route acme.* gen_ai.* http.request.header.*"]);
        let list = AllowList::new(&additions.map(|text| text.parse().unwrap()).collect::<Vec<Pattern>>());
        for (expected, of) in [
            (
                Verdict::Named,
                "app.route acme.order gen_ai.request.stop_sequences http.request.header.user-agent",
            ),
            (Verdict::Column, "gen_ai.request.model"),
            (
                Verdict::Dropped,
                "app.route.more acme gen_ai.input.messages gen_ai.prompt.0.content acme.cookie \
                 http.request.header.authorization http.request.header.x_api_key",
            ),
        ] {
            for name in names(&[of]) {
                assert_eq!(verdict(&list, name), expected, "{name}");
            }
        }
        for (error, texts) in [
            (PatternError::Empty, vec!["", "*"]),
            (PatternError::Malformed, vec!["a*b", "a b"]),
            (
                PatternError::Content,
                vec!["input.value", "gen_ai.input.messages", "gen_ai.prompt.*", "llm.input_messages.*"],
            ),
            (PatternError::Credential, vec!["http.request.header.authorization"]),
        ] {
            for text in texts {
                assert_eq!(text.parse::<Pattern>(), Err(error), "{text}");
            }
        }
        assert!("gen_ai.prompt.name".parse::<Pattern>().is_ok());
    }

    #[test]
    fn dropped_names_are_told_apart_up_to_a_bound() {
        let mut dropped = DroppedNames::default();
        for round in 0..2 {
            (0..DROPPED_NAMES_MAX + 10).for_each(|number| dropped.count(&format!("n{number}")));
            assert_eq!((dropped.names().count(), dropped.more()), (DROPPED_NAMES_MAX, 10 * (round + 1)));
        }
        assert!(dropped.names().all(|(_, count)| count == 2));
    }
}
