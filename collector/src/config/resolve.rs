//! From the configuration as written to settings. Reads the files it names; opens no port.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ledgerline_pricing::PriceBook;
use ledgerline_process::clock::{Clock, SystemClock};
use ledgerline_process::config::{Problems, Resolve, SecretText, parse_base_url};
use ledgerline_process::host;
use ledgerline_process::telemetry::TelemetryConfig;
use ledgerline_promql::limits::MEMORY_BYTES_DEFAULT;
use ledgerline_promql::{self as promql, Grouping, METRIC_NAME, QueryParams, SelectorRequest};
use ledgerline_store::catalog::{self, METRICS};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Auth, Config, EMBEDDED, Listen, Pricing, Settings, Storage, StorageConfig};
use crate::access::{Access, Principal};
use crate::alerting::{Defaults, UnixMs};
use crate::budget::catalog::{GAUGES, gauge};
use crate::budget::rules;
use crate::limits::NAME_BYTES_MAX;
use ledgerline_store::client::Target;
use ledgerline_store::engine::{EngineConfig, find_binary};

/// A share of less than an eighth of this compiles no regular expression.
const QUERY_MEMORY_BYTES_MIN: usize = 32 << 20;

impl Resolve for Config {
    type Settings = Settings;

    fn resolve(self, problems: &mut Problems) -> Option<Settings> {
        let owner = self.tenant.clone().unwrap_or_else(|| "default".to_owned());
        listen(&self, problems);
        tenant("tenant", &owner, problems);
        rules_have_a_record(&self, &owner, problems);
        let owner = Principal::of(&owner);
        let access = match &self.auth {
            None => Access::Open(owner.clone()),
            Some(auth) => Access::Tokens(tokens(auth, problems)),
        };
        let ingest = self.ingest.resolve(problems);
        let storage = storage(self.storage, &self.telemetry, problems);
        let prices = prices(&self.pricing, problems);
        let budgets = self.budgets.resolve(problems);
        let interval = Duration::from_millis(self.budgets.evaluation_interval_ms);
        let of_budgets = rules::group(&budgets, Defaults { interval, ..self.alerting.defaults(&accept) });
        let alerting = self.alerting.resolve(&accept, of_budgets, problems);
        let query_memory_bytes = self.query.memory_bytes_max.unwrap_or(MEMORY_BYTES_DEFAULT);
        if query_memory_bytes < QUERY_MEMORY_BYTES_MIN {
            problems.push("query.memory_bytes_max", format!("must be at least {QUERY_MEMORY_BYTES_MIN}"));
        }
        let log = self.log.resolve(problems);
        let Listen { grpc, http, api, .. } = self.listen;
        self.telemetry.check(&[grpc, http, api], problems);
        Some(Settings {
            listen: self.listen,
            access,
            ingest,
            owner,
            storage: storage?,
            prices: prices?,
            query_memory_bytes,
            alerting: alerting?,
            budgets: budgets.into(),
            log: log?,
            telemetry: self.telemetry,
        })
    }
}

/// The section `pricing`, with the rest unread.
#[derive(Deserialize)]
pub(super) struct PricingAlone {
    #[serde(default)]
    pricing: Pricing,
    #[serde(flatten)]
    _rest: BTreeMap<String, IgnoredAny>,
}

impl Resolve for PricingAlone {
    type Settings = PriceBook;

    fn resolve(self, problems: &mut Problems) -> Option<PriceBook> {
        prices(&self.pricing, problems)
    }
}

/// What the evaluator cannot answer is said now and not at the first evaluation.
fn accept(expr: &str) -> Result<(), String> {
    let params = QueryParams::Instant { time_ms: UnixMs::from_unix_ns(SystemClock.now_unix_ns()).0 };
    let plan = promql::plan(expr, params).map_err(|error| error.to_string())?;
    // Every metric of the record is, and none of budgets.
    let are_increments = |request: &SelectorRequest| request.metric().and_then(gauge).is_none();
    plan.check_increments(&are_increments).map_err(|error| error.to_string())?;
    plan.requests.iter().try_for_each(known_names)
}

