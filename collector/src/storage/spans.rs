//! The table `spans` as the collector writes it: one declaration of its columns over one row type. Pure.
//!
//! The list is what the INSERT names and what the block carries; a test holds it against the migrations and against the
//! vocabulary of `ledgerline_proto`. Rows are immutable: nothing here is ever updated.

use std::borrow::Cow;
use std::sync::Arc;

use ledgerline_pricing::{Priced, UnpricedReason};
use ledgerline_proto::otlp::SpanRecord;
use ledgerline_proto::{NanoUsd, SpanId, TokenClass};

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
    /// The facts.
    pub record: SpanRecord,
    /// What it cost, or why that is not known.
    pub price: Priced,
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
    #[must_use]
    pub fn unpriced(&self) -> Option<UnpricedReason> {
        match self.price {
            Priced::Unpriced(UnpricedReason::NotACall) | Priced::Cost(_) => None,
            Priced::Unpriced(reason) => Some(reason),
        }
    }

    fn rule(&self) -> &str {
        match &self.price {
            Priced::Cost(cost) => cost.rule.as_str(),
            Priced::Unpriced(_) => "",
        }
    }

    fn tokens(&self, class: TokenClass) -> u64 {
        self.record.call.usage.map_or(0, |usage| usage.tokens.get(class))
    }
}

/// The text of the column `unpriced_reason`. Borrowed for all reasons but the rare one that names a class of tokens.
#[must_use]
pub fn unpriced_reason(price: &Priced) -> Cow<'static, str> {
    match price {
        Priced::Cost(_) => Cow::Borrowed(""),
        Priced::Unpriced(reason @ UnpricedReason::NoPriceForClass(_)) => Cow::Owned(reason.to_string()),
        Priced::Unpriced(reason) => Cow::Borrowed(reason.name()),
    }
}

fn microseconds(nanoseconds: u64) -> i64 {
    i64::try_from(nanoseconds / 1_000).unwrap_or(i64::MAX)
}

const fn word(name: &'static str, of: fn(&SpanRow) -> &str) -> Column<SpanRow> {
    Column { name, cells: Cells::Word(of) }
}

const fn text(name: &'static str, of: fn(&SpanRow) -> &str) -> Column<SpanRow> {
    Column { name, cells: Cells::Text(of) }
}

const fn tokens(name: &'static str, of: fn(&SpanRow) -> u64) -> Column<SpanRow> {
    Column { name, cells: Cells::Count(of) }
}

const fn column(name: &'static str, cells: Cells<SpanRow>) -> Column<SpanRow> {
    Column { name, cells }
}

