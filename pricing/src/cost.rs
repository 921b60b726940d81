//! What one call cost. Pure; must never contain a float, nor answer 0 where the answer is "not known".

use std::sync::Arc;

use ledgerline_proto::{
    Bill, BillGap, Billing, Call, Condition, Conditions, Cost, EndOfStream, Line, LinePrice, NotBilled,
    Operation, PicoUsd, Quantities, Side, Unit, UnpricedReason, Usage,
};

use crate::book::PriceBook;
use crate::exact::Exact;
use crate::model::{Period, Rates, Settings, StepPrice, Table, Tier, TierPrice};

/// Prices are per this many tokens.
const TOKENS_PER_PRICE: u32 = 1_000_000;
/// The fee for web searches is per this many.
const SEARCHES_PER_FEE: u32 = 1_000;

/// The providers' words for "nothing special"; a word that is neither here nor in the book has no price.
const STANDARD_SERVICE_TIERS: [&str; 2] = ["default", "standard"];
const STANDARD_SPEEDS: [&str; 1] = ["standard"];
const STANDARD_REGIONS: [&str; 2] = ["global", "not_available"];

impl PriceBook {
    /// The bill of a call, at the prices of the time its request was made.
    pub fn bill(&self, call: &Call) -> Bill {
        let model: Arc<str> = call.model().into();
        let lines = match self.lines(call, &model) {
            Ok(lines) => lines,
            Err(cost) => {
                return Bill { lines: unpriced_lines(call.usage.as_ref(), &model), model, cost };
            }
        };
        let sum = lines.iter().try_fold(0_i64, |sum, line| {
            sum.checked_add(line.price.as_ref().map_or(0, |price| price.amount.picos()))
        });
        match sum.and_then(PicoUsd::from_picos) {
            Some(amount) => Bill { model, lines, cost: Cost::Known(amount) },
            None => Bill {
                lines: unpriced_lines(call.usage.as_ref(), &model),
                model,
                cost: Cost::Unpriced(UnpricedReason::Overflow),
            },
        }
    }

    fn lines(&self, call: &Call, model: &Arc<str>) -> Result<Vec<Line>, Cost> {
        let unpriced = |reason| Err(Cost::Unpriced(reason));
        if !call.operation.is_call() {
            return unpriced(UnpricedReason::NotACall);
        }
        if call.operation == Operation::Unread {
            return unpriced(UnpricedReason::Unread);
        }
        let settings = self.settings(&call.provider);
        let Some(usage) = &call.usage else {
            return if settings.is_some_and(|settings| is_not_billed(settings, call)) {
                Err(Cost::NotBilled(NotBilled::HttpError))
            } else {
                unpriced(UnpricedReason::UsageMissing)
            };
        };
        // An amount that is known to be too small must not pass for the cost.
        match call.billing.gap {
            Some(BillGap::OtherModel) => return unpriced(UnpricedReason::OtherModel),
            Some(BillGap::Tool) => return unpriced(UnpricedReason::NoPriceForTool),
            None => {}
        }
        let settings = settings.ok_or(Cost::Unpriced(UnpricedReason::UnknownProvider))?;
        let price = || {
            let period = self.period(settings, call)?;
            let mut lines = priced_lines(period, settings, model, &usage.own, &call.billing)?;
            for run in &usage.runs {
                let period = self.find(settings, call, &run.model)?;
                let model = run.model.as_str().into();
                lines.extend(priced_lines(period, settings, &model, &run.quantities, &call.billing)?);
            }
            Ok(lines)
        };
        price().map_err(Cost::Unpriced)
    }
}

/// What was used, without prices.
fn unpriced_lines(usage: Option<&Usage>, model: &Arc<str>) -> Vec<Line> {
    let line = |model: Arc<str>| {
        move |(unit, quantity)| Line { model: Arc::clone(&model), unit, quantity, price: None }
    };
    let Some(usage) = usage else { return Vec::new() };
    let mut lines: Vec<Line> = usage.own.nonzero().map(line(Arc::clone(model))).collect();
    for run in &usage.runs {
        lines.extend(run.quantities.nonzero().map(line(run.model.as_str().into())));
    }
    lines
}

