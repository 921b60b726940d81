//! What one stored call would cost today, beside what is booked. Pure; must never make an unknown cost 0.

use std::sync::Arc;

use ledgerline_pricing::PriceBook;
use ledgerline_proto::dimension::Dimension;
use ledgerline_proto::usage_object::reread;
use ledgerline_proto::{Bill, Call, Line, PicoUsd, Unit};
use ledgerline_store::corrections::{CorrectionRow, Reason, Sign};
use ledgerline_store::spans::{OTHER, unpriced_reason};
use ledgerline_store::stored::{Booked, StoredCall};

/// What becomes of a call.
pub enum Verdict {
    /// Nothing is booked of it: another span tells of the call.
    NotBooked,
    /// It is booked several times, or not whole; nothing is corrected that is not understood.
    Unclear,
    /// It is booked as it would be today.
    Same(Box<CorrectionRow>),
    /// It is not.
    Changed {
        /// Takes back what is booked.
        booked: Box<CorrectionRow>,
        /// Books what it is today.
        new: Box<CorrectionRow>,
        /// What has changed.
        why: Why,
    },
}

ledgerline_proto::named! {
    /// What has changed of a bill, the first that holds.
    pub enum Why {
        /// It had no price and has one.
        Priced = "priced",
        /// It had a price and has none: the reason why stands on the new booking.
        Unpriced = "unpriced",
        /// It has no price, for another reason.
        Reason = "reason",
        /// The provider's usage object is read otherwise.
        Usage = "usage",
        /// The prices.
        Price = "price",
        /// The name of a model only.
        Model = "model",
    }
}

/// Prices a stored call with its tenant's book.
pub fn of(stored: StoredCall, prices: &PriceBook, price_version: &Arc<str>) -> Verdict {
    let StoredCall { mut call, booked, is_model_capped, .. } = stored;
    let booked = match booked {
        Booked::Never => return Verdict::NotBooked,
        Booked::Otherwise => return Verdict::Unclear,
        Booked::Once(booked) => booked,
    };
    see_anew(&mut call);
    let mut bill = prices.bill(&call);
    count_as_ingest_did(&mut bill, &booked.bill, is_model_capped);
    let unpriced_reason = unpriced_reason(bill.cost);
    let Some(why) = difference(&booked, &bill, &unpriced_reason) else { return Verdict::Same(booked) };
    let mut new = CorrectionRow {
        sign: Sign::Books,
        reason: Reason::Reprice,
        unpriced_reason,
        price_version: Arc::clone(price_version),
        ..(*booked).clone()
    };
    new.dimensions[Dimension::Model as usize] = bill.model.as_ref().to_owned();
    new.bill = bill;
    let booked = Box::new(CorrectionRow { sign: Sign::TakesBack, reason: Reason::Reprice, ..*booked });
    Verdict::Changed { booked, new: Box::new(new), why }
}

/// Reads the provider's usage object again, where it was kept.
pub fn see_anew(call: &mut Call) {
    if let Some((usage, gap)) = reread(call) {
        call.usage = Some(usage);
        call.billing.gap = gap;
    }
}

/// A model beyond the cap of ingest stays what it is counted as.
fn count_as_ingest_did(bill: &mut Bill, booked: &Bill, is_model_capped: bool) {
    let is_known = |model: &str| booked.lines.iter().any(|line| &*line.model == model);
    let has_other = is_known(OTHER);
    let own = Arc::clone(&bill.model);
    for line in &mut bill.lines {
        let is_capped = if line.model == own { is_model_capped } else { has_other && !is_known(&line.model) };
        if is_capped {
            line.model = OTHER.into();
        }
    }
    if is_model_capped {
        bill.model = OTHER.into();
    }
}

fn difference(booked: &CorrectionRow, bill: &Bill, unpriced_reason: &str) -> Option<Why> {
    match (booked.bill.cost.amount(), bill.cost.amount()) {
        (None, Some(_)) => return Some(Why::Priced),
        (Some(_), None) => return Some(Why::Unpriced),
        (None, None) if booked.unpriced_reason != unpriced_reason => return Some(Why::Reason),
        _ => {}
    }
    let (before, after) = (lines(&booked.bill.lines), lines(&bill.lines));
    if quantities(&before) != quantities(&after) {
        return Some(Why::Usage);
    }
    let amounts = |lines: &[LineFacts<'_>]| lines.iter().map(|line| line.3).collect::<Vec<_>>();
    if amounts(&before) != amounts(&after) || booked.bill.cost.amount() != bill.cost.amount() {
        return Some(Why::Price);
    }
    let is_renamed = booked.bill.model != bill.model || before != after;
    is_renamed.then_some(Why::Model)
}

/// Of a line what is booked: unit, quantity, model, amount. Which rule gave the amount is no reason to book it again.
type LineFacts<'a> = (Unit, u64, &'a str, Option<PicoUsd>);

/// In an order of their own: that of the lines means nothing.
fn lines(lines: &[Line]) -> Vec<LineFacts<'_>> {
    let mut all: Vec<LineFacts<'_>> = Vec::with_capacity(lines.len());
    for Line { model, unit, quantity, price } in lines {
        all.push((*unit, *quantity, model, price.as_ref().map(|price| price.amount)));
    }
    all.sort_unstable();
    all
}

fn quantities(lines: &[LineFacts<'_>]) -> Vec<(Unit, u64)> {
    // A request that the price counts is no usage.
    lines
        .iter()
        .map(|(unit, quantity, ..)| (*unit, *quantity))
        .filter(|counted| *counted != (Unit::Request, 1))
        .collect()
}
