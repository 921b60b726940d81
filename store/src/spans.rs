//! The table `spans` as the collector writes it: one declaration of its columns over one row type. Pure.
//!
//! A test holds the list against the migrations and the vocabulary of `ledgerline_proto`. Rows are never updated.

use std::borrow::Cow;
use std::sync::Arc;

use ledgerline_proto::otlp::SpanRecord;
use ledgerline_proto::usage::MISSING;
use ledgerline_proto::{Bill, Condition, Cost, NotBilled, PicoUsd, SpanId, Unit, UnpricedReason};

use super::native::{Cells, Column};

/// The name of the table.
pub const TABLE: &str = "spans";

/// One span with everything that is stored of it.
#[derive(Clone, Debug)]
pub struct SpanRow {
    /// Its place among the spans of its request; no column.
    pub place: usize,
    /// Who owns it; from the credential that sent it.
    pub tenant: Arc<str>,
    /// The call as it was told; never the price.
    pub record: SpanRecord,
    /// What it costs, or why that is not known.
    pub bill: Bill,
    /// The text of the reason why it has no cost, see [`unpriced_reason`]; empty when it has one.
    pub unpriced_reason: Cow<'static, str>,
    /// The price book that was asked.
    pub price_version: Arc<str>,
    /// The request it came in; also the insert's deduplication token.
    pub batch_id: u128,
    /// When the collector took it, milliseconds since the epoch.
    pub ingested_at_ms: i64,
}

impl SpanRow {
    /// Why this call has no cost; `None` when it has one, or is no call.
    pub fn unpriced(&self) -> Option<UnpricedReason> {
        match self.bill.cost {
            Cost::Unpriced(UnpricedReason::NotACall) | Cost::Known(_) | Cost::NotBilled(_) => None,
            Cost::Unpriced(reason) => Some(reason),
        }
    }

    fn rule(&self) -> &str {
        let first = self.bill.lines.first().and_then(|line| line.price.as_ref());
        match self.bill.cost {
            Cost::Known(_) => first.map_or("", |price| &price.rule),
            Cost::NotBilled(NotBilled::HttpError) => "not_billed/http_error",
            Cost::Unpriced(_) => "",
        }
    }

    fn parent_span_id(&self) -> [u8; 8] {
        self.record.call.parent_span_id.as_ref().map_or([0; 8], |id| *SpanId::bytes(id))
    }

    fn condition(&self, condition: Condition) -> &str {
        self.record.call.billing.conditions.get(condition).unwrap_or_default()
    }

    fn tokens(&self, class: Unit) -> u64 {
        self.record.call.usage.as_ref().map_or(0, |usage| usage.own.get(class))
    }
}

/// The text of the column `unpriced_reason`. Borrowed for all reasons but the rare one that names a class of tokens.
pub fn unpriced_reason(cost: Cost) -> Cow<'static, str> {
    match cost {
        Cost::Known(_) | Cost::NotBilled(_) => Cow::Borrowed(""),
        Cost::Unpriced(reason @ UnpricedReason::NoPriceForClass(_)) => Cow::Owned(reason.to_string()),
        Cost::Unpriced(reason) => Cow::Borrowed(reason.name()),
    }
}

fn microseconds(nanoseconds: u64) -> i64 {
    i64::try_from(nanoseconds / 1_000).unwrap_or(i64::MAX)
}

fn text<T: AsRef<str>>(given: &Option<T>) -> &str {
    given.as_ref().map_or("", AsRef::as_ref)
}

const fn low_cardinality(name: &'static str, of: fn(&SpanRow) -> &str) -> Column<SpanRow> {
    column(name, Cells::LowCardinality(of))
}

