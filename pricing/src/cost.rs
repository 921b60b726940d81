//! What one call cost. Pure; must never contain a float, nor answer 0 where the answer is "not known".

use std::sync::Arc;

use ledgerline_proto::usage::Direction;
use ledgerline_proto::{BillGap, Billing, Call, EndOfStream, NanoUsd, Operation, TokenClass, Usage};

use crate::book::PriceBook;
use crate::exact::Exact;
use crate::model::{Period, Rates, Settings, StepPrice, Table, Tier, TierPrice};
use crate::reason::UnpricedReason;

/// Prices are per this many tokens.
const TOKENS_PER_PRICE: u32 = 1_000_000;
/// The fee for web searches is per this many.
const SEARCHES_PER_FEE: u32 = 1_000;

/// The providers' words for "nothing special"; a word that is neither here nor in the book has no price.
const STANDARD_SERVICE_TIERS: [&str; 2] = ["default", "standard"];
const STANDARD_SPEEDS: [&str; 1] = ["standard"];
const STANDARD_REGIONS: [&str; 2] = ["global", "not_available"];

/// The rule of a request that the provider refused or failed before any output.
pub const NOT_BILLED: &str = "not_billed/http_error";

/// A known cost and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The amount, rounded once.
    pub amount: NanoUsd,
    /// Which line of the book gave it: `openai/gpt-4.1@2025-04-14/flex`. Provider, model, the day the price began (`start` when it
    /// was never another), tier; then, where they applied, the long-context step and the region; `override:` in front when the
    /// price is the company's own.
    pub rule: Arc<str>,
}

/// The answer of the book. Not an `Option`: an unknown cost says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Priced {
    /// What it cost, zero included where zero is true.
    Cost(Cost),
    /// Why that is not known.
    Unpriced(UnpricedReason),
}

impl Priced {
    /// The amount, where it is known.
    pub const fn amount(&self) -> Option<NanoUsd> {
        match self {
            Self::Cost(cost) => Some(cost.amount),
            Self::Unpriced(_) => None,
        }
    }
}

impl PriceBook {
    /// Prices a call, at the time its request was made.
    pub fn price_call(&self, call: &Call) -> Priced {
        self.cost(call).map_or_else(Priced::Unpriced, Priced::Cost)
    }

    fn cost(&self, call: &Call) -> Result<Cost, UnpricedReason> {
        if !call.operation.is_call() {
            return Err(UnpricedReason::NotACall);
        }
        if call.operation == Operation::Unread {
            return Err(UnpricedReason::Unread);
        }
        let Some(usage) = &call.usage else {
            let settings = self.settings(&call.provider);
            return if settings.is_some_and(|settings| is_not_billed(settings, call)) {
                Ok(Cost { amount: NanoUsd::ZERO, rule: NOT_BILLED.into() })
            } else {
                Err(UnpricedReason::UsageMissing)
            };
        };
        // An amount that is known to be too small must not pass for the cost.
        match call.billing.gap {
            Some(BillGap::OtherModel) => return Err(UnpricedReason::OtherModel),
            Some(BillGap::Tool) => return Err(UnpricedReason::NoPriceForTool),
            None => {}
        }
        let settings = self.settings(&call.provider).ok_or(UnpricedReason::UnknownProvider)?;
        let period = self.period(settings, call)?;
        let tier = tier(period, settings, &call.billing)?;
        let region = region(period, &call.billing)?;
        compute(period, settings, tier, region, usage, &call.billing)
    }
}

/// An HTTP error in place of an answer, from a provider whose file says that such requests are free.
fn is_not_billed(settings: &Settings, call: &Call) -> bool {
    settings.http_errors_are_free == Some(true)
        && call.end == EndOfStream::ProviderError
        && call.http_status.is_some_and(|status| status >= 400)
}

fn unless_standard<'word>(word: Option<&'word String>, standard: &[&str]) -> Option<&'word str> {
    word.map(String::as_str).filter(|word| !word.is_empty() && !standard.contains(word))
}

fn tier<'book>(
    period: &'book Period,
    settings: &Settings,
    billing: &Billing,
) -> Result<&'book Tier, UnpricedReason> {
    let named = |tiers: &'book [(String, Tier)], name: &str| {
        tiers.iter().find(|(tier_name, _)| tier_name == name).map(|(_, tier)| tier)
    };
    let service_tier = unless_standard(billing.service_tier.as_ref(), &STANDARD_SERVICE_TIERS);
    let speed = unless_standard(billing.speed.as_ref(), &STANDARD_SPEEDS);
    match (service_tier, speed) {
        (None, None) => Ok(&period.standard),
        (Some(name), None) => {
            let alias = || settings.service_tier_aliases.get(name);
            named(&period.service_tiers, name)
                .or_else(|| named(&period.service_tiers, alias()?))
                .ok_or(UnpricedReason::UnknownServiceTier)
        }
        (None, Some(name)) => named(&period.speeds, name).ok_or(UnpricedReason::UnknownSpeed),
        (Some(_), Some(_)) => Err(UnpricedReason::TierCombination),
    }
}