/// A metric or a label that no query can find is a typing error: the rule would be silent for ever.
fn known_names(request: &SelectorRequest) -> Result<(), String> {
    let list = |names: Vec<&str>| names.join(", ");
    let labels_of = |wanted: &str| -> Option<Vec<&str>> {
        let of_budgets = || Some(gauge(wanted)?.labels().collect());
        catalog::metric(wanted).map(|metric| metric.labels().collect()).or_else(of_budgets)
    };
    let names = METRICS.iter().map(|metric| metric.name).chain(GAUGES.iter().map(|gauge| gauge.name));
    let known: BTreeSet<&str> = match request.metric() {
        None => names.flat_map(|name| labels_of(name).unwrap_or_default()).collect(),
        Some(name) => labels_of(name)
            .ok_or_else(|| format!("there is no metric {name}; there are: {}", list(names.collect())))?
            .into_iter()
            .collect(),
    };
    let kept: &[Arc<str>] = match &request.grouping {
        Some(Grouping::By(names) | Grouping::Without(names)) => names,
        None => &[],
    };
    let matched = request.matchers.iter().map(|matcher| matcher.name.as_str());
    let mut named = matched.chain(kept.iter().map(|name| &**name));
    let Some(label) = named.find(|name| *name != METRIC_NAME && !known.contains(name)) else { return Ok(()) };
    let of = request.metric().unwrap_or("any metric");
    Err(format!("there is no label {label} of {of}; there are: {}", list(known.into_iter().collect())))
}

fn listen(config: &Config, problems: &mut Problems) {
    let ports = [
        ("listen.grpc", config.listen.grpc),
        ("listen.http", config.listen.http),
        ("listen.api", config.listen.api),
    ];
    for (index, (path, address)) in ports.into_iter().enumerate() {
        if !address.ip().is_loopback() && config.auth.is_none() {
            problems.push(
                path,
                format!("{address} can be reached by others; set auth.tokens, or listen on 127.0.0.1"),
            );
        }
        let taken = |(_, other): &&(&str, SocketAddr)| address.port() != 0 && *other == address;
        if let Some((other, _)) = ports[..index].iter().find(taken) {
            problems.push(path, format!("{address} is taken by {other}"));
        }
    }
    if let Some(tls) = &config.listen.tls {
        tls.validate("listen.tls", problems);
    }
    host::validate("listen.hosts", &config.listen.hosts, problems);
}

fn tenant(path: &str, name: &str, problems: &mut Problems) {
    if name.is_empty() || name.len() > NAME_BYTES_MAX {
        problems.push(path, format!("must have 1 to {NAME_BYTES_MAX} bytes"));
    }
}

/// The tokens that can be read.
fn tokens(auth: &Auth, problems: &mut Problems) -> Vec<(SecretText, Principal)> {
    if auth.tokens.is_empty() {
        problems.push("auth.tokens", "is empty, so nobody could send; add a token or remove auth");
    }
    let mut read: Vec<(SecretText, Principal)> = Vec::new();
    for (index, token) in auth.tokens.iter().enumerate() {
        let path = format!("auth.tokens[{index}]");
        tenant(&format!("{path}.tenant"), &token.tenant, problems);
        match token.token.read() {
            Err(reason) => problems.push(format!("{path}.token"), reason),
            Ok(text) if text.expose().len() < 16 => {
                problems.push(format!("{path}.token"), "is shorter than 16 bytes and could be guessed");
            }
            Ok(text) if read.iter().any(|(other, _)| other.expose() == text.expose()) => {
                problems.push(format!("{path}.token"), "is the same as an earlier one");
            }
            Ok(text) => read.push((text, Principal::of(&token.tenant))),
        }
    }
    read
}

