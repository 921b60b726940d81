//! How this provider and its kin count: with inclusive totals. Pure.
//!
//! Cached, written and audio tokens are inside the input; reasoning, audio and predicted tokens inside the output. Where the
//! parts do not fit into the whole, or the total equals the sum with the part, the part is beside it: some servers deviate.

use ledgerline_proto::{Quantities, Unit};
use serde::Deserialize;

use crate::dialect::json::{Count, Object};

/// `usage` of chat, text completions and embeddings, as far as it decides money.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct CompletionUsage {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Object<Details>,
    completion_tokens_details: Object<Details>,
    /// DeepSeek's name for cached tokens.
    prompt_cache_hit_tokens: Count,
}

/// `usage` of responses, as far as it decides money.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct ResponseUsage {
    input_tokens: Count,
    output_tokens: Count,
    total_tokens: Count,
    input_tokens_details: Object<Details>,
    output_tokens_details: Object<Details>,
}

/// The parts of one side; each side states some.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct Details {
    cached_tokens: Count,
    cache_write_tokens: Count,
    cache_write_tokens_details: Object<CacheWriteDetails>,
    reasoning_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(default)]
struct CacheWriteDetails {
    ttl_30m_tokens: Count,
    ttl_12h_tokens: Count,
}

/// The same counts under the newer names.
impl From<&CompletionUsage> for ResponseUsage {
    fn from(usage: &CompletionUsage) -> Self {
        let details = usage.prompt_tokens_details.0.unwrap_or_default();
        let cached_tokens = Count(details.cached_tokens.0.or(usage.prompt_cache_hit_tokens.0));
        Self {
            input_tokens: usage.prompt_tokens,
            output_tokens: usage.completion_tokens,
            total_tokens: usage.total_tokens,
            input_tokens_details: Object(Some(Details { cached_tokens, ..details })),
            output_tokens_details: usage.completion_tokens_details,
        }
    }
}

impl ResponseUsage {
    /// The input side in disjoint classes.
    pub(super) fn input(&self) -> Option<Quantities> {
        let whole = self.input_tokens.0?;
        let details = self.input_tokens_details.0.unwrap_or_default();
        let cached = details.cached_tokens.or_zero();
        let lives = details.cache_write_tokens_details.0.unwrap_or_default();
        let (life_30m, life_12h) = (lives.ttl_30m_tokens.or_zero(), lives.ttl_12h_tokens.or_zero());
        let written = details.cache_write_tokens.or_zero().max(life_30m + life_12h);
        let rest = whole.checked_sub(cached + written).unwrap_or(whole);
        // Cached audio is counted as cached and as audio: it is cheaper as cached, and that is what it was.
        let audio = details.audio_tokens.or_zero().min(rest);
        let image = details.image_tokens.or_zero().min(rest - audio);
        Some(Quantities::from_pairs(&[
            (Unit::InputUncached, rest - audio - image),
            (Unit::CacheRead, cached),
            (Unit::CacheWrite5m, written - life_30m - life_12h),
            (Unit::CacheWrite30m, life_30m),
            (Unit::CacheWrite12h, life_12h),
            (Unit::InputAudio, audio),
            (Unit::InputImage, image),
        ]))
    }

    /// The output side in disjoint classes.
    pub(super) fn output(&self) -> Option<Quantities> {
        let whole = self.output_tokens.0?;
        let details = self.output_tokens_details.0.unwrap_or_default();
        let reasoning = details.reasoning_tokens.or_zero();
        let input = self.input_tokens.or_zero();
        let beside =
            reasoning > 0 && self.total_tokens.0.is_some_and(|total| total == input + whole + reasoning);
        let rest = if beside { whole } else { whole.checked_sub(reasoning).unwrap_or(whole) };
        let audio = details.audio_tokens.or_zero().min(rest);
        let image = details.image_tokens.or_zero().min(rest - audio);
        Some(Quantities::from_pairs(&[
            (Unit::OutputText, rest - audio - image),
            (Unit::OutputReasoning, reasoning),
            (Unit::OutputAudio, audio),
            (Unit::OutputImage, image),
        ]))
    }
}
