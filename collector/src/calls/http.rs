//! `GET /api/v1/calls`, a page of calls, and `GET /api/v1/calls/{trace_id}/{span_id}`, one of them.

use std::sync::Arc;

use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use ledgerline_pricing::PriceBook;
use ledgerline_process::Clock;
use ledgerline_promql::source::Tenant;
use ledgerline_proto::money::dollars;
use ledgerline_proto::{SpanId, TraceId};
use ledgerline_store::Store;
use ledgerline_store::client::StoreError;
use ledgerline_store::limits::{PAGE_WAIT, SPANS_OF_TRACE_MAX};
use ledgerline_store::stored::page::{Cursor, Filter, Listed, Only};

use super::account::{Account, AccountBody};
use super::body::{CallBody, CallsBody, FactsBody, SpanBody, cursor_text, sum, time};
use crate::access::Principal;
use crate::finance::period::{Period, zone};
use crate::limits::{CALLS_OF_PAGE, CALLS_OF_PAGE_MAX};
use crate::prometheus::{ApiError, Params, ProblemBody};
use crate::query::querier::Querier;
use crate::selector::Selector;

/// What the API needs.
#[derive(Clone)]
pub struct CallsState {
    /// Where the calls are.
    pub store: Store,
    /// Reads selectors.
    pub querier: Arc<Querier>,
    /// Explains their bills.
    pub prices: PriceBook,
    /// What is over.
    pub clock: Arc<dyn Clock>,
}

const PARAMETERS: [&str; 12] = [
    "from",
    "to",
    "zone",
    "match",
    "only",
    "slower_ms",
    "user",
    "session",
    "response_id",
    "trace",
    "after",
    "limit",
];

/// The routes, behind a layer that puts a [`Principal`] into every request.
pub fn router(state: CallsState) -> Router {
    Router::new()
        .route("/api/v1/calls", get(get_calls))
        .route("/api/v1/calls/{trace_id}/{span_id}", get(get_call))
        .with_state(state)
}

/// Calls, the newest first
///
/// Those that were counted when they came; with `only=uncounted` the others. A cost is what is booked by now, corrections included.
#[utoipa::path(
    get,
    path = "/api/v1/calls",
    params(
        ("from" = Option<String>, Query, description = "They ended after it: a date (its first moment in the zone), a time by the zone's clock, or one with an offset"),
        ("to" = Option<String>, Query, description = "They ended at it or before; now when absent"),
        ("zone" = Option<String>, Query, description = "By its name in the IANA database; UTC when absent"),
        ("match" = Option<String>, Query, description = "Which calls, as PromQL selects series: {team=\"search\"}"),
        ("only" = Option<String>, Query, description = "failed, unpriced, estimated or uncounted"),
        ("slower_ms" = Option<u64>, Query, description = "They took so long at least"),
        ("user" = Option<String>, Query, description = "Their end user, whole"),
        ("session" = Option<String>, Query, description = "Their conversation, whole"),
        ("response_id" = Option<String>, Query, description = "The provider's id of their answer, whole"),
        ("trace" = Option<String>, Query, description = "Their trace, 32 hexadecimal digits"),
        ("after" = Option<String>, Query, description = "The `next` of the page before"),
        ("limit" = Option<usize>, Query, description = "50 when absent, 500 at most"),
    ),
    responses(
        (status = 200, body = CallsBody),
        (status = 400, body = ProblemBody, description = "A parameter is wrong"),
        (status = 401, description = "Send one of the collector's tokens"),
        (status = 503, body = ProblemBody, description = "The store does not answer, or not in time; the same request may succeed later"),
    )
)]
pub async fn get_calls(
    State(CallsState { store, querier, clock, .. }): State<CallsState>,
    Extension(Principal { tenant }): Extension<Principal>,
    params: Params,
) -> Result<Json<CallsBody>, ApiError> {
    params.only(&PARAMETERS, &[])?;
    let scope = querier.scope(tenant.clone(), PAGE_WAIT);
    let selector = Selector::asked(&params, &querier, &scope).await?;
    let now_us = clock.now_unix_ns() / 1_000;
    let mut filter = Filter { matchers: selector.0, ..filter(&params, &tenant, now_us)? };
    let wanted = filter.rows_max;
    // One more says whether there is another page.
    filter.rows_max += 1;
    let mut listed = store.page(&filter).await?;
    let has_more = listed.len() > wanted;
    listed.truncate(wanted);
    let next = listed.last().filter(|_| has_more).map(|last| cursor_text(last.at));
    let through = time(filter.until_us.unsigned_abs());
    Ok(Json(CallsBody { through, calls: listed.iter().map(SpanBody::of).collect(), next }))
}

