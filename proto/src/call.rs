//! One call: a request to a model and its answer.

use std::fmt;

use crate::condition::Conditions;
use crate::id::{SpanId, TraceId};
use crate::money::PicoUsd;
use crate::usage::Usage;

/// What was asked of the model: `gen_ai.operation.name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// A chat completion.
    Chat,
    /// Multimodal generation (Gemini's name for it).
    GenerateContent,
    /// A text completion.
    TextCompletion,
    /// Embeddings.
    Embeddings,
    /// Something was asked of a model, and the agent cannot read what; see [`Unread`].
    Unread,
    /// Any other GenAI operation: agents, tools, retrieval. Its usage repeats what its children report.
    Other(String),
    /// A span without GenAI facts, kept for its place in the trace.
    NotGenAi,
}

impl Operation {
    /// The names of those that are calls; see [`Operation::is_call`].
    pub const CALLS: [&str; 5] = ["chat", "generate_content", "text_completion", "embeddings", "unread"];

    /// The operation of that name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "chat" => Self::Chat,
            "generate_content" => Self::GenerateContent,
            "text_completion" => Self::TextCompletion,
            "embeddings" => Self::Embeddings,
            "unread" => Self::Unread,
            "" => Self::NotGenAi,
            other => Self::Other(other.to_owned()),
        }
    }

    /// The name on the wire; empty for [`Operation::NotGenAi`].
    pub fn name(&self) -> &str {
        match self {
            Self::Chat => "chat",
            Self::GenerateContent => "generate_content",
            Self::TextCompletion => "text_completion",
            Self::Embeddings => "embeddings",
            Self::Unread => "unread",
            Self::Other(name) => name,
            Self::NotGenAi => "",
        }
    }

    /// Whether such a span is a call in its own right. Wrapper spans (agents, workflows) are not: they repeat the
    /// usage of the calls below them, and a total that counted both would be wrong.
    pub const fn is_call(&self) -> bool {
        matches!(
            self,
            Self::Chat | Self::GenerateContent | Self::TextCompletion | Self::Embeddings | Self::Unread
        )
    }
}

named! {
    /// How the answer ended. One type for all dialects, because every accounting rule hangs on it.
    pub enum EndOfStream {
        /// The provider finished its answer.
        Complete = "complete",
        /// The provider failed: an error answer, an error event within a stream, or a connection cut short.
        ProviderError = "provider_error",
        /// The client went away first.
        ClientGone = "client_gone",
        /// The agent stopped first.
        RelayKilled = "relay_killed",
    }
}

/// Who made the call. Empty means not stated.
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Identity {
    /// `service.name`.
    pub service: String,
    /// `deployment.environment.name`.
    pub environment: String,
    /// The team that pays.
    pub team: String,
    /// The product feature.
    pub feature: String,
    /// The end user; personal data, kept out of logs and metric labels.
    pub user: String,
    /// The conversation; personal data like the user.
    pub session: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redacted = |text: &str| if text.is_empty() { "" } else { "<redacted>" };
        f.debug_struct("Identity")
            .field("service", &self.service)
            .field("environment", &self.environment)
            .field("team", &self.team)
            .field("feature", &self.feature)
            .field("user", &redacted(&self.user))
            .field("session", &redacted(&self.session))
            .finish()
    }
}

named! {
    /// Why the counts of a call are not its whole bill. What is left out has no price yet, so neither has the call.
    pub enum BillGap {
        /// Another model ran within the call, and what it used was not read.
        OtherModel = "other_model",
        /// A tool of the provider ran that is billed apart from tokens: a container, a search in files, an image.
        Tool = "tool",
    }
}

/// Facts beside the quantities that decide the price.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Billing {
    /// The words.
    pub conditions: Conditions,
    /// What was billed and is not in the counts.
    pub gap: Option<BillGap>,
    /// The cost the provider itself reported; kept beside ours, never in its place.
    pub reported_cost: Option<PicoUsd>,
}

/// Where a request went that carried a model and that no dialect reads. The agent writes it; the collector keeps both as
/// attributes of the span.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// The agent's name of the upstream.
    pub upstream: String,
    /// The path, with what looks like an id or a name replaced, so that few are distinct.
    pub path: String,
}

/// One request to a model and its answer. Times are nanoseconds since the Unix epoch, UTC.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own span.
    pub span_id: SpanId,
    /// The caller's span, where the client sent `traceparent`.
    pub parent_span_id: Option<SpanId>,
    /// The first byte of the request.
    pub start_unix_ns: u64,
    /// The last byte of the answer. Spend counts at this time.
    pub end_unix_ns: u64,
    /// From start to the first token of the answer; streams only.
    pub time_to_first_token_ns: Option<u64>,
    /// What was asked.
    pub operation: Operation,
    /// `gen_ai.provider.name`: `openai`, `anthropic`.
    pub provider: String,
    /// The model asked for; empty when the request did not name one.
    pub request_model: String,
    /// The model that answered, which is the one that is billed; empty when the answer did not name one.
    pub response_model: String,
    /// The provider's id of the answer.
    pub response_id: String,
    /// Whether the answer was streamed.
    pub stream: bool,
    /// One per choice, in the provider's words.
    pub finish_reasons: Vec<String>,
    /// How it ended.
    pub end: EndOfStream,
    /// OpenTelemetry's `error.type`: the provider's error code, an HTTP status, or a class of our own; `None` when
    /// the call succeeded.
    pub error_type: Option<String>,
    /// The HTTP status of the answer; `None` when there was none.
    pub http_status: Option<u16>,
    /// What it used; `None` is missing, not zero.
    pub usage: Option<Usage>,
    /// The provider's own usage object as it was sent, JSON, bounded by whoever read it: what a price or a reading that was
    /// wrong is corrected from. Empty: none was seen.
    pub usage_object: String,
    /// What else decides the price.
    pub billing: Billing,
    /// Who made it.
    pub identity: Identity,
    /// Where it went, if its operation is [`Operation::Unread`].
    pub unread: Option<Unread>,
}

impl Call {
    /// The model to bill and to group by: the one that answered, else the one asked for.
    pub fn model(&self) -> &str {
        if self.response_model.is_empty() { &self.request_model } else { &self.response_model }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_calls_by_name() {
        assert!(Operation::CALLS.iter().all(|name| Operation::from_name(name).is_call()));
        assert!(!Operation::from_name("invoke_agent").is_call() && !Operation::from_name("").is_call());
    }

    #[test]
    fn debug_of_an_identity_names_no_person() {
        let identity = Identity {
            team: "search".into(),
            user: "ada@example.org".into(),
            session: "s-1".into(),
            ..Default::default()
        };
        let text = format!("{identity:?}");
        assert!(text.contains("search") && !text.contains("ada") && !text.contains("s-1"), "{text}");
    }
}
