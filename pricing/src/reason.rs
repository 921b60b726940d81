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
    #[must_use]
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

    /// The reason of that text, as `Display` writes it.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        if let Some(class) = text.strip_prefix("no_price_for_class(").and_then(|rest| rest.strip_suffix(')'))
        {
            return TokenClass::from_name(class).map(Self::NoPriceForClass);
        }
        Self::PLAIN.into_iter().find(|reason| reason.name() == text)
    }

    /// What the reader can do about it, one sentence.
    #[must_use]
    pub const fn advice(self) -> &'static str {
        match self {
            Self::NotACall => "nothing to do: the calls below this span carry the cost",
            Self::Unread => {
                "send it through an upstream whose dialect reads it; ledgerline.upstream and url.template say where it went"
            }
            Self::UsageMissing => {
                "have the client ask for usage (OpenAI streams: stream_options.include_usage)"
            }
            Self::UnknownProvider => "add a price file for this provider to the overrides",
            Self::ModelMissing => "have the instrumentation send gen_ai.request.model",
            Self::UnknownModel => {
                "add the model to the overrides, or its name to the `match` list of its model"
            }
            Self::NoPriceAtThatTime => "add a price with an earlier valid_from or a later valid_until",
            Self::NoPriceForClass(_) => "add this token class to the price that applies",
            Self::NoPriceForWebSearch => "add usd_per_thousand_web_searches to the price of the model",
            Self::NoPriceForTool => {
                "look at the invoice: containers, searches in files and images made by tools have no price here yet"
            }
            Self::OtherModel => "look at the invoice: a call has the price of one model, and two ran",
            Self::UnknownServiceTier => "add the tier to service_tiers, with the price of your contract",
            Self::UnknownSpeed => "add the speed to speeds",
            Self::UnknownInferenceGeo => "add the region to inference_geo",
            Self::TierCombination => "add a service tier of its own for the combination, and report it to us",
            Self::Overflow => "look at the call: its token counts cannot be right",
        }
    }

    const PLAIN: [Self; 15] = [
        Self::NotACall,
        Self::Unread,
        Self::UsageMissing,
        Self::UnknownProvider,
        Self::ModelMissing,
        Self::UnknownModel,
        Self::NoPriceAtThatTime,
        Self::NoPriceForWebSearch,
        Self::NoPriceForTool,
        Self::OtherModel,
        Self::UnknownServiceTier,
        Self::UnknownSpeed,
        Self::UnknownInferenceGeo,
        Self::TierCombination,
        Self::Overflow,
    ];
}

impl fmt::Display for UnpricedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPriceForClass(class) => write!(f, "{}({class})", self.name()),
            _ => f.write_str(self.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_back_from_its_text() {
        let classes = TokenClass::ALL.into_iter().map(UnpricedReason::NoPriceForClass);
        for reason in UnpricedReason::PLAIN.into_iter().chain(classes) {
            assert_eq!(UnpricedReason::from_text(&reason.to_string()), Some(reason));
            assert!(!reason.advice().is_empty());
        }
        assert_eq!(UnpricedReason::from_text("no_price_for_class(gold)"), None);
        assert_eq!(UnpricedReason::from_text("no_price_for_class"), None);
    }
}
