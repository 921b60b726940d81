//! How the clauses of a price compose in one setting: which table, which multipliers. Pure.
//!
//! This is the one place that knows docs/prices.md's rules of composition. What it finds is kept for every setting at load, so that
//! a call only looks it up; `explain` asks it again and prints the steps.

use std::collections::BTreeMap;

use ledgerline_proto::{Condition, Unit, UnpricedReason};

use crate::clause::{Clause, Effect, STANDARD, Setting, WEEKDAYS};
use crate::exact::Exact;
use crate::model::{Currency, Discount, Period};
use crate::price::{Part, Price};
use crate::words::Words;

/// What applies to a model beside its own periods: the file's, the asking provider's and the customer's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frame {
    /// `override:openai`.
    pub(crate) head: String,
    pub(crate) currency: Option<Currency>,
    pub(crate) billed_as: BTreeMap<Unit, (Unit, Exact)>,
    /// Multipliers for all models of the provider.
    pub(crate) clauses: Vec<Clause>,
    /// Those for this model, the one that counts first in front.
    pub(crate) discounts: Vec<Discount>,
    pub(crate) words: Words,
}

/// Why a setting has no prices.
#[derive(Clone, Debug)]
pub(crate) enum Failure {
    Unpriced(UnpricedReason),
    /// The file is wrong.
    Ambiguous(String),
}

/// How the price of a unit came about.
#[derive(Clone, Debug)]
pub(crate) struct Steps {
    pub(crate) price: Price,
    pub(crate) factors: Vec<(String, Exact)>,
}

impl Steps {
    /// Pico-dollars for one of the unit, by marginal part.
    pub(crate) fn rates(&self) -> Option<Vec<Part>> {
        let factor = self.factors.iter().try_fold(Exact::ONE, |all, (_, factor)| all.times(*factor))?;
        let factor = factor.times(Exact::whole(PICOS_PER_USD))?.divided_by(self.price.per)?;
        let parts = self.price.parts.iter();
        parts.map(|part| Some(Part { up_to: part.up_to, price: part.price.times(factor)? })).collect()
    }
}

pub(crate) const PICOS_PER_USD: u64 = 1_000_000_000_000;

/// The prices in one setting.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) rule: String,
    pub(crate) units: Vec<(Unit, Steps)>,
}

/// A period of a model in its frame, at a moment between two changes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) frame: &'a Frame,
    pub(crate) model: &'a str,
    pub(crate) period: &'a Period,
    pub(crate) at_ns: u64,
}