fn filter(params: &Params, Tenant(tenant): &Tenant, now_us: u64) -> Result<Filter, ApiError> {
    let text = |name| Some(params.first(name)).filter(|text| !text.is_empty()).map(str::to_owned);
    let now = i64::try_from(now_us).unwrap_or(i64::MAX);
    let zone = zone(params.first("zone"))?;
    let from = text("from").unwrap_or_else(|| "1970-01-01".to_owned());
    let to = text("to").unwrap_or_else(|| "9999-01-01".to_owned());
    let period = Period::between(&from, &to, zone)?;
    let number = |name, what| params.parsed(name, what, |text| text.parse::<u64>().ok());
    let limit =
        number("limit", "whole number")?.map_or(CALLS_OF_PAGE, |limit| usize::try_from(limit).unwrap_or(0));
    if !(1..=CALLS_OF_PAGE_MAX).contains(&limit) {
        return Err(ApiError::parameter("limit", &format!("it is 1 to {CALLS_OF_PAGE_MAX}")));
    }
    let kinds = || Only::ALL.map(Only::name).join(", ");
    Ok(Filter {
        tenant: Arc::clone(tenant),
        from_us: period.from.as_microsecond(),
        until_us: period.to.as_microsecond().min(now),
        matchers: Vec::new(),
        only: params.parsed("only", &format!("kind: one of {}", kinds()), Only::from_name)?,
        slower_us: number("slower_ms", "number of milliseconds")?.map(|ms| ms.saturating_mul(1_000)),
        user: text("user"),
        session: text("session"),
        response_id: text("response_id"),
        trace: params.parsed("trace", "trace: 32 hexadecimal digits, not all 0", TraceId::from_hex)?,
        after: params.parsed("after", "place: it is the `next` of a page", cursor)?,
        rows_max: limit,
    })
}

/// The year 2112: what a column of times holds, and no call has ended then.
const TIME_US_MAX: u64 = 1 << 52;

fn cursor(text: &str) -> Option<Cursor> {
    let mut parts = text.split('-');
    let (end, trace, span) = (parts.next()?, parts.next()?, parts.next()?);
    let (trace_id, span_id) = (TraceId::from_hex(trace)?, SpanId::from_hex(span)?);
    let end_us = end.parse().ok().filter(|us| *us < TIME_US_MAX)?;
    parts.next().is_none().then_some(Cursor { end_us, trace_id, span_id })
}

/// One call: its bill with the arithmetic, what was booked later, its trace
#[utoipa::path(
    get,
    path = "/api/v1/calls/{trace_id}/{span_id}",
    params(
        ("trace_id" = String, Path, description = "32 hexadecimal digits"),
        ("span_id" = String, Path, description = "16 hexadecimal digits"),
    ),
    responses(
        (status = 200, body = CallBody),
        (status = 400, body = ProblemBody, description = "That is no id"),
        (status = 401, description = "Send one of the collector's tokens"),
        (status = 404, body = ProblemBody, description = "No such call is stored: spans are kept for 90 days"),
        (status = 503, body = ProblemBody, description = "The store does not answer, or not in time; the same request may succeed later"),
    )
)]
pub async fn get_call(
    State(CallsState { store, prices, .. }): State<CallsState>,
    Extension(Principal { tenant: Tenant(tenant) }): Extension<Principal>,
    Path((trace_id, span_id)): Path<(String, String)>,
) -> Result<Json<CallBody>, ApiError> {
    let digits = |name: &str, count| ApiError::parameter(name, &format!("it is {count} hexadecimal digits"));
    let trace_id = TraceId::from_hex(&trace_id).ok_or_else(|| digits("trace_id", 32))?;
    let span_id = SpanId::from_hex(&span_id).ok_or_else(|| digits("span_id", 16))?;
    let (trace, corrections) =
        tokio::try_join!(store.spans_of(&tenant, trace_id), store.corrections_of(&tenant, trace_id))?;
    let is_it = |one: &&Listed| one.at.span_id == span_id;
    let (found, stored) = trace
        .iter()
        .find(is_it)
        .and_then(|one| Some((one, one.stored.clone()?)))
        .ok_or_else(|| unknown(trace_id, span_id))?;
    let facts = FactsBody::of(found, &stored);
    let account = Account::of(stored, &corrections, &prices.for_tenant(&tenant));
    let (cost, trace_unpriced) = sum(&trace);
    Ok(Json(CallBody {
        call: SpanBody::of(found),
        account: AccountBody::of(&account),
        facts,
        trace_cost_usd: dollars(cost),
        trace_unpriced,
        is_trace_cut: trace.len() >= SPANS_OF_TRACE_MAX,
        trace: trace.iter().map(SpanBody::of).collect(),
    }))
}

fn unknown(trace_id: TraceId, span_id: SpanId) -> ApiError {
    let message = format!("no call {trace_id}/{span_id} is stored; spans are kept for 90 days");
    ApiError { status: StatusCode::NOT_FOUND, kind: "not_found", message }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, kind: "unavailable", message: error.to_string() }
    }
}
