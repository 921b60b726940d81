//! Pure. The link an alert carries to the graph of its expression.

use std::fmt::Write;

use crate::alerting::config::{AlertingConfig, GrafanaConfig};

/// Where a person sees the expression: Grafana's Explore if configured, else the address Prometheus would give.
pub(crate) fn generator_url(config: &AlertingConfig, expr: &str) -> String {
    match &config.grafana {
        Some(grafana) => explore(grafana, expr),
        None => {
            let base = config.external_url.trim_end_matches('/');
            format!("{base}/graph?g0.expr={}&g0.tab=1", encode(expr))
        }
    }
}

fn explore(grafana: &GrafanaConfig, expr: &str) -> String {
    let uid = &grafana.datasource_uid;
    let panes = serde_json::json!({
        "a": {
            "datasource": uid,
            "queries": [{"refId": "A", "expr": expr, "datasource": {"type": "prometheus", "uid": uid}}],
            "range": {"from": "now-1h", "to": "now"},
        }
    });
    let base = grafana.url.trim_end_matches('/');
    format!("{base}/explore?schemaVersion=1&panes={}", encode(&panes.to_string()))
}

/// Percent-encoding of everything but RFC 3986's unreserved characters.
fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_carry_the_encoded_expression() {
        let mut config =
            AlertingConfig { external_url: "http://c:9090/prometheus/".into(), ..Default::default() };
        assert_eq!(
            generator_url(&config, "a{b=\"\u{fc}\"} > 1"),
            "http://c:9090/prometheus/graph?g0.expr=a%7Bb%3D%22%C3%BC%22%7D%20%3E%201&g0.tab=1"
        );
        config.grafana = Some(GrafanaConfig { url: "https://g".into(), datasource_uid: "llm".into() });
        let link = generator_url(&config, "up > 1");
        assert!(link.starts_with("https://g/explore?schemaVersion=1&panes=%7B%22a%22%3A%7B"), "{link}");
        assert!(link.contains("%22expr%22%3A%22up%20%3E%201%22"), "{link}");
    }
}
