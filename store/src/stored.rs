//! Stored calls as they were written and as they are booked: the reverse of [`crate::spans`] and [`crate::corrections`].
//!
//! A span says what was seen of a call, as far as it decides the price; what is booked is its bill and every correction of it together.

pub mod page;
mod rebuilt;
pub mod trace;

use std::collections::BTreeMap;
use std::sync::Arc;

use ledgerline_promql::Matcher;
use ledgerline_proto::dimension::Dimension;
use ledgerline_proto::{Call, Operation};
use serde::Deserialize;

use crate::Store;
use crate::client::{StoreError, at_most};
use crate::corrections::CorrectionRow;
use crate::limits;
use crate::rows::{Select, select};
use crate::spans::OWN_VALUE;
use crate::sql::{matcher_condition, matcher_value};

/// Which calls of a tenant.
#[derive(Clone, Debug)]
pub struct Selection {
    /// Whose.
    pub tenant: Arc<str>,
    /// They ended after this, microseconds since the epoch.
    pub from_us: i64,
    /// They ended at this or before.
    pub until_us: i64,
    /// They came before this, milliseconds since the epoch.
    pub arrived_before_ms: i64,
    /// What their dimensions must be.
    pub matchers: Vec<(Dimension, Matcher)>,
    /// The hashes of their traces, both ends inside: a part of a minute that holds too many.
    pub hashes: (u32, u32),
}

/// How many calls ended within a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Minute {
    /// Its beginning, seconds since the epoch, which is outside of it; its end is inside.
    pub start_s: i64,
    /// Those that came in time.
    pub calls: u64,
    /// Those that came later than [`Selection::arrived_before_ms`].
    pub recent: u64,
}

/// Calls that were read.
#[derive(Debug, Default)]
pub struct StoredCalls {
    /// In the order of the table.
    pub calls: Vec<StoredCall>,
    /// Rows with a word that this version does not know, or of which nobody can tell any more what another model used.
    pub unreadable: u64,
}

/// A stored call.
#[derive(Clone, Debug)]
pub struct StoredCall {
    /// What was seen of it, as far as it decides the price; the usage is that of the stored lines.
    pub call: Call,
    /// What is booked.
    pub booked: Booked,
    /// Why nothing was booked when it came; empty where it was.
    pub uncounted: String,
    /// Its model is beyond the cap of ingest and counted as `other`.
    pub is_model_capped: bool,
}

/// What is booked of a call, by its row and all its corrections.
#[derive(Clone, Debug)]
pub enum Booked {
    /// Nothing: another span tells of the call, or it is a wrapper.
    Never,
    /// This.
    Once(Box<CorrectionRow>),
    /// Several times, or something that is not whole.
    Otherwise,
}

/// What spans and corrections have in common, in this order: see [`FACE`].
#[derive(Deserialize)]
struct Face(
    [String; Dimension::ALL.len()],
    Vec<String>,
    Vec<String>,
    Vec<i64>,
    Vec<String>,
    Vec<Option<String>>,
    String,
    Option<String>,
    String,
    String,
    Option<u64>,
    Option<u64>,
);

const FACE: &str = "tuple([toString(service), environment, team, feature, provider, model, operation, status, error_type], bill.model, \
    bill.unit, bill.quantity, bill.rule, arrayMap(amount -> toString(amount), bill.amount), usage_source, toString(cost), \
    unpriced_reason, price_version, duration_us, ttft_us)";

const KEY: &str = "toUnixTimestamp64Micro(end_time), hex(trace_id), hex(span_id)";

#[derive(Deserialize)]
struct CorrectionCells {
    end_us: u64,
    trace_id: String,
    span_id: String,
    sign: i8,
    face: Face,
}

const SPAN: &str = "is_call, uncounted, toUnixTimestamp64Micro(start_time), request_model, response_model, response_id, stream, finish_reasons, \
    end_of_stream, http_status, toString(reported_cost), conditions, usage_template, usage_counts";

#[derive(Deserialize)]
struct SpanCells {
    end_us: u64,
    trace_id: String,
    span_id: String,
    face: Face,
    is_call: u8,
    uncounted: String,
    start_us: u64,
    request_model: String,
    response_model: String,
    response_id: String,
    stream: u8,
    finish_reasons: Vec<String>,
    end_of_stream: String,
    http_status: Option<u16>,
    reported_cost: Option<String>,
    conditions: BTreeMap<String, String>,
    usage_template: String,
    usage_counts: Vec<i64>,
    own_values: BTreeMap<String, String>,
}