impl<'a> Plan<'a> {
    /// The clauses valid at that moment, the model's own and those for all models.
    pub(crate) fn clauses(self) -> impl Iterator<Item = &'a Clause> {
        let all = self.period.clauses.iter().chain(&self.frame.clauses);
        all.filter(move |clause| clause.valid.holds(self.at_ns))
    }

    pub(crate) fn discounts(self) -> impl Iterator<Item = &'a Discount> {
        self.frame.discounts.iter().filter(move |discount| discount.clause.valid.holds(self.at_ns))
    }

    /// What one of the file's money is worth: nothing to convert, a rate, or none known yet.
    pub(crate) fn rate(self) -> Option<Option<(String, Exact)>> {
        let Some(currency) = &self.frame.currency else { return Some(None) };
        let known = currency.rates.iter().rev().find(|(from, _)| from.unix_ns <= self.at_ns);
        known.map(|(_, usd)| Some((format!("{}*{usd}", currency.code), *usd)))
    }

    pub(crate) fn resolve(self, setting: &Setting<'_>) -> Result<Resolved, Failure> {
        let holding = |clauses: &'a [Clause]| -> Vec<&'a Clause> {
            let valid = clauses.iter().filter(|clause| clause.valid.holds(self.at_ns));
            valid.filter(|clause| clause.holds(setting)).collect()
        };
        let (own, all) = (holding(&self.period.clauses), holding(&self.frame.clauses));
        self.every_word_is_named(setting, &own, &all)?;
        let discount = self.discount(setting)?;
        let rate = self.rate().ok_or(Failure::Unpriced(UnpricedReason::NoPriceAtThatTime))?;
        let mut units = Vec::new();
        for unit in Unit::ALL {
            let Some(mut steps) = self.unit(unit, &own)? else { continue };
            steps.factors.extend(multipliers(unit, &all, None)?);
            steps.factors.extend(discount.map(|discount| (discount.label.clone(), discount.rest)));
            steps.factors.extend(rate.clone());
            units.push((unit, steps));
        }
        let rule = self.rule(setting, &own, &all, discount, rate.as_ref());
        Ok(Resolved { rule, units })
    }

    /// A way of being served that nobody prices is not the standard one.
    fn every_word_is_named(
        self,
        setting: &Setting<'_>,
        own: &[&Clause],
        all: &[&Clause],
    ) -> Result<(), Failure> {
        for &(condition, word) in &setting.words {
            let Some(word) = word else { continue };
            let named = own.iter().chain(all).any(|clause| clause.names(condition, word));
            if !named && !self.frame.words.is_standard(condition, word, true) {
                return Err(Failure::Unpriced(unknown(condition)));
            }
        }
        let special = |condition| setting.word(condition).is_some();
        if special(Condition::ServiceTier) && special(Condition::Speed) {
            let both = |clause: &&Clause| {
                [Condition::ServiceTier, Condition::Speed]
                    .iter()
                    .all(|condition| clause.words.contains_key(condition))
            };
            // No provider publishes that the two multiply; who knows it writes a clause with both.
            if !own.iter().any(both) {
                return Err(Failure::Unpriced(UnpricedReason::TierCombination));
            }
        }
        Ok(())
    }

    /// The price of a unit before the factors of the provider and the customer.
    fn unit(self, unit: Unit, own: &[&Clause]) -> Result<Option<Steps>, Failure> {
        match self.stated(unit, own)? {
            Stated::Price(steps) => Ok(Some(steps)),
            Stated::None => Ok(None),
            Stated::Nothing => {
                let Some(&(billed_as, by)) = self.frame.billed_as.get(&unit) else { return Ok(None) };
                let Stated::Price(mut steps) = self.stated(billed_as, own)? else { return Ok(None) };
                if by != Exact::ONE {
                    steps.factors.insert(0, (format!("{} like {}", unit.name(), billed_as.name()), by));
                }
                Ok(Some(steps))
            }
        }
    }

    fn stated(self, unit: Unit, own: &[&Clause]) -> Result<Stated, Failure> {
        let table = |clause: &Clause| match &clause.effect {
            Effect::Prices(prices) => prices.get(&unit).cloned(),
            Effect::Times(_) => None,
        };
        let tables: Vec<&Clause> = own.iter().copied().filter(|clause| table(clause).is_some()).collect();
        let first = |clause: &&&Clause| tables.iter().all(|other| clause.implies(other));
        let mut best = tables.iter().filter(first);
        let (chosen, rival) = (best.next().copied(), best.next());
        if let (Some(chosen), Some(rival)) = (chosen, rival) {
            return Err(ambiguous("two prices", unit, chosen, rival));
        }
        if let (None, [one, other, ..]) = (chosen, tables.as_slice()) {
            return Err(ambiguous("two prices", unit, one, other));
        }
        let price = chosen.map_or_else(|| self.period.prices.get(&unit).cloned(), table);
        Ok(match price {
            None => Stated::Nothing,
            Some(None) => Stated::None,
            Some(Some(price)) => Stated::Price(Steps { price, factors: multipliers(unit, own, chosen)? }),
        })
    }

    /// The discount that counts: the first in the order of precedence, and of equals the most specific.
    fn discount(self, setting: &Setting<'_>) -> Result<Option<&'a Discount>, Failure> {
        let holding: Vec<_> = self.discounts().filter(|discount| discount.clause.holds(setting)).collect();
        let Some(first) = holding.first() else { return Ok(None) };
        let equals = holding.iter().take_while(|other| other.text.len() == first.text.len());
        let equals: Vec<_> = equals.take_while(|other| other.tenant == first.tenant).collect();
        let most = |discount: &&&&Discount| {
            equals.iter().all(|other| {
                std::ptr::eq(**other, ***discount) || discount.clause.is_more_specific(&other.clause)
            })
        };
        let found = equals.iter().find(most).map(|discount| **discount);
        found.map(Some).ok_or_else(|| {
            let texts: Vec<_> =
                equals.iter().map(|one| format!("{} ({})", one.text, one.clause.describe())).collect();
            Failure::Ambiguous(format!("several discounts hold at once: {}", texts.join(" and ")))
        })
    }

    /// `openai/gpt-4.1@2025-04-14/flex/above_272000/us`.
    fn rule(
        self,
        setting: &Setting<'_>,
        own: &[&Clause],
        all: &[&Clause],
        discount: Option<&Discount>,
        rate: Option<&(String, Exact)>,
    ) -> String {
        let from = self.period.valid.from.as_ref().map_or("start", |from| from.text.as_str());
        let mut rule = format!("{}/{}@{from}", self.frame.head, self.model);
        let mut add = |part: &str| {
            rule.push('/');
            rule.push_str(part);
        };
        let (tier, speed) = (setting.word(Condition::ServiceTier), setting.word(Condition::Speed));
        add(tier.or(speed).unwrap_or(STANDARD));
        tier.and(speed).into_iter().for_each(&mut add);
        let held = || own.iter().chain(all).copied().chain(discount.map(|discount| &discount.clause));
        let most = |thresholds: &mut dyn Iterator<Item = &crate::clause::Threshold>| {
            thresholds.max_by_key(|threshold| threshold.first).map(|threshold| threshold.name.clone())
        };
        let prompt = most(&mut held().filter_map(|clause| clause.prompt.as_ref()));
        prompt.iter().for_each(|name| add(name));
        for (condition, word) in &setting.words {
            if !matches!(condition, Condition::ServiceTier | Condition::Speed)
                && let Some(word) = word.filter(|word| held().any(|clause| clause.names(*condition, word)))
            {
                add(word);
            }
        }
        let month = most(&mut held().filter_map(|clause| clause.month.as_ref()));
        month.iter().for_each(|name| add(&format!("month_{name}")));
        held().find_map(|clause| clause.window).iter().for_each(|window| add(&window.name()));
        if held().any(|clause| clause.weekdays.is_some()) {
            add(WEEKDAYS.get(usize::from(setting.weekday)).copied().unwrap_or_default());
        }
        rate.iter().for_each(|(label, _)| add(label));
        discount.iter().for_each(|discount| add(&discount.label));
        rule
    }
}

