//! What one call cost, line by line. Pure; must never contain a float, nor answer 0 where the answer is "not known".

use std::sync::Arc;

use ledgerline_proto::{
    Bill, BillGap, Billing, Call, Condition, Cost, Line, LinePrice, Operation, PicoUsd, Quantities, Unit,
    UnpricedReason, UsageSource,
};

use crate::book::PriceBook;
use crate::exact::{Exact, amount};
use crate::explain::Explained;
use crate::failed::without_usage;
use crate::lookup::{Located, ProviderBook};
use crate::model::Booked;
use crate::place::{Placed, place};
use crate::price::Part;
use crate::table::Rate;

/// The model of a failed call that no file knows.
const OTHER: &str = "other";

/// Lines of most calls: input, cache, output, reasoning and a fee.
const LINES_EXPECTED: usize = 5;

impl PriceBook {
    /// Prices a call, at the time its request was made.
    pub fn bill(&self, call: &Call) -> Bill {
        self.bill_after(call, 0)
    }

    /// The same, where so many tokens of the model were billed in the calendar month before.
    pub fn bill_after(&self, call: &Call, month_tokens: u64) -> Bill {
        self.work_out(call, month_tokens, None)
    }

    /// What the book makes of a call, whoever's number is the bill.
    pub fn computed(&self, call: &Call) -> Cost {
        let billing = Billing { reported_cost: None, ..call.billing.clone() };
        self.bill(&Call { billing, ..call.clone() }).cost
    }

    /// The one name under which all calls of a model are shown: the one that the book resolves the served, else the requested
    /// model to. A name it does not know stays as it is, but on a failed call is `other`, where it is the client's word only.
    pub fn canonical_model(&self, call: &Call) -> Arc<str> {
        let located = self.provider(&call.provider).map(|provider| locate(provider, call));
        canonical(located.as_ref(), call)
    }

    /// The one path to a bill; it writes down its steps where somebody asks for them.
    pub(crate) fn work_out(
        &self,
        call: &Call,
        month_tokens: u64,
        steps: Option<&mut Vec<Explained>>,
    ) -> Bill {
        let provider = self.provider(&call.provider);
        let located = provider.map(|provider| locate(provider, call));
        let model = canonical(located.as_ref(), call);
        let lines = Vec::with_capacity(LINES_EXPECTED);
        let mut work = Work { lines, rounded: 0, steps, month_tokens };
        let cost = work.price(call, provider.zip(located.as_ref()), &model).unwrap_or_else(Cost::Unpriced);
        let Work { mut lines, mut rounded, steps, .. } = work;
        if let Cost::Unpriced(_) = cost {
            // What is not priced in whole has no amount at all: a sum known to be short must not pass for the cost.
            lines.clear();
            rounded = 0;
            steps.into_iter().for_each(Vec::clear);
            if let Some(usage) = &call.usage {
                unpriced_lines(&model, &usage.own, &mut lines);
                for run in &usage.runs {
                    unpriced_lines(&Arc::from(run.model.as_str()), &run.quantities, &mut lines);
                }
            }
        }
        Bill { model, lines, rounded, cost }
    }
}

fn locate<'a>(provider: &'a ProviderBook, call: &Call) -> Located<'a> {
    let deployment = call.billing.conditions.get(Condition::Deployment);
    provider.locate_call(&call.response_model, &call.request_model, deployment, call.start_unix_ns)
}

fn canonical(located: Option<&Located<'_>>, call: &Call) -> Arc<str> {
    match located.and_then(|located| located.canonical) {
        Some(canonical) => Arc::clone(canonical),
        None if call.response_model.is_empty() && call.error_type.is_some() => OTHER.into(),
        None => call.model().into(),
    }
}

/// The lines of what was used, without a price.
fn unpriced_lines(model: &Arc<str>, quantities: &Quantities, lines: &mut Vec<Line>) {
    let line = |(unit, quantity)| Line { model: Arc::clone(model), unit, quantity, price: None };
    lines.extend(quantities.nonzero().map(line));
}

/// A bill being written.
struct Work<'a> {
    lines: Vec<Line>,
    rounded: u32,
    steps: Option<&'a mut Vec<Explained>>,
    month_tokens: u64,
}

