//! The `alerting` section of the collector's configuration.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderValue, Uri};
use ledgerline_process::config::{Problems, Secret, Word, parse_base_url};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::files;
use super::rules::{AcceptExpr, AlertRule, Defaults, Group};
use super::template::Template;
use crate::runbook;

/// Where Alertmanager's API v2 takes alerts.
const ALERTMANAGER_PATH: &str = "/api/v2/alerts";

/// The annotation that Grafana and others show as a link to what to do.
const RUNBOOK: &str = "runbook_url";

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
    /// Where people reach this collector's API port. Alerts link to the console there, unless `grafana` is set, and to their page of
    /// the runbook.
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
    /// `alertmanager` or `webhook`.
    pub kind: Word<ReceiverKind>,
    /// For an Alertmanager its base address (`http://alertmanager:9093`), for a webhook the full address.
    pub url: String,
    /// Full value of the `Authorization` header, for example `Bearer ...`, from an environment variable or a file.
    pub authorization: Option<Secret>,
    /// Longest time one delivery may take, answer included. 10 s by default.
    pub timeout_ms: Option<u64>,
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

impl Default for AlertingConfig {
    fn default() -> Self {
        Self {
            rule_files: Vec::new(),
            evaluation_interval_ms: 15_000,
            query_offset_ms: 10_000,
            query_timeout_ms: 10_000,
            resend_delay_ms: 60_000,
            external_url: "http://127.0.0.1:4319".to_owned(),
            grafana: None,
            receivers: Vec::new(),
        }
    }
}

#[derive(Debug)]
pub struct AlertingSettings {
    pub groups: Vec<Group>,
    pub query_timeout: Duration,
    pub resend_delay: Duration,
    pub link: LinkBase,
    pub receivers: Vec<Receiver>,
}

/// Where the links of alerts lead. Addresses are without a slash at their end.
#[derive(Clone, Debug)]
pub enum LinkBase {
    Console(String),
    Grafana(GrafanaConfig),
}

/// One receiver, ready to be sent to.
#[derive(Clone, Debug)]
pub struct Receiver {
    pub name: String,
    pub kind: ReceiverKind,
    /// The full address that is posted to.
    pub uri: Uri,
    /// The value of the `Authorization` header, marked sensitive, so that it prints as `Sensitive`.
    pub authorization: Option<HeaderValue>,
    /// Longest time of one delivery, answer included.
    pub timeout: Duration,
}

/// Who hears of alerts.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReceiverBody {
    /// Its name in the configuration.
    pub name: String,
    /// Where people silence its alerts; nothing: it is no Alertmanager.
    pub alertmanager: Option<String>,
}

impl Receiver {
    /// As the API names it.
    pub fn body(&self) -> ReceiverBody {
        let address = self.uri.to_string();
        let is_alertmanager = matches!(self.kind, ReceiverKind::Alertmanager);
        let alertmanager = is_alertmanager.then(|| address.trim_end_matches(ALERTMANAGER_PATH).to_owned());
        ReceiverBody { name: self.name.clone(), alertmanager }
    }
}

