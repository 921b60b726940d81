//! `GET /api/v1/alerts/{alert}`: what the rules of that name have seen in the last 24 hours, worked out anew from the record. So it is
//! there after a restart, holds what came late, and costs nothing while nobody looks.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use ledgerline_process::clock::Clock;
use ledgerline_promql::source::Scope;
use ledgerline_promql::syntax::{Watched, watched};
use ledgerline_promql::{QueryError, QueryParams, QueryValue};
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Principal;
use crate::alerting::{AlertRule, Group, Labels, RulesView, UnixMs};
use crate::limits::{SEEN_RULES_MAX, SEEN_SERIES_MAX, TIMEOUT_MS_DEFAULT};
use crate::prometheus::{ApiError, ProblemBody};
use crate::query::error::RunError;
use crate::query::http::respond;
use crate::query::querier::Querier;

const STEP_MS: i64 = 300_000;
const STEPS: usize = 289;

/// What the API needs.
#[derive(Clone)]
pub struct SeenState {
    /// Evaluates the rules.
    pub querier: Arc<Querier>,
    /// The rules.
    pub rules: RulesView,
    /// The end of the 24 hours.
    pub clock: Arc<dyn Clock>,
}

/// The route. Whoever checked the credential has put a [`Principal`] into each request's extensions; without one a request fails.
pub fn router(state: SeenState) -> Router {
    Router::new().route("/api/v1/alerts/{alert}", get(get_seen)).with_state(state)
}

/// What an alert's rules have seen in the last 24 hours
///
/// Each rule is evaluated anew every five minutes of them, from what is in the record now.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/{alert}",
    params(("alert" = String, Path, description = "The name of the alert, as its rule says it")),
    responses(
        (status = 200, body = SeenBody),
        (status = 401, description = "Send one of the collector's tokens"),
        (status = 404, body = ProblemBody, description = "There is no rule of that name"),
        (status = 422, body = ProblemBody, description = "It would be more than one request may read or hold"),
        (status = 503, body = ProblemBody, description = "The store does not answer, or not in time; the same request may succeed later"),
    )
)]
pub async fn get_seen(
    State(SeenState { querier, rules, clock }): State<SeenState>,
    Extension(reader): Extension<Principal>,
    Path(alert): Path<String>,
) -> Result<Response, ApiError> {
    let groups = rules.groups_for(Some(&reader));
    let named = groups.iter().flat_map(|snapshot| {
        let named = snapshot.group.rules.iter().filter(|rule| rule.name == alert);
        named.map(|rule| (&*snapshot.group, rule))
    });
    let named: Vec<(&Group, &AlertRule)> = named.collect();
    if named.is_empty() {
        let message = format!("there is no alerting rule {alert:?}; /prometheus/api/v1/rules lists them");
        return Err(ApiError { status: StatusCode::NOT_FOUND, kind: "not_found", message });
    }
    // Whole minutes, for which no single calls need to be read.
    let through_ms = UnixMs::from_unix_ns(clock.now_unix_ns()).0.div_euclid(60_000) * 60_000;
    let grid = Grid { first_ms: through_ms - STEP_MS * (STEPS as i64 - 1), through_ms };
    let scope = querier.scope(reader.tenant, Duration::from_millis(TIMEOUT_MS_DEFAULT));
    let mut seen = Vec::new();
    for (group, rule) in named.iter().take(SEEN_RULES_MAX) {
        seen.push(rule_seen(&querier, &scope, grid, group, rule).await?);
    }
    let body = SeenBody {
        from: UnixMs(grid.first_ms).rfc3339(),
        through: UnixMs(grid.through_ms).rfc3339(),
        step_seconds: STEP_MS / 1000,
        more_rules: named.len() - seen.len(),
        rules: seen,
    };
    respond(&body, &scope.memory)
}

/// The times at which values are.
#[derive(Clone, Copy)]
struct Grid {
    first_ms: i64,
    through_ms: i64,
}

/// What one series was at each time, and whether the condition held.
struct Track {
    values: Vec<Option<f64>>,
    held: Vec<bool>,
}

/// Of a track, and of the answer made of it.
const TRACK_BYTES: usize = 2 * (size_of::<Track>() + STEPS * (size_of::<Option<f64>>() + 1));

impl Default for Track {
    fn default() -> Self {
        Self { values: vec![None; STEPS], held: vec![false; STEPS] }
    }
}