/// Whether it can stand in a statement as a name.
fn is_identifier(name: &str) -> bool {
    name.len() <= 64
        && name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn storage(config: StorageConfig, telemetry: &TelemetryConfig, problems: &mut Problems) -> Option<Storage> {
    let database = config.database.unwrap_or_else(|| "ledgerline".to_owned());
    if !is_identifier(&database) {
        problems.push("storage.database", "must be letters, digits and _, and begin with no digit");
    }
    if config.cluster.as_deref().is_some_and(|name| !is_identifier(name)) {
        problems.push("storage.cluster", "must be letters, digits and _, and begin with no digit");
    }
    if let Some(url) = config.url.filter(|url| url != EMBEDDED) {
        let wrong = |error| format!("must be `{EMBEDDED}`, http://host:port or https://host:port: {error}");
        problems.take("storage.url", parse_base_url(&url).map_err(wrong));
        let password = config.password.and_then(|secret| problems.take("storage.password", secret.read()));
        let cluster = config.cluster;
        return Some(Storage::Server(Target { url, database, cluster, user: config.user, password }));
    }
    for (path, set) in
        [("storage.user", config.user.is_some()), ("storage.password", config.password.is_some())]
    {
        if set {
            problems.push(
                path,
                "the collector makes the embedded engine's passwords itself; remove it, or name a server in storage.url",
            );
        }
    }
    if config.cluster.is_some() {
        problems.push(
            "storage.cluster",
            "the embedded engine is one server; remove it, or name a server in storage.url",
        );
    }
    let binary = problems.take("storage.engine.binary", find_binary(config.engine.binary.as_deref()))?;
    let engine = EngineConfig {
        binary: Some(binary),
        data_dir: config.data_dir.unwrap_or_else(|| "ledgerline-data".into()),
        library: config.engine.library,
        connections: None,
        memory_bytes_max: None,
        telemetry: telemetry.clone(),
    };
    Some(Storage::Embedded(engine, database))
}

/// The price book: what this build carries, below the overrides.
fn prices(pricing: &Pricing, problems: &mut Problems) -> Option<PriceBook> {
    let mut files = Vec::new();
    for (index, path) in pricing.overrides.iter().enumerate() {
        let text = std::fs::read_to_string(path);
        let text = text.map_err(|error| format!("cannot read {}: {error}", path.display()));
        let text = problems.take(&format!("pricing.overrides[{index}]"), text);
        files.extend(text.map(|text| (path.display().to_string(), text)));
    }
    let published = PriceBook::embedded();
    if files.is_empty() {
        return Some(published);
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let overrides = PriceBook::parse(&files).map_err(|found| {
        found.iter().for_each(|problem| problems.push("pricing.overrides", problem.to_string()));
    });
    overrides.ok().map(|overrides| published.with_overrides(&overrides))
}

/// With tokens, only what a token sends is recorded: rules over a tenant without one would never fire, and say so nowhere.
fn rules_have_a_record(config: &Config, owner: &str, problems: &mut Problems) {
    let Some(auth) = &config.auth else { return };
    let written = auth.tokens.iter().any(|token| token.tenant == owner);
    let reads = !config.alerting.rule_files.is_empty() || !config.budgets.files.is_empty();
    if reads && !auth.tokens.is_empty() && !written {
        problems.push(
            "tenant",
            format!(
                "no token of auth.tokens writes for {owner:?}, whose record the rules of alerting.rule_files and the budgets read; name the tenant \
                 that they are about, or add a token for this one"
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use ledgerline_process::config::parse;
    use tempfile::NamedTempFile;

    use super::*;

    /// Empty if there are none.
    fn problems(yaml: &str) -> String {
        parse::<Config>("c.yaml", yaml).err().map(|error| error.to_string()).unwrap_or_default()
    }

    fn file(text: &str) -> NamedTempFile {
        let mut file = NamedTempFile::with_suffix(".yaml").unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    /// The section `alerting` with one rule in a group that says this, and the rule's file.
    fn alerting(group: &str, expr: &str) -> (String, NamedTempFile) {
        let rules = file(&format!("groups: [{{name: g, {group} rules: [{{alert: A, expr: {expr:?}}}]}}]"));
        (format!("alerting: {{rule_files: [{}]}}\n", rules.path().display()), rules)
    }

    fn rule_problems(expr: &str) -> String {
        let (section, _rules) = alerting("", expr);
        problems(&format!("{SERVER}{section}"))
    }

    const SERVER: &str = "storage: {url: 'http://127.0.0.1:8123'}\n";

    #[test]
    fn the_example_shows_every_section_and_is_valid() {
        let text = include_str!("../../ledgerline-collector.example.yaml");
        // The engine is wherever it was installed; any program stands for it.
        let engine = format!("    binary: {}", std::env::current_exe().unwrap().display());
        let with_engine = text.replace("    # binary: /usr/local/bin/ledgerline-engine", &engine);
        let settings = parse::<Config>("example", &with_engine).unwrap();
        assert!(matches!(settings.storage, Storage::Embedded(..)));
        assert_eq!(settings.listen.grpc.port(), 4317);
        for section in
            "listen tenant auth ingest storage pricing query alerting budgets log telemetry".split(' ')
        {
            assert!(text.contains(&format!("{section}:")), "{section}");
        }
    }

    /// Each of these would be loaded and silent for ever.
    #[test]
    fn an_expression_that_can_never_answer_is_refused() {
        for (expr, reason) in [
            ("rate(llm_callz_total[5m])", "there is no metric llm_callz_total; there are: llm_call_duration"),
            ("llm_calls_total{teem=\"ads\"} > 1", "there is no label teem of llm_calls_total; there are:"),
            ("sum by (teem) (rate(llm_calls_total[5m]))", "there is no label teem"),
            ("llm_calls_total{token_class=\"input\"}", "there is no label token_class"),
            ("changes(llm_calls_total[1h]) > 0", "use increase() or rate()"),
            (
                "llm_budget_spent_usd{team=\"ads\"} > 1",
                "there is no label team of llm_budget_spent_usd; there are: budget",
            ),
            ("llm_budget_crossed_usd{threshold=\"80%\"} and changes(llm_budget_usd[1d]) > 0", ""),
            ("llm_budget_forecast_usd{band=\"high\"} > on (budget) llm_budget_usd", ""),
            ("sum by (team) (rate(llm_tokens_total{token_class!=\"\"}[5m])) > 1", ""),
            ("absent_over_time(llm_calls_total{model=~\"gpt.*\"}[1h])", ""),
            // Nothing is refused for its age.
            ("increase(llm_calls_total[900d] offset 7m) > 9", ""),
            ("label_replace(vector(1), \"teem\", \"x\", \"\", \"\")", ""),
        ] {
            let found = rule_problems(expr);
            assert!(found.contains(reason) && found.is_empty() == reason.is_empty(), "{expr}: {found}");
        }
    }

    #[test]
    fn every_problem_is_found_at_once() {
        let text = problems(
            "listen: {grpc: '0.0.0.0:4317', http: '127.0.0.1:4319', hosts: ['a b'], tls: {cert_file: /no/cert, key_file: /no/key}}\n\
             tenant: ''\nstorage: {url: ftp://x, database: 'a b', usre: x}\n\
             pricing: {overrides: [/nowhere/prices.yaml]}\nlog: {level: 'loud=very', format: xml}\n\
             alerting: {evaluation_interval_ms: 15, external_url: nowhere, recievers: [], receivers: [\
             {name: a, kind: webhook, url: 'ftp://x'}, {name: a, kind: webhook, url: 'http://x', timeout_ms: 0},\
             {name: b, kind: pager, url: nowhere}]}\n",
        );
        for part in [
            "listen.grpc: 0.0.0.0:4317 can be reached by others",
            "listen.api: 127.0.0.1:4319 is taken by listen.http",
            "listen.tls.cert_file: cannot read certificates from /no/cert",
            "listen.hosts[0]: \"a b\" is not a host name",
            "tenant: must have 1 to",
            "storage.url: must be `embedded`",
            "storage.database: must be",
            "storage.usre: is not a key",
            "pricing.overrides[0]: cannot read /nowhere/prices.yaml",
            "log.level:",
            "log.format: unknown variant `xml`, expected `text` or `json`",
            "alerting.evaluation_interval_ms: must be at least 100",
            "alerting.external_url: `nowhere` must start with http",
            "alerting.recievers: is not a key",
            "alerting.receivers[0].url: `ftp://x` must start with http",
            "alerting.receivers[1].name: must be there and differ",
            "alerting.receivers[1].timeout_ms: must be above 0",
            "alerting.receivers[2].kind: unknown variant `pager`, expected `alertmanager` or `webhook`",
            "alerting.receivers[2].url: `nowhere` must start with http",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn tokens_open_the_way_out_of_loopback_for_tenants_that_have_a_record() {
        let (token, short) = (file("0123456789abcdef"), file("short"));
        let yaml = |token: &NamedTempFile, tenant: &str, more: &str| {
            let token = format!("{{token: {{file: {}}}, tenant: '{tenant}'}}", token.path().display());
            format!("{SERVER}listen: {{grpc: '0.0.0.0:4317'}}\nauth: {{tokens: [{token}]}}\n{more}")
        };
        let (rules, _file) = alerting("", "llm_calls_total > 1");
        for (yaml, problem) in [
            (yaml(&token, "a", ""), ""),
            (yaml(&token, "", ""), "auth.tokens[0].tenant"),
            (yaml(&short, "a", ""), "shorter than 16 bytes"),
            (yaml(&token, "a", &format!("tenant: a\n{rules}")), ""),
            (
                yaml(&token, "a", &rules),
                "tenant: no token of auth.tokens writes for \"default\", whose record the rules of alerting.rule_files",
            ),
            ("auth: {}".into(), "auth.tokens: is empty"),
            (
                "storage: {engine: {binary: /nowhere/engine}}".into(),
                "storage.engine.binary: there is no engine at /nowhere/engine",
            ),
            ("storage: {cluster: main}".into(), "storage.cluster: the embedded engine is one server"),
            (
                "storage: {user: u}".into(),
                "storage.user: the collector makes the embedded engine's passwords",
            ),
        ] {
            let found = problems(&yaml);
            assert!(found.contains(problem) && found.is_empty() == problem.is_empty(), "{yaml}: {found}");
        }
    }

    #[test]
    fn no_secret_of_a_configuration_is_printed() {
        let secret = file("Bearer secret-0123456789");
        let place = format!("{{file: {}}}", secret.path().display());
        let settings = parse::<Config>(
            "c.yaml",
            &format!(
                "storage: {{url: 'http://127.0.0.1:8123', user: u, password: {place}}}\n\
                 auth: {{tokens: [{{token: {place}, tenant: a}}]}}\n\
                 alerting: {{receivers: [{{name: hook, kind: webhook, url: 'http://hook', authorization: {place}}}]}}\n"
            ),
        );
        let printed = format!("{:?}", settings.unwrap());
        assert!(printed.contains("http://hook") && !printed.contains("secret-"), "{printed}");
    }
}
