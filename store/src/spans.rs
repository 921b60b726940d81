//! The table `spans` as the collector writes it: one declaration of its columns over one row type. Pure.
//!
//! A test holds the list against the migrations and the vocabulary of `ledgerline_proto`. Rows are never updated.

use std::borrow::Cow;
use std::sync::Arc;

use ledgerline_proto::dimension::Dimension;
use ledgerline_proto::otlp::SpanRecord;
use ledgerline_proto::usage::MISSING;
use ledgerline_proto::{Bill, Cost, Line, PicoUsd, SpanId, UnpricedReason};

use super::native::{Cells, Column};
use super::usage_object::UsageObject;

/// The name of the table.
pub const TABLE: &str = "spans";

/// What a value of a dimension beyond ingest's cap is counted as.
pub const OTHER: &str = "other";

/// The attribute that holds a call's own value of such a dimension begins so; the dimension's name follows.
pub const OWN_VALUE: &str = "ledgerline.other.";

ledgerline_proto::named! {
    /// What a span is to the bill.
    pub enum Role {
        /// No call; it links others in its trace.
        Plain = "not_a_call",
        /// A call that is counted and billed.
        Counts = "",
        /// A call above a call, whose usage it repeats.
        Wrapper = "wrapper",
        /// A sight of a call that is billed with another span.
        Repeat = "repeat",
    }
}

/// One span with everything that is stored of it.
#[derive(Clone, Debug)]
pub struct SpanRow {
    /// Its place among the spans of its request; no column.
    pub place: usize,
    /// Who owns it; from the credential that sent it.
    pub tenant: Arc<str>,
    /// The call as it was told; never the price.
    pub record: SpanRecord,
    /// Whether it is counted.
    pub role: Role,
    /// What it costs, or why that is not known; of what is not counted, what it would.
    pub bill: Bill,
    /// The text of the reason why its bill has no price, see [`unpriced_reason`]; empty when it has one.
    pub unpriced_reason: Cow<'static, str>,
    /// The provider's usage object.
    pub usage: UsageObject,
    /// The price book that was asked.
    pub price_version: Arc<str>,
    /// The request it came in; also the insert's deduplication token.
    pub batch_id: u128,
    /// When the collector took it, milliseconds since the epoch.
    pub ingested_at_ms: i64,
}

impl SpanRow {
    /// Why this call has no cost; `None` when it has one, or is not counted.
    pub fn unpriced(&self) -> Option<UnpricedReason> {
        match self.bill.cost {
            Cost::Unpriced(reason) if self.role == Role::Counts => Some(reason),
            _ => None,
        }
    }

    /// The text of a dimension's column.
    pub fn dimension(&self, dimension: Dimension) -> &str {
        let call = &self.record.call;
        match dimension {
            Dimension::Service => &call.identity.service,
            Dimension::Environment => &call.identity.environment,
            Dimension::Team => &call.identity.team,
            Dimension::Feature => &call.identity.feature,
            Dimension::Provider => &call.provider,
            Dimension::Model => &self.bill.model,
            Dimension::Operation => call.operation.name(),
            Dimension::Status if call.error_type.is_some() => "error",
            Dimension::Status => "ok",
            Dimension::ErrorType => call.error_type.as_deref().unwrap_or_default(),
        }
    }

    pub(crate) fn duration_us(&self) -> Option<u64> {
        self.record.duration_ns.map(|ns| ns / 1_000)
    }

    pub(crate) fn ttft_us(&self) -> Option<u64> {
        self.record.call.time_to_first_token_ns.map(|ns| ns / 1_000)
    }

    fn not_billed(&self) -> &str {
        match self.bill.cost {
            Cost::NotBilled(reason) => reason.name(),
            _ => "",
        }
    }

    fn parent_span_id(&self) -> [u8; 8] {
        self.record.call.parent_span_id.as_ref().map_or([0; 8], |id| *SpanId::bytes(id))
    }

    fn condition(&self, place: usize) -> (&str, &str) {
        let stated = self.record.call.billing.conditions.iter().nth(place);
        stated.map_or(("", ""), |(condition, word)| (condition.name(), word))
    }
}

