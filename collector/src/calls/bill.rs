//! Pure. A bill as a person checks it: each line with its arithmetic.

use ledgerline_pricing::{Explained, Explanation};
use ledgerline_proto::{Cost, Line};
use serde::Serialize;
use utoipa::ToSchema;

/// The lines of a bill, and its sum or why there is none.
#[derive(Debug, Serialize, ToSchema)]
pub struct BillBody {
    /// The call's model under its name in the price book.
    model: String,
    lines: Vec<BillLineBody>,
    /// The sum of the lines.
    cost_usd: Option<String>,
    /// Why nobody knows it.
    unpriced: Option<String>,
    /// Why the provider bills nothing, where the sum is a true 0.
    not_billed: Option<&'static str>,
}

/// A line of a bill.
#[derive(Debug, Serialize, ToSchema)]
struct BillLineBody {
    /// Whose price: the call's model, or another that ran within the call.
    model: String,
    unit: &'static str,
    quantity: u64,
    /// `1000 x 2 / 1000000`; the quantity alone where nothing was computed.
    arithmetic: String,
    /// The amount is rounded half to even.
    rounded: bool,
    amount_usd: Option<String>,
    /// The price that matched.
    rule: Option<String>,
}

impl BillBody {
    /// `unpriced_reason` is empty where there is a price.
    pub fn of(explanation: &Explanation, unpriced_reason: &str) -> Self {
        let Explanation { bill, lines } = explanation;
        let line = |(place, line): (usize, &Line)| {
            let explained = lines.get(place);
            BillLineBody {
                model: line.model.to_string(),
                unit: line.unit.name(),
                quantity: line.quantity,
                arithmetic: arithmetic(line, explained),
                rounded: explained.is_some_and(|explained| explained.rounded),
                amount_usd: line.price.as_ref().map(|price| price.amount.to_string()),
                rule: line.price.as_ref().map(|price| price.rule.to_string()),
            }
        };
        Self {
            model: bill.model.to_string(),
            lines: bill.lines.iter().enumerate().map(line).collect(),
            cost_usd: bill.cost.amount().map(|amount| amount.to_string()),
            unpriced: (!unpriced_reason.is_empty()).then(|| unpriced_reason.to_owned()),
            not_billed: not_billed(bill.cost),
        }
    }
}

/// Why the provider bills nothing for it.
pub const fn not_billed(cost: Cost) -> Option<&'static str> {
    match cost {
        Cost::NotBilled(reason) => Some(reason.name()),
        Cost::Known(_) | Cost::Unpriced(_) => None,
    }
}

/// `1000 x 2 / 1000000 x 0.5 (service_tier flex) x 1.08 (EUR*1.08)`; the quantity alone of what is only told.
pub fn arithmetic(line: &Line, explained: Option<&Explained>) -> String {
    let Some(explained) = explained else {
        let is_reported = line.price.as_ref().is_some_and(|price| price.rule.ends_with("/reported"));
        return format!("{}{}", line.quantity, if is_reported { ", as reported" } else { "" });
    };
    let mut below = 0;
    let mut parts = Vec::new();
    for (up_to, price) in &explained.prices {
        let end = up_to.map_or(explained.billed, |up_to| up_to.min(explained.billed));
        if end > below || parts.is_empty() {
            parts.push(format!("{} x {price}", end - below));
        }
        below = below.max(end);
    }
    let mut text = match parts.as_slice() {
        [part] => part.clone(),
        parts => format!("({})", parts.join(" + ")),
    };
    if explained.per != 1 {
        text.push_str(&format!(" / {}", explained.per));
    }
    text.extend(explained.factors.iter().map(|(label, factor)| format!(" x {factor} ({label})")));
    if explained.billed != line.quantity {
        text.push_str(&format!(", {} billed for {}", explained.billed, line.quantity));
    }
    if explained.rounded {
        text.push_str(", rounded half to even");
    }
    text
}