/// The columns of `spans`, in the table's order.
pub const COLUMNS: &[Column<SpanRow>] = &[
    word("tenant", |row| &row.tenant),
    column("start_time", Cells::Microseconds(|row| microseconds(row.record.call.start_unix_ns))),
    column("end_time", Cells::Microseconds(|row| microseconds(row.record.call.end_unix_ns))),
    column("trace_id", Cells::Bytes16(|row| *row.record.call.trace_id.bytes())),
    column("span_id", Cells::Bytes8(|row| *row.record.call.span_id.bytes())),
    column(
        "parent_span_id",
        Cells::Bytes8(|row| row.record.call.parent_span_id.as_ref().map_or([0; 8], |id| *SpanId::bytes(id))),
    ),
    column("is_call", Cells::Flag(|row| row.record.call.operation.is_call())),
    word("name", |row| &row.record.name),
    word("service", |row| &row.record.call.identity.service),
    word("environment", |row| &row.record.call.identity.environment),
    word("team", |row| &row.record.call.identity.team),
    word("feature", |row| &row.record.call.identity.feature),
    word("provider", |row| &row.record.call.provider),
    word("model", |row| row.record.call.model()),
    word("operation", |row| row.record.call.operation.name()),
    word("status", |row| if row.record.call.error_type.is_some() { "error" } else { "ok" }),
    word("error_type", |row| row.record.call.error_type.as_deref().unwrap_or_default()),
    word("request_model", |row| &row.record.call.request_model),
    word("response_model", |row| &row.record.call.response_model),
    text("response_id", |row| &row.record.call.response_id),
    column("stream", Cells::Flag(|row| row.record.call.stream)),
    column("finish_reasons", Cells::Words(|row| &row.record.call.finish_reasons)),
    word("end_of_stream", |row| row.record.call.end.name()),
    column("http_status", Cells::ShortOrNull(|row| row.record.call.http_status)),
    tokens("tokens_input_uncached", |row| row.tokens(TokenClass::InputUncached)),
    tokens("tokens_cache_read", |row| row.tokens(TokenClass::CacheRead)),
    tokens("tokens_cache_write_5m", |row| row.tokens(TokenClass::CacheWrite5m)),
    tokens("tokens_cache_write_30m", |row| row.tokens(TokenClass::CacheWrite30m)),
    tokens("tokens_cache_write_1h", |row| row.tokens(TokenClass::CacheWrite1h)),
    tokens("tokens_cache_write_12h", |row| row.tokens(TokenClass::CacheWrite12h)),
    tokens("tokens_input_audio", |row| row.tokens(TokenClass::InputAudio)),
    tokens("tokens_input_image", |row| row.tokens(TokenClass::InputImage)),
    tokens("tokens_tool_use_prompt", |row| row.tokens(TokenClass::ToolUsePrompt)),
    tokens("tokens_output_text", |row| row.tokens(TokenClass::OutputText)),
    tokens("tokens_output_reasoning", |row| row.tokens(TokenClass::OutputReasoning)),
    tokens("tokens_output_audio", |row| row.tokens(TokenClass::OutputAudio)),
    tokens("tokens_output_image", |row| row.tokens(TokenClass::OutputImage)),
    word("usage_source", |row| row.record.call.usage.map_or("missing", |usage| usage.source.name())),
    column("cost", Cells::NanosOrNull(|row| row.price.amount().map(NanoUsd::nanos))),
    word("unpriced_reason", |row| &row.unpriced_reason),
    word("price_version", |row| &row.price_version),
    word("price_rule", SpanRow::rule),
    column(
        "reported_cost",
        Cells::NanosOrNull(|row| row.record.call.billing.reported_cost.map(NanoUsd::nanos)),
    ),
    word("service_tier", |row| row.record.call.billing.service_tier.as_deref().unwrap_or_default()),
    word("speed", |row| row.record.call.billing.speed.as_deref().unwrap_or_default()),
    word("inference_geo", |row| row.record.call.billing.inference_geo.as_deref().unwrap_or_default()),
    column("web_search_requests", Cells::CountOrNull(|row| row.record.call.billing.web_search_requests)),
    tokens("duration_us", |row| {
        row.record.call.end_unix_ns.saturating_sub(row.record.call.start_unix_ns) / 1_000
    }),
    column("ttft_us", Cells::CountOrNull(|row| row.record.call.time_to_first_token_ns.map(|ns| ns / 1_000))),
    text("user_id", |row| &row.record.call.identity.user),
    text("session_id", |row| &row.record.call.identity.session),
    column("attrs", Cells::Map(|row| &row.record.attributes)),
    column("batch_id", Cells::Uuid(|row| row.batch_id.to_be_bytes())),
    column("ingested_at", Cells::Milliseconds(|row| row.ingested_at_ms)),
];

#[cfg(test)]
mod tests {
    use ledgerline_proto::dimension::Dimension;

    use super::*;
    use crate::storage::migrate::MIGRATIONS;

    /// The columns of a table as its CREATE statement declares them: name and type.
    fn declared(table: &str) -> Vec<(String, String)> {
        let head = format!("CREATE TABLE IF NOT EXISTS {table}\n(\n");
        let sql = MIGRATIONS.iter().map(|migration| migration.sql).find(|sql| sql.contains(&head)).unwrap();
        let body = sql.split(&head).nth(1).unwrap();
        body.lines()
            .take_while(|line| *line != ")")
            .filter(|line| !line.trim_start().starts_with("INDEX"))
            .map(|line| {
                let (name, rest) = line.trim().split_once(' ').unwrap();
                (name.to_owned(), rest.split(" COMMENT ").next().unwrap().to_owned())
            })
            .collect()
    }

    #[test]
    fn the_writer_and_the_migrations_declare_the_same_columns() {
        let written: Vec<(String, String)> = COLUMNS
            .iter()
            .map(|column| (column.name.to_owned(), column.cells.type_name().to_owned()))
            .collect();
        assert_eq!(written, declared(TABLE));
        let written: Vec<(String, String)> = crate::storage::quarantine::COLUMNS
            .iter()
            .map(|column| (column.name.to_owned(), column.cells.type_name().to_owned()))
            .collect();
        assert_eq!(written, declared(crate::storage::quarantine::TABLE));
    }

    #[test]
    fn every_dimension_and_token_class_has_its_column_in_every_table() {
        for table in [TABLE, "calls_minute", "calls_hour", "calls_day"] {
            let columns = declared(table);
            let has = |name: &str| columns.iter().any(|(column, _)| column == name);
            for dimension in Dimension::ALL {
                assert!(has(dimension.name()), "{table} {dimension:?}");
            }
            for class in TokenClass::ALL {
                assert!(has(&format!("tokens_{class}")), "{table} {class}");
            }
        }
    }
}
