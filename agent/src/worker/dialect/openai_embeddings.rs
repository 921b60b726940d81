//! OpenAI embeddings: `usage.prompt_tokens` and nothing else is billed. Pure.

use ledgerline_proto::{Operation, TokenCounts};
use serde::Deserialize;

use super::json::{ErrorField, Object, Text, object};
use super::openai_chat::UsageBody;
use super::{Answer, Dialect, Progress, Unreadable};
use crate::worker::sse::Event;

/// Reads one embeddings call.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenAiEmbeddings;

/// The answer; `data`, the vectors, is skipped.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    model: Text<'a>,
    usage: Object<UsageBody>,
    error: ErrorField,
}

impl Dialect for OpenAiEmbeddings {
    fn operation(&self) -> Operation {
        Operation::Embeddings
    }

    fn read_event(&mut self, _: Event<'_>, _: &mut Answer) -> Result<(), Unreadable> {
        Err(Unreadable)
    }

    fn read_body(&mut self, body: &[u8], answer: &mut Answer) -> Result<(), Unreadable> {
        let body: Body<'_> = object(body).ok_or(Unreadable)?;
        body.model.store(&mut answer.model);
        if let Some(error) = body.error.0 {
            answer.error = Some(error.class());
        }
        answer.input = body.usage.0.and_then(|usage| usage.input());
        // Embeddings make no tokens; this zero is a fact, not a gap.
        answer.output = answer.input.map(|_| TokenCounts::default());
        answer.usage_is_final = answer.input.is_some();
        answer.progress = Progress::Terminated;
        Ok(())
    }
}
