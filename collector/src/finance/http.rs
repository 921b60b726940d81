//! `GET /api/v1/spend`: the spend of a stretch of time as JSON, or as a file for a spreadsheet.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use jiff::Timestamp;
use ledgerline_process::Clock;
use ledgerline_promql::source::Scope;
use ledgerline_proto::Unit;
use ledgerline_proto::dimension::Dimension;
use ledgerline_proto::money::dollars;
use serde::Serialize;
use utoipa::ToSchema;

use super::csv::csv;
use super::period::{Period, PeriodError, Step, zone};
use super::spend::{Line, Question, Row, Spend, SpendError, Sums, Table, spend};
use crate::access::Principal;
use crate::limits::{TABLES_MAX, TIMEOUT_MS_DEFAULT};
use crate::prometheus::{ApiError, Params, ProblemBody};
use crate::query::error::RunError;
use crate::query::http::respond;
use crate::query::querier::Querier;
use crate::selector::Selector;

/// What the API needs.
#[derive(Clone)]
pub struct FinanceState {
    /// Adds up.
    pub querier: Arc<Querier>,
    /// What is over.
    pub clock: Arc<dyn Clock>,
}

const PARAMETERS: [&str; 9] = ["by", "month", "from", "to", "zone", "step", "lines", "match", "format"];

/// The routes. Whoever checked the credential has put a [`Principal`] into each request's extensions; without one a request fails.
pub fn router(state: FinanceState) -> Router {
    Router::new().route("/api/v1/spend", get(get_spend)).with_state(state)
}

impl From<PeriodError> for ApiError {
    fn from(error: PeriodError) -> Self {
        let name = match error {
            PeriodError::Zone(_) => "zone",
            PeriodError::Month(_) => "month",
            PeriodError::Time(_) | PeriodError::Order => "from and to",
            PeriodError::Parts(_) => "step",
        };
        Self::parameter(name, &error.to_string())
    }
}

impl From<SpendError> for ApiError {
    fn from(error: SpendError) -> Self {
        match error {
            SpendError::Period(error) => error.into(),
            SpendError::Run(error) => error.into(),
            SpendError::Inexact(_) => RunError::Evaluation { reason: error.to_string() }.into(),
        }
    }
}

