//! The verdicts of one request from its decision until it is settled.

use std::sync::Arc;

use ledgerline_process::locked;
use ledgerline_store::ledger::Change;
use ledgerline_store::spans::SpanRow;
use tokio::time::Instant;

use super::super::sightings::{Correction, Decision, Sight};
use super::sights::{change, difference, sight};
use super::{Booking, Doubt, SpanKey};

/// A request's verdicts, until it is settled. Dropped it is in doubt.
pub(crate) struct Pending {
    booking: Arc<Booking>,
    batch: u128,
    tenant: Arc<str>,
    spans: Vec<SpanKey>,
    /// `None` once settled.
    decision: Option<Decision>,
    /// What is to be booked when the request is stored.
    pub changes: Vec<Change>,
}

impl Pending {
    pub(super) fn of(
        booking: &Arc<Booking>,
        batch: u128,
        tenant: Arc<str>,
        spans: Vec<SpanKey>,
        decision: Decision,
    ) -> Self {
        let changes = decision.corrections.iter().map(change).collect();
        Self { booking: Arc::clone(booking), batch, tenant, spans, decision: Some(decision), changes }
    }

    /// Of a request without spans.
    pub(super) fn of_nothing(booking: &Arc<Booking>, batch: u128) -> Self {
        let (booking, tenant) = (Arc::clone(booking), Arc::from(""));
        Self { booking, batch, tenant, spans: Vec::new(), decision: None, changes: Vec::new() }
    }

    /// The store refused the rows at these places for good: decides again as if they had not come. The others are stored with the
    /// roles they had; where a role is another without the refused ones, that is a change.
    pub fn without(&mut self, rows: &[SpanRow], refused: &[usize]) {
        let Some(first) = self.decision.take() else { return };
        let stored: Vec<&SpanRow> = rows.iter().filter(|row| !refused.contains(&row.place)).collect();
        let sights: Vec<Sight> = stored.iter().map(|row| sight(row)).collect();
        let mut state = locked(&self.booking.state);
        // A repeat of the request gets the roles that its rows are stored with.
        let verdicts = first.verdicts.clone();
        state.sightings.abandon(first);
        // What the first decision held is free, and the second needs no more.
        let Ok(mut second) = state.sightings.decide(&self.tenant, &sights, 0) else { return };
        for (row, verdict) in stored.iter().zip(&second.verdicts) {
            let call = &row.record.call;
            second.corrections.extend(difference(row.role, *verdict).map(|(change, cause)| Correction {
                trace_id: call.trace_id,
                span_id: call.span_id,
                end_unix_ns: call.end_unix_ns,
                change,
                cause,
            }));
        }
        second.verdicts = verdicts;
        self.changes = second.corrections.iter().map(change).collect();
        self.decision = Some(second);
    }

    /// The spans are stored, and the changes booked.
    pub fn commit(mut self) {
        if let Some(decision) = self.decision.take() {
            self.booking.settle(decision, true);
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let Some(decision) = self.decision.take() else { return };
        let spans = std::mem::take(&mut self.spans);
        let doubt = Doubt { tenant: Arc::clone(&self.tenant), spans, decision, since: Instant::now() };
        locked(&self.booking.state).doubtful.insert(self.batch, doubt);
        self.booking.settled.notify_waiters();
    }
}