const fn tokens(name: &'static str, of: fn(&SpanRow) -> u64) -> Column<SpanRow> {
    column(name, Cells::U64(of))
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
    column("is_call", Cells::U8(|row| row.record.call.operation.is_call())),
    low_cardinality("name", |row| &row.record.name),
    low_cardinality("service", |row| &row.record.call.identity.service),
    low_cardinality("environment", |row| &row.record.call.identity.environment),
    low_cardinality("team", |row| &row.record.call.identity.team),
    low_cardinality("feature", |row| &row.record.call.identity.feature),
    low_cardinality("provider", |row| &row.record.call.provider),
    low_cardinality("model", |row| row.record.call.model()),
    low_cardinality("operation", |row| row.record.call.operation.name()),
    low_cardinality("status", |row| if row.record.call.error_type.is_some() { "error" } else { "ok" }),
    low_cardinality("error_type", |row| text(&row.record.call.error_type)),
    low_cardinality("request_model", |row| &row.record.call.request_model),
    low_cardinality("response_model", |row| &row.record.call.response_model),
    column("response_id", Cells::String(|row| &row.record.call.response_id)),
    column("stream", Cells::U8(|row| row.record.call.stream)),
    column("finish_reasons", Cells::LowCardinalityArray(|row| &row.record.call.finish_reasons)),
    low_cardinality("end_of_stream", |row| row.record.call.end.name()),
    column("http_status", Cells::NullableU16(|row| row.record.call.http_status)),
    tokens("tokens_input_uncached", |row| row.tokens(Unit::InputUncached)),
    tokens("tokens_cache_read", |row| row.tokens(Unit::CacheRead)),
    tokens("tokens_cache_write_5m", |row| row.tokens(Unit::CacheWrite5m)),
    tokens("tokens_cache_write_30m", |row| row.tokens(Unit::CacheWrite30m)),
    tokens("tokens_cache_write_1h", |row| row.tokens(Unit::CacheWrite1h)),
    tokens("tokens_cache_write_12h", |row| row.tokens(Unit::CacheWrite12h)),
    tokens("tokens_input_audio", |row| row.tokens(Unit::InputAudio)),
    tokens("tokens_input_image", |row| row.tokens(Unit::InputImage)),
    tokens("tokens_tool_use_prompt", |row| row.tokens(Unit::ToolUsePrompt)),
    tokens("tokens_output_text", |row| row.tokens(Unit::OutputText)),
    tokens("tokens_output_reasoning", |row| row.tokens(Unit::OutputReasoning)),
    tokens("tokens_output_audio", |row| row.tokens(Unit::OutputAudio)),
    tokens("tokens_output_image", |row| row.tokens(Unit::OutputImage)),
    low_cardinality("usage_source", |row| {
        row.record.call.usage.as_ref().map_or(MISSING, |usage| usage.source.name())
    }),
    column("cost", Cells::NullableDecimal(|row| row.bill.cost.amount().map(PicoUsd::picos))),
    low_cardinality("unpriced_reason", |row| &row.unpriced_reason),
    low_cardinality("price_version", |row| &row.price_version),
    low_cardinality("price_rule", SpanRow::rule),
    column(
        "reported_cost",
        Cells::NullableDecimal(|row| row.record.call.billing.reported_cost.map(PicoUsd::picos)),
    ),
    low_cardinality("service_tier", |row| row.condition(Condition::ServiceTier)),
    low_cardinality("speed", |row| row.condition(Condition::Speed)),
    low_cardinality("inference_geo", |row| row.condition(Condition::Region)),
    column("web_search_requests", Cells::U64(|row| row.tokens(Unit::WebSearch))),
    column("duration_us", Cells::NullableU64(|row| row.record.duration_ns.map(|ns| ns / 1_000))),
    column("ttft_us", Cells::NullableU64(|row| row.record.call.time_to_first_token_ns.map(|ns| ns / 1_000))),
    column("user_id", Cells::String(|row| &row.record.call.identity.user)),
    column("session_id", Cells::String(|row| &row.record.call.identity.session)),
    column("attrs", Cells::Map(|row| &row.record.attributes)),
    column("batch_id", Cells::Uuid(|row| row.batch_id.to_be_bytes())),
    column("ingested_at", Cells::DateTime64Millis(|row| row.ingested_at_ms)),
];

#[cfg(test)]
mod tests {
    use ledgerline_proto::dimension::Dimension;

    use super::*;
    use crate::migrate::MIGRATIONS;

    /// The columns of a table as its CREATE statement declares them: name and type.
    fn declared(table: &str) -> Vec<(String, String)> {
        let head = format!("CREATE TABLE IF NOT EXISTS {table}\n(\n");
        let sql = MIGRATIONS.iter().map(|migration| migration.sql).find(|sql| sql.contains(&head)).unwrap();
        let lines = sql.split(&head).nth(1).unwrap().lines().take_while(|line| *line != ")").map(str::trim);
        let column = |line: &str| {
            let (name, rest) = line.split_once(' ').unwrap();
            (name.to_owned(), rest.split(" COMMENT ").next().unwrap().to_owned())
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
        assert_eq!(written(crate::quarantine::COLUMNS), declared(crate::quarantine::TABLE));
    }

    #[test]
    fn every_dimension_has_its_column_in_every_table() {
        for table in [TABLE, "calls_minute", "calls_hour", "calls_day"] {
            let columns = declared(table);
            let has = |name: &str| columns.iter().any(|(column, _)| column == name);
            for dimension in Dimension::ALL {
                assert!(has(dimension.name()), "{table} {dimension:?}");
            }
        }
    }
}
