//! Pure. The link an alert carries to the graph of its expression.

use crate::alerting::config::{GrafanaConfig, LinkBase};

/// Where a person sees the expression: Grafana's Explore if configured, else the address Prometheus would give.
pub(crate) fn generator_url(base: &LinkBase, expr: &str) -> String {
    match base {
        LinkBase::Prometheus(url) => format!("{url}/graph?g0.expr={}&g0.tab=1", encode(expr)),
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
    fn links_carry_the_encoded_expression() {
        assert_eq!(
            generator_url(&LinkBase::Prometheus("http://c:9090/prometheus".into()), "a{b=\"\u{fc}\"} > 1"),
            "http://c:9090/prometheus/graph?g0.expr=a%7Bb%3D%22%C3%BC%22%7D%20%3E%201&g0.tab=1"
        );
        let grafana =
            LinkBase::Grafana(GrafanaConfig { url: "https://g".into(), datasource_uid: "llm".into() });
        let link = generator_url(&grafana, "up > 1");
        assert!(link.starts_with("https://g/explore?schemaVersion=1&panes=%7B%22a%22%3A%7B"), "{link}");
        assert!(link.contains("%22expr%22%3A%22up%20%3E%201%22"), "{link}");
    }
}