impl AlertingConfig {
    /// What a group that says nothing else has.
    pub(crate) fn defaults<'a>(&self, accept: AcceptExpr<'a>) -> Defaults<'a> {
        let interval = Duration::from_millis(self.evaluation_interval_ms);
        Defaults { interval, query_offset: Duration::from_millis(self.query_offset_ms), accept }
    }

    /// Reads the rule files and the receivers' secrets. `accept` says whether an expression can be evaluated, `more` are rules of no file.
    pub fn resolve(
        self,
        accept: AcceptExpr<'_>,
        more: Option<Group>,
        problems: &mut Problems,
    ) -> Option<AlertingSettings> {
        let mut at_least_100 = |key: &str, ms| {
            if ms < 100 {
                problems.push(format!("alerting.{key}"), "must be at least 100; the unit is milliseconds");
            }
            Duration::from_millis(ms)
        };
        at_least_100("evaluation_interval_ms", self.evaluation_interval_ms);
        let query_timeout = at_least_100("query_timeout_ms", self.query_timeout_ms);
        let resend_delay = at_least_100("resend_delay_ms", self.resend_delay_ms);
        let defaults = self.defaults(accept);
        let external_url = url("alerting.external_url", &self.external_url, problems).unwrap_or_default();
        if external_url.ends_with("/prometheus") {
            tracing::warn!(
                "alerting.external_url is the address of the API port; /prometheus at its end is left out"
            );
        }
        let external_url = external_url.trim_end_matches("/prometheus").to_owned();
        let link = match self.grafana {
            None => Some(LinkBase::Console(external_url.clone())),
            Some(grafana) => url("alerting.grafana.url", &grafana.url, problems)
                .map(|url| LinkBase::Grafana(GrafanaConfig { url, ..grafana })),
        };
        let mut names = BTreeSet::new();
        let mut receivers = Vec::new();
        for (index, receiver) in self.receivers.iter().enumerate() {
            let path = format!("alerting.receivers[{index}]");
            if receiver.name.is_empty() || !names.insert(&receiver.name) {
                problems
                    .push(format!("{path}.name"), "must be there and differ from the other receivers' names");
            }
            receivers.extend(receiver.resolve(&path, problems));
        }
        let mut groups = files::load_rules(&self.rule_files, defaults, problems);
        groups.extend(more);
        for rule in groups.iter_mut().flat_map(|group| &mut group.rules) {
            link_runbook(rule, &external_url);
        }
        Some(AlertingSettings { groups, query_timeout, resend_delay, link: link?, receivers })
    }
}

/// Adds the link to our page about the alert, if there is one and the rule has no link of its own.
fn link_runbook(rule: &mut AlertRule, external_url: &str) {
    let page = runbook::path(&rule.name);
    let page = page.and_then(|path| Template::parse(&format!("{external_url}{path}")).ok());
    if let Some(page) = page {
        rule.annotations.entry(RUNBOOK.to_owned()).or_insert(page);
    }
}

impl ReceiverConfig {
    fn resolve(&self, path: &str, problems: &mut Problems) -> Option<Receiver> {
        let timeout_ms = self.timeout_ms.unwrap_or(10_000);
        if timeout_ms == 0 {
            problems.push(format!("{path}.timeout_ms"), "must be above 0");
        }
        let kind = self.kind.resolve(&format!("{path}.kind"), problems);
        // A webhook's address may end with a query.
        let base = self.url.split('?').next().unwrap_or_default();
        let address = url(&format!("{path}.url"), base, problems);
        let authorization = match &self.authorization {
            None => None,
            Some(secret) => Some(authorization(&format!("{path}.authorization"), secret, problems)?),
        };
        let kind = kind?;
        let address = match kind {
            ReceiverKind::Alertmanager => format!("{}{ALERTMANAGER_PATH}", address?),
            ReceiverKind::Webhook => self.url.clone(),
        };
        let uri = problems.take(&format!("{path}.url"), address.parse())?;
        let timeout = Duration::from_millis(timeout_ms);
        Some(Receiver { name: self.name.clone(), kind, uri, authorization, timeout })
    }
}

fn authorization(path: &str, secret: &Secret, problems: &mut Problems) -> Option<HeaderValue> {
    let text = problems.take(path, secret.read())?;
    let value = HeaderValue::from_str(text.expose()).map_err(|_| "has characters no header can carry");
    let mut value = problems.take(path, value)?;
    value.set_sensitive(true);
    Some(value)
}

/// An address without a slash at its end.
fn url(path: &str, text: &str, problems: &mut Problems) -> Option<String> {
    problems.take(path, parse_base_url(text))?;
    Some(text.trim_end_matches('/').to_owned())
}
