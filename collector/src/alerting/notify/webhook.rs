//! Pure. The body Alertmanager posts to webhooks, version 4, with one alert in it: whoever reads Alertmanager's webhooks reads
//! ours, and one alert per request lets the `Idempotency-Key` name exactly one transition.
//! (Source: Alertmanager documentation, `webhook_config`.)

use serde::Serialize;

use crate::alerting::sample::{Labels, fingerprint};

use super::{Notification, Status};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    receiver: &'a str,
    status: Status,
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
struct Alert<'a> {
    status: Status,
    #[serde(flatten)]
    notification: &'a Notification,
    fingerprint: String,
}

pub(super) fn body(receiver: &str, notification: &Notification) -> serde_json::Result<Vec<u8>> {
    let Notification { status, labels, annotations, .. } = notification;
    // As Alertmanager's: the route's matchers (none), a colon, the group's labels.
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    serde_json::to_vec(&Body {
        receiver,
        status: *status,
        alerts: [Alert {
            status: *status,
            notification,
            fingerprint: format!("{:016x}", fingerprint(labels)),
        }],
        group_labels: labels,
        common_labels: labels,
        common_annotations: annotations,
        external_url: base(&notification.generator_url),
        version: "4",
        group_key: format!("{{}}:{{{}}}", pairs.join(", ")),
        truncated_alerts: 0,
    })
}

/// Scheme and authority of the link.
fn base(url: &str) -> &str {
    let after_scheme = url.find("://").map_or(0, |at| at + 3);
    let end = url[after_scheme..].find('/').map_or(url.len(), |at| after_scheme + at);
    &url[..end]
}
