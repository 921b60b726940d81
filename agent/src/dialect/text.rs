//! The texts of a call, as they are read. Pure.
//!
//! A reader hands each piece of text to a sink while it reads and keeps none. What is done with texts (counting bytes,
//! noticing the first token) is the sink's; a sink that wants more than a glance must copy, and bound what it copies.

/// Whose text it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions of the application.
    System,
    /// Input of the user, and all that names no other role.
    User,
    /// Output of the model.
    Assistant,
    /// Results of tools.
    Tool,
}

/// What the text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text to be read.
    Text,
    /// The model's reasoning, or its summary.
    Reasoning,
    /// A tool's definition, call or result.
    Tool,
}

/// A piece of text. In a stream, one text comes in many.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Whose. Within a message that names its role after its text, the role before it.
    pub role: Role,
    /// What.
    pub kind: Kind,
    /// The piece; empty where the provider hides the text or begins it.
    pub text: &'a str,
}

/// Prompts and responses are somebody's: lengths, no contents.
impl std::fmt::Debug for Part<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Part({:?} {:?}, {} bytes)", self.role, self.kind, self.text.len())
    }
}

/// Takes the texts of one side of a call, in the order of the wire.
pub trait TextSink {
    /// Takes a piece, which is gone afterwards.
    fn part(&mut self, part: Part<'_>);
}

/// Counts what passes: the sink that every call has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextCounts {
    /// Bytes of text and of tools.
    pub text_bytes: u64,
    /// Bytes of reasoning.
    pub reasoning_bytes: u64,
    /// Something has come; in a response that is its first token.
    pub has_part: bool,
}

impl TextSink for TextCounts {
    fn part(&mut self, part: Part<'_>) {
        let bytes = match part.kind {
            Kind::Text | Kind::Tool => &mut self.text_bytes,
            Kind::Reasoning => &mut self.reasoning_bytes,
        };
        *bytes += part.text.len() as u64;
        self.has_part = true;
    }
}
