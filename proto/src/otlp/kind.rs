//! What a span is, in the senders' own words. Pure.
//!
//! Every instrumentation has a vocabulary of kinds beside OpenTelemetry's operations, and sets both, or its kind alone. A span
//! that either calls an agent, a tool or a search is no call to a model: its usage repeats that of the calls below it, and
//! to bill it as one is to bill twice.

use crate::call::Operation;

/// What a word means. In the order in which one is believed over another: "no call" over all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Chat,
    /// A chat whose answer was streamed.
    ChatStream,
    TextCompletion,
    Embeddings,
    /// No call, but an operation of this name; none of a name is not about a model itself.
    NoCall(&'static str),
}

/// In lower case. Of a word with dots the last part counts: `ai.streamText.doStream`, `claude_code.tool`.
const WORDS: &[(Kind, &str)] = &[
    (Kind::Chat, "chat llm chat_model generation llm_request dogenerate"),
    (Kind::ChatStream, "dostream"),
    (Kind::TextCompletion, "completion text_completion"),
    (Kind::Embeddings, "embedding embeddings doembed"),
    (Kind::NoCall("invoke_agent"), "agent interaction"),
    (Kind::NoCall("execute_tool"), "tool toolcall"),
    (Kind::NoCall("retrieval"), "retriever retrieval"),
    (
        Kind::NoCall("invoke_workflow"),
        "chain workflow generatetext streamtext generateobject streamobject embed embedmany",
    ),
    (Kind::NoCall("rerank"), "rerank reranker dorerank"),
    (Kind::NoCall("guardrail"), "guardrail"),
    (Kind::NoCall("evaluate"), "evaluator evaluation"),
    (
        Kind::NoCall(""),
        "span event task prompt parser decision memory executor transcribe generatespeech generateimage",
    ),
];

impl Kind {
    /// What the word means; `None` for one that says nothing to us.
    pub(super) fn from_word(text: &str) -> Option<Self> {
        let last = text.rsplit('.').next()?;
        let mut words = WORDS.iter().flat_map(|(kind, words)| words.split(' ').map(move |word| (kind, word)));
        words.find(|(_, word)| word.eq_ignore_ascii_case(last)).map(|(kind, _)| *kind)
    }

    /// As what such a span is stored.
    pub(super) fn operation(self) -> Operation {
        match self {
            Self::Chat | Self::ChatStream => Operation::Chat,
            Self::TextCompletion => Operation::TextCompletion,
            Self::Embeddings => Operation::Embeddings,
            Self::NoCall(name) => Operation::from_name(name),
        }
    }
}
