//! What a provider or a sender says that a call cost, beside what the price book makes of it. One of the two is the bill, and where they
//! drift apart one of them is wrong. For that a float is exact enough: the amounts themselves are in the record.

use ledgerline_pricing::PriceBook;
use ledgerline_proto::dimension::Dimension;
use ledgerline_store::spans::{Role, SpanRow};

use crate::metrics::Metrics;

/// Counts the calls among these rows of a tenant of which both are known.
pub(super) fn compare(prices: &PriceBook, tenant: &str, rows: &[SpanRow], metrics: &Metrics) {
    let both = |row: &SpanRow| row.role == Role::Counts && row.record.call.billing.reported_cost.is_some();
    if !rows.iter().any(both) {
        return;
    }
    let prices = prices.for_tenant(tenant);
    for row in rows.iter().filter(|row| both(row)) {
        let call = &row.record.call;
        let (Some(reported), Some(computed)) = (call.billing.reported_cost, prices.computed(call).amount())
        else {
            continue;
        };
        let provider = row.dimension(Dimension::Provider);
        metrics.reported_cost.of([provider.to_owned()]).inc_by(usd(reported.picos()));
        let over = computed.picos() - reported.picos();
        let of = |book: &str| metrics.reported_cost_difference.of([provider.to_owned(), book.to_owned()]);
        // Both appear with the first call: a series that appears with its first difference has no increase over it.
        of("above").inc_by(usd(over.max(0)));
        of("below").inc_by(usd((-over).max(0)));
    }
}

fn usd(picos: i64) -> f64 {
    picos as f64 / 1e12
}
