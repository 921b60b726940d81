//! What is booked for a stored span, and changing that: by rows of `corrections` that the store copies from its own.
//!
//! A call is taken back exactly as it is booked, whatever corrected it before: every row that holds it comes again with the opposite
//! sign. The insert is named after the request that gave the reason and after what it changes, so a repeat books nothing more.

use std::fmt::Write as _;
use std::sync::Arc;

use ledgerline_proto::{Operation, SpanId, TraceId};
use xxhash_rust::xxh3::xxh3_128;

use crate::Store;
use crate::client::{StoreError, at_most};
use crate::corrections::Reason;
use crate::limits;
use crate::rows::{Row, Select, select};
use crate::spans::Role;

/// A stored span of which something else is to be booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its trace.
    pub trace_id: TraceId,
    /// Its own identity.
    pub span_id: SpanId,
    /// When it ended, nanoseconds since the epoch; finds its row.
    pub end_unix_ns: u64,
    /// What to book.
    pub action: Action,
}

/// What is booked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing any more.
    TakeBack(Reason),
    /// Its bill, which was not booked.
    Book,
}

impl Action {
    const fn reason(self) -> Reason {
        match self {
            Self::TakeBack(reason) => reason,
            Self::Book => Reason::Repeat,
        }
    }
}

/// The columns of a correction that are those of its call.
const FACE: &str = "service, environment, team, feature, provider, model, operation, status, error_type, bill.model, bill.unit, \
    bill.quantity, bill.rule, bill.amount, usage_source";

/// A span of the last hours, as far as it tells which spans are counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSight {
    /// Who owns it.
    pub tenant: Arc<str>,
    /// Its trace.
    pub trace_id: TraceId,
    /// Its own identity.
    pub span_id: SpanId,
    /// The span it was started under.
    pub parent_span_id: Option<SpanId>,
    /// Whether its operation is that of a call, counted or not.
    pub is_call: bool,
    /// The scope's name.
    pub observer: String,
    /// The provider's, empty where unknown.
    pub response_id: String,
    /// The word of the column.
    pub usage_source: String,
    /// Nanoseconds since the epoch.
    pub start_unix_ns: u64,
    /// Nanoseconds since the epoch.
    pub end_unix_ns: u64,
    /// When it came, nanoseconds since the epoch.
    pub arrived_unix_ns: u64,
    /// The request it came in.
    pub batch_id: u128,
    /// How many times it is on the books, by its row and its corrections.
    pub booked: i32,
}

impl Store {
    /// Books changes of stored spans of one tenant; `batch` is the request that gave the reason.
    pub async fn change(&self, batch: u128, tenant: &str, changes: &[Change]) -> Result<(), StoreError> {
        for chunk in changes.chunks(limits::CHANGES_PER_STATEMENT_MAX) {
            for action in [Action::TakeBack(Reason::Repeat), Action::TakeBack(Reason::Wrapper), Action::Book]
            {
                let spans = key_list(chunk.iter().filter(|change| change.action == action));
                if !spans.is_empty() {
                    self.change_alike(batch, tenant, action, &spans).await?;
                }
            }
        }
        Ok(())
    }

