//! What a call used, and who counted. Pure.
//!
//! Missing is not zero: a call without a count has no [`Usage`] at all.

use crate::unit::Quantities;

named! {
    /// Where the counts of a call come from, best first. A call without counts has no [`Usage`] (on the wire and in
    /// columns: `missing`).
    pub enum UsageSource {
        /// The provider said so in its answer.
        Provider = "provider",
        /// The provider said so, after the client had gone and the agent read on.
        Drained = "drained",
        /// Counted with the model's own tokenizer.
        Counted = "counted",
        /// A sender of telemetry said so, and nobody can tell whether it copied the provider or guessed.
        Sender = "sender",
        /// Estimated from the bytes that passed, see the agent's `worker/assemble.rs`.
        Estimated = "estimated",
    }
}

/// The name of an absent [`Usage`].
pub const MISSING: &str = "missing";

/// What a call used and how we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Usage {
    /// What the call's own model used, and the fees.
    pub own: Quantities,
    /// What other models used that the provider ran within the call, at their own price.
    pub runs: Vec<Run>,
    /// Where the counts come from.
    pub source: UsageSource,
}

/// Another model's part in a call: an advisor, a fallback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// As the provider names it.
    pub model: String,
    /// What it used.
    pub quantities: Quantities,
}

impl Usage {
    /// The usage of one model.
    pub const fn of(own: Quantities, source: UsageSource) -> Self {
        Self { own, runs: Vec::new(), source }
    }
}
