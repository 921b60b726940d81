//! Why a call has no cost. Finance reads these words, so each is stable and says what to do; pure.

use std::fmt;

use ledgerline_proto::TokenClass;

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
    NoPriceForClass(TokenClass),
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
    /// The amount does not fit into the 999,999,999 USD that one call may cost: the counts are broken.
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
            Self::Overflow => "overflow",
        }
    }
}

impl fmt::Display for UnpricedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPriceForClass(class) => write!(f, "{}({class})", self.name()),
            _ => f.write_str(self.name()),
        }
    }
}
