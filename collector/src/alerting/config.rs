//! The `alerting` section of the collector's configuration.

use std::path::PathBuf;
use std::time::Duration;

use ledgerline_process::config::{Problems, Secret};
use serde::Deserialize;

/// Rules, when they are evaluated, and who hears of their alerts.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct AlertingConfig {
    /// Prometheus rule files, or directories of them (`*.yaml` and `*.yml`, without `*_test.yaml` and `*_test.yml`).
    pub rule_files: Vec<PathBuf>,
    /// How often groups without an `interval` are evaluated. Evaluation times are multiples of the interval in UTC.
    pub evaluation_interval_ms: u64,
    /// How far behind the evaluation time groups without a `query_offset` read. Spans arrive when a call ends and are stored
    /// a moment later; reading the present would miss the last of them.
    pub query_offset_ms: u64,
    /// Longest time one rule's query may take; it then counts as failed, which resolves nothing.
    pub query_timeout_ms: u64,
    /// How often firing alerts are sent again to Alertmanagers.
    pub resend_delay_ms: u64,
    /// Where people reach this collector's Prometheus API; alerts link to it unless `grafana` is set.
    pub external_url: String,
    /// Makes alerts link to Grafana's Explore with their expression.
    pub grafana: Option<GrafanaConfig>,
    /// Who hears of alerts.
    pub receivers: Vec<ReceiverConfig>,
}

/// Where Grafana is and what it calls this collector.
#[derive(Clone, Debug, Deserialize)]
pub struct GrafanaConfig {
    /// Base address, for example `https://grafana.example.com`.
    pub url: String,
    /// Uid of the Prometheus data source that reads from this collector.
    pub datasource_uid: String,
}

/// One receiver. Each Alertmanager of a cluster is a receiver of its own, as in Prometheus.
#[derive(Clone, Debug, Deserialize)]
pub struct ReceiverConfig {
    /// Unique; a label of the delivery metrics.
    pub name: String,
    /// What it speaks.
    pub kind: ReceiverKind,
    /// For an Alertmanager its base address (`http://alertmanager:9093`), for a webhook the full address.
    pub url: String,
    /// Full value of the `Authorization` header, for example `Bearer ...`, from an environment variable or a file.
    #[serde(default)]
    pub authorization: Option<Secret>,
    /// Longest time one delivery may take, answer included.
    #[serde(default = "default_timeout_ms")]
    pub timeout_ms: u64,
}

/// What a receiver speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReceiverKind {
    /// Alertmanager's API v2: the state of all alerts, again and again.
    Alertmanager,
    /// Alertmanager's webhook body, version 4: each firing and each resolving once, with an `Idempotency-Key`.
    Webhook,
}

fn default_timeout_ms() -> u64 {
    10_000
}

impl Default for AlertingConfig {
    fn default() -> Self {
        Self {
            rule_files: Vec::new(),
            evaluation_interval_ms: 15_000,
            query_offset_ms: 10_000,
            query_timeout_ms: 10_000,
            resend_delay_ms: 60_000,
            external_url: "http://127.0.0.1:4319/prometheus".to_owned(),
            grafana: None,
            receivers: Vec::new(),
        }
    }
}

impl AlertingConfig {
    /// Adds what the types do not exclude; `path` is the section's key.
    pub fn validate(&self, path: &str, problems: &mut Problems) {
        for (key, value) in [
            ("evaluation_interval_ms", self.evaluation_interval_ms),
            ("query_timeout_ms", self.query_timeout_ms),
            ("resend_delay_ms", self.resend_delay_ms),
        ] {
            if value < 100 {
                problems.push(format!("{path}.{key}"), "must be at least 100; the unit is milliseconds");
            }
        }
        check_url(&format!("{path}.external_url"), &self.external_url, problems);
        if let Some(grafana) = &self.grafana {
            check_url(&format!("{path}.grafana.url"), &grafana.url, problems);
        }
        let mut names = std::collections::BTreeSet::new();
        for (index, receiver) in self.receivers.iter().enumerate() {
            let path = format!("{path}.receivers[{index}]");
            if receiver.name.is_empty() || !names.insert(&receiver.name) {
                problems
                    .push(format!("{path}.name"), "must be there and differ from the other receivers' names");
            }
            check_url(&format!("{path}.url"), &receiver.url, problems);
            if receiver.timeout_ms == 0 {
                problems.push(format!("{path}.timeout_ms"), "must be above 0");
            }
        }
    }

    pub(crate) fn evaluation_interval(&self) -> Duration {
        Duration::from_millis(self.evaluation_interval_ms)
    }

    pub(crate) fn query_offset(&self) -> Duration {
        Duration::from_millis(self.query_offset_ms)
    }

    pub(crate) fn query_timeout(&self) -> Duration {
        Duration::from_millis(self.query_timeout_ms)
    }

    pub(crate) fn resend_delay(&self) -> Duration {
        Duration::from_millis(self.resend_delay_ms)
    }
}

fn check_url(path: &str, text: &str, problems: &mut Problems) {
    let uri = text.parse::<http::Uri>().ok();
    let usable =
        uri.is_some_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some());
    if !usable {
        problems.push(path, format!("{text:?} is not an http:// or https:// address"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledgerline_process::config::{Validate, parse};

    #[derive(Debug, Deserialize)]
    struct Outer {
        #[serde(default)]
        alerting: AlertingConfig,
    }

    impl Validate for Outer {
        fn validate(&self, problems: &mut Problems) {
            self.alerting.validate("alerting", problems);
        }
    }

    #[test]
    fn defaults_are_valid_and_a_full_section_reads() {
        assert_eq!(parse::<Outer>("a", "").unwrap().alerting.evaluation_interval_ms, 15_000);
        let text =
            "alerting: {rule_files: [alerts], grafana: {url: 'https://g', datasource_uid: llm}, receivers: [
            {name: am, kind: alertmanager, url: 'http://am:9093', authorization: {env: AM_AUTH}},
            {name: hook, kind: webhook, url: 'https://hooks/x', timeout_ms: 500}]}";
        let alerting = parse::<Outer>("a", text).unwrap().alerting;
        assert_eq!(alerting.receivers[0].timeout_ms, 10_000);
        assert_eq!(alerting.receivers[1].kind, ReceiverKind::Webhook);
    }

    #[test]
    fn wrong_values_are_all_reported() {
        let text = "alerting: {evaluation_interval_ms: 15, external_url: nowhere, recievers: [], receivers: [
            {name: a, kind: webhook, url: 'ftp://x'}, {name: a, kind: webhook, url: 'http://x', timeout_ms: 0}]}";
        let report = parse::<Outer>("a", text).unwrap_err().to_string();
        for part in [
            "alerting.evaluation_interval_ms: must be at least 100",
            "alerting.external_url: \"nowhere\"",
            "alerting.recievers: is not a key",
            "alerting.receivers[0].url: \"ftp://x\"",
            "alerting.receivers[1].name: must be there and differ",
            "alerting.receivers[1].timeout_ms",
        ] {
            assert!(report.contains(part), "{part} in {report}");
        }
    }
}
