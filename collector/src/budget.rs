//! Budgets: what may be spent by whom in a period of a calendar, what was, and what will be. The soft half: they tell and stop nothing.
//!
//! `document` reads them, `calendar` says which period it is, `ledger` adds up what was spent, `forecast` what will be. `source` makes
//! them metrics beside those of the record, so that dashboards and rules read them as any other; `rules` makes each threshold an
//! alert, and `crossings` remembers which were told. Nothing is ever reset: a period is a key, and its spend is a sum over its time.

pub mod calendar;
pub(crate) mod catalog;
mod config;
pub mod crossings;
pub(crate) mod document;
pub mod forecast;
pub mod http;
pub mod ledger;
pub(crate) mod rules;
pub mod source;
pub mod status;

pub use config::BudgetsConfig;

use ledgerline_promql::Matcher;

use calendar::Calendar;

/// A budget of a document.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Unique among all documents.
    pub name: String,
    /// Whom to ask; may be empty.
    pub owner: String,
    /// Which calls, as it was written; empty: all.
    pub matched: String,
    /// The cost of those calls, for the store.
    pub(crate) matchers: Vec<Matcher>,
    /// Pico-dollars a period, above 0.
    pub amount: i128,
    /// Its periods.
    pub calendar: Calendar,
    /// In rising order, none twice.
    pub thresholds: Vec<Threshold>,
    /// Whether a forecast above the amount is an alert too.
    pub forecast_alert: bool,
}

/// A part of a budget at which somebody is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// `80%`; `112.5%`.
    pub name: String,
    /// Pico-dollars: it is reached when as much or more is spent.
    pub amount: i128,
    /// The label of the alert.
    pub severity: String,
}