    async fn change_alike(
        &self,
        batch: u128,
        tenant: &str,
        action: Action,
        spans: &str,
    ) -> Result<(), StoreError> {
        // The key's columns are compared, too, so that only the granules of these spans are read.
        let chosen = "tenant = {tenant:String} AND (toStartOfMinute(end_time), xxHash32(trace_id)) IN \
            (SELECT toStartOfMinute(fromUnixTimestamp64Micro(us, 'UTC')), xxHash32(trace) FROM wanted) \
            AND (toUnixTimestamp64Micro(end_time), trace_id, span_id) IN (SELECT us, trace, span FROM wanted)";
        let booked = match action {
            Action::TakeBack(_) => format!(
                "SELECT toInt8(-1) AS sign, tenant, end_time, trace_id, span_id, {FACE}, unpriced_reason, price_version, \
                 duration_us, ttft_us FROM spans WHERE {chosen} AND is_call = 1 \
                 UNION ALL SELECT toInt8(-sign), tenant, end_time, trace_id, span_id, {FACE}, unpriced_reason, \
                 price_version, duration_us, ttft_us FROM corrections WHERE {chosen}"
            ),
            // What is not counted keeps the amounts of its lines, but no reason of its own.
            Action::Book => format!(
                "SELECT toInt8(1) AS sign, tenant, end_time, trace_id, span_id, {FACE}, \
                 if(arrayExists(amount -> isNull(amount), bill.amount) OR usage_source = 'missing', unpriced_reason, ''), price_version, duration_us, ttft_us \
                 FROM spans WHERE {chosen} ORDER BY ingested_at LIMIT 1 BY trace_id, span_id"
            ),
        };
        let sql = format!(
            "INSERT INTO corrections (sign, tenant, end_time, trace_id, span_id, {FACE}, unpriced_reason, price_version, \
             duration_us, ttft_us, reason, batch_id, booked_at) \
             WITH wanted AS (SELECT key.1 AS us, unhex(key.2) AS trace, unhex(key.3) AS span FROM (SELECT arrayJoin([{spans}]) AS key)) \
             SELECT *, {{reason:String}}, toUUID({{batch:String}}), now64(3, 'UTC') FROM ({booked}) ORDER BY end_time, trace_id, span_id, sign"
        );
        let batch_id = uuid(batch);
        let token = format!("{batch:032x}-change-{:032x}", xxh3_128(sql.as_bytes()));
        let query = self
            .client()
            .query(&sql)
            .param("tenant", tenant)
            .param("reason", action.reason().name())
            .param("batch", &batch_id);
        self.client().insert_selected(query, &token).await
    }

    /// Whether rows of this request are in the table.
    pub async fn is_stored(&self, batch: u128) -> Result<bool, StoreError> {
        let query = self
            .client()
            .query("SELECT count() > 0 FROM (SELECT 1 FROM spans WHERE batch_id = toUUID({batch:String}) LIMIT 1)")
            .param("batch", uuid(batch));
        Ok(self.client().text(query).await?.trim() == "1")
    }

    /// The spans of a request that are stored, and what they are; those of the request that ended in this time, nanoseconds since
    /// the epoch, both ends inside.
    pub async fn roles(
        &self,
        batch: u128,
        tenant: &str,
        (from_unix_ns, until_unix_ns): (u64, u64),
    ) -> Result<Vec<(TraceId, SpanId, Role)>, StoreError> {
        let text = "SELECT hex(trace_id), hex(span_id), if(is_call = 1, '', unpriced_reason) FROM spans WHERE tenant = {tenant:String} \
             AND end_time >= fromUnixTimestamp64Micro({from:Int64}) AND end_time <= fromUnixTimestamp64Micro({until:Int64}) \
             AND batch_id = toUUID({batch:String})";
        let statement = Select {
            text: text.to_owned(),
            parameters: vec![
                ("tenant".to_owned(), tenant.to_owned()),
                ("batch".to_owned(), uuid(batch)),
                ("from".to_owned(), (from_unix_ns / 1_000).to_string()),
                ("until".to_owned(), (until_unix_ns / 1_000).to_string()),
            ],
            settings: Vec::new(),
            timeout: limits::STATEMENT_WAIT,
        };
        let rows = select(self.client(), &statement, at_most(limits::SIGHTS_BYTES_MAX)).await?;
        let role = |row: &Row| {
            let [trace, span, role] = row.as_slice() else { return None };
            Some((
                TraceId::from_hex(trace)?,
                SpanId::from_hex(span)?,
                Role::from_name(role).unwrap_or(Role::Plain),
            ))
        };
        Ok(rows.iter().filter_map(role).collect())
    }

