//! The table `quarantine`: spans that were refused one by one, with the reason; never in a total. Pure.
//!
//! The payload carries nothing that a stored span would not.

use std::sync::Arc;

use super::native::{Cells, Column};
use crate::limits::QUARANTINE_PAYLOAD_BYTES_MAX;

/// The name of the table.
pub const TABLE: &str = "quarantine";

ledgerline_proto::named! {
    /// Why a span is not in `spans`, in the order of the checks. Metrics start one series for each.
    pub enum Reason {
        /// Its trace or span id is not one.
        Identity = "identity",
        /// It ended longer ago than the collector takes: its day may be closed.
        TooOld = "too_old",
        /// It counts what cannot be: more tokens than a call can have.
        Implausible = "implausible",
        /// The store refused the row itself.
        Poison = "poison",
    }
}

/// One refused span. It has no `Debug`: the payload may name people.
#[derive(Clone)]
pub struct QuarantineRow {
    /// Its place among the spans of its request; no column.
    pub place: usize,
    /// Of the credential that sent it.
    pub tenant: Arc<str>,
    /// When the collector took it, milliseconds since the epoch.
    pub received_at_ms: i64,
    /// The request it came in.
    pub batch_id: u128,
    /// A closed set, for counting and grouping.
    pub reason: Reason,
    /// Why exactly, for people.
    pub detail: String,
    /// The trace id as sent, hexadecimal.
    pub trace_id: String,
    /// The span id as sent, hexadecimal.
    pub span_id: String,
    /// What may be kept of the span, as JSON; see [`clipped`].
    pub payload: String,
}

/// A payload cut at [`QUARANTINE_PAYLOAD_BYTES_MAX`], on a character's edge.
pub fn clipped(mut payload: String) -> String {
    payload.truncate(payload.floor_char_boundary(QUARANTINE_PAYLOAD_BYTES_MAX));
    payload
}

/// The columns of `quarantine`, in the table's order.
pub const COLUMNS: &[Column<QuarantineRow>] = &[
    Column { name: "tenant", cells: Cells::LowCardinality(|row| &row.tenant) },
    Column { name: "received_at", cells: Cells::DateTime64Millis(|row| row.received_at_ms) },
    Column { name: "batch_id", cells: Cells::Uuid(|row| row.batch_id.to_be_bytes()) },
    Column { name: "reason", cells: Cells::LowCardinality(|row| row.reason.name()) },
    Column { name: "detail", cells: Cells::String(|row| &row.detail) },
    Column { name: "trace_id", cells: Cells::String(|row| &row.trace_id) },
    Column { name: "span_id", cells: Cells::String(|row| &row.span_id) },
    Column { name: "payload", cells: Cells::String(|row| &row.payload) },
];
