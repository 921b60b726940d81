//! The arithmetic of a bill in words that a person can follow with a calculator. Pure.

use ledgerline_proto::{Bill, Call, Unit};

use crate::book::PriceBook;
use crate::place::Placed;
use crate::price::Part;

/// A bill, and how each of its lines came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The bill itself.
    pub bill: Bill,
    /// One for each line of the bill, in its order; none where nothing was computed (unpriced, not billed, reported).
    pub lines: Vec<Explained>,
}

/// The arithmetic of a line: `billed` x `prices` / `per` x `factors`, in pico-dollars rounded once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explained {
    /// What was counted.
    pub unit: Unit,
    /// The quantity on the bill: what was used, but for a minimum and whole steps.
    pub billed: u64,
    /// The price in the file's money. Several where it falls with the quantity: each with what it goes up to.
    pub prices: Vec<(Option<u64>, String)>,
    /// How many of the unit a price is for.
    pub per: u64,
    /// What multiplies it, and why: clauses, the rate of the currency, the discount.
    pub factors: Vec<(String, String)>,
    /// Whether the amount was rounded.
    pub rounded: bool,
}

impl PriceBook {
    /// The bill of a call and its arithmetic.
    pub fn explain(&self, call: &Call) -> Explanation {
        self.explain_after(call, 0)
    }

    /// The same, where so many tokens of the model were billed in the calendar month before.
    pub fn explain_after(&self, call: &Call, month_tokens: u64) -> Explanation {
        let mut lines = Vec::new();
        let bill = self.work_out(call, month_tokens, Some(&mut lines));
        Explanation { bill, lines }
    }
}

impl Explained {
    /// Asks again what the rates were made of at load.
    pub(crate) fn of(placed: Placed<'_>, unit: Unit, billed: u64, rounded: bool) -> Option<Self> {
        let plan = placed.compiled.plan(placed.segment)?;
        let resolved = plan.resolve(&placed.segment.setting(placed.number)).ok()?;
        let (_, steps) = resolved.units.into_iter().find(|(known, _)| *known == unit)?;
        let price = |part: &Part| ((part.up_to != u64::MAX).then_some(part.up_to), part.price.to_string());
        let factors = steps.factors.into_iter().map(|(label, factor)| (label, factor.to_string()));
        Some(Self {
            unit,
            billed,
            prices: steps.price.parts.iter().map(price).collect(),
            per: steps.price.per,
            factors: factors.collect(),
            rounded,
        })
    }
}