/// The quantity of a line as it is stored and summed. Ingest refuses what is larger long before.
pub(crate) fn quantity(line: &Line) -> i64 {
    i64::try_from(line.quantity).unwrap_or(i64::MAX)
}

/// The rule of a line; empty where the bill is unpriced.
pub(crate) fn rule(line: &Line) -> &str {
    line.price.as_ref().map_or("", |price| &price.rule)
}

/// The amount of a line; `None` where the bill is unpriced.
pub(crate) fn amount(line: &Line) -> Option<i64> {
    line.price.as_ref().map(|price| price.amount.picos())
}

/// The text of the column `unpriced_reason`. Borrowed for all reasons but the rare one that names a class of tokens.
pub fn unpriced_reason(cost: Cost) -> Cow<'static, str> {
    match cost {
        Cost::Known(_) | Cost::NotBilled(_) => Cow::Borrowed(""),
        Cost::Unpriced(
            reason @ (UnpricedReason::NoPriceForClass(_) | UnpricedReason::UnknownCondition(_)),
        ) => Cow::Owned(reason.to_string()),
        Cost::Unpriced(reason) => Cow::Borrowed(reason.name()),
    }
}

pub(crate) fn microseconds(nanoseconds: u64) -> i64 {
    i64::try_from(nanoseconds / 1_000).unwrap_or(i64::MAX)
}

const fn low_cardinality(name: &'static str, of: fn(&SpanRow) -> &str) -> Column<SpanRow> {
    column(name, Cells::LowCardinality(of))
}

const fn lines(row: &SpanRow) -> usize {
    row.bill.lines.len()
}

const fn column(name: &'static str, cells: Cells<SpanRow>) -> Column<SpanRow> {
    Column { name, cells }
}