/// The place of the region in the period's list plus one, 0 for none, and its multiplier.
fn region(period: &Period, billing: &Billing) -> Result<(usize, Exact), UnpricedReason> {
    let Some(name) = unless_standard(billing.inference_geo.as_ref(), &STANDARD_REGIONS) else {
        return Ok((0, Exact::ONE));
    };
    let mut regions = (1..).zip(&period.inference_geo);
    let found = regions.find(|(_, (region, _))| region == name);
    found.map(|(place, &(_, multiplier))| (place, multiplier)).ok_or(UnpricedReason::UnknownInferenceGeo)
}

fn compute(
    period: &Period,
    settings: &Settings,
    tier: &Tier,
    (region, region_multiplier): (usize, Exact),
    usage: &Usage,
    billing: &Billing,
) -> Result<Cost, UnpricedReason> {
    let (rates, tier_multiplier) = match &tier.price {
        TierPrice::Multiplier(multiplier) => (&period.rates, *multiplier),
        TierPrice::Table(rates) => (rates, Exact::ONE),
    };
    let (step, table, by_input, by_output) = step(rates, usage.tokens.total(Direction::Input));
    let overflow = UnpricedReason::Overflow;
    let (mut input, mut output) = (Exact::ZERO, Exact::ZERO);
    for (class, tokens) in usage.tokens.nonzero() {
        let price = class_price(table, settings, class).ok_or(UnpricedReason::NoPriceForClass(class))?;
        let cost = Exact::whole(tokens).multiply(price).ok_or(overflow)?;
        let side = match class.direction() {
            Direction::Input => &mut input,
            Direction::Output => &mut output,
        };
        *side = side.add(cost).ok_or(overflow)?;
    }
    let fee = web_search_fee(period, billing)?;
    let total = || {
        let tokens = input.multiply(by_input)?.add(output.multiply(by_output)?)?;
        let tokens = tokens.multiply(tier_multiplier)?.multiply(region_multiplier)?;
        // The one rounding of a call. Half away from zero, because that is how a bill is checked with a pocket
        // calculator, and because rounding half to even makes equal calls differ by what else they contained.
        let nanos = tokens.divide_by(TOKENS_PER_PRICE)?.add(fee)?.round_half_away_from_zero()?;
        NanoUsd::from_nanos(i64::try_from(nanos).ok()?)
    };
    let amount = total().ok_or(overflow)?;
    let rule = tier.rules.get(step * (period.inference_geo.len() + 1) + region).cloned();
    // Every tier of a parsed book has all its rules; were one missing, the cost could not be explained.
    rule.map(|rule| Cost { amount, rule }).ok_or(UnpricedReason::UnknownServiceTier)
}

/// The long-context step that the whole prompt, caches included, has passed: its number, the table that holds for
/// the whole call, and the multipliers of the two sides.
fn step(rates: &Rates, prompt_tokens: u64) -> (usize, &Table, Exact, Exact) {
    let passed = (1..).zip(&rates.steps).filter(|(_, step)| prompt_tokens >= step.first_token).last();
    match passed {
        None => (0, &rates.table, Exact::ONE, Exact::ONE),
        Some((number, step)) => match &step.price {
            StepPrice::Multipliers { input, output } => (number, &rates.table, *input, *output),
            StepPrice::Table(table) => (number, table, Exact::ONE, Exact::ONE),
        },
    }
}

/// Nano-dollars per million tokens: the class's own price, else that of the class the provider bills it as.
fn class_price(table: &Table, settings: &Settings, class: TokenClass) -> Option<Exact> {
    let own = |class: TokenClass| {
        let (_, price) = TokenClass::ALL.into_iter().zip(table).find(|&(named, _)| named == class)?;
        price.map(Exact::whole)
    };
    own(class).or_else(|| match settings.class_defaults.get(&class) {
        Some(&(billed_as, multiplier)) => own(billed_as)?.multiply(multiplier),
        // Hidden reasoning is output wherever nobody says otherwise: all providers bill it so.
        None if class == TokenClass::OutputReasoning => own(TokenClass::OutputText),
        None => None,
    })
}

fn web_search_fee(period: &Period, billing: &Billing) -> Result<Exact, UnpricedReason> {
    let searches = billing.web_search_requests.unwrap_or(0);
    if searches == 0 {
        return Ok(Exact::ZERO);
    }
    let fee = period.web_searches.ok_or(UnpricedReason::NoPriceForWebSearch)?;
    let fee = Exact::whole(searches).multiply(Exact::whole(fee));
    fee.and_then(|fee| fee.divide_by(SEARCHES_PER_FEE)).ok_or(UnpricedReason::Overflow)
}
