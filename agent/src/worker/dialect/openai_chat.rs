//! OpenAI Chat Completions, and the many servers that speak it; also the older text completions. Pure.
//!
//! Counts are inclusive: cached, written and audio tokens are inside `prompt_tokens`; reasoning, audio and predicted
//! tokens inside `completion_tokens`. Two kinds of server deviate and are recognised by arithmetic, not by name: where
//! the parts do not fit into the whole, or `total_tokens` equals the sum with the part, the part is beside the whole.
//! Usage may come in any chunk; the last one counts.

use ledgerline_proto::{Operation, TokenClass, TokenCounts};
use serde::Deserialize;

use super::json::{Content, Count, ErrorField, LIST_MAX, List, Object, Text, bounded, object};
use super::{Answer, Dialect, Progress, Unreadable};
use crate::worker::sse::Event;

/// Reads one chat or text completion.
#[derive(Debug)]
pub struct OpenAiChat {
    operation: Operation,
    /// The finish reason of each choice that was seen, by its index.
    choices: Vec<Option<String>>,
}

impl OpenAiChat {
    /// A reader for an operation of that family.
    #[must_use]
    pub fn new(operation: Operation) -> Self {
        Self { operation, choices: Vec::new() }
    }
}

/// A whole answer or one chunk of a stream; they differ in `message` and `delta`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Chunk<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    model: Text<'a>,
    #[serde(borrow)]
    service_tier: Text<'a>,
    #[serde(borrow)]
    choices: List<Choice<'a>>,
    usage: Object<UsageBody>,
    error: ErrorField,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Choice<'a> {
    index: Count,
    #[serde(borrow)]
    finish_reason: Text<'a>,
    delta: Object<Message>,
    message: Object<Message>,
    /// Of text completions.
    text: Content,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Message {
    content: Content,
    refusal: Content,
    tool_calls: Content,
    function_call: Content,
    audio: Content,
    /// DeepSeek, vLLM.
    reasoning_content: Content,
    /// OpenRouter, Groq.
    reasoning: Content,
}

/// `usage`, as far as it decides money.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct UsageBody {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Object<PromptDetails>,
    completion_tokens_details: Object<CompletionDetails>,
    /// DeepSeek's name for cached tokens.
    prompt_cache_hit_tokens: Count,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
    cache_write_tokens_details: Object<CacheWriteDetails>,
    audio_tokens: Count,
    image_tokens: Count,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct CacheWriteDetails {
    ttl_30m_tokens: Count,
    ttl_12h_tokens: Count,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
}

impl UsageBody {
    pub(super) fn input(&self) -> Option<TokenCounts> {
        let whole = self.prompt_tokens.0?;
        let details = self.prompt_tokens_details.0.unwrap_or_default();
        let cached = details.cached_tokens.0.or(self.prompt_cache_hit_tokens.0).unwrap_or(0);
        let lives = details.cache_write_tokens_details.0.unwrap_or_default();
        let (life_30m, life_12h) = (lives.ttl_30m_tokens.or_zero(), lives.ttl_12h_tokens.or_zero());
        let written = details.cache_write_tokens.or_zero().max(life_30m + life_12h);
        let rest = whole.checked_sub(cached + written).unwrap_or(whole);
        // Cached audio is counted as cached and as audio: it is cheaper as cached, and that is what it was.
        let audio = details.audio_tokens.or_zero().min(rest);
        let image = details.image_tokens.or_zero().min(rest - audio);
        Some(TokenCounts::from_pairs(&[
            (TokenClass::InputUncached, rest - audio - image),
            (TokenClass::CacheRead, cached),
            (TokenClass::CacheWrite5m, written - life_30m - life_12h),
            (TokenClass::CacheWrite30m, life_30m),
            (TokenClass::CacheWrite12h, life_12h),
            (TokenClass::InputAudio, audio),
            (TokenClass::InputImage, image),
        ]))
    }

