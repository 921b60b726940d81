//! Pure. The body Alertmanager posts to webhooks, version 4, with one alert in it: whoever reads Alertmanager's webhooks reads
//! ours, and one alert per request lets the `Idempotency-Key` name exactly one transition.
//! (Source: Alertmanager documentation, `webhook_config`.)

use serde_json::{Value, json};

use crate::alerting::sample::fingerprint;

use super::Notification;

pub(super) fn body(receiver: &str, notification: &Notification) -> Value {
    let Notification { status, labels, annotations, starts_at, ends_at, generator_url, .. } = notification;
    // As Alertmanager's: the route's matchers (none), a colon, the group's labels.
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    json!({
        "receiver": receiver,
        "status": status,
        "alerts": [{
            "status": status,
            "labels": labels,
            "annotations": annotations,
            "startsAt": starts_at,
            "endsAt": ends_at,
            "generatorURL": generator_url,
            "fingerprint": format!("{:016x}", fingerprint(labels)),
        }],
        "groupLabels": labels,
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": base(generator_url),
        "version": "4",
        "groupKey": format!("{{}}:{{{}}}", pairs.join(", ")),
        "truncatedAlerts": 0,
    })
}

/// Scheme and authority of the link.
fn base(url: &str) -> &str {
    url.match_indices('/').nth(2).map_or(url, |(end, _)| &url[..end])
}
