//! `/api/v1/rules` and `/api/v1/alerts` in Prometheus' own JSON, which Grafana's alerting pages read.
//!
//! Rules and the alerts they raise belong to the tenant whose record they read; everybody else is told that there are none.
//! GET and POST are the same here: Grafana's Prometheus data source posts its parameters, and both places are read.
//! (Source: Prometheus documentation, HTTP API; web/api/v1/api.go.)

#[cfg(test)]
mod tests;

use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use crate::access::Principal;
use crate::alerting::rules::AlertRule;
use crate::alerting::snapshot::{GroupSnapshot, Health, RuleSnapshot, RulesView};
use crate::alerting::state::Phase;
use crate::alerting::template::exponential;
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
    reader: Option<Extension<Principal>>,
    params: Params,
) -> Result<Json<Success<Value>>, ApiError> {
    let groups = view.groups_for(reader.as_deref());
    if !matches!(&*params.first("type").to_ascii_lowercase(), "" | "alert" | "record") {
        let wrong = format!("not supported value {:?}", params.first("type"));
        return Err(ApiError::parameter("type", &wrong));
    }
    let groups: Vec<Value> = groups.iter().filter_map(|group| chosen(group, &params)).collect();
    Ok(Json(Success::new(json!({ "groups": groups }))))
}

async fn alerts(State(view): State<RulesView>, reader: Option<Extension<Principal>>) -> Json<Success<Value>> {
    let groups = view.groups_for(reader.as_deref());
    let alerts: Vec<Value> = groups.iter().flat_map(|group| &group.rules).flat_map(active).collect();
    Json(Success::new(json!({ "alerts": alerts })))
}

/// The group as the parameters want it; `None` if nothing of it is. As in Prometheus a group emptied by a filter on rules is
/// left out.
fn chosen(snapshot: &GroupSnapshot, params: &Params) -> Option<Value> {
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
    let with_alerts = !matches!(params.first("exclude_alerts"), "true" | "1" | "t" | "T" | "TRUE" | "True");
    // There are no recording rules.
    let is_wanted = |rule: &AlertRule| {
        !params.first("type").eq_ignore_ascii_case("record") && wanted("rule_name", &rule.name)
    };
    let pairs = group.rules.iter().zip(&snapshot.rules).filter(|(rule, _)| is_wanted(rule));
    let rules: Vec<Value> = pairs.map(|(rule, state)| rule_json(rule, state, with_alerts)).collect();
    if rules.is_empty() && !group.rules.is_empty() {
        return None;
    }
    Some(json!({
        "name": group.name,
        "file": group.file,
        "rules": rules,
        "interval": group.interval.as_secs_f64(),
        "limit": group.limit.unwrap_or(0),
        "evaluationTime": snapshot.evaluation_time.as_secs_f64(),
        "lastEvaluation": snapshot.last_evaluation.unwrap_or(UnixMs::NEVER),
    }))
}

fn rule_json(rule: &AlertRule, snapshot: &RuleSnapshot, with_alerts: bool) -> Value {
    let states = || snapshot.state.alerts.values().map(|alert| alert.phase.name());
    let state = ["firing", "pending"].into_iter().find(|name| states().any(|state| state == *name));
    let mut json = json!({
        "state": state.unwrap_or("inactive"),
        "name": rule.name,
        "query": rule.expr,
        "duration": rule.hold.as_secs_f64(),
        "keepFiringFor": rule.keep_firing_for.as_secs_f64(),
        // As written, not expanded.
        "labels": rule.labels,
        "annotations": rule.annotations,
        "alerts": active(snapshot).filter(|_| with_alerts).collect::<Vec<_>>(),
        "evaluationTime": snapshot.evaluation_time.as_secs_f64(),
        "lastEvaluation": snapshot.last_evaluation.unwrap_or(UnixMs::NEVER),
        "type": "alerting",
    });
    json["health"] = match &snapshot.health {
        Health::Unknown => "unknown".into(),
        Health::Ok => "ok".into(),
        Health::Failed(reason) => {
            json["lastError"] = reason.as_str().into();
            "err".into()
        }
    };
    json
}

/// Pending and firing alerts; resolved ones are not shown, as in Prometheus.
fn active(rule: &RuleSnapshot) -> impl Iterator<Item = Value> {
    rule.state.alerts.values().filter(|alert| alert.is_active()).map(|alert| {
        let mut json = json!({
            "labels": alert.labels,
            "annotations": alert.annotations,
            "state": alert.phase.name(),
            "activeAt": alert.active_since,
            "value": exponential(alert.value, None),
        });
        if let Phase::Firing { kept_since: Some(kept_since), .. } = alert.phase {
            json["keepFiringSince"] = kept_since.rfc3339().into();
        }
        json
    })
}
