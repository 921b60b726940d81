//! Pure. The body of Alertmanager's `POST /api/v2/alerts`. (Source: alertmanager, api/v2/openapi.yaml.)

use serde::Serialize;

use crate::alerting::sample::Labels;

use super::Notification;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PostableAlert<'a> {
    labels: &'a Labels,
    annotations: &'a Labels,
    starts_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_at: Option<String>,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
}

pub(super) fn body<'a>(notifications: impl Iterator<Item = &'a Notification>) -> serde_json::Result<Vec<u8>> {
    let alerts: Vec<PostableAlert<'_>> = notifications
        .map(|notification| PostableAlert {
            labels: &notification.labels,
            annotations: &notification.annotations,
            starts_at: notification.starts_at.rfc3339(),
            ends_at: notification.ends_at.map(|at| at.rfc3339()),
            generator_url: &notification.generator_url,
        })
        .collect();
    serde_json::to_vec(&alerts)
}
