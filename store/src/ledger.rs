//! What is booked for a stored span, and changing that: by rows of `corrections` that the store copies from its own.
//!
//! A call is taken back exactly as it is booked, whatever corrected it before: every row that holds it comes again with the opposite
//! sign. The insert is named after the request that gave the reason and after what it changes, so a repeat books nothing more.

use std::collections::BTreeMap;
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
    /// Nothing any more, for this reason.
    TakeBack(Reason),
    /// Its bill, which was not booked for this reason.
    Book(Reason),
}

impl Action {
    const ALL: [Self; 4] = [
        Self::TakeBack(Reason::Repeat),
        Self::TakeBack(Reason::Wrapper),
        Self::Book(Reason::Repeat),
        Self::Book(Reason::Wrapper),
    ];

    const fn reason(self) -> Reason {
        match self {
            Self::TakeBack(reason) | Self::Book(reason) => reason,
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
    /// How many corrections it has.
    pub corrections: u32,
}

/// Which of the stored spans are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// Each.
    AllSpans,
    /// Calls, counted or not.
    Calls,
}

impl Store {
    /// Books changes of stored spans of one tenant; `batch` is the request that gave the reason. The same changes in any order are the same
    /// inserts.
    pub async fn change(&self, batch: u128, tenant: &str, changes: &[Change]) -> Result<(), StoreError> {
        for action in Action::ALL {
            let mut alike: Vec<&Change> = changes.iter().filter(|change| change.action == action).collect();
            alike.sort_unstable_by_key(|change| (change.end_unix_ns, change.trace_id, change.span_id));
            for chunk in alike.chunks(limits::CHANGES_PER_STATEMENT_MAX) {
                self.change_alike(batch, tenant, action, &key_list(chunk)).await?;
            }
        }
        Ok(())
    }

