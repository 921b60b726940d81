//! What is booked of a call, how that came about, and what today's book makes of it where that is something else.

use jiff::Timestamp;
use ledgerline_pricing::{Explanation, PriceBook};
use ledgerline_proto::{Bill, Cost, PicoUsd};
use ledgerline_store::corrections::CorrectionRow;
use ledgerline_store::spans::unpriced_reason;
use ledgerline_store::stored::StoredCall;
use ledgerline_store::stored::trace::Correction;
use serde::Serialize;
use utoipa::ToSchema;

use super::bill::BillBody;
use super::verdict::{self, Verdict};

/// A call with everything that is said of its cost.
pub struct Account {
    /// The call.
    pub stored: StoredCall,
    /// What is booked, and whether `reprice` would book something else.
    pub verdict: Verdict,
    /// What the present book says of it.
    pub today: Explanation,
    /// What the present book computes, where somebody states another number.
    pub computed: Option<Cost>,
    /// What was booked later, in order.
    pub corrections: Vec<Correction>,
}

impl Account {
    /// Of a call, with the book of its owner and the corrections of its trace.
    pub fn of(stored: StoredCall, trace: &[Correction], prices: &PriceBook) -> Self {
        let version = prices.version().to_string().into();
        let mut call = stored.call.clone();
        verdict::see_anew(&mut call);
        let is_of_call = |correction: &&Correction| correction.is_of(call.span_id);
        Self {
            verdict: verdict::of(stored.clone(), prices, &version),
            today: prices.explain(&call),
            computed: call.billing.reported_cost.map(|_| prices.computed(&call)),
            corrections: trace.iter().filter(is_of_call).cloned().collect(),
            stored,
        }
    }

    /// What is booked, if it is that once and whole.
    pub fn booked(&self) -> Option<&CorrectionRow> {
        match &self.verdict {
            Verdict::Same(booked) | Verdict::Changed { booked, .. } => Some(booked),
            Verdict::NotBooked | Verdict::Unclear => None,
        }
    }

    /// A booking with its own rules and names of models, and the arithmetic of the present book where that comes to the same.
    pub fn explained(&self, booking: &CorrectionRow) -> Explanation {
        let facts = |bill: &Bill| -> Vec<_> {
            bill.lines
                .iter()
                .map(|line| (line.unit, line.quantity, line.price.as_ref().map(|price| price.amount)))
                .collect()
        };
        let is_alike = facts(&booking.bill) == facts(&self.today.bill);
        let lines = if is_alike { self.today.lines.clone() } else { Vec::new() };
        Explanation { bill: booking.bill.clone(), lines }
    }

    /// When it ended, ISO 8601 in UTC.
    pub fn ended(&self) -> String {
        let ended = Timestamp::from_nanosecond(i128::from(self.stored.call.end_unix_ns));
        ended.map_or_else(|_| "after the year 9999".to_owned(), |ended| ended.to_string())
    }

    /// Of what came uncounted its own word, of what was taken back the correction's.
    pub fn why_not(&self) -> &str {
        let corrected = self.corrections.last().map_or("", |correction| &correction.reason);
        if self.stored.uncounted.is_empty() { corrected } else { &self.stored.uncounted }
    }
}

/// What is booked of a call.
#[derive(Debug, Serialize, ToSchema)]
pub struct AccountBody {
    /// same: today it would be the same; changed: `reprice` books present_book; not_booked; unclear: booked several times, or not whole
    state: &'static str,
    booked: Option<BillBody>,
    /// The price book of that bill.
    price_version: Option<String>,
    /// Why nothing is: repeat, wrapper, or the reason of the last correction.
    not_booked: Option<String>,
    /// What the present price book says.
    present_book: BillBody,
    /// What the sender or the provider stated.
    reported_cost_usd: Option<String>,
    /// What the present price book computes, where something was stated.
    computed_cost_usd: Option<String>,
    corrections: Vec<CorrectionBody>,
}

/// What was booked after the first time.
#[derive(Debug, Serialize, ToSchema)]
struct CorrectionBody {
    booked_at: String,
    /// -1 takes the call back, 1 books it.
    sign: i8,
    reason: String,
    /// Without the sign.
    cost_usd: Option<String>,
    unpriced: Option<String>,
    price_version: String,
}

impl AccountBody {
    /// As JSON has it.
    pub fn of(account: &Account) -> Self {
        let booked = account.booked();
        let correction = |correction: &Correction| CorrectionBody {
            booked_at: correction.booked_at.clone(),
            sign: correction.sign,
            reason: correction.reason.clone(),
            cost_usd: correction
                .cost
                .as_deref()
                .and_then(|usd| usd.parse::<PicoUsd>().ok())
                .map(|usd| usd.to_string()),
            unpriced: (!correction.unpriced_reason.is_empty()).then(|| correction.unpriced_reason.clone()),
            price_version: correction.price_version.clone(),
        };
        Self {
            state: match account.verdict {
                Verdict::Same(_) => "same",
                Verdict::Changed { .. } => "changed",
                Verdict::NotBooked => "not_booked",
                Verdict::Unclear => "unclear",
            },
            booked: booked.map(|booked| BillBody::of(&account.explained(booked), &booked.unpriced_reason)),
            price_version: booked.map(|booked| booked.price_version.to_string()),
            not_booked: matches!(account.verdict, Verdict::NotBooked).then(|| account.why_not().to_owned()),
            present_book: BillBody::of(&account.today, &unpriced_reason(account.today.bill.cost)),
            reported_cost_usd: account.stored.call.billing.reported_cost.map(|usd| usd.to_string()),
            computed_cost_usd: account.computed.and_then(Cost::amount).map(|usd| usd.to_string()),
            corrections: account.corrections.iter().map(correction).collect(),
        }
    }
}
