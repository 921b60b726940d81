//! Pure. The body Alertmanager posts to webhooks, version 4, with one alert in it: whoever reads Alertmanager's webhooks reads
//! ours, and one alert per request lets the `Idempotency-Key` name exactly one transition.
//! (Source: Alertmanager documentation, `webhook_config`.)

use serde::Serialize;

use crate::alerting::sample::{Labels, fingerprint};
use crate::alerting::time::ZERO_TIME;

use super::Notification;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    receiver: &'a str,
    status: &'static str,
    alerts: [Alert<'a>; 1],
    group_labels: &'a Labels,
    common_labels: &'a Labels,
    common_annotations: &'a Labels,
    #[serde(rename = "externalURL")]
    external_url: &'a str,
    version: &'static str,
    group_key: String,
    truncated_alerts: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Alert<'a> {
    status: &'static str,
    labels: &'a Labels,
    annotations: &'a Labels,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
    fingerprint: String,
}

pub(super) fn body(receiver: &str, notification: &Notification) -> serde_json::Result<Vec<u8>> {
    let status = notification.status.as_str();
    let labels = &notification.labels;
    serde_json::to_vec(&Body {
        receiver,
        status,
        alerts: [Alert {
            status,
            labels,
            annotations: &notification.annotations,
            starts_at: notification.starts_at.rfc3339(),
            ends_at: notification.ends_at.map_or_else(|| ZERO_TIME.to_owned(), |at| at.rfc3339()),
            generator_url: &notification.generator_url,
            fingerprint: format!("{:016x}", fingerprint(labels)),
        }],
        group_labels: labels,
        common_labels: labels,
        common_annotations: &notification.annotations,
        external_url: base(&notification.generator_url),
        version: "4",
        group_key: group_key(labels),
        truncated_alerts: 0,
    })
}

/// Scheme and authority of the link.
fn base(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    &url[..end]
}

/// As Alertmanager's: the route's matchers (none), a colon, the group's labels.
fn group_key(labels: &Labels) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{}}:{{{}}}", pairs.join(", "))
}