    /// Makes the changes again that were booked in the last seconds before the latest: the store may have been killed between
    /// `corrections` and its rollups. What is whole stays as it is. Only while nothing else is booked.
    pub async fn complete_changes(&self) -> Result<(), StoreError> {
        let text = "SELECT toString(batch_id), tenant, reason, toString(sum(sign)), \
             toString(toUnixTimestamp64Micro(end_time)), hex(trace_id), hex(span_id) FROM corrections \
             WHERE reason IN ({repeat:String}, {wrapper:String}) AND booked_at >= subtractSeconds((SELECT max(booked_at) FROM corrections), {seconds:UInt32}) \
             GROUP BY batch_id, tenant, reason, end_time, trace_id, span_id LIMIT {most:UInt64}";
        let parameter = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let statement = Select {
            text: text.to_owned(),
            parameters: vec![
                parameter("repeat", Reason::Repeat.name()),
                parameter("wrapper", Reason::Wrapper.name()),
                parameter("seconds", &limits::COMPLETION_WINDOW.as_secs().to_string()),
                parameter("most", &limits::SIGHTS_PER_READ_MAX.to_string()),
            ],
            settings: Vec::new(),
            timeout: limits::STATEMENT_WAIT,
        };
        let rows = select(self.client(), &statement, at_most(limits::SIGHTS_BYTES_MAX)).await?;
        let mut requests: BTreeMap<(u128, String), Vec<Change>> = BTreeMap::new();
        for (request, change) in rows.iter().filter_map(booked_change) {
            requests.entry(request).or_default().push(change);
        }
        for ((batch, tenant), changes) in requests {
            self.change(batch, &tenant, &changes).await?;
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
        // Ids are of the columns' type: a text is no member of a set of such, and the other way round, where the last byte is 0.
        // Rows of its own are left out: a first attempt that was cut off before the views has stored them, and the second must bring the
        // views the same. No request changes a span twice. The key's columns are compared, too, so that only the granules of these spans are read.
        let chosen = "tenant = {tenant:String} AND (toStartOfMinute(end_time), xxHash32(trace_id)) IN \
            (SELECT toStartOfMinute(fromUnixTimestamp64Micro(us, 'UTC')), xxHash32(trace) FROM wanted) \
            AND (toUnixTimestamp64Micro(end_time), trace_id, span_id) IN (SELECT us, trace, span FROM wanted)";
        let booked = match action {
            Action::TakeBack(_) => format!(
                "SELECT toInt8(-1) AS sign, tenant, end_time, trace_id, span_id, {FACE}, unpriced_reason, price_version, \
                 duration_us, ttft_us FROM spans WHERE {chosen} AND is_call = 1 \
                 UNION ALL SELECT toInt8(-sign), tenant, end_time, trace_id, span_id, {FACE}, unpriced_reason, \
                 price_version, duration_us, ttft_us FROM corrections WHERE {chosen} AND batch_id != toUUID({{batch:String}})"
            ),
            // What is not counted keeps its whole bill.
            Action::Book(_) => format!(
                "SELECT toInt8(1) AS sign, tenant, end_time, trace_id, span_id, {FACE}, unpriced_reason, price_version, duration_us, ttft_us \
                 FROM spans WHERE {chosen} ORDER BY ingested_at LIMIT 1 BY trace_id, span_id"
            ),
        };
        let sql = format!(
            "INSERT INTO corrections (sign, tenant, end_time, trace_id, span_id, {FACE}, unpriced_reason, price_version, \
             duration_us, ttft_us, reason, batch_id, booked_at) \
             WITH wanted AS (SELECT key.1 AS us, toFixedString(unhex(key.2), 16) AS trace, toFixedString(unhex(key.3), 8) AS span FROM (SELECT arrayJoin([{spans}]) AS key)) \
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
        let text = "SELECT hex(trace_id), hex(span_id), uncounted FROM spans WHERE tenant = {tenant:String} \
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
        among: Among,
    ) -> Result<Vec<StoredSight>, StoreError> {
        let among = match among {
            Among::AllSpans => "",
            Among::Calls => "AND uncounted != {plain:String} ",
        };
        let ended = "end_time >= toDateTime64({from:UInt64}, 6, 'UTC') AND end_time < toDateTime64({until:UInt64}, 6, 'UTC')";
        let text = format!(
            "SELECT tenant, hex(trace_id), hex(span_id), hex(parent_span_id), operation, observer, response_id, usage_source, \
             toString(toUnixTimestamp64Micro(start_time)), toString(toUnixTimestamp64Micro(end_time)), \
             toString(toUnixTimestamp64Milli(ingested_at)), toString(batch_id), \
             toString((row_number() OVER (PARTITION BY tenant, trace_id, span_id ORDER BY ingested_at) = 1) AS is_first), \
             toString(is_call + if(is_first, corrected, 0)), toString(if(is_first, times, 0)) \
             FROM spans LEFT JOIN (SELECT tenant, trace_id, span_id, toInt32(sum(sign)) AS corrected, count() AS times FROM corrections WHERE {ended} \
             GROUP BY tenant, trace_id, span_id) AS signs USING (tenant, trace_id, span_id) \
             WHERE {ended} AND ingested_at >= toDateTime64({{since:UInt64}}, 3, 'UTC') {among}LIMIT {{most:UInt64}}"
        );
        let number = |name: &str, value: u64| (name.to_owned(), value.to_string());
        let statement = Select {
            text,
            parameters: vec![
                number("from", from_s),
                number("until", until_s),
                number("since", arrived_since_s),
                number("most", limits::SIGHTS_PER_READ_MAX),
                ("plain".to_owned(), Role::Plain.name().to_owned()),
            ],
            settings: Vec::new(),
            timeout: limits::STATEMENT_WAIT,
        };
        let rows = select(self.client(), &statement, at_most(limits::SIGHTS_BYTES_MAX)).await?;
        let unreadable = || StoreError::Response("a span that is none".to_owned());
        rows.iter().map(|row| stored_sight(row).ok_or_else(unreadable)).collect()
    }

    /// How many [`Store::sights`] would read, without a limit: calls, and other spans.
    pub async fn count_sights(
        &self,
        (from_s, until_s): (u64, u64),
        arrived_since_s: u64,
    ) -> Result<(u64, u64), StoreError> {
        let text = "SELECT countIf(uncounted != {plain:String}), countIf(uncounted = {plain:String}) FROM spans \
             WHERE end_time >= toDateTime64({from:UInt64}, 6, 'UTC') AND end_time < toDateTime64({until:UInt64}, 6, 'UTC') \
             AND ingested_at >= toDateTime64({since:UInt64}, 3, 'UTC')";
        let query = self
            .client()
            .query(text)
            .param("plain", Role::Plain.name())
            .param("from", from_s)
            .param("until", until_s)
            .param("since", arrived_since_s);
        let counts = self.client().text(query).await?;
        let number = |text: &str| text.trim().parse().ok();
        let counts =
            counts.split_once('\t').and_then(|(calls, others)| Some((number(calls)?, number(others)?)));
        counts.ok_or_else(|| StoreError::Response("a count that is none".to_owned()))
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
        _is_first,
        booked,
        corrections,
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
        batch_id: of_uuid(batch)?,
        booked: booked.parse().ok()?,
        corrections: corrections.parse().ok()?,
    })
}

/// The request that gave the reason, with its tenant, and what it changed.
fn booked_change(row: &Row) -> Option<((u128, String), Change)> {
    let [batch, tenant, reason, sign, end, trace, span] = row.as_slice() else { return None };
    let reason = Reason::from_name(reason)?;
    let change = Change {
        trace_id: TraceId::from_hex(trace)?,
        span_id: SpanId::from_hex(span)?,
        end_unix_ns: end.parse::<u64>().ok()?.checked_mul(1_000)?,
        action: if sign == "1" { Action::Book(reason) } else { Action::TakeBack(reason) },
    };
    Some(((of_uuid(batch)?, tenant.clone()), change))
}

/// As elements of an array: the end in microseconds and the two ids.
fn key_list(changes: &[&Change]) -> String {
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

fn of_uuid(text: &str) -> Option<u128> {
    u128::from_str_radix(&text.replace('-', ""), 16).ok()
}

/// As the store reads it.
fn uuid(number: u128) -> String {
    let text = format!("{number:032x}");
    let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
    parts.join("-")
}