impl Store {
    /// Who has spans that ended in that time, microseconds since the epoch, the start outside, the end inside.
    pub async fn tenants(&self, (from_us, until_us): (i64, i64)) -> Result<Vec<Arc<str>>, StoreError> {
        let number = |name: &str, value: i64| (name.to_owned(), value.to_string());
        let statement = Select {
            text: format!("SELECT DISTINCT tenant FROM spans WHERE {ENDED} ORDER BY tenant"),
            parameters: vec![number("from", from_us), number("until", until_us)],
            settings: Vec::new(),
            timeout: limits::STATEMENT_WAIT,
        };
        let rows: Vec<[String; 1]> =
            select(self.client(), &statement, at_most(limits::STATEMENT_BYTES_MAX)).await?;
        Ok(rows.into_iter().map(|[tenant]| tenant.into()).collect())
    }

    /// How many calls were stored of each minute that has some, counted or not.
    pub async fn calls_by_minute(&self, selection: &Selection) -> Result<Vec<Minute>, StoreError> {
        let mut statement = selection.statement(
            "toUnixTimestamp(toStartOfMinute(subtractMicroseconds(end_time, 1))) AS minute, \
             countIf(ingested_at < fromUnixTimestamp64Milli({arrived:Int64})), \
             countIf(ingested_at >= fromUnixTimestamp64Milli({arrived:Int64}))",
            "spans",
        );
        selection.bind_matchers(&mut statement);
        statement.text.push_str(" GROUP BY minute ORDER BY minute");
        select(self.client(), &statement, at_most(limits::STATEMENT_BYTES_MAX)).await
    }

    /// The stored calls, counted or not.
    pub async fn calls(&self, selection: &Selection) -> Result<StoredCalls, StoreError> {
        let mut corrections = selection.statement(&format!("{KEY}, sign, {FACE}"), "corrections");
        corrections.text.push_str(" ORDER BY booked_at, sign");
        let own = format!("mapFilter((name, value) -> startsWith(name, '{OWN_VALUE}'), attrs)");
        let mut spans = selection.statement(&format!("{KEY}, {FACE}, {SPAN}, {own}"), "spans");
        selection.bind_matchers(&mut spans);
        spans.text.push_str(
            " AND ingested_at < fromUnixTimestamp64Milli({arrived:Int64}) \
             ORDER BY toStartOfMinute(end_time), xxHash32(trace_id), span_id, end_time",
        );
        let take = || at_most(limits::CALLS_BYTES_MAX);
        let corrections: Vec<CorrectionCells> = select(self.client(), &corrections, take()).await?;
        let spans: Vec<SpanCells> = select(self.client(), &spans, take()).await?;
        Ok(rebuilt::read(&selection.tenant, spans, &corrections))
    }
}

const ENDED: &str = "end_time > fromUnixTimestamp64Micro({from:Int64}) AND end_time <= fromUnixTimestamp64Micro({until:Int64})";

impl Selection {
    fn statement(&self, columns: &str, table: &str) -> Select {
        let bound = |name: &str, value: &dyn ToString| (name.to_owned(), value.to_string());
        Select {
            text: format!(
                "SELECT {columns} FROM {table} WHERE tenant = {{tenant:String}} AND {ENDED} \
                 AND xxHash32(trace_id) >= {{low:UInt32}} AND xxHash32(trace_id) <= {{high:UInt32}}"
            ),
            parameters: vec![
                bound("tenant", &self.tenant),
                bound("from", &self.from_us),
                bound("until", &self.until_us),
                bound("low", &self.hashes.0),
                bound("high", &self.hashes.1),
            ],
            settings: vec![("max_memory_usage", limits::READ_MEMORY_BYTES_MAX)],
            timeout: limits::CALLS_WAIT,
        }
    }

    /// Which spans: calls, and of them those of the matchers. Corrections are read whole, because they may stand under another model.
    fn bind_matchers(&self, statement: &mut Select) {
        let calls = Operation::CALLS.map(|operation| format!("'{operation}'")).join(", ");
        statement.text.push_str(&format!(" AND operation IN ({calls})"));
        statement.parameters.push(("arrived".to_owned(), self.arrived_before_ms.to_string()));
        for (place, (dimension, matcher)) in self.matchers.iter().enumerate() {
            let condition = matcher_condition(dimension.name(), matcher.kind, place);
            statement.text.push_str(&format!(" AND {condition}"));
            statement.parameters.push((format!("m{place}"), matcher_value(matcher)));
        }
    }
}
