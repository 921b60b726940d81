//! Pure. The link an alert carries: to itself.

use crate::alerting::config::{GrafanaConfig, LinkBase};
use crate::alerting::sample::{ALERT_NAME, Labels, fingerprint};

/// Where a person sees the alert: its expression in Grafana's Explore if that is configured, else the alert in our console.
pub(crate) fn generator_url(base: &LinkBase, labels: &Labels, expr: &str) -> String {
    match base {
        LinkBase::Console(url) => {
            let name = labels.get(ALERT_NAME).map_or("", String::as_str);
            format!("{url}/alerts?alert={}&fingerprint={:016x}", encode(name), fingerprint(labels))
        }
        LinkBase::Grafana(GrafanaConfig { url, datasource_uid: uid }) => {
            let panes = serde_json::json!({
                "a": {
                    "datasource": uid,
                    "queries": [{"refId": "A", "expr": expr, "datasource": {"type": "prometheus", "uid": uid}}],
                    "range": {"from": "now-1h", "to": "now"},
                }
            });
            format!("{url}/explore?schemaVersion=1&panes={}", encode(&panes.to_string()))
        }
    }
}

/// Percent-encoding; forms write a space as `+`, and a plus as `%2B`.
fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_carry_the_encoded_alert_or_expression() {
        // FNV-1a over `alertname 0xff M\u{fc} x 0xff`, by another program.
        let labels = Labels::from([(ALERT_NAME.to_owned(), "M\u{fc} x".to_owned())]);
        assert_eq!(
            generator_url(&LinkBase::Console("http://c:4319".into()), &labels, "up > 1"),
            "http://c:4319/alerts?alert=M%C3%BC%20x&fingerprint=8543e660576c309a"
        );
        let grafana =
            LinkBase::Grafana(GrafanaConfig { url: "https://g".into(), datasource_uid: "llm".into() });
        let link = generator_url(&grafana, &labels, "up > 1");
        assert!(link.starts_with("https://g/explore?schemaVersion=1&panes=%7B%22a%22%3A%7B"), "{link}");
        assert!(link.contains("%22expr%22%3A%22up%20%3E%201%22"), "{link}");
    }
}
