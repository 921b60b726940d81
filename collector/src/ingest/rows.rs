//! Records become rows: priced, and owned. No I/O, no clock.

use std::sync::Arc;

use ledgerline_pricing::PriceBook;

use super::normalise::{Accepted, Normalised};
use ledgerline_store::quarantine::QuarantineRow;
use ledgerline_store::spans::{self, SpanRow};
use ledgerline_store::writer::Batch;

/// What all rows of a request share.
#[derive(Clone, Debug)]
pub struct BatchContext {
    /// Who owns them.
    pub tenant: Arc<str>,
    /// The request's name.
    pub batch_id: u128,
    /// When it came in.
    pub now_unix_ns: u64,
    /// The version of the price book that prices them.
    pub price_version: Arc<str>,
}

/// The rows of a request.
#[must_use]
pub fn batch(prices: &PriceBook, context: &BatchContext, normalised: Normalised) -> Batch {
    let now_ms = i64::try_from(context.now_unix_ns / 1_000_000).unwrap_or(i64::MAX);
    let places = normalised.accepted.len() + normalised.rejected.len();
    let spans = normalised.accepted.into_iter().map(|Accepted { place, record }| {
        let price = prices.price_call(&record.call);
        SpanRow {
            place,
            tenant: Arc::clone(&context.tenant),
            unpriced_reason: spans::unpriced_reason(&price),
            price,
            record,
            price_version: Arc::clone(&context.price_version),
            batch_id: context.batch_id,
            ingested_at_ms: now_ms,
        }
    });
    let quarantine = normalised.rejected.into_iter().map(|rejected| QuarantineRow {
        place: rejected.place,
        tenant: Arc::clone(&context.tenant),
        received_at_ms: now_ms,
        batch_id: context.batch_id,
        reason: rejected.reason,
        detail: rejected.detail,
        trace_id: rejected.trace_id,
        span_id: rejected.span_id,
        payload: rejected.payload,
    });
    Batch { id: context.batch_id, places, spans: spans.collect(), quarantine: quarantine.collect() }
}