enum Stated {
    Price(Steps),
    /// The word `none`.
    None,
    Nothing,
}

/// The factors of a unit that count beside a table: not those the table stands in place of, nor those a more specific one replaces.
fn multipliers(
    unit: Unit,
    clauses: &[&Clause],
    table: Option<&Clause>,
) -> Result<Vec<(String, Exact)>, Failure> {
    let factor = |clause: &Clause| match &clause.effect {
        Effect::Times(times) => times.of(unit.side()),
        Effect::Prices(_) => None,
    };
    let counts = |clause: &&Clause| {
        let replaced = |table: &Clause| !clause.is_unconditional() && table.implies(clause);
        factor(clause).is_some() && !table.is_some_and(replaced)
    };
    let all: Vec<&Clause> = clauses.iter().copied().filter(counts).collect();
    // What holds in every setting, a sale between two days, is no alternative to anything.
    let replaced = |clause: &&Clause| {
        !clause.is_unconditional() && all.iter().any(|other| other.is_more_specific(clause))
    };
    let kept: Vec<&Clause> = all.iter().copied().filter(|clause| !replaced(clause)).collect();
    for (place, one) in kept.iter().enumerate() {
        if let Some(other) = kept.iter().skip(place + 1).find(|other| other.asks_what(one)) {
            return Err(ambiguous("two multipliers", unit, one, other));
        }
    }
    Ok(kept.iter().filter_map(|clause| Some((clause.describe(), factor(clause)?))).collect())
}

fn ambiguous(what: &str, unit: Unit, one: &Clause, other: &Clause) -> Failure {
    Failure::Ambiguous(format!(
        "{what} for {} hold at once: that of [{}] and that of [{}]; limit one of them, or add a clause for both",
        unit.name(),
        one.describe(),
        other.describe()
    ))
}

/// The reason for a word that no clause names.
pub(crate) fn unknown(condition: Condition) -> UnpricedReason {
    match condition {
        Condition::ServiceTier => UnpricedReason::UnknownServiceTier,
        Condition::Speed => UnpricedReason::UnknownSpeed,
        Condition::Region => UnpricedReason::UnknownInferenceGeo,
        _ => UnpricedReason::UnknownCondition(condition),
    }
}
