//! What a person looks through: the calls of a tenant, the newest first, a page at a time, and all spans of one trace.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use ledgerline_promql::Matcher;
use ledgerline_proto::dimension::Dimension;
use ledgerline_proto::{Operation, SpanId, TraceId};
use serde::Deserialize;

use super::{CorrectionCells, ENDED, FACE, KEY, SPAN, SpanCells, StoredCall, rebuilt};
use crate::Store;
use crate::client::{StoreError, at_most};
use crate::limits;
use crate::rows::{Select, select};
use crate::spans::OWN_VALUE;
use crate::sql::{matcher_condition, matcher_value};

ledgerline_proto::named! {
    /// Calls of which something is to be looked at.
    pub enum Only {
        /// They ended with an error.
        Failed = "failed",
        /// Nobody knows what they cost.
        Unpriced = "unpriced",
        /// Their tokens are an estimate of ours.
        Estimated = "estimated",
        /// Another span tells of the same call, or it stands above one: they are in no sum.
        Uncounted = "uncounted",
    }
}

/// Which calls a page has.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Whose.
    pub tenant: Arc<str>,
    /// They ended after this, microseconds since the epoch.
    pub from_us: i64,
    /// They ended at this or before.
    pub until_us: i64,
    /// What their dimensions must be.
    pub matchers: Vec<(Dimension, Matcher)>,
    /// One kind of them only; else all that were counted when they came.
    pub only: Option<Only>,
    /// They took at least this long, microseconds.
    pub slower_us: Option<u64>,
    /// Their end user is this.
    pub user: Option<String>,
    /// Their conversation is this.
    pub session: Option<String>,
    /// The provider's id of their answer is this.
    pub response_id: Option<String>,
    /// They are spans of this trace.
    pub trace: Option<TraceId>,
    /// They stand behind this one in the order of pages.
    pub after: Option<Cursor>,
    /// Most of them.
    pub rows_max: usize,
}

/// A place in the order of pages: the newest first, equal times by their ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cursor {
    /// When it ended, microseconds since the epoch.
    pub end_us: u64,
    /// Its trace.
    pub trace_id: TraceId,
    /// Its span.
    pub span_id: SpanId,
}

/// A span that was stored.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Where it stands.
    pub at: Cursor,
    /// Its values of [`Dimension::ALL`], as they came.
    pub dimensions: [String; Dimension::ALL.len()],
    /// Why nothing was booked when it came; empty where it was.
    pub uncounted: String,
    /// What is known beside what decides the price.
    pub seen: Seen,
    /// The call with what is booked of it; `None`: its row has a word that this version does not know.
    pub stored: Option<StoredCall>,
}

/// What only people read.
#[derive(Clone, Debug, Deserialize)]
pub struct Seen {
    parent_span_id: String,
    /// The span's name.
    pub name: String,
    /// The instrumentation that saw it.
    pub observer: String,
    /// When it began, microseconds since the epoch.
    pub start_us: u64,
    /// End user; personal data.
    pub user_id: String,
    /// Conversation; personal data.
    pub session_id: String,
    /// Attributes that were kept.
    pub attributes: BTreeMap<String, String>,
}

impl Seen {
    /// The caller's span.
    pub fn parent_span_id(&self) -> Option<SpanId> {
        SpanId::from_hex(&self.parent_span_id)
    }
}

#[derive(Deserialize)]
struct Row(SpanCells, Seen);

/// The newest first, in the direction of the table.
const NEWEST_FIRST: &str =
    "toStartOfMinute(end_time) DESC, end_time DESC, hex(trace_id) DESC, hex(span_id) DESC";

const BEHIND: &str = " AND end_time <= fromUnixTimestamp64Micro({after:Int64}) AND \
    (toUnixTimestamp64Micro(end_time), hex(trace_id), hex(span_id)) < ({after:Int64}, {after_trace:String}, {after_span:String})";

impl Store {
    /// The calls that a filter lets through, the newest first.
    pub async fn page(&self, filter: &Filter) -> Result<Vec<Listed>, StoreError> {
        let statement = filter.statement();
        let rows = select(self.client(), &statement, at_most(limits::CALLS_BYTES_MAX)).await?;
        self.listed(&filter.tenant, rows).await
    }

    /// The spans of a trace, by when they began, calls or not: at most [`limits::SPANS_OF_TRACE_MAX`].
    pub async fn spans_of(&self, tenant: &Arc<str>, trace_id: TraceId) -> Result<Vec<Listed>, StoreError> {
        let statement = Select {
            text: format!(
                "SELECT {} FROM spans WHERE tenant = {{tenant:String}} AND {} ORDER BY start_time, span_id LIMIT {}",
                columns(),
                super::trace::OF_TRACE,
                limits::SPANS_OF_TRACE_MAX
            ),
            parameters: vec![bound("tenant", tenant), bound("trace", &trace_id)],
            settings: vec![("max_memory_usage", limits::READ_MEMORY_BYTES_MAX)],
            timeout: limits::PAGE_WAIT,
        };
        let rows = select(self.client(), &statement, at_most(limits::CALLS_BYTES_MAX)).await?;
        self.listed(tenant, rows).await
    }

