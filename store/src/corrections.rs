//! The table `corrections` as the collector writes it: whole calls with a sign, append-only. Pure.
//!
//! Spans say what was seen, corrections what of it is booked otherwise: a repeat, a wrapper that was taken for a call, another price. A
//! correction counts when its call did, so closed months change only with a row that says why.

use std::borrow::Cow;
use std::sync::Arc;

use ledgerline_proto::dimension::Dimension;
use ledgerline_proto::usage::MISSING;
use ledgerline_proto::{Bill, SpanId, TraceId, UsageSource};

use super::native::{Cells, Column};
use super::spans::{self, SpanRow};

/// The name of the table.
pub const TABLE: &str = "corrections";

/// What a correction does with its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// Takes it back as it was booked.
    TakesBack,
    /// Books it.
    Books,
}

ledgerline_proto::named! {
    /// Why a call is booked otherwise than its span says.
    pub enum Reason {
        /// The call was billed by another of its spans.
        Repeat = "repeat",
        /// It turned out to be above other calls, whose usage it repeats.
        Wrapper = "wrapper",
        /// It was priced by another price than the one that was valid.
        Reprice = "reprice",
    }
}

/// A call as it was booked, or as it is to be.
#[derive(Clone, Debug)]
pub struct CorrectionRow {
    /// Who owns it.
    pub tenant: Arc<str>,
    /// When the call ended, nanoseconds since the epoch.
    pub end_unix_ns: u64,
    /// Of the call.
    pub trace_id: TraceId,
    /// Of the call.
    pub span_id: SpanId,
    /// What it does.
    pub sign: Sign,
    /// What was wrong with the first booking.
    pub reason: Reason,
    /// Of the call, as they are stored, in the order of [`Dimension::ALL`].
    pub dimensions: [String; Dimension::ALL.len()],
    /// Without the sign.
    pub bill: Bill,
    /// Who counted; `None`: nobody did.
    pub usage_source: Option<UsageSource>,
    /// As in [`SpanRow`].
    pub unpriced_reason: Cow<'static, str>,
    /// The price book that gave this bill.
    pub price_version: Arc<str>,
    /// Of the call, where it is known.
    pub duration_us: Option<u64>,
    /// To its first token, where there was one.
    pub ttft_us: Option<u64>,
    /// The request that gave the reason.
    pub batch_id: u128,
    /// When it is booked, milliseconds since the epoch. Not part of what names the insert: a repeat is later.
    pub booked_at_ms: i64,
}

impl CorrectionRow {
    /// The call of a span as that is stored.
    pub fn of(span: &SpanRow, sign: Sign, reason: Reason) -> Self {
        let call = &span.record.call;
        Self {
            tenant: Arc::clone(&span.tenant),
            end_unix_ns: call.end_unix_ns,
            trace_id: call.trace_id,
            span_id: call.span_id,
            sign,
            reason,
            dimensions: Dimension::ALL.map(|dimension| span.dimension(dimension).to_owned()),
            bill: span.bill.clone(),
            usage_source: call.usage.as_ref().map(|usage| usage.source),
            unpriced_reason: span.unpriced_reason.clone(),
            price_version: Arc::clone(&span.price_version),
            duration_us: span.duration_us(),
            ttft_us: span.ttft_us(),
            batch_id: span.batch_id,
            booked_at_ms: span.ingested_at_ms,
        }
    }

    fn dimension(&self, dimension: Dimension) -> &str {
        &self.dimensions[dimension as usize]
    }
}

const fn lines(row: &CorrectionRow) -> usize {
    row.bill.lines.len()
}

const fn low_cardinality(name: &'static str, of: fn(&CorrectionRow) -> &str) -> Column<CorrectionRow> {
    column(name, Cells::LowCardinality(of))
}

const fn column(name: &'static str, cells: Cells<CorrectionRow>) -> Column<CorrectionRow> {
    Column { name, cells }
}

/// The columns of `corrections`, in the table's order.
pub const COLUMNS: &[Column<CorrectionRow>] = &[
    low_cardinality("tenant", |row| &row.tenant),
    column("end_time", Cells::DateTime64Micros(|row| spans::microseconds(row.end_unix_ns))),
    column("trace_id", Cells::FixedString16(|row| *row.trace_id.bytes())),
    column("span_id", Cells::FixedString8(|row| *row.span_id.bytes())),
    column("sign", Cells::I8(|row| if row.sign == Sign::TakesBack { -1 } else { 1 })),
    low_cardinality("reason", |row| row.reason.name()),
    low_cardinality("service", |row| row.dimension(Dimension::Service)),
    low_cardinality("environment", |row| row.dimension(Dimension::Environment)),
    low_cardinality("team", |row| row.dimension(Dimension::Team)),
    low_cardinality("feature", |row| row.dimension(Dimension::Feature)),
    low_cardinality("provider", |row| row.dimension(Dimension::Provider)),
    low_cardinality("model", |row| row.dimension(Dimension::Model)),
    low_cardinality("operation", |row| row.dimension(Dimension::Operation)),
    low_cardinality("status", |row| row.dimension(Dimension::Status)),
    low_cardinality("error_type", |row| row.dimension(Dimension::ErrorType)),
    column("bill.model", Cells::LowCardinalityArray(lines, |row, place| &row.bill.lines[place].model)),
    column("bill.unit", Cells::LowCardinalityArray(lines, |row, place| row.bill.lines[place].unit.name())),
    column("bill.quantity", Cells::I64Array(lines, |row, place| spans::quantity(&row.bill.lines[place]))),
    column("bill.rule", Cells::LowCardinalityArray(lines, |row, place| spans::rule(&row.bill.lines[place]))),
    column(
        "bill.amount",
        Cells::NullableDecimalArray(lines, |row, place| spans::amount(&row.bill.lines[place])),
    ),
    low_cardinality("usage_source", |row| row.usage_source.map_or(MISSING, UsageSource::name)),
    low_cardinality("unpriced_reason", |row| &row.unpriced_reason),
    low_cardinality("price_version", |row| &row.price_version),
    column("duration_us", Cells::NullableU64(|row| row.duration_us)),
    column("ttft_us", Cells::NullableU64(|row| row.ttft_us)),
    column("batch_id", Cells::Uuid(|row| row.batch_id.to_be_bytes())),
    column("booked_at", Cells::DateTime64Millis(|row| row.booked_at_ms)),
];

/// What names an insert of such rows: all but the time of booking.
pub(crate) fn named_by() -> &'static [Column<CorrectionRow>] {
    COLUMNS.split_last().map_or(COLUMNS, |(_booked_at, rest)| rest)
}
