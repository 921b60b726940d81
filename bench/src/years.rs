//! A store of two years in which spans and minutes have expired, and questions to it: whether every account of the same money is the
//! same, how long a dashboard waits, and whether forecasts would have held.

pub mod forecast;
pub mod ledger;
pub mod panels;
pub mod store;
pub mod windows;
pub mod world;

use ledgerline_process::{Clock, SystemClock};

/// The tenant that is asked for; there is another in the same tables.
pub const TENANT: &str = "acme";

/// A month of all that the tenant spends.
pub const BUDGETS: &str = "kind: budgets\nbudgets: [{name: all, amount: 1000000, period: month}]\n";

/// Microseconds since 1970.
#[must_use]
pub fn now_us() -> i64 {
    i64::try_from(SystemClock.now_unix_ns() / 1000).unwrap_or(i64::MAX)
}