    /// What is booked of them by now.
    async fn listed(&self, tenant: &Arc<str>, rows: Vec<Row>) -> Result<Vec<Listed>, StoreError> {
        let corrections = self.corrections_of_rows(tenant, &rows).await?;
        let mut listed = Vec::with_capacity(rows.len());
        let mut spans = Vec::with_capacity(rows.len());
        for Row(cells, seen) in rows {
            let Some(at) = Cursor::of(&cells) else { continue };
            let (dimensions, uncounted) = (cells.face.0.clone(), cells.uncounted.clone());
            listed.push(Listed { at, dimensions, uncounted, seen, stored: None });
            spans.push(cells);
        }
        let read = rebuilt::read(tenant, spans, &corrections).calls;
        let mut calls: HashMap<Cursor, StoredCall> = read
            .into_iter()
            .map(|stored| {
                let call = &stored.call;
                let (trace_id, span_id) = (call.trace_id, call.span_id);
                (Cursor { end_us: call.end_unix_ns / 1_000, trace_id, span_id }, stored)
            })
            .collect();
        // Rows that will be one when they are merged are neighbours or nearly; the first of them is told.
        let mut known = std::collections::HashSet::new();
        listed.retain(|one| known.insert(one.at));
        for one in &mut listed {
            one.stored = calls.remove(&one.at);
        }
        Ok(listed)
    }

    async fn corrections_of_rows(
        &self,
        tenant: &str,
        rows: &[Row],
    ) -> Result<Vec<CorrectionCells>, StoreError> {
        let ends = rows.iter().map(|Row(cells, _)| cells.end_us);
        let (Some(first), Some(last)) = (ends.clone().min(), ends.max()) else { return Ok(Vec::new()) };
        let traces: Vec<&str> = rows.iter().map(|Row(cells, _)| cells.trace_id.as_str()).collect();
        let statement = Select {
            text: format!(
                "SELECT {KEY}, sign, {FACE} FROM corrections WHERE tenant = {{tenant:String}} AND {ENDED} \
                 AND has(splitByChar(',', {{traces:String}}), hex(trace_id)) ORDER BY booked_at, sign"
            ),
            parameters: vec![
                bound("tenant", &tenant),
                bound("from", &(i128::from(first) - 1)),
                bound("until", &last),
                bound("traces", &traces.join(",")),
            ],
            settings: vec![("max_memory_usage", limits::READ_MEMORY_BYTES_MAX)],
            timeout: limits::PAGE_WAIT,
        };
        select(self.client(), &statement, at_most(limits::CALLS_BYTES_MAX)).await
    }
}

impl Cursor {
    fn of(cells: &SpanCells) -> Option<Self> {
        let (trace_id, span_id) = (TraceId::from_hex(&cells.trace_id)?, SpanId::from_hex(&cells.span_id)?);
        Some(Self { end_us: cells.end_us, trace_id, span_id })
    }
}

impl Filter {
    fn statement(&self) -> Select {
        let mut text =
            format!("SELECT {} FROM spans WHERE tenant = {{tenant:String}} AND {ENDED}", columns());
        let mut parameters =
            vec![bound("tenant", &self.tenant), bound("from", &self.from_us), bound("until", &self.until_us)];
        let calls = Operation::CALLS.map(|operation| format!("'{operation}'")).join(", ");
        text.push_str(&match self.only {
            Some(Only::Uncounted) => " AND uncounted IN ('repeat', 'wrapper')".to_owned(),
            _ => format!(" AND is_call = 1 AND operation IN ({calls})"),
        });
        text.push_str(match self.only {
            Some(Only::Failed) => " AND status = 'error'",
            Some(Only::Unpriced) => " AND unpriced_reason != ''",
            Some(Only::Estimated) => " AND usage_source = 'estimated'",
            Some(Only::Uncounted) | None => "",
        });
        for (place, (dimension, matcher)) in self.matchers.iter().enumerate() {
            text.push_str(&format!(" AND {}", matcher_condition(dimension.name(), matcher.kind, place)));
            parameters.push((format!("m{place}"), matcher_value(matcher)));
        }
        let texts =
            [("user_id", &self.user), ("session_id", &self.session), ("response_id", &self.response_id)];
        for (column, value) in texts.into_iter().filter_map(|(column, value)| Some((column, value.as_ref()?)))
        {
            text.push_str(&format!(" AND {column} = {{{column}:String}}"));
            parameters.push(bound(column, value));
        }
        if let Some(trace_id) = self.trace {
            text.push_str(&format!(" AND {}", super::trace::OF_TRACE));
            parameters.push(bound("trace", &trace_id));
        }
        if let Some(slower_us) = self.slower_us {
            text.push_str(" AND duration_us >= {slower:UInt64}");
            parameters.push(bound("slower", &slower_us));
        }
        if let Some(Cursor { end_us, trace_id, span_id }) = self.after {
            text.push_str(BEHIND);
            parameters.push(bound("after", &end_us));
            parameters.push(bound("after_trace", &trace_id.to_string().to_uppercase()));
            parameters.push(bound("after_span", &span_id.to_string().to_uppercase()));
        }
        text.push_str(&format!(" ORDER BY {NEWEST_FIRST} LIMIT {}", self.rows_max));
        let settings = vec![("max_memory_usage", limits::READ_MEMORY_BYTES_MAX)];
        Select { text, parameters, settings, timeout: limits::PAGE_WAIT }
    }
}

fn columns() -> String {
    format!(
        "tuple({KEY}, {FACE}, {SPAN}, mapFilter((name, value) -> startsWith(name, '{OWN_VALUE}'), attrs)), \
         tuple(hex(parent_span_id), name, observer, toUnixTimestamp64Micro(start_time), user_id, session_id, \
         mapFilter((name, value) -> NOT startsWith(name, '{OWN_VALUE}'), attrs))"
    )
}

fn bound(name: &str, value: &dyn ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}
