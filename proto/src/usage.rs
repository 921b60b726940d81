//! Token counts in disjoint classes.
//!
//! Every provider nests its counts differently (is the cached prompt inside the input? is reasoning inside the
//! output?), and most published cost bugs come from guessing. A dialect resolves that once, at the edge, into classes
//! of which no two overlap: then a total is a sum and a cost is a sum of products. Missing is not zero: a call without
//! a count has no [`Usage`] at all.

use std::fmt;

named! {
    /// One class of billable tokens. No token is counted in two classes.
    pub enum TokenClass {
        /// Prompt text neither read from nor written to a cache.
        InputUncached = "input_uncached",
        /// Prompt tokens served from the provider's cache.
        CacheRead = "cache_read",
        /// Prompt tokens written to a cache that lives 5 minutes, or a life the provider did not state.
        CacheWrite5m = "cache_write_5m",
        /// Prompt tokens written to a cache that lives 30 minutes.
        CacheWrite30m = "cache_write_30m",
        /// Prompt tokens written to a cache that lives 1 hour.
        CacheWrite1h = "cache_write_1h",
        /// Prompt tokens written to a cache that lives 12 hours.
        CacheWrite12h = "cache_write_12h",
        /// Audio in the prompt.
        InputAudio = "input_audio",
        /// Images in the prompt, where the provider counts them apart.
        InputImage = "input_image",
        /// Prompt tokens that the provider's own tools added.
        ToolUsePrompt = "tool_use_prompt",
        /// Answer text, tool calls included.
        OutputText = "output_text",
        /// Hidden reasoning.
        OutputReasoning = "output_reasoning",
        /// Audio in the answer.
        OutputAudio = "output_audio",
        /// Images in the answer, where the provider counts them apart.
        OutputImage = "output_image",
    }
}

/// Which side of a call a class belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Sent to the model.
    Input,
    /// Made by the model.
    Output,
}

/// Number of classes; the length of [`TokenCounts`].
pub const TOKEN_CLASSES: usize = TokenClass::ALL.len();

impl TokenClass {
    /// The side of the call it is counted on.
    pub const fn direction(self) -> Direction {
        match self {
            Self::OutputText | Self::OutputReasoning | Self::OutputAudio | Self::OutputImage => {
                Direction::Output
            }
            _ => Direction::Input,
        }
    }
}

impl fmt::Display for TokenClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A count for each class; a class not mentioned is a true zero.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TokenCounts([u64; TOKEN_CLASSES]);

impl TokenCounts {
    /// Counts from pairs; a class named twice is added up.
    pub fn from_pairs(pairs: &[(TokenClass, u64)]) -> Self {
        let mut counts = Self::default();
        for &(class, tokens) in pairs {
            counts.set(class, counts.get(class).saturating_add(tokens));
        }
        counts
    }

    /// Tokens of one class.
    pub const fn get(&self, class: TokenClass) -> u64 {
        self.0[class as usize]
    }

    /// Replaces the count of one class.
    pub fn set(&mut self, class: TokenClass, tokens: u64) {
        self.0[class as usize] = tokens;
    }

    /// The classes with at least one token.
    pub fn nonzero(&self) -> impl Iterator<Item = (TokenClass, u64)> + '_ {
        TokenClass::ALL.into_iter().map(|class| (class, self.get(class))).filter(|&(_, tokens)| tokens > 0)
    }

    /// All tokens of one side, as OpenTelemetry's inclusive `gen_ai.usage.{input,output}_tokens`; saturating.
    pub fn total(&self, direction: Direction) -> u64 {
        self.sum(|class| class.direction() == direction)
    }

    /// Tokens written to any cache; saturating.
    pub fn cache_write(&self) -> u64 {
        use TokenClass::{CacheWrite1h, CacheWrite5m, CacheWrite12h, CacheWrite30m};
        self.sum(|class| matches!(class, CacheWrite5m | CacheWrite30m | CacheWrite1h | CacheWrite12h))
    }

    fn sum(&self, counts: impl Fn(TokenClass) -> bool) -> u64 {
        let counted = self.nonzero().filter(|(class, _)| counts(*class));
        counted.fold(0, |sum, (_, tokens)| sum.saturating_add(tokens))
    }
}

impl fmt::Debug for TokenCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.nonzero().map(|(class, tokens)| (class.name(), tokens))).finish()
    }
}

named! {
    /// Where the counts of a call come from, best first. A call without counts has no [`Usage`] (on the wire: `missing`).
    pub enum UsageSource {
        /// The provider said so in its answer.
        Provider = "provider",
        /// The provider said so, after the client had gone and the agent read on.
        Drained = "drained",
        /// Counted with the model's own tokenizer.
        Counted = "counted",
        /// Estimated from the bytes that passed, see the agent's `worker/estimate.rs`.
        Estimated = "estimated",
    }
}

/// What a call used and how we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Tokens by disjoint class.
    pub tokens: TokenCounts,
    /// Where the counts come from.
    pub source: UsageSource,
}