/// What was spent in a stretch of time, by whom
///
/// Of a stretch that is not over what is over. A call counts when it ended after the start, and at the end or before.
#[utoipa::path(
    get,
    path = "/api/v1/spend",
    params(
        ("month" = Option<String>, Query, description = "2026-11; or `from` and `to`"),
        ("from" = Option<String>, Query, description = "A date (its first moment in the zone), a time by the zone's clock, or one with an offset"),
        ("to" = Option<String>, Query, description = "Likewise; a date is its first moment here too"),
        ("zone" = Option<String>, Query, description = "By its name in the IANA database; UTC when absent"),
        ("by" = Option<Vec<String>>, Query, description = "Names of dimensions with commas between them, for a row for each combination; repeated, for a table each"),
        ("step" = Option<String>, Query, description = "hour, day, week or month: the sums of each as well"),
        ("lines" = Option<bool>, Query, description = "false leaves out what was used of each unit, and is answered sooner"),
        ("match" = Option<String>, Query, description = "Which calls, as PromQL selects series: {team=\"search\"}"),
        ("format" = Option<String>, Query, description = "json (when absent) or csv, a file of one table"),
    ),
    responses(
        (status = 200, body = SpendBody),
        (status = 400, body = ProblemBody, description = "A parameter is wrong"),
        (status = 401, description = "Send one of the collector's tokens"),
        (status = 422, body = ProblemBody, description = "It would be more than one request may read or hold"),
        (status = 500, body = ProblemBody, description = "A defect; it is in the collector's log"),
        (status = 503, body = ProblemBody, description = "The store does not answer, or not in time; the same request may succeed later"),
    )
)]
pub async fn get_spend(
    State(FinanceState { querier, clock }): State<FinanceState>,
    Extension(Principal { tenant }): Extension<Principal>,
    params: Params,
) -> Result<Response, ApiError> {
    let scope = querier.scope(tenant, Duration::from_millis(TIMEOUT_MS_DEFAULT));
    params.only(&PARAMETERS, &["by"])?;
    let question = question(&params, &querier, &scope).await?;
    let now = Timestamp::from_nanosecond(clock.now_unix_ns().into()).unwrap_or(Timestamp::MAX);
    let is_csv = match params.first("format") {
        "" | "json" => false,
        "csv" => true,
        other => {
            return Err(ApiError::parameter("format", &format!("`{other}` is neither json nor csv")));
        }
    };
    if is_csv && !question.has_lines {
        return Err(ApiError::parameter("lines", "a file has them"));
    }
    if is_csv && question.tables.len() > 1 {
        return Err(ApiError::parameter("by", "a file has one table; say by= once"));
    }
    let spend = spend(&querier, &scope, question, now).await?;
    // Each part of each row is written, whether there is something or not.
    let cells: usize = spend.tables.iter().map(|table| table.rows.len() * spend.parts.len()).sum();
    let _charge = scope.memory.charge(cells * size_of::<PartBody>() * 2).map_err(RunError::from)?;
    let written = tokio::task::spawn_blocking(move || {
        if !is_csv {
            return respond(&SpendBody::of(&spend), &scope.memory);
        }
        let file = spend.tables.iter().map(|table| csv(&spend, table)).next().transpose();
        let file = file.map_err(|error| RunError::Evaluation { reason: error.to_string() })?;
        let name = spend.question.period.file_name(spend.through, "csv");
        let kind = (CONTENT_TYPE, "text/csv; charset=utf-8".to_owned());
        let disposition = (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\""));
        Ok(([kind, disposition], file.unwrap_or_default()).into_response())
    });
    written.await.map_err(|error| RunError::Evaluation { reason: error.to_string() })?
}

async fn question(params: &Params, querier: &Querier, scope: &Scope) -> Result<Question, ApiError> {
    let zone = zone(params.first("zone"))?;
    let (month, from, to) = (params.first("month"), params.first("from"), params.first("to"));
    let period = match (month, from, to) {
        (month, "", "") if !month.is_empty() => Period::month(month, zone)?,
        ("", from, to) if !from.is_empty() && !to.is_empty() => Period::between(from, to, zone)?,
        _ => return Err(ApiError::bad_data("say month=2026-11, or from= and to=")),
    };
    let step = params.parsed("step", "step: hour, day, week or month", Step::named)?;
    let tables: Result<Vec<_>, String> = params.all("by").map(by).collect();
    let mut tables = tables.map_err(|wrong| ApiError::parameter("by", &wrong))?;
    if tables.is_empty() {
        tables.push(Vec::new());
    }
    if tables.len() > TABLES_MAX {
        return Err(ApiError::parameter("by", &format!("at most {TABLES_MAX} tables are made at once")));
    }
    let selector = Selector::asked(params, querier, scope).await?;
    let has_lines = params.parsed("lines", "true or false", |text| text.parse().ok())?.unwrap_or(true);
    Ok(Question { period, step, tables, has_lines, selector })
}

/// Names of dimensions with commas between them.
pub fn by(names: &str) -> Result<Vec<Dimension>, String> {
    let mut by = Vec::new();
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let known = || Dimension::ALL.map(Dimension::name).join(", ");
        let dimension = Dimension::from_name(name)
            .ok_or_else(|| format!("`{name}` is no dimension; they are {}", known()))?;
        if !by.contains(&dimension) {
            by.push(dimension);
        }
    }
    Ok(by)
}

/// The spend as JSON. Amounts are texts of US dollars with all twelve digits: no number of JSON keeps them.
#[derive(Serialize, ToSchema)]
pub struct SpendBody {
    zone: String,
    from: String,
    /// Its end, which need not be over.
    to: String,
    /// Up to when calls are in the sums.
    through: String,
    /// When the parts begin, by the zone's clock; with a step only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<String>,
    /// In the order in which they were asked for.
    tables: Vec<TableBody>,
    /// The sum of the rows of any of them.
    total: SumsBody,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    notices: Vec<String>,
}

