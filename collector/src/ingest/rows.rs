//! Records become rows: priced, and owned. No I/O, no clock.

use std::sync::Arc;

use ledgerline_pricing::PriceBook;
use ledgerline_store::quarantine::QuarantineRow;
use ledgerline_store::spans::{self, Role, SpanRow};
use ledgerline_store::usage_object::UsageObject;
use ledgerline_store::writer::Batch;

use super::normalise::BatchContext;
use ledgerline_proto::otlp::SpanRecord;

/// The rows of a request, from its accepted spans and its refused ones; `prices` is its tenant's book. Volume prices by the month are
/// those of an empty month: how much of it was used is not known here, see docs/prices.md.
pub fn batch(
    prices: &PriceBook,
    context: &BatchContext,
    accepted: Vec<(usize, SpanRecord)>,
    quarantine: Vec<QuarantineRow>,
) -> Batch {
    let places = accepted.len() + quarantine.len();
    let spans = accepted.into_iter().map(|(place, record)| {
        let bill = prices.bill(&record.call);
        SpanRow {
            place,
            tenant: Arc::clone(&context.tenant),
            unpriced_reason: spans::unpriced_reason(bill.cost),
            role: if record.call.operation.is_call() { Role::Counts } else { Role::Plain },
            bill,
            usage: UsageObject::split(&record.call.usage_object),
            record,
            price_version: Arc::clone(&context.price_version),
            batch_id: context.batch_id,
            ingested_at_ms: context.now_ms(),
        }
    });
    Batch { id: context.batch_id, places, spans: spans.collect(), quarantine }
}
