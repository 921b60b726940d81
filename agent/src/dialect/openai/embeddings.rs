//! OpenAI embeddings: `usage.prompt_tokens` and nothing else is billed. Pure.

use ledgerline_proto::TokenCounts;
use serde::Deserialize;

use super::usage::{CompletionUsage, Inclusive};
use crate::dialect::json::{ErrorField, Object, Text, object};
use crate::dialect::{Progress, Reader, Response, TextSink, Unreadable};
use crate::wire::sse::Event;

/// Reads one embeddings call.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmbeddingsReader;

/// The response; `data`, the vectors, is skipped.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    model: Text<'a>,
    usage: Object<CompletionUsage>,
    error: ErrorField,
}

impl Reader for EmbeddingsReader {
    fn read_event(&mut self, _: Event<'_>, _: &mut Response, _: &mut dyn TextSink) -> Result<(), Unreadable> {
        Err(Unreadable)
    }

    fn read_body(
        &mut self,
        body: &[u8],
        response: &mut Response,
        _: &mut dyn TextSink,
    ) -> Result<(), Unreadable> {
        let body: Body<'_> = object(body).ok_or(Unreadable)?;
        body.model.store(&mut response.model);
        if let Some(error) = body.error.0 {
            response.error = Some(error.class());
        }
        response.input = body.usage.0.and_then(|usage| Inclusive::from(&usage).input());
        // Embeddings make no tokens; this zero is a fact, not a gap.
        response.output = response.input.map(|_| TokenCounts::default());
        response.usage_is_final = response.input.is_some();
        response.progress = Progress::Terminated;
        Ok(())
    }
}