async fn rule_seen(
    querier: &Querier,
    scope: &Scope,
    grid: Grid,
    group: &Group,
    rule: &AlertRule,
) -> Result<RuleSeenBody, RunError> {
    let Watched { query: watched, limit } = watched(&rule.expr).map_err(QueryError::from)?;
    let offset_ms = i64::try_from(group.query_offset.as_millis()).unwrap_or(i64::MAX);
    let mut tracks: BTreeMap<Labels, Track> = BTreeMap::new();
    let mut charge = scope.memory.charge(0)?;
    let mut read = async |query: &str, take: fn(&mut Track, usize, f64)| {
        let Grid { first_ms, through_ms } = grid;
        let (start_ms, end_ms) = (first_ms - offset_ms, through_ms - offset_ms);
        let params = QueryParams::Range { start_ms, end_ms, step_ms: STEP_MS };
        let result = querier.run(scope, query, params).await?;
        let QueryValue::Matrix(series) = &result.value else { return Ok(()) };
        charge.grow(series.len() * TRACK_BYTES)?;
        for one in series {
            let labels = one.labels.without_name();
            let pairs = labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
            let track = tracks.entry(pairs.collect()).or_default();
            for point in one.points() {
                let at = usize::try_from((point.time_ms - start_ms) / STEP_MS).unwrap_or(STEPS);
                if at < STEPS {
                    take(track, at, point.value.to_f64());
                }
            }
        }
        Ok::<(), RunError>(())
    };
    read(watched, |track, at, value| track.values[at] = Some(value)).await?;
    read(&rule.expr, |track, at, value| {
        track.values[at].get_or_insert(value);
        track.held[at] = true;
    })
    .await?;
    let count = tracks.len();
    let mut series: Vec<SeriesSeenBody> = tracks.into_iter().map(SeriesSeenBody::of).collect();
    series.sort_by(|a, b| b.rank().partial_cmp(&a.rank()).unwrap_or(Ordering::Equal));
    series.truncate(SEEN_SERIES_MAX);
    Ok(RuleSeenBody {
        group: group.name.clone(),
        query: rule.expr.clone(),
        watched: watched.to_owned(),
        limit: limit.filter(|limit| limit.is_finite()),
        for_seconds: rule.hold.as_secs(),
        more_series: count - series.len(),
        series,
    })
}

/// What the rules of one name have seen. Times are RFC 3339 in UTC.
#[derive(Serialize, ToSchema)]
pub struct SeenBody {
    /// The time of the first value.
    from: String,
    /// The time of the last.
    through: String,
    /// Between two values.
    step_seconds: i64,
    /// Names need not be unique: a budget's are those of all budgets. The first of them.
    rules: Vec<RuleSeenBody>,
    /// How many more there are.
    more_rules: usize,
}

/// What one rule has seen.
#[derive(Serialize, ToSchema)]
struct RuleSeenBody {
    group: String,
    /// The condition.
    query: String,
    /// The part of it whose values are here: what is compared, or the left side of `and` and `unless`.
    watched: String,
    /// The number that they are compared with, where it is one.
    limit: Option<f64>,
    /// For so long it must hold before the alert fires.
    for_seconds: u64,
    /// First where the condition held, then those with the highest values.
    series: Vec<SeriesSeenBody>,
    /// How many more there are.
    more_series: usize,
}

/// What one series was.
#[derive(Serialize, ToSchema)]
struct SeriesSeenBody {
    labels: Labels,
    /// At each time; nothing: there was none, or it is no finite number.
    values: Vec<Option<f64>>,
    /// The places of the values between which the condition held: the first and the last of each stretch.
    held: Vec<[usize; 2]>,
}

impl SeriesSeenBody {
    fn of((labels, Track { values, held }): (Labels, Track)) -> Self {
        let mut stretches: Vec<[usize; 2]> = Vec::new();
        for at in (0..held.len()).filter(|at| held[*at]) {
            match stretches.last_mut() {
                Some([_, last]) if *last + 1 == at => *last = at,
                _ => stretches.push([at, at]),
            }
        }
        let values = values.into_iter().map(|value| value.filter(|value| value.is_finite())).collect();
        Self { labels, values, held: stretches }
    }

    /// How long the condition held, and the highest value.
    fn rank(&self) -> (usize, f64) {
        let held = self.held.iter().map(|[first, last]| last - first + 1).sum();
        (held, self.values.iter().flatten().copied().fold(f64::NEG_INFINITY, f64::max))
    }
}
