//! `/api/v1/rules` and `/api/v1/alerts` in Prometheus' own JSON, which Grafana's alerting pages read.
//!
//! Rules and the alerts they raise belong to the tenant whose record they read; everybody else is told that there are none.
//! GET and POST are the same here: Grafana's Prometheus data source posts its parameters, and both places are read.
//! (Source: Prometheus documentation, HTTP API; web/api/v1/api.go.)

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use axum::extract::{Request, State};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Serialize;

use crate::access::Principal;
use crate::alerting::rules::AlertRule;
use crate::alerting::sample::Labels;
use crate::alerting::snapshot::{GroupSnapshot, Health, RuleSnapshot, RulesView};
use crate::alerting::state::{Alert, Phase};
use crate::alerting::template::{Template, exponential};
use crate::alerting::time::UnixMs;
use crate::prometheus::{ApiError, Params, Success};

/// Serves `/api/v1/rules` and `/api/v1/alerts`, to be nested under the Prometheus prefix and behind a layer that puts a
/// [`Principal`] into every request.
pub fn router(view: RulesView) -> Router {
    Router::new()
        .route("/api/v1/rules", get(rules).post(rules))
        .route("/api/v1/alerts", get(alerts).post(alerts))
        .with_state(view)
}

async fn rules(
    State(view): State<RulesView>,
    request: Request,
) -> Result<Json<Success<serde_json::Value>>, ApiError> {
    let groups = view.groups_for(request.extensions().get());
    let params = Params::read(request).await?;
    if !matches!(&*params.first("type").to_ascii_lowercase(), "" | "alert" | "record") {
        let wrong = format!("not supported value {:?}", params.first("type"));
        return Err(ApiError::parameter("type", &wrong));
    }
    let groups: Vec<GroupJson<'_>> = groups.iter().filter_map(|group| chosen(group, &params)).collect();
    Ok(Json(Success::new(serde_json::json!({ "groups": groups }))))
}

async fn alerts(
    State(view): State<RulesView>,
    reader: Option<Extension<Principal>>,
) -> Json<Success<serde_json::Value>> {
    let groups = view.groups_for(reader.as_deref());
    let alerts: Vec<AlertJson<'_>> = groups.iter().flat_map(|group| &group.rules).flat_map(active).collect();
    Json(Success::new(serde_json::json!({ "alerts": alerts })))
}

/// The group as the parameters want it; `None` if nothing of it is. As in Prometheus a group emptied by a filter on rules is
/// left out.
fn chosen<'a>(snapshot: &'a GroupSnapshot, params: &Params) -> Option<GroupJson<'a>> {
    let group = &snapshot.group;
    // Grafana sends both spellings. No value means all.
    let wanted = |key: &str, name: &str| {
        let list = format!("{key}[]");
        let mut values = params.all(key).chain(params.all(&list)).peekable();
        values.peek().is_none() || values.any(|value| value == name)
    };
    if !wanted("file", &group.file) || !wanted("rule_group", &group.name) {
        return None;
    }
    let without_alerts = matches!(params.first("exclude_alerts"), "true" | "1" | "t" | "T" | "TRUE" | "True");
    // There are no recording rules.
    let is_wanted = |rule: &AlertRule| {
        !params.first("type").eq_ignore_ascii_case("record") && wanted("rule_name", &rule.name)
    };
    let pairs = group.rules.iter().zip(&snapshot.rules).filter(|(rule, _)| is_wanted(rule));
    let rules: Vec<RuleJson<'a>> =
        pairs.map(|(rule, state)| RuleJson::new(rule, state, without_alerts)).collect();
    if rules.is_empty() && !group.rules.is_empty() {
        return None;
    }
    Some(GroupJson {
        name: &group.name,
        file: &group.file,
        rules,
        interval: snapshot.interval.as_secs_f64(),
        limit: group.limit.unwrap_or(0),
        evaluation_time: snapshot.evaluation_time.as_secs_f64(),
        last_evaluation: snapshot.last_evaluation.unwrap_or(UnixMs::NEVER),
    })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupJson<'a> {
    name: &'a str,
    file: &'a str,
    rules: Vec<RuleJson<'a>>,
    interval: f64,
    limit: usize,
    evaluation_time: f64,
    last_evaluation: UnixMs,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleJson<'a> {
    state: &'static str,
    name: &'a str,
    query: &'a str,
    duration: f64,
    keep_firing_for: f64,
    /// As written, not expanded.
    labels: &'a BTreeMap<String, Template>,
    annotations: &'a BTreeMap<String, Template>,
    alerts: Vec<AlertJson<'a>>,
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'a str>,
    evaluation_time: f64,
    last_evaluation: UnixMs,
    r#type: &'static str,
}

impl<'a> RuleJson<'a> {
    fn new(rule: &'a AlertRule, snapshot: &'a RuleSnapshot, without_alerts: bool) -> Self {
        let states = || snapshot.state.alerts.values().map(|alert| alert.phase.name());
        let state = ["firing", "pending"].into_iter().find(|name| states().any(|state| state == *name));
        let (health, last_error) = match &snapshot.health {
            Health::Unknown => ("unknown", None),
            Health::Ok => ("ok", None),
            Health::Failed(reason) => ("err", Some(reason.as_str())),
        };
        Self {
            state: state.unwrap_or("inactive"),
            name: &rule.name,
            query: &rule.expr,
            duration: rule.hold.as_secs_f64(),
            keep_firing_for: rule.keep_firing_for.as_secs_f64(),
            labels: &rule.labels,
            annotations: &rule.annotations,
            alerts: if without_alerts { Vec::new() } else { active(snapshot).collect() },
            health,
            last_error,
            evaluation_time: snapshot.evaluation_time.as_secs_f64(),
            last_evaluation: snapshot.last_evaluation.unwrap_or(UnixMs::NEVER),
            r#type: "alerting",
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertJson<'a> {
    labels: &'a Labels,
    annotations: &'a Labels,
    state: &'static str,
    active_at: UnixMs,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_since: Option<UnixMs>,
    value: String,
}

/// Pending and firing alerts; resolved ones are not shown, as in Prometheus.
fn active(rule: &RuleSnapshot) -> impl Iterator<Item = AlertJson<'_>> {
    rule.state.alerts.values().filter(|alert| alert.is_active()).map(|alert: &Alert| AlertJson {
        labels: &alert.labels,
        annotations: &alert.annotations,
        state: alert.phase.name(),
        active_at: alert.active_since,
        keep_firing_since: match alert.phase {
            Phase::Firing { kept_since, .. } => kept_since,
            Phase::Pending | Phase::Resolved { .. } => None,
        },
        value: exponential(alert.value, None),
    })
}
