//! `/api/v1/rules` and `/api/v1/alerts` in Prometheus' own JSON, which Grafana's alerting pages read.
//!
//! Rules and the alerts they raise belong to the tenant whose record they read; everybody else is told that there are none.
//! GET and POST are the same here: Grafana's Prometheus data source posts its parameters, and both places are read.
//! (Source: Prometheus documentation, HTTP API; web/api/v1/api.go.)

#[cfg(test)]
mod tests;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Form, FromRequest, Query, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Serialize;

use crate::access::Principal;
use crate::alerting::limits::API_BODY_BYTES_MAX;
use crate::alerting::rules::AlertRule;
use crate::alerting::sample::Labels;
use crate::alerting::snapshot::{GroupSnapshot, Health, RuleSnapshot, RulesView};
use crate::alerting::state::{Alert, Phase};
use crate::alerting::template::{Template, exponential};
use crate::alerting::time::{UnixMs, ZERO_TIME};

/// Serves `/api/v1/rules` and `/api/v1/alerts`, to be nested under the Prometheus prefix and behind a layer that puts a
/// [`Principal`] into every request.
pub fn router(view: RulesView) -> Router {
    Router::new()
        .route("/api/v1/rules", get(rules).post(rules))
        .route("/api/v1/alerts", get(alerts).post(alerts))
        .layer(DefaultBodyLimit::max(API_BODY_BYTES_MAX))
        .with_state(view)
}

async fn rules(State(view): State<RulesView>, request: Request) -> Response {
    let groups = view.groups_for(request.extensions().get());
    let filter = match parameters(request).await.and_then(|pairs| Filter::read(&pairs)) {
        Ok(filter) => filter,
        Err(message) => return bad_data(&message),
    };
    let groups = groups.iter().filter_map(|group| filter.apply(group)).collect();
    success(RulesData { groups })
}

async fn alerts(State(view): State<RulesView>, reader: Option<Extension<Principal>>) -> Response {
    let groups = view.groups_for(reader.as_deref());
    let rules = groups.iter().flat_map(|group| &group.rules);
    success(AlertsData { alerts: rules.flat_map(active).collect() })
}

/// Parameters of the address and, for POST with a form, of the body.
async fn parameters(request: Request) -> Result<Vec<(String, String)>, String> {
    let Query(mut pairs) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
        .map_err(|error| format!("cannot read the parameters: {error}"))?;
    let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let is_form = content_type.is_some_and(|text| text.starts_with("application/x-www-form-urlencoded"));
    if request.method() == Method::POST && is_form {
        let request: Request<Body> = request;
        let Form(more) = Form::<Vec<(String, String)>>::from_request(request, &())
            .await
            .map_err(|error| format!("cannot read the form: {error}"))?;
        pairs.extend(more);
    }
    Ok(pairs)
}

/// Which rules the caller wants; empty lists mean all.
#[derive(Debug, Default)]
struct Filter {
    files: Vec<String>,
    groups: Vec<String>,
    names: Vec<String>,
    without_alerts: bool,
    only_recording: bool,
}

impl Filter {
    fn read(pairs: &[(String, String)]) -> Result<Self, String> {
        let mut filter = Self::default();
        for (key, value) in pairs {
            match key.as_str() {
                // Grafana sends both spellings.
                "file" | "file[]" => filter.files.push(value.clone()),
                "rule_group" | "rule_group[]" => filter.groups.push(value.clone()),
                "rule_name" | "rule_name[]" => filter.names.push(value.clone()),
                "exclude_alerts" => {
                    filter.without_alerts =
                        matches!(value.as_str(), "true" | "1" | "t" | "T" | "TRUE" | "True");
                }
                "type" => match value.to_ascii_lowercase().as_str() {
                    "" | "alert" => {}
                    "record" => filter.only_recording = true,
                    _ => return Err(format!("invalid parameter \"type\": not supported value {value:?}")),
                },
                _ => {}
            }
        }
        Ok(filter)
    }