    fn output(&self) -> Option<TokenCounts> {
        let whole = self.completion_tokens.0?;
        let details = self.completion_tokens_details.0.unwrap_or_default();
        let reasoning = details.reasoning_tokens.or_zero();
        let prompt = self.prompt_tokens.or_zero();
        let beside =
            reasoning > 0 && self.total_tokens.0.is_some_and(|total| total == prompt + whole + reasoning);
        let rest = if beside { whole } else { whole.checked_sub(reasoning).unwrap_or(whole) };
        let audio = details.audio_tokens.or_zero().min(rest);
        let image = details.image_tokens.or_zero().min(rest - audio);
        Some(TokenCounts::from_pairs(&[
            (TokenClass::OutputText, rest - audio - image),
            (TokenClass::OutputReasoning, reasoning),
            (TokenClass::OutputAudio, audio),
            (TokenClass::OutputImage, image),
        ]))
    }
}

impl OpenAiChat {
    fn read(&mut self, chunk: &Chunk<'_>, answer: &mut Answer) {
        chunk.id.store(&mut answer.response_id);
        chunk.model.store(&mut answer.model);
        chunk.service_tier.store_some(&mut answer.billing.service_tier);
        if let Some(error) = &chunk.error.0 {
            answer.error = Some(error.clone().class());
        }
        for choice in &chunk.choices.0 {
            self.read_choice(choice, answer);
        }
        let finished = !self.choices.is_empty() && self.choices.iter().all(Option::is_some);
        if answer.progress != Progress::Terminated {
            answer.progress = if finished { Progress::Finished } else { Progress::Open };
        }
        if let Some(usage) = &chunk.usage.0 {
            let (input, output) = (usage.input(), usage.output());
            if input.is_some() || output.is_some() {
                answer.usage_is_final = finished;
            }
            answer.input = input.or(answer.input);
            answer.output = output.or(answer.output);
        }
    }

    fn read_choice(&mut self, choice: &Choice<'_>, answer: &mut Answer) {
        for message in choice.delta.0.iter().chain(&choice.message.0) {
            let Message { content, refusal, tool_calls, function_call, audio, reasoning_content, reasoning } =
                message;
            for part in [content, refusal, tool_calls, function_call, audio] {
                answer.text_bytes += part.bytes;
                answer.has_token |= part.present;
            }
            // Some servers send the same reasoning under both names.
            answer.reasoning_bytes += reasoning_content.bytes.max(reasoning.bytes);
            answer.has_token |= reasoning_content.present || reasoning.present;
        }
        answer.text_bytes += choice.text.bytes;
        answer.has_token |= choice.text.present;
        let index = usize::try_from(choice.index.or_zero()).unwrap_or(usize::MAX);
        if index >= LIST_MAX {
            return;
        }
        if self.choices.len() <= index {
            self.choices.resize(index + 1, None);
        }
        if let Some(reason) = choice.finish_reason.get() {
            self.choices[index] = Some(bounded(reason));
            answer.finish_reasons = self.choices.iter().flatten().cloned().collect();
        }
    }
}

impl Dialect for OpenAiChat {
    fn operation(&self) -> Operation {
        self.operation.clone()
    }

    fn read_event(&mut self, event: Event<'_>, answer: &mut Answer) -> Result<(), Unreadable> {
        let data = event.data.trim_ascii();
        if data == b"[DONE]" {
            answer.progress = Progress::Terminated;
            answer.usage_is_final = answer.input.is_some() || answer.output.is_some();
            return Ok(());
        }
        if data.is_empty() {
            return Ok(());
        }
        let chunk: Chunk<'_> = object(data).ok_or(Unreadable)?;
        self.read(&chunk, answer);
        if event.name == b"error" && answer.error.is_none() {
            answer.error = Some(None);
        }
        Ok(())
    }

    fn read_body(&mut self, body: &[u8], answer: &mut Answer) -> Result<(), Unreadable> {
        let chunk: Chunk<'_> = object(body).ok_or(Unreadable)?;
        self.read(&chunk, answer);
        answer.progress = Progress::Terminated;
        answer.usage_is_final = answer.input.is_some() || answer.output.is_some();
        Ok(())
    }
}
