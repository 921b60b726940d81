//! OpenAI Chat Completions and the many servers that speak it, older text completions, embeddings. Pure.
//!
//! Usage may come in any chunk; the last one counts. Of embeddings `usage.prompt_tokens` is all that is billed.

use ledgerline_proto::json::lenient::{Count, LIST_MAX, List, Object, Text, bounded, object};
use ledgerline_proto::usage_object::Reading;
use ledgerline_proto::usage_object::openai::UsageBody;
use ledgerline_proto::{Condition, Unit};
use serde::Deserialize;

use crate::dialect::json::{Content, ErrorField, Verbatim};
use crate::dialect::{Kind, Progress, Read, Reader, Response, TextSink, Unreadable};
use crate::wire::sse::Event;

#[derive(Debug, Default)]
pub struct ChatReader {
    /// The finish reason of each choice that was seen, by its index.
    choices: Vec<Option<String>>,
    is_embeddings: bool,
}

/// A whole response or one chunk of a stream; they differ in `message` and `delta`.
#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Chunk<'a> {
    id: Text<'a>,
    model: Text<'a>,
    service_tier: Text<'a>,
    choices: List<Choice<'a>>,
    usage: Verbatim<'a, UsageBody>,
    error: ErrorField,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Choice<'a> {
    index: Count,
    finish_reason: Text<'a>,
    delta: Object<Message<'a>>,
    message: Object<Message<'a>>,
    /// Of text completions.
    text: Content<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default, bound(deserialize = "'de: 'a"))]
struct Message<'a> {
    content: Content<'a>,
    refusal: Content<'a>,
    tool_calls: Content<'a>,
    function_call: Content<'a>,
    audio: Content<'a>,
    /// DeepSeek, vLLM.
    reasoning_content: Content<'a>,
    /// OpenRouter, Groq.
    reasoning: Content<'a>,
}

impl ChatReader {
    /// Reads embeddings; the vectors are skipped.
    pub fn embeddings() -> Self {
        Self { is_embeddings: true, ..Self::default() }
    }

    fn read(&mut self, chunk: &Chunk<'_>, response: &mut Response, texts: &mut dyn TextSink) {
        chunk.id.store(&mut response.response_id);
        chunk.model.store(&mut response.model);
        if searches_always(&response.model) {
            response.fees.set(Unit::WebSearch, 1);
        }
        chunk.service_tier.store_condition(Condition::ServiceTier, &mut response.billing.conditions);
        if let Some(error) = &chunk.error.0 {
            response.error = Some(error.clone().class());
        }
        for choice in &chunk.choices.0 {
            self.read_choice(choice, response, texts);
        }
        let finished = !self.choices.is_empty() && self.choices.iter().all(Option::is_some);
        if response.progress != Progress::Terminated {
            response.progress = if finished { Progress::Finished } else { Progress::Open };
        }
        if let Some(usage) = &chunk.usage.object {
            let stated = ledgerline_proto::reported_cost::of_usage(chunk.usage.text);
            response.billing.reported_cost = stated.or(response.billing.reported_cost);
            let Reading { input, output, .. } =
                if self.is_embeddings { usage.of_embeddings() } else { usage.of_completion() };
            if input.is_some() || output.is_some() {
                response.usage_objects.replace(super::SPEC.name, chunk.usage.text);
                response.usage_is_final = finished;
            }
            response.input = input.or(response.input.take());
            response.output = output.or(response.output.take());
        }
    }

    fn read_choice(&mut self, choice: &Choice<'_>, response: &mut Response, texts: &mut dyn TextSink) {
        for message in choice.delta.0.iter().chain(&choice.message.0) {
            message.content.hand_to(Kind::Text, texts);
            message.refusal.hand_to(Kind::Text, texts);
            message.audio.hand_to(Kind::Text, texts);
            message.tool_calls.hand_to(Kind::Tool, texts);
            message.function_call.hand_to(Kind::Tool, texts);
            // Some servers send the same reasoning under both names.
            let (first, second) = (&message.reasoning_content, &message.reasoning);
            let reasoning = if first.bytes() >= second.bytes() && first.is_present { first } else { second };
            reasoning.hand_to(Kind::Reasoning, texts);
        }
        choice.text.hand_to(Kind::Text, texts);
        let index = usize::try_from(choice.index.or_zero()).unwrap_or(usize::MAX);
        if index >= LIST_MAX {
            return;
        }
        if self.choices.len() <= index {
            self.choices.resize(index + 1, None);
        }
        if let Some(reason) = choice.finish_reason.get() {
            self.choices[index] = Some(bounded(reason));
            response.finish_reasons = self.choices.iter().flatten().cloned().collect();
        }
    }
}

/// Models that search on every call, for a fee that usage does not show.
fn searches_always(model: &str) -> bool {
    model.contains("-search-preview") || model.contains("-search-api")
}

impl Reader for ChatReader {
    fn read_event(&mut self, event: Event<'_>, response: &mut Response, texts: &mut dyn TextSink) -> Read {
        let data = event.data.trim_ascii();
        if data == b"[DONE]" {
            response.progress = Progress::Terminated;
            response.usage_is_final = response.has_counts();
            return Ok(());
        }
        if data.is_empty() {
            return Ok(());
        }
        let chunk: Chunk<'_> = object(data).ok_or(Unreadable)?;
        self.read(&chunk, response, texts);
        if event.name == b"error" && response.error.is_none() {
            response.error = Some(None);
        }
        Ok(())
    }

    fn read_body(&mut self, body: &[u8], response: &mut Response, texts: &mut dyn TextSink) -> Read {
        let chunk: Chunk<'_> = object(body).ok_or(Unreadable)?;
        self.read(&chunk, response, texts);
        response.progress = Progress::Terminated;
        response.usage_is_final = response.has_counts();
        Ok(())
    }
}
