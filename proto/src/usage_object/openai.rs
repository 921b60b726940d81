//! How OpenAI and its kin count: with inclusive totals. Pure.
//!
//! Cached, written and audio tokens are inside the input; reasoning, audio and predicted tokens inside the output. Where the
//! parts do not fit into the whole, or the total equals the sum with the part, the part is beside it: some servers deviate. What a
//! total holds beyond all that is stated was made by the model: Gemini's compatible API counts its thoughts there alone.

use serde::Deserialize;

use super::Reading;
use crate::json::lenient::{Count, Object};
use crate::unit::{Quantities, Unit};

/// `usage` of chat, text completions and embeddings (`prompt_tokens`) or of responses (`input_tokens`), as far as it decides money.
#[derive(Default, Deserialize)]
#[serde(default)]
pub struct UsageBody {
    prompt_tokens: Count,
    completion_tokens: Count,
    prompt_tokens_details: Object<Details>,
    completion_tokens_details: Object<Details>,
    input_tokens: Count,
    output_tokens: Count,
    input_tokens_details: Object<Details>,
    output_tokens_details: Object<Details>,
    total_tokens: Count,
    /// DeepSeek's name for cached tokens.
    prompt_cache_hit_tokens: Count,
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

/// One vocabulary of the two: the whole of each side, and its parts.
struct Stated {
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    of_input: Details,
    of_output: Details,
}

impl UsageBody {
    /// What it says of a chat or text completion.
    pub fn of_completion(&self) -> Reading {
        let mut of_input = self.prompt_tokens_details.0.unwrap_or_default();
        of_input.cached_tokens = Count(of_input.cached_tokens.0.or(self.prompt_cache_hit_tokens.0));
        let stated = Stated {
            input: self.prompt_tokens.0,
            output: self.completion_tokens.0,
            total: self.total_tokens.0,
            of_input,
            of_output: self.completion_tokens_details.0.unwrap_or_default(),
        };
        stated.reading()
    }

    /// What it says of a response.
    pub fn of_response(&self) -> Reading {
        let stated = Stated {
            input: self.input_tokens.0,
            output: self.output_tokens.0,
            total: self.total_tokens.0,
            of_input: self.input_tokens_details.0.unwrap_or_default(),
            of_output: self.output_tokens_details.0.unwrap_or_default(),
        };
        stated.reading()
    }

    /// What it says of embeddings: they make no tokens, and no server states that. This zero is a fact, not a gap.
    pub fn of_embeddings(&self) -> Reading {
        let input = self.of_completion().input;
        Reading { output: input.as_ref().map(|_| Quantities::default()), input, ..Reading::default() }
    }

    /// What it says of a kept call, of which nobody knows any more which of the two it was.
    pub(super) fn of_either(&self) -> Reading {
        let is_completion = self.prompt_tokens.0.is_some() || self.completion_tokens.0.is_some();
        if is_completion { self.of_completion() } else { self.of_response() }
    }
}

impl Stated {
    fn reading(&self) -> Reading {
        Reading { input: self.input(), output: self.output(), ..Reading::default() }
    }

    /// What the total holds beyond both sides.
    fn beyond(&self) -> Beyond {
        let cached = self.of_input.cached_tokens.or_zero() + self.of_input.written();
        let reasoning = self.of_output.reasoning_tokens.or_zero();
        let sides = self.input.unwrap_or(0) + self.output.unwrap_or(0);
        match self.total.unwrap_or(0).saturating_sub(sides) {
            0 => Beyond::Nothing,
            rest if rest == reasoning => Beyond::Reasoning,
            rest if rest == cached => Beyond::Caches,
            rest if reasoning == 0 => Beyond::Unnamed(rest),
            _ => Beyond::Nothing,
        }
    }

    /// The input side in disjoint units.
    fn input(&self) -> Option<Quantities> {
        let (whole, details) = (self.input?, self.of_input);
        let (cached, written) = (details.cached_tokens.or_zero(), details.written());
        let lives = details.cache_write_tokens_details.0.unwrap_or_default();
        let (life_30m, life_12h) = (lives.ttl_30m_tokens.or_zero(), lives.ttl_12h_tokens.or_zero());
        let inside = if self.beyond() == Beyond::Caches { 0 } else { cached + written };
        let rest = whole.checked_sub(inside).unwrap_or(whole);
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

    /// The output side in disjoint units.
    fn output(&self) -> Option<Quantities> {
        let (whole, details) = (self.output?, self.of_output);
        let stated = details.reasoning_tokens.or_zero();
        let (inside, reasoning) = match self.beyond() {
            Beyond::Reasoning => (0, stated),
            Beyond::Unnamed(thoughts) => (0, thoughts),
            Beyond::Nothing | Beyond::Caches => (stated, stated),
        };
        let rest = whole.checked_sub(inside).unwrap_or(whole);
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

impl Details {
    /// Written to a cache, for however long.
    fn written(&self) -> u64 {
        let lives = self.cache_write_tokens_details.0.unwrap_or_default();
        self.cache_write_tokens.or_zero().max(lives.ttl_30m_tokens.or_zero() + lives.ttl_12h_tokens.or_zero())
    }
}

/// What a server's total holds beyond its two sides: a part that it counts beside them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Beyond {
    Nothing,
    Reasoning,
    Caches,
    /// Stated nowhere, so made by the model: Gemini's thoughts.
    Unnamed(u64),
}