    /// The group as wanted; `None` if nothing of it is. As in Prometheus a group emptied by a filter on rules is left out.
    fn apply<'a>(&self, snapshot: &'a GroupSnapshot) -> Option<GroupJson<'a>> {
        let group = &snapshot.group;
        let wanted =
            |list: &[String], name: &str| list.is_empty() || list.iter().any(|wanted| wanted == name);
        if !wanted(&self.files, &group.file) || !wanted(&self.groups, &group.name) {
            return None;
        }
        let pairs = group.rules.iter().zip(&snapshot.rules);
        let rules: Vec<RuleJson<'a>> = pairs
            .filter(|(rule, _)| !self.only_recording && wanted(&self.names, &rule.name))
            .map(|(rule, state)| RuleJson::new(rule, state, self.without_alerts))
            .collect();
        if rules.is_empty() && (self.only_recording || !self.names.is_empty()) {
            return None;
        }
        Some(GroupJson {
            name: &group.name,
            file: &group.file,
            rules,
            interval: snapshot.interval.as_secs_f64(),
            limit: group.limit.unwrap_or(0),
            evaluation_time: snapshot.evaluation_time.as_secs_f64(),
            last_evaluation: instant(snapshot.last_evaluation),
        })
    }
}

#[derive(Serialize)]
struct RulesData<'a> {
    groups: Vec<GroupJson<'a>>,
}

#[derive(Serialize)]
struct AlertsData<'a> {
    alerts: Vec<AlertJson<'a>>,
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
    last_evaluation: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuleJson<'a> {
    state: &'static str,
    name: &'a str,
    query: &'a str,
    duration: f64,
    keep_firing_for: f64,
    labels: serde_json::Map<String, serde_json::Value>,
    annotations: serde_json::Map<String, serde_json::Value>,
    alerts: Vec<AlertJson<'a>>,
    health: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<&'a str>,
    evaluation_time: f64,
    last_evaluation: String,
    r#type: &'static str,
}

impl<'a> RuleJson<'a> {
    fn new(rule: &'a AlertRule, snapshot: &'a RuleSnapshot, without_alerts: bool) -> Self {
        let phases = || snapshot.state.alerts.values().map(|alert| alert.phase);
        let state = if phases().any(|phase| matches!(phase, Phase::Firing { .. })) {
            "firing"
        } else if phases().any(|phase| phase == Phase::Pending) {
            "pending"
        } else {
            "inactive"
        };
        let (health, last_error) = match &snapshot.health {
            Health::Unknown => ("unknown", None),
            Health::Ok => ("ok", None),
            Health::Failed(reason) => ("err", Some(reason.as_str())),
        };
        Self {
            state,
            name: &rule.name,
            query: &rule.expr,
            duration: rule.hold.as_secs_f64(),
            keep_firing_for: rule.keep_firing_for.as_secs_f64(),
            labels: sources(&rule.labels),
            annotations: sources(&rule.annotations),
            alerts: if without_alerts { Vec::new() } else { active(snapshot).collect() },
            health,
            last_error,
            evaluation_time: snapshot.evaluation_time.as_secs_f64(),
            last_evaluation: instant(snapshot.last_evaluation),
            r#type: "alerting",
        }
    }
}

/// Labels and annotations of a rule are shown as written, not expanded.
fn sources(
    templates: &std::collections::BTreeMap<String, Template>,
) -> serde_json::Map<String, serde_json::Value> {
    templates.iter().map(|(name, template)| (name.clone(), template.source().into())).collect()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertJson<'a> {
    labels: &'a Labels,
    annotations: &'a Labels,
    state: &'static str,
    active_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_firing_since: Option<String>,
    value: String,
}

/// Pending and firing alerts; resolved ones are not shown, as in Prometheus.
fn active(rule: &RuleSnapshot) -> impl Iterator<Item = AlertJson<'_>> {
    rule.state.alerts.values().filter_map(alert_json)
}

fn alert_json(alert: &Alert) -> Option<AlertJson<'_>> {
    let (state, kept_since) = match alert.phase {
        Phase::Pending => ("pending", None),
        Phase::Firing { kept_since, .. } => ("firing", kept_since),
        Phase::Resolved { .. } => return None,
    };
    Some(AlertJson {
        labels: &alert.labels,
        annotations: &alert.annotations,
        state,
        active_at: alert.active_since.rfc3339(),
        keep_firing_since: kept_since.map(UnixMs::rfc3339),
        value: exponential(alert.value, None),
    })
}

fn instant(at: Option<UnixMs>) -> String {
    at.map_or_else(|| ZERO_TIME.to_owned(), UnixMs::rfc3339)
}

#[derive(Serialize)]
struct Success<T> {
    status: &'static str,
    data: T,
}

fn success<T: Serialize>(data: T) -> Response {
    Json(Success { status: "success", data }).into_response()
}

fn bad_data(message: &str) -> Response {
    let body = serde_json::json!({"status": "error", "errorType": "bad_data", "error": message});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
