//! What each provider's bytes mean. Pure.
//!
//! A [`Dialect`] reads one call: it is made when the call starts and resolves, once and for all, how its provider
//! nests counts, names ends and reports errors. Behind it there is only [`Answer`]. A dialect must never fail a call: what
//! it cannot read is absent, and it says so. Providers differ in what they send, so absent and zero are kept apart.

mod anthropic_messages;
mod json;
mod openai_chat;
mod openai_embeddings;
pub mod request;

use ledgerline_proto::{Billing, Operation, TokenCounts};

pub use anthropic_messages::AnthropicMessages;
pub use openai_chat::OpenAiChat;
pub use openai_embeddings::OpenAiEmbeddings;
pub use request::RequestFacts;

use super::sse::Event;
use crate::calls::{self, OpenAiCall};

/// How far the provider has come with its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    /// Something is still to come.
    #[default]
    Open,
    /// The model has stopped and said why; only formalities are to come (a usage count, an end mark).
    Finished,
    /// The provider's last word was seen.
    Terminated,
}

/// What a dialect has read from the answer so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The provider's id of the answer; empty when not stated.
    pub response_id: String,
    /// The model that answered; empty when not stated.
    pub model: String,
    /// The provider's counts of the input side, in disjoint classes; `None`: not stated.
    pub input: Option<TokenCounts>,
    /// The same of the output side.
    pub output: Option<TokenCounts>,
    /// The counts are the provider's last word. Until then the output may be a running total.
    pub usage_is_final: bool,
    /// Tier, speed, place, searches: as served, not as asked for.
    pub billing: Billing,
    /// One per choice.
    pub finish_reasons: Vec<String>,
    /// The provider reported an error, and its class where it named one.
    pub error: Option<Option<String>>,
    /// A token of text, reasoning or a tool call has come.
    pub has_token: bool,
    /// How far the answer has come.
    pub progress: Progress,
    /// Bytes of answer text and tool calls that passed.
    pub text_bytes: u64,
    /// Bytes of reasoning that passed.
    pub reasoning_bytes: u64,
    /// Model runs within this call that were billed on another model and are therefore not in the counts.
    pub foreign_runs: u64,
}

/// The bytes were not what the dialect expects; everything read before stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the JSON this dialect expects")]
pub struct Unreadable;

/// Reads one call of one provider's API.
pub trait Dialect: Send {
    /// What the call asks for.
    fn operation(&self) -> Operation;

    /// Reads an event of a streamed answer.
    ///
    /// # Errors
    /// [`Unreadable`]; the stream goes on.
    fn read_event(&mut self, event: Event<'_>, answer: &mut Answer) -> Result<(), Unreadable>;

    /// Reads an answer that is not streamed, an error answer included.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn read_body(&mut self, body: &[u8], answer: &mut Answer) -> Result<(), Unreadable>;
}

type Make = Box<dyn Fn(&str) -> Option<Box<dyn Dialect>> + Send + Sync>;

/// Knows the dialect of every call by its upstream's dialect name and its path.
pub struct DialectTable {
    makers: Vec<(String, Make)>,
}

impl std::fmt::Debug for DialectTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.makers.iter().map(|(name, _)| name)).finish()
    }
}

impl Default for DialectTable {
    /// The dialects of this build: `openai` and `anthropic`.
    fn default() -> Self {
        let mut table = Self { makers: Vec::new() };
        table.register("openai", openai);
        table.register("anthropic", anthropic);
        table
    }
}

impl DialectTable {
    /// Adds or replaces a dialect. `make` gets the path below the upstream's prefix and returns `None` for requests
    /// that are not calls to a model.
    pub fn register(
        &mut self,
        name: &str,
        make: impl Fn(&str) -> Option<Box<dyn Dialect>> + Send + Sync + 'static,
    ) {
        self.makers.retain(|(known, _)| known != name);
        self.makers.push((name.to_owned(), Box::new(make)));
    }

    /// A reader for a call; `None` when a request of that path is not a call: listing models, counting tokens.
    #[must_use]
    pub fn dialect(&self, name: &str, path: &str) -> Option<Box<dyn Dialect>> {
        self.makers.iter().find(|(known, _)| known == name).and_then(|(_, make)| make(path))
    }
}

fn openai(path: &str) -> Option<Box<dyn Dialect>> {
    Some(match calls::openai(path)? {
        OpenAiCall::Chat => Box::new(OpenAiChat::new(Operation::Chat)),
        OpenAiCall::TextCompletion => Box::new(OpenAiChat::new(Operation::TextCompletion)),
        OpenAiCall::Embeddings => Box::new(OpenAiEmbeddings),
    })
}

fn anthropic(path: &str) -> Option<Box<dyn Dialect>> {
    calls::anthropic(path).then(|| -> Box<dyn Dialect> { Box::new(AnthropicMessages::default()) })
}

#[cfg(test)]
mod tests;