    /// The spans that ended in this time and came since that, in no order; both in seconds since the epoch, the end outside.
    pub async fn sights(
        &self,
        (from_s, until_s): (u64, u64),
        arrived_since_s: u64,
    ) -> Result<Vec<StoredSight>, StoreError> {
        let ended = "end_time >= toDateTime64({from:UInt64}, 6, 'UTC') AND end_time < toDateTime64({until:UInt64}, 6, 'UTC')";
        let text = format!(
            "SELECT tenant, hex(trace_id), hex(span_id), hex(parent_span_id), operation, observer, response_id, usage_source, \
             toString(toUnixTimestamp64Micro(start_time)), toString(toUnixTimestamp64Micro(end_time)), \
             toString(toUnixTimestamp64Milli(ingested_at)), toString(batch_id), \
             toString(is_call + if(row_number() OVER (PARTITION BY tenant, trace_id, span_id ORDER BY ingested_at) = 1, corrected, 0)) \
             FROM spans LEFT JOIN (SELECT tenant, trace_id, span_id, toInt32(sum(sign)) AS corrected FROM corrections WHERE {ended} \
             GROUP BY tenant, trace_id, span_id) AS signs USING (tenant, trace_id, span_id) \
             WHERE {ended} AND ingested_at >= toDateTime64({{since:UInt64}}, 3, 'UTC') LIMIT {{most:UInt64}}"
        );
        let number = |name: &str, value: u64| (name.to_owned(), value.to_string());
        let statement = Select {
            text,
            parameters: vec![
                number("from", from_s),
                number("until", until_s),
                number("since", arrived_since_s),
                number("most", limits::SIGHTS_PER_READ_MAX),
            ],
            settings: Vec::new(),
            timeout: limits::STATEMENT_WAIT,
        };
        let rows = select(self.client(), &statement, at_most(limits::SIGHTS_BYTES_MAX)).await?;
        let unreadable = || StoreError::Response("a span that is none".to_owned());
        rows.iter().map(|row| stored_sight(row).ok_or_else(unreadable)).collect()
    }
}

fn stored_sight(row: &Row) -> Option<StoredSight> {
    let [
        tenant,
        trace,
        span,
        parent,
        operation,
        observer,
        response,
        source,
        start,
        end,
        arrived,
        batch,
        booked,
    ] = row.as_slice()
    else {
        return None;
    };
    let nanoseconds = |micros: &str| micros.parse::<u64>().ok()?.checked_mul(1_000);
    Some(StoredSight {
        tenant: tenant.as_str().into(),
        trace_id: TraceId::from_hex(trace)?,
        span_id: SpanId::from_hex(span)?,
        parent_span_id: SpanId::from_hex(parent),
        is_call: Operation::from_name(operation).is_call(),
        observer: observer.clone(),
        response_id: response.clone(),
        usage_source: source.clone(),
        start_unix_ns: nanoseconds(start)?,
        end_unix_ns: nanoseconds(end)?,
        arrived_unix_ns: nanoseconds(arrived)?.checked_mul(1_000)?,
        batch_id: u128::from_str_radix(&batch.replace('-', ""), 16).ok()?,
        booked: booked.parse().ok()?,
    })
}

/// As elements of an array: the end in microseconds and the two ids.
fn key_list<'a>(changes: impl Iterator<Item = &'a Change>) -> String {
    let mut list = String::new();
    for change in changes {
        let comma = if list.is_empty() { "" } else { "," };
        // Writing to a String cannot fail.
        let _infallible = write!(
            list,
            "{comma}(toInt64({}),'{}','{}')",
            change.end_unix_ns / 1_000,
            change.trace_id,
            change.span_id
        );
    }
    list
}

/// As the store reads it.
fn uuid(number: u128) -> String {
    let text = format!("{number:032x}");
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    parts.join("-")
}