impl Work<'_> {
    fn price(
        &mut self,
        call: &Call,
        provider: Option<(&ProviderBook, &Located<'_>)>,
        model: &Arc<str>,
    ) -> Result<Cost, UnpricedReason> {
        if !call.operation.is_call() {
            return Err(UnpricedReason::NotACall);
        }
        if call.operation == Operation::Unread {
            return Err(UnpricedReason::Unread);
        }
        let Some(usage) = &call.usage else {
            return without_usage(provider.map(|(provider, _)| &provider.settings), call)
                .map(Cost::NotBilled);
        };
        match call.billing.gap {
            Some(BillGap::OtherModel) => return Err(UnpricedReason::OtherModel),
            Some(BillGap::Tool) => return Err(UnpricedReason::NoPriceForTool),
            None => {}
        }
        let (provider, located) = provider.ok_or(UnpricedReason::UnknownProvider)?;
        // What another program states is its guess, whoever it says it is from.
        let is_of_the_provider = matches!(usage.source, UsageSource::Provider | UsageSource::Drained);
        if let (Some(Booked::Reported), Some(reported), true) =
            (provider.settings.booked, call.billing.reported_cost, is_of_the_provider)
        {
            self.book_reported(call, model, &usage.own, reported);
            return Ok(Cost::Known(reported));
        }
        let found = located.price.as_ref().map_err(|reason| *reason)?;
        let placed = place(provider, call, &usage.own, self.month_tokens, *found)?;
        self.lines(placed, model, &usage.own)?;
        if usage.own.get(Unit::Request) == 0 && placed.cell.rates.get(Unit::Request).is_some() {
            self.line(placed, model, Unit::Request, 1)?;
        }
        for run in &usage.runs {
            let located = provider.locate(&run.model, call.start_unix_ns);
            let model = located.canonical.map_or_else(|| Arc::from(run.model.as_str()), Arc::clone);
            let placed = place(provider, call, &run.quantities, self.month_tokens, located.price?)?;
            self.lines(placed, &model, &run.quantities)?;
        }
        let amounts = self.lines.iter().filter_map(|line| line.price.as_ref());
        let total = amounts.map(|price| i128::from(price.amount.picos())).sum();
        amount(total).map(Cost::Known).ok_or(UnpricedReason::Overflow)
    }

    /// A router that picks the host decides the price: its own number is the bill, whole on the request.
    fn book_reported(&mut self, call: &Call, model: &Arc<str>, used: &Quantities, reported: PicoUsd) {
        let rule: Arc<str> = format!("{}/reported", call.provider).into();
        for (unit, quantity) in used.nonzero() {
            self.add(model, unit, quantity, PicoUsd::ZERO, &rule);
        }
        self.add(model, Unit::Request, 1, reported, &rule);
    }

    fn lines(
        &mut self,
        placed: Placed<'_>,
        model: &Arc<str>,
        used: &Quantities,
    ) -> Result<(), UnpricedReason> {
        used.nonzero().try_for_each(|(unit, quantity)| self.line(placed, model, unit, quantity))
    }

    fn line(
        &mut self,
        placed: Placed<'_>,
        model: &Arc<str>,
        unit: Unit,
        quantity: u64,
    ) -> Result<(), UnpricedReason> {
        let no_price = match unit {
            Unit::WebSearch => UnpricedReason::NoPriceForWebSearch,
            _ => UnpricedReason::NoPriceForClass(unit),
        };
        let rate = placed.cell.rates.get(unit).ok_or(no_price)?;
        let billed = rate.billed(quantity).ok_or(UnpricedReason::Overflow)?;
        let (picos, rounded) = cost(rate, billed).ok_or(UnpricedReason::Overflow)?;
        let amount = amount(picos).ok_or(UnpricedReason::Overflow)?;
        self.rounded = self.rounded.saturating_add(u32::from(rounded));
        self.add(model, unit, quantity, amount, &placed.cell.rule);
        if let Some(steps) = &mut self.steps {
            steps.extend(Explained::of(placed, unit, billed, rounded));
        }
        Ok(())
    }

    fn add(&mut self, model: &Arc<str>, unit: Unit, quantity: u64, amount: PicoUsd, rule: &Arc<str>) {
        let price = Some(LinePrice { amount, rule: Arc::clone(rule) });
        self.lines.push(Line { model: Arc::clone(model), unit, quantity, price });
    }
}

/// Pico-dollars, and whether that is rounded. The one rounding of a line.
fn cost(rate: &Rate, billed: u64) -> Option<(i128, bool)> {
    if rate.parts.is_empty() {
        return rate.flat.of(billed);
    }
    let (mut below, mut total) = (0, Exact::ZERO);
    for Part { up_to, price } in &rate.parts {
        let part = billed.min(*up_to).saturating_sub(below);
        total = total.plus(price.times(Exact::whole(part))?)?;
        below = *up_to;
    }
    total.of(1)
}