/// The columns of `spans`, in the table's order.
pub const COLUMNS: &[Column<SpanRow>] = &[
    low_cardinality("tenant", |row| &row.tenant),
    column("start_time", Cells::DateTime64Micros(|row| microseconds(row.record.call.start_unix_ns))),
    column("end_time", Cells::DateTime64Micros(|row| microseconds(row.record.call.end_unix_ns))),
    column("trace_id", Cells::FixedString16(|row| *row.record.call.trace_id.bytes())),
    column("span_id", Cells::FixedString8(|row| *row.record.call.span_id.bytes())),
    column("parent_span_id", Cells::FixedString8(SpanRow::parent_span_id)),
    column("is_call", Cells::U8(|row| row.role == Role::Counts)),
    low_cardinality("uncounted", |row| row.role.name()),
    low_cardinality("observer", |row| &row.record.observer),
    low_cardinality("observer_version", |row| &row.record.observer_version),
    low_cardinality("name", |row| &row.record.name),
    low_cardinality("service", |row| row.dimension(Dimension::Service)),
    low_cardinality("environment", |row| row.dimension(Dimension::Environment)),
    low_cardinality("team", |row| row.dimension(Dimension::Team)),
    low_cardinality("feature", |row| row.dimension(Dimension::Feature)),
    low_cardinality("provider", |row| row.dimension(Dimension::Provider)),
    low_cardinality("model", |row| row.dimension(Dimension::Model)),
    low_cardinality("operation", |row| row.dimension(Dimension::Operation)),
    low_cardinality("status", |row| row.dimension(Dimension::Status)),
    low_cardinality("error_type", |row| row.dimension(Dimension::ErrorType)),
    low_cardinality("request_model", |row| &row.record.call.request_model),
    low_cardinality("response_model", |row| &row.record.call.response_model),
    column("response_id", Cells::String(|row| &row.record.call.response_id)),
    column("stream", Cells::U8(|row| row.record.call.stream)),
    column(
        "finish_reasons",
        Cells::LowCardinalityArray(
            |row| row.record.call.finish_reasons.len(),
            |row, place| &row.record.call.finish_reasons[place],
        ),
    ),
    low_cardinality("end_of_stream", |row| row.record.call.end.name()),
    column("http_status", Cells::NullableU16(|row| row.record.call.http_status)),
    column("bill.model", Cells::LowCardinalityArray(lines, |row, place| &row.bill.lines[place].model)),
    column("bill.unit", Cells::LowCardinalityArray(lines, |row, place| row.bill.lines[place].unit.name())),
    column("bill.quantity", Cells::I64Array(lines, |row, place| quantity(&row.bill.lines[place]))),
    column("bill.rule", Cells::LowCardinalityArray(lines, |row, place| rule(&row.bill.lines[place]))),
    column("bill.amount", Cells::NullableDecimalArray(lines, |row, place| amount(&row.bill.lines[place]))),
    low_cardinality("usage_source", |row| {
        row.record.call.usage.as_ref().map_or(MISSING, |usage| usage.source.name())
    }),
    low_cardinality("unpriced_reason", |row| &row.unpriced_reason),
    low_cardinality("not_billed", SpanRow::not_billed),
    low_cardinality("price_version", |row| &row.price_version),
    column(
        "reported_cost",
        Cells::NullableDecimal(|row| row.record.call.billing.reported_cost.map(PicoUsd::picos)),
    ),
    column(
        "conditions",
        Cells::LowCardinalityMap(|row| row.record.call.billing.conditions.iter().count(), SpanRow::condition),
    ),
    low_cardinality("usage_template", |row| &row.usage.template),
    column(
        "usage_counts",
        Cells::I64Array(|row| row.usage.counts.len(), |row, place| row.usage.counts[place]),
    ),
    column("duration_us", Cells::NullableU64(SpanRow::duration_us)),
    column("ttft_us", Cells::NullableU64(SpanRow::ttft_us)),
    column("user_id", Cells::String(|row| &row.record.call.identity.user)),
    column("session_id", Cells::String(|row| &row.record.call.identity.session)),
    column("attrs", Cells::Map(|row| &row.record.attributes)),
    column("batch_id", Cells::Uuid(|row| row.batch_id.to_be_bytes())),
    column("ingested_at", Cells::DateTime64Millis(|row| row.ingested_at_ms)),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migrate::MIGRATIONS;
    use crate::{corrections, quarantine, sealed};

    /// The columns of a table as its CREATE statement declares them, but those that are computed when they are read: name and type.
    fn declared(table: &str) -> Vec<(String, String)> {
        let head = format!("CREATE TABLE IF NOT EXISTS {table}\n(\n");
        let sql = MIGRATIONS.iter().map(|migration| migration.sql).find(|sql| sql.contains(&head)).unwrap();
        let lines = sql.split(&head).nth(1).unwrap().lines().take_while(|line| *line != ")").map(str::trim);
        let lines = lines.filter(|line| !line.contains(" ALIAS "));
        let column = |line: &str| {
            let (name, rest) = line.split_once(' ').unwrap();
            (name.trim_matches('`').to_owned(), rest.split(" COMMENT ").next().unwrap().to_owned())
        };
        lines.filter(|line| !line.starts_with("INDEX")).map(column).collect()
    }

    #[test]
    fn the_writer_and_the_migrations_declare_the_same_columns() {
        fn written<R>(columns: &[Column<R>]) -> Vec<(String, String)> {
            let pair = |column: &Column<R>| (column.name.to_owned(), column.cells.type_name().to_owned());
            columns.iter().map(pair).collect()
        }
        assert_eq!(written(COLUMNS), declared(TABLE));
        assert_eq!(written(corrections::COLUMNS), declared(corrections::TABLE));
        assert_eq!(written(quarantine::COLUMNS), declared(quarantine::TABLE));
        assert_eq!(written(sealed::COLUMNS), declared(sealed::TABLE));
    }

    #[test]
    fn every_dimension_has_its_column_in_every_table() {
        let rollups = ["calls", "spend"]
            .into_iter()
            .flat_map(|kind| ["minute", "quarter", "day"].map(|tier| format!("{kind}_{tier}")));
        for table in [TABLE.to_owned(), corrections::TABLE.to_owned()].into_iter().chain(rollups) {
            let columns = declared(&table);
            let has = |name: &str| columns.iter().any(|(column, _)| column == name);
            for dimension in Dimension::ALL {
                assert!(has(dimension.name()), "{table} {dimension:?}");
            }
        }
    }
}