#[derive(Serialize, ToSchema)]
struct TableBody {
    by: Vec<&'static str>,
    rows: Vec<RowBody>,
}

#[derive(Serialize, ToSchema)]
struct RowBody {
    labels: BTreeMap<&'static str, String>,
    #[serde(flatten)]
    sums: SumsBody,
}

#[derive(Serialize, ToSchema)]
struct SumsBody {
    cost_usd: String,
    estimated_usd: String,
    sender_usd: String,
    corrections_usd: String,
    calls: i64,
    failed_calls: i64,
    unpriced_calls: i64,
    /// By unit; nothing where they were not asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<BTreeMap<&'static str, LineBody>>,
    /// The sums of each part, in their order; with a step only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<PartBody>,
}

#[derive(Serialize, ToSchema)]
struct LineBody {
    quantity: i64,
    cost_usd: String,
}

#[derive(Serialize, ToSchema)]
struct PartBody {
    cost_usd: String,
    estimated_usd: String,
    calls: i64,
    failed_calls: i64,
    unpriced_calls: i64,
}

impl SpendBody {
    /// The body of an answer.
    pub fn of(spend: &Spend) -> Self {
        let Spend { question, through, boundaries, tables, parts, total, notices, .. } = spend;
        let period = &question.period;
        let has_parts = question.step.is_some();
        let count = if has_parts { parts.len() } else { 0 };
        let table = |table: &Table| {
            let by: Vec<&'static str> = table.by.iter().map(|dimension| dimension.name()).collect();
            let row = |row: &Row| RowBody {
                labels: by.iter().copied().zip(row.values.iter().cloned()).collect(),
                sums: SumsBody::of(question, &row.sums, (0..count).map(|at| row.parts.get(&at)).collect()),
            };
            TableBody { rows: table.rows.iter().map(row).collect(), by }
        };
        let begins = boundaries.iter().take(boundaries.len() - 1).map(|ms| period.local(*ms));
        Self {
            zone: period.zone_name().to_owned(),
            from: period.local(period.from.as_millisecond()),
            to: period.local(period.to.as_millisecond()),
            through: period.local(through.as_millisecond()),
            parts: begins.filter(|_| has_parts).collect(),
            tables: tables.iter().map(table).collect(),
            total: SumsBody::of(question, total, parts.iter().take(count).map(Some).collect()),
            notices: notices.clone(),
        }
    }
}

impl SumsBody {
    fn of(question: &Question, sums: &Sums, parts: Vec<Option<&Sums>>) -> Self {
        let nothing = Sums::default();
        let Sums { cost, estimated, by_sender, corrections, calls, failed, unpriced, lines } = sums;
        let part = |part: &Sums| PartBody {
            cost_usd: dollars(part.cost),
            estimated_usd: dollars(part.estimated),
            calls: count(part.calls),
            failed_calls: count(part.failed),
            unpriced_calls: count(part.unpriced),
        };
        let line = |(unit, line): (&Unit, &Line)| {
            (unit.name(), LineBody { quantity: count(line.quantity), cost_usd: dollars(line.cost) })
        };
        Self {
            cost_usd: dollars(*cost),
            estimated_usd: dollars(*estimated),
            sender_usd: dollars(*by_sender),
            corrections_usd: dollars(*corrections),
            calls: count(*calls),
            failed_calls: count(*failed),
            unpriced_calls: count(*unpriced),
            lines: question.has_lines.then(|| lines.iter().map(line).collect()),
            parts: parts.into_iter().map(|sums| part(sums.unwrap_or(&nothing))).collect(),
        }
    }
}

/// There are not as many calls.
fn count(sum: i128) -> i64 {
    i64::try_from(sum).unwrap_or(i64::MAX)
}
