//! The texts of a call, as they are read. Pure.
//!
//! A reader hands each piece of text to a sink while it reads and keeps none; a sink that wants more than a glance must copy,
//! and bound what it copies.

/// What a text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text to be read.
    Text,
    /// The model's reasoning, or its summary.
    Reasoning,
    /// A tool's definition, call or result.
    Tool,
}

/// Takes the texts of one side of a call, in the order of the wire.
pub trait TextSink {
    /// Takes a piece; it is empty where the provider hides the text or begins it. In a stream, one text comes in many.
    fn take(&mut self, kind: Kind, text: &str);
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
    fn take(&mut self, kind: Kind, text: &str) {
        let bytes = match kind {
            Kind::Text | Kind::Tool => &mut self.text_bytes,
            Kind::Reasoning => &mut self.reasoning_bytes,
        };
        *bytes += text.len() as u64;
        self.has_part = true;
    }
}
