//! OpenAI Chat Completions, and the many servers that speak it; also the older text completions. Pure.
//!
//! Counts are inclusive: cached, written and audio tokens are inside `prompt_tokens`; reasoning, audio and predicted
//! tokens inside `completion_tokens`. Two kinds of server deviate and are recognised by arithmetic, not by name: where
//! the parts do not fit into the whole, or `total_tokens` equals the sum with the part, the part is beside the whole.
//! Usage may come in any chunk; the last one counts.

use ledgerline_proto::{TokenClass, TokenCounts};
use serde::Deserialize;

use crate::dialect::json::{Content, Count, ErrorField, LIST_MAX, List, Object, Text, bounded, object};
use crate::dialect::{Kind, Progress, Reader, Response, TextSink, Unreadable};
use crate::sse::Event;

/// Reads one chat or text completion.
#[derive(Debug, Default)]
pub struct ChatReader {
    /// The finish reason of each choice that was seen, by its index.
    choices: Vec<Option<String>>,
}

/// A whole response or one chunk of a stream; they differ in `message` and `delta`.
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
    #[serde(borrow)]
    delta: Object<Message<'a>>,
    #[serde(borrow)]
    message: Object<Message<'a>>,
    /// Of text completions.
    #[serde(borrow)]
    text: Content<'a>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Message<'a> {
    #[serde(borrow)]
    content: Content<'a>,
    #[serde(borrow)]
    refusal: Content<'a>,
    #[serde(borrow)]
    tool_calls: Content<'a>,
    #[serde(borrow)]
    function_call: Content<'a>,
    #[serde(borrow)]
    audio: Content<'a>,
    /// DeepSeek, vLLM.
    #[serde(borrow)]
    reasoning_content: Content<'a>,
    /// OpenRouter, Groq.
    #[serde(borrow)]
    reasoning: Content<'a>,
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

impl ChatReader {
    fn read(&mut self, chunk: &Chunk<'_>, response: &mut Response, texts: &mut dyn TextSink) {
        chunk.id.store(&mut response.response_id);
        chunk.model.store(&mut response.model);
        chunk.service_tier.store_some(&mut response.billing.service_tier);
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
        if let Some(usage) = &chunk.usage.0 {
            let (input, output) = (usage.input(), usage.output());
            if input.is_some() || output.is_some() {
                response.usage_is_final = finished;
            }
            response.input = input.or(response.input);
            response.output = output.or(response.output);
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
            let reasoning =
                if first.bytes() >= second.bytes() && first.is_present() { first } else { second };
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

impl Reader for ChatReader {
    fn read_event(
        &mut self,
        event: Event<'_>,
        response: &mut Response,
        texts: &mut dyn TextSink,
    ) -> Result<(), Unreadable> {
        let data = event.data.trim_ascii();
        if data == b"[DONE]" {
            response.progress = Progress::Terminated;
            response.usage_is_final = response.input.is_some() || response.output.is_some();
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

    fn read_body(
        &mut self,
        body: &[u8],
        response: &mut Response,
        texts: &mut dyn TextSink,
    ) -> Result<(), Unreadable> {
        let chunk: Chunk<'_> = object(body).ok_or(Unreadable)?;
        self.read(&chunk, response, texts);
        response.progress = Progress::Terminated;
        response.usage_is_final = response.input.is_some() || response.output.is_some();
        Ok(())
    }
}
