//! The bill of a call: a list of lines, or why there is none. Pure.
//!
//! Finance reads these words, so each is stable and says what to do.

use std::fmt;
use std::sync::Arc;

use crate::condition::Condition;
use crate::money::PicoUsd;
use crate::unit::Unit;

/// What a call costs, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bill {
    /// The model under its one name in the price book, by which calls are grouped; as it was sent where the book does not know it.
    pub model: Arc<str>,
    /// Every unit that was used, priced or not, the call's own model first.
    pub lines: Vec<Line>,
    /// How many lines did not fit into pico-dollars and were rounded.
    pub rounded: u32,
    /// The sum of the lines, or why there is none.
    pub cost: Cost,
}

/// So much of one unit of one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Whose unit; that of the bill, or of another model that ran within the call.
    pub model: Arc<str>,
    /// What is counted.
    pub unit: Unit,
    /// How much of it.
    pub quantity: u64,
    /// `None`: the bill is unpriced. Its other lines have no price either: a sum of some of them would pass for the cost.
    pub price: Option<LinePrice>,
}

/// What a line costs and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinePrice {
    /// Exact, or rounded once, half to even.
    pub amount: PicoUsd,
    /// Which line of the book gave it: `openai/gpt-4.1@2025-04-14/flex`.
    pub rule: Arc<str>,
}

/// What a call costs as a whole. Not an `Option`: an unknown cost says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// The sum of the lines; 0 only where that is true.
    Known(PicoUsd),
    /// The provider bills nothing for it: a true zero, without lines.
    NotBilled(NotBilled),
    /// Nobody knows yet.
    Unpriced(UnpricedReason),
}

impl Cost {
    /// The amount, where it is known.
    pub const fn amount(self) -> Option<PicoUsd> {
        match self {
            Self::Known(amount) => Some(amount),
            Self::NotBilled(_) => Some(PicoUsd::ZERO),
            Self::Unpriced(_) => None,
        }
    }
}

impl Bill {
    /// A bill without lines.
    pub fn empty(model: &str, cost: Cost) -> Self {
        Self { model: model.into(), lines: Vec::new(), rounded: 0, cost }
    }
}

named! {
    /// Why a call costs nothing although it used something, or nobody counted what.
    pub enum NotBilled {
        /// The provider refused it or failed before any output, and bills no such request.
        HttpError = "http_error",
        /// The provider answered with a redirect, which runs no model.
        Redirect = "redirect",
        /// The request never reached the provider whole: no connection, or the client broke off within it.
        NeverSent = "never_sent",
        /// A sender of telemetry tells of a refusal by the provider's own word for it, without a status.
        Refused = "refused",
    }
}

/// Why a call is unpriced. The text form (`Display`) is what is stored and shown; it never changes meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UnpricedReason {
    /// A wrapper span (agent, workflow, tool): its usage repeats that of the calls below it.
    NotACall,
    /// The request carried a model, and no dialect of the agent reads it: neither counts nor price.
    Unread,
    /// Nobody counted the tokens. Missing is not zero.
    UsageMissing,
    /// No price file for this provider.
    UnknownProvider,
    /// Neither the answer nor the request named a model.
    ModelMissing,
    /// The provider's price file does not name this model, or not this fine-tuned form of it.
    UnknownModel,
    /// The model is known, but no price was valid when the call was made.
    NoPriceAtThatTime,
    /// Tokens of this class were used, and the price that applies does not name it.
    NoPriceForClass(Unit),
    /// Web searches were made, and the book states no fee for them.
    NoPriceForWebSearch,
    /// A tool of the provider ran that is billed apart from tokens, and has no price here.
    NoPriceForTool,
    /// Another model ran within the call, and its tokens are not among those of the call.
    OtherModel,
    /// The provider served the call in a tier that the book does not price for this model.
    UnknownServiceTier,
    /// The provider served the call at a speed that the book does not price for this model.
    UnknownSpeed,
    /// The call ran in a region for which the book states no multiplier for this model.
    UnknownInferenceGeo,
    /// A service tier and a speed at once: no provider publishes a price for both together.
    TierCombination,
    /// The call was served in another way (a search context, a quality, ...) that the book does not price for this model.
    UnknownCondition(Condition),
    /// The call failed, and nobody says whether it was billed and what it used. No price cures that.
    FailedWithoutUsage,
    /// The amount does not fit into the 999,999 USD that one call may cost: the counts are broken.
    Overflow,
}

impl UnpricedReason {
    /// The word without its detail, for a metric label or a `GROUP BY`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotACall => "not_a_call",
            Self::Unread => "unread",
            Self::UsageMissing => "usage_missing",
            Self::UnknownProvider => "unknown_provider",
            Self::ModelMissing => "model_missing",
            Self::UnknownModel => "unknown_model",
            Self::NoPriceAtThatTime => "no_price_at_that_time",
            Self::NoPriceForClass(_) => "no_price_for_class",
            Self::NoPriceForWebSearch => "no_price_for_web_search",
            Self::NoPriceForTool => "no_price_for_tool",
            Self::OtherModel => "other_model",
            Self::UnknownServiceTier => "unknown_service_tier",
            Self::UnknownSpeed => "unknown_speed",
            Self::UnknownInferenceGeo => "unknown_inference_geo",
            Self::TierCombination => "tier_combination",
            Self::UnknownCondition(_) => "unknown_condition",
            Self::FailedWithoutUsage => "failed_without_usage",
            Self::Overflow => "overflow",
        }
    }
}

impl fmt::Display for UnpricedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPriceForClass(class) => write!(f, "{}({class})", self.name()),
            Self::UnknownCondition(condition) => write!(f, "{}({condition})", self.name()),
            _ => f.write_str(self.name()),
        }
    }
}