/// An HTTP error in place of an answer, from a provider whose file says that such requests are free.
fn is_not_billed(settings: &Settings, call: &Call) -> bool {
    settings.http_errors_are_free == Some(true)
        && call.end == EndOfStream::ProviderError
        && call.http_status.is_some_and(|status| status >= 400)
}

fn unless_standard<'word>(
    conditions: &'word Conditions,
    condition: Condition,
    standard: &[&str],
) -> Option<&'word str> {
    conditions.get(condition).filter(|word| !standard.contains(word))
}

fn tier<'book>(
    period: &'book Period,
    settings: &Settings,
    billing: &Billing,
) -> Result<&'book Tier, UnpricedReason> {
    let named = |tiers: &'book [(String, Tier)], name: &str| {
        tiers.iter().find(|(tier_name, _)| tier_name == name).map(|(_, tier)| tier)
    };
    let service_tier = unless_standard(&billing.conditions, Condition::ServiceTier, &STANDARD_SERVICE_TIERS);
    let speed = unless_standard(&billing.conditions, Condition::Speed, &STANDARD_SPEEDS);
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
    let Some(name) = unless_standard(&billing.conditions, Condition::Region, &STANDARD_REGIONS) else {
        return Ok((0, Exact::ONE));
    };
    let mut regions = (1..).zip(&period.inference_geo);
    let found = regions.find(|(_, (region, _))| region == name);
    found.map(|(place, &(_, multiplier))| (place, multiplier)).ok_or(UnpricedReason::UnknownInferenceGeo)
}

fn priced_lines(
    period: &Period,
    settings: &Settings,
    model: &Arc<str>,
    used: &Quantities,
    billing: &Billing,
) -> Result<Vec<Line>, UnpricedReason> {
    let tier = tier(period, settings, billing)?;
    let (region, region_multiplier) = region(period, billing)?;
    let (rates, tier_multiplier) = match &tier.price {
        TierPrice::Multiplier(multiplier) => (&period.rates, *multiplier),
        TierPrice::Table(rates) => (rates, Exact::ONE),
    };
    let (step, table, by_input, by_output) = step(rates, used.total(Side::Input));
    // Every tier of a parsed book has all its rules; were one missing, the cost could not be explained.
    let rule = tier.rules.get(step * (period.inference_geo.len() + 1) + region);
    let rule = rule.ok_or(UnpricedReason::UnknownServiceTier)?;
    let line = |(unit, quantity)| {
        let amount = match unit {
            Unit::WebSearch => {
                let fee = period.web_searches.ok_or(UnpricedReason::NoPriceForWebSearch)?;
                Exact::whole(quantity)
                    .multiply(Exact::whole(fee))
                    .and_then(|fee| fee.divide_by(SEARCHES_PER_FEE))
            }
            _ => {
                let price =
                    class_price(table, settings, unit).ok_or(UnpricedReason::NoPriceForClass(unit))?;
                let by_side = if unit.side() == Side::Output { by_output } else { by_input };
                let tokens = || {
                    let cost = Exact::whole(quantity).multiply(price)?.multiply(by_side)?;
                    cost.multiply(tier_multiplier)?.multiply(region_multiplier)?.divide_by(TOKENS_PER_PRICE)
                };
                tokens()
            }
        };
        // The one rounding of a line.
        let picos = amount.and_then(Exact::round_half_to_even).and_then(|picos| i64::try_from(picos).ok());
        let amount = picos.and_then(PicoUsd::from_picos).ok_or(UnpricedReason::Overflow)?;
        let price = Some(LinePrice { amount, rule: Arc::clone(rule) });
        Ok(Line { model: Arc::clone(model), unit, quantity, price })
    };
    used.nonzero().map(line).collect()
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

/// Pico-dollars per million tokens: the class's own price, else that of the class the provider bills it as.
fn class_price(table: &Table, settings: &Settings, class: Unit) -> Option<Exact> {
    let own = |class: Unit| {
        let (_, price) = Unit::ALL.into_iter().zip(table.iter()).find(|&(named, _)| named == class)?;
        (*price).map(Exact::whole)
    };
    own(class).or_else(|| match settings.class_defaults.get(&class) {
        Some(&(billed_as, multiplier)) => own(billed_as)?.multiply(multiplier),
        // Hidden reasoning is output wherever nobody says otherwise: all providers bill it so.
        None if class == Unit::OutputReasoning => own(Unit::OutputText),
        None => None,
    })
}
