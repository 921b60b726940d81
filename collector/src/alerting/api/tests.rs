//! The JSON that Grafana reads, field by field.

use super::*;
use crate::alerting::eval;
use crate::alerting::rules::tests::load;
use crate::alerting::sample::Sample;
use crate::alerting::state::RuleState;
use crate::alerting::template::Answers;
use axum::body::Body;
use axum::http::{self, StatusCode};
use http_body_util::BodyExt;
use std::sync::Arc;
use std::time::Duration;
use tower::ServiceExt;

const PACK: &str = r#"
groups:
- name: spend
  interval: 1m
  limit: 5
  rules:
  - alert: OverBudget
    expr: sum by (team) (increase(llm_cost_usd_total[1d])) > 100
    for: 5m
    labels: {severity: page}
    annotations: {summary: "{{ $labels.team }} spent {{ $value }}"}
  - alert: Unpriced
    expr: increase(llm_unpriced_calls_total[15m]) > 0
- name: latency
  rules:
  - {alert: Slow, expr: up, keep_firing_for: 1m}
"#;

fn view() -> RulesView {
    let at = UnixMs(1_700_000_000_500);
    let groups = load("alerts/pack.yaml", PACK).unwrap();
    RulesView::new(
        Principal::of("acme"),
        groups.into_iter().map(|group| {
            let rules = group.rules.iter().map(|rule| {
                let sample = Sample { labels: [("team".into(), "search".into())].into(), value: 120.5 };
                let (state, health) = match rule.name.as_str() {
                    "Unpriced" => (RuleState::default(), Health::Failed("no answer within 10 ms".into())),
                    _ => (
                        eval::step(rule, None, &RuleState::default(), at, &[sample], &Answers::new())
                            .unwrap()
                            .0,
                        Health::Ok,
                    ),
                };
                RuleSnapshot {
                    state: Arc::new(state),
                    health,
                    last_evaluation: Some(at),
                    evaluation_time: Duration::from_millis(2),
                }
            });
            GroupSnapshot {
                rules: rules.collect(),
                last_evaluation: (group.name == "spend").then_some(at),
                evaluation_time: Duration::from_millis(3),
                group: Arc::new(group),
            }
        }),
    )
}

async fn ask(request: http::request::Builder, body: &str) -> (StatusCode, Value) {
    let request = request.extension(Principal::of("acme"));
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let answer = router(view()).oneshot(request).await.unwrap();
    let status = answer.status();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&bytes).unwrap())
}

async fn rule_names(query: &str) -> Vec<String> {
    let (status, answer) = ask(http::Request::get(format!("/api/v1/rules?{query}")), "").await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    names(&answer)
}

fn names(answer: &Value) -> Vec<String> {
    let groups = answer["data"]["groups"].as_array().unwrap();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules.map(|rule| rule["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn rules_have_the_shape_prometheus_gives_them() {
    let (status, answer) = ask(http::Request::get("/api/v1/rules"), "").await;
    assert_eq!(status, StatusCode::OK);
    let want = json!({
        "name": "spend", "file": "alerts/pack.yaml", "interval": 60.0, "limit": 5,
        "evaluationTime": 0.003, "lastEvaluation": "2023-11-14T22:13:20.5Z",
        "rules": [{
            "state": "pending", "name": "OverBudget", "query": "sum by (team) (increase(llm_cost_usd_total[1d])) > 100",
            "duration": 300.0, "keepFiringFor": 0.0, "labels": {"severity": "page"},
            "annotations": {"summary": "{{ $labels.team }} spent {{ $value }}"},
            "alerts": [{
                "labels": {"alertname": "OverBudget", "severity": "page", "team": "search"},
                "annotations": {"summary": "search spent 120.5"},
                "state": "pending", "activeAt": "2023-11-14T22:13:20.5Z", "value": "1.205e+02",
            }],
            "health": "ok", "evaluationTime": 0.002, "lastEvaluation": "2023-11-14T22:13:20.5Z", "type": "alerting",
        }, {
            "state": "inactive", "name": "Unpriced", "query": "increase(llm_unpriced_calls_total[15m]) > 0",
            "duration": 0.0, "keepFiringFor": 0.0, "labels": {}, "annotations": {}, "alerts": [],
            "health": "err", "lastError": "no answer within 10 ms",
            "evaluationTime": 0.002, "lastEvaluation": "2023-11-14T22:13:20.5Z", "type": "alerting",
        }],
    });
    assert_eq!(answer["status"], "success");
    assert_eq!(answer["data"]["groups"][0], want);
    assert_eq!(answer["data"]["groups"][1]["lastEvaluation"], "0001-01-01T00:00:00Z");
    assert_eq!(answer["data"]["groups"][1]["rules"][0]["state"], "firing");
}

#[tokio::test]
async fn alerts_have_the_shape_prometheus_gives_them() {
    for method in ["GET", "POST"] {
        let (status, answer) = ask(http::Request::builder().method(method).uri("/api/v1/alerts"), "").await;
        assert_eq!(status, StatusCode::OK);
        let alerts = answer["data"]["alerts"].as_array().unwrap();
        let states: Vec<_> = alerts.iter().map(|alert| alert["state"].as_str().unwrap()).collect();
        assert_eq!(states, ["pending", "firing"]);
        assert_eq!(alerts[1]["labels"], json!({"alertname": "Slow", "team": "search"}));
    }
}

#[tokio::test]
async fn filters_narrow_the_rules() {
    assert_eq!(rule_names("").await, ["OverBudget", "Unpriced", "Slow"]);
    assert_eq!(rule_names("type=alert").await, ["OverBudget", "Unpriced", "Slow"]);
    assert!(rule_names("type=record").await.is_empty());
    assert_eq!(rule_names("rule_name[]=Slow&rule_name%5B%5D=Unpriced").await, ["Unpriced", "Slow"]);
    assert_eq!(rule_names("rule_group[]=latency").await, ["Slow"]);
    assert_eq!(rule_names("rule_group=latency").await, ["Slow"]);
    assert_eq!(rule_names("file[]=alerts/pack.yaml&rule_group[]=spend").await, ["OverBudget", "Unpriced"]);
    assert!(rule_names("file[]=other.yaml").await.is_empty());
    let (_, answer) = ask(http::Request::get("/api/v1/rules?exclude_alerts=true"), "").await;
    assert_eq!(answer["data"]["groups"][0]["rules"][0]["alerts"], json!([]));
}

#[tokio::test]
async fn posted_parameters_are_merged_with_those_of_the_address() {
    let post = || http::Request::post("/api/v1/rules?rule_group[]=spend");
    let form = post().header("content-type", "application/x-www-form-urlencoded; charset=utf-8");
    let (_, answer) = ask(form, "rule_name[]=Unpriced").await;
    assert_eq!(names(&answer), ["Unpriced"]);
    // vmalert posts with a JSON content type and no body.
    let (_, answer) = ask(post().header("content-type", "application/json"), "").await;
    assert_eq!(names(&answer), ["OverBudget", "Unpriced"]);
}

#[tokio::test]
async fn a_wrong_type_is_bad_data() {
    let (status, answer) = ask(http::Request::get("/api/v1/rules?type=both"), "").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert_eq!(answer["status"], "error");
    assert_eq!(answer["errorType"], "bad_data");
    assert_eq!(answer["error"], "invalid parameter \"type\": not supported value \"both\"");
}
