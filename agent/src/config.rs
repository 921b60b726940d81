//! The agent's configuration: one YAML file, read whole and checked whole before a port opens.
//!
//! Each field's comment is its manual entry; `ledgerline-agent.example.yaml` shows all of them with their defaults.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::header::HeaderName;
use ledgerline_process::config::{Problems, Resolve, Secret, parse_base_url};
use ledgerline_process::host;
use ledgerline_process::logging::LogConfig;
use ledgerline_process::telemetry::TelemetryConfig;
use ledgerline_process::tls::{Roots, TlsConfig, client_config};
use serde::Deserialize;

use crate::dialect::{self, Spec};
use crate::limits::{CONNECT_TIMEOUT_MAX, STOP_TIMEOUT_MAX};

/// The name of a dialect that stands for none.
const NO_DIALECT: &str = "none";

/// The whole file.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where services send their calls, HTTP/1.1 and HTTP/2 on the same port. Default `127.0.0.1:4100`.
    pub listen: SocketAddr,
    /// Allows `listen` and `admin.listen` on addresses that other machines can reach. The relay has no
    /// authentication of its own: whoever reaches it can use it. Default `false`.
    pub allow_remote: bool,
    /// Serve TLS on `listen`. Default: plain text, which is right for loopback.
    pub tls: Option<TlsConfig>,
    /// Health, readiness and the agent's own metrics.
    pub admin: AdminConfig,
    /// Where calls go. At least one.
    pub upstreams: Vec<UpstreamConfig>,
    /// Who calls, where the request does not say so in a header.
    pub identity: IdentityConfig,
    /// Names of the headers in which a request says who calls. They are read and not forwarded.
    pub identity_headers: IdentityHeaders,
    /// How calls are forwarded.
    pub relay: RelayConfig,
    /// How finished calls reach the collector.
    pub export: ExportConfig,
    /// The agent's own log.
    pub log: LogConfig,
    /// Spans of the agent's own work, as service `ledgerline-agent`. Off by default.
    pub telemetry: TelemetryConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4100)),
            allow_remote: false,
            tls: None,
            admin: AdminConfig::default(),
            upstreams: Vec::new(),
            identity: IdentityConfig::default(),
            identity_headers: IdentityHeaders::default(),
            relay: RelayConfig::default(),
            export: ExportConfig::default(),
            log: LogConfig::default(),
            telemetry: TelemetryConfig::default(),
        }
    }
}

/// `admin`: the port for operators.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct AdminConfig {
    /// Address of `/health`, `/ready` and `/metrics`. Default `127.0.0.1:4101`.
    pub listen: SocketAddr,
    /// Names of this machine that requests may be addressed to, beside IP addresses and `localhost`: what keeps web pages
    /// from reading it through a rebound name. `*`: any. Default: none.
    pub hosts: Vec<String>,
}

impl Default for AdminConfig {
    fn default() -> Self {
        Self { listen: SocketAddr::from(([127, 0, 0, 1], 4101)), hosts: Vec::new() }
    }
}

/// One entry of `upstreams`.
#[derive(Clone, Debug, Deserialize)]
pub struct UpstreamConfig {
    /// Its name in metrics, logs and error texts.
    pub name: String,
    /// Requests whose path starts with this go here; the longest prefix wins and is cut off. `/` takes all the rest.
    pub prefix: String,
    /// Scheme, host and, if needed, port and base path: `https://api.openai.com`.
    pub url: String,
    /// How calls to it are read: `openai`, `anthropic`, or `none` to forward without observing. Default `none`.
    #[serde(default, deserialize_with = "dialect")]
    pub dialect: Option<&'static Spec>,
    /// Who is paid, as OpenTelemetry names providers: `azure.ai.openai`, `groq`, `x_ai`. Decides whose prices hold. Default:
    /// the dialect's own provider, `openai` or `anthropic`.
    #[serde(default)]
    pub provider: Option<String>,
    /// `auto` (ask the server by ALPN; plain text is HTTP/1.1), `http1`, or `http2` (also in plain text).
    #[serde(default)]
    pub http_version: HttpVersion,
    /// `relay.usage_injection` for this upstream alone. Default: what `relay` says.
    #[serde(default)]
    pub usage_injection: Option<bool>,
}

impl UpstreamConfig {
    fn check_url(&self) -> Result<(), String> {
        let url = parse_base_url(&self.url)?;
        let base = url.path().trim_end_matches('/');
        if self.dialect.is_some() && base.ends_with("/v1") {
            return Err(format!(
                "`{}` must not end with /v1: clients send it as part of the path, and the upstream would get it twice; \
                 leave it out here and keep it in the client's base URL, which then ends with {}/v1",
                self.url,
                self.prefix.trim_end_matches('/')
            ));
        }
        Ok(())
    }

    /// Who is paid for calls to it.
    #[must_use]
    pub fn provider(&self) -> &str {
        self.provider.as_deref().or(self.dialect.map(|dialect| dialect.provider)).unwrap_or_default()
    }
}

/// Looks a wire format up by its name; `none` is none.
fn dialect<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<&'static Spec>, D::Error> {
    let name = String::deserialize(deserializer)?;
    if name == NO_DIALECT {
        return Ok(None);
    }
    dialect::find(&name).map(Some).ok_or_else(|| {
        let known: Vec<_> = dialect::names().chain([NO_DIALECT]).collect();
        serde::de::Error::custom(format!("unknown dialect `{name}`; known are {}", known.join(", ")))
    })
}

/// The HTTP version spoken with an upstream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpVersion {
    /// What TLS negotiates; HTTP/1.1 in plain text.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 only, in plain text by prior knowledge.
    Http2,
}

/// `identity`: what is recorded when a request does not say it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IdentityConfig {
    /// The calling service. Default: not stated.
    pub service: String,
    /// Its deployment environment, for instance `production`. Default: not stated.
    pub environment: String,
    /// The team that pays. Default: not stated.
    pub team: String,
    /// The product feature. Default: not stated.
    pub feature: String,
}

/// `identity_headers`: which request headers say who calls.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct IdentityHeaders {
    /// Default `x-ledgerline-service`.
    pub service: String,
    /// Default `x-ledgerline-environment`.
    pub environment: String,
    /// Default `x-ledgerline-team`.
    pub team: String,
    /// Default `x-ledgerline-feature`.
    pub feature: String,
    /// Default `x-ledgerline-user`.
    pub user: String,
    /// Default `x-ledgerline-session`.
    pub session: String,
}

impl Default for IdentityHeaders {
    fn default() -> Self {
        let name = |part: &str| format!("x-ledgerline-{part}");
        Self {
            service: name("service"),
            environment: name("environment"),
            team: name("team"),
            feature: name("feature"),
            user: name("user"),
            session: name("session"),
        }
    }
}

impl IdentityHeaders {
    /// Key in the file and header name, in the order of the fields.
    #[must_use]
    pub fn list(&self) -> [(&'static str, &str); 6] {
        [
            ("service", &self.service),
            ("environment", &self.environment),
            ("team", &self.team),
            ("feature", &self.feature),
            ("user", &self.user),
            ("session", &self.session),
        ]
    }
}

/// `relay`: how calls are forwarded.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RelayConfig {
    /// Threads that forward. Default 2.
    pub threads: usize,
    /// Longest time to connect to an upstream: name lookup, TCP and TLS. After that the client gets a 502. Default
    /// 5000, at most 60000.
    pub connect_timeout_ms: u64,
    /// When told to stop: how long running calls may take to finish. Kubernetes'
    /// `terminationGracePeriodSeconds` must be longer. Default 600, at most 86400.
    pub drain_timeout_seconds: u64,
    /// Where an `OpenAI` chat stream would carry no usage because the client did not ask for it: ask for it, and hide
    /// the extra chunk from the client. Default `true`.
    pub usage_injection: bool,
    /// Whose certificates upstreams and collector may show: `native` (the machine's) or `webpki` (Mozilla's list, built
    /// in). Without certificates on the machine, `native` is `webpki`. Default `native`.
    pub roots: Roots,
    /// PEM file with certificate authorities to trust instead of `roots`.
    pub ca_file: Option<PathBuf>,
}

impl Default for RelayConfig {
    fn default() -> Self {
        Self {
            threads: 2,
            connect_timeout_ms: 5_000,
            drain_timeout_seconds: 600,
            usage_injection: true,
            roots: Roots::Native,
            ca_file: None,
        }
    }
}

impl RelayConfig {
    /// `connect_timeout_ms` as a duration.
    #[must_use]
    pub const fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    /// `drain_timeout_seconds` as a duration.
    #[must_use]
    pub const fn drain_timeout(&self) -> Duration {
        Duration::from_secs(self.drain_timeout_seconds)
    }
}

/// `export`: how finished calls reach the collector.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct ExportConfig {
    /// The collector's OTLP/gRPC address; `https://` where the collector has `listen.tls`. Default
    /// `http://127.0.0.1:4317`.
    pub collector: String,
    /// One of the collector's `auth.tokens`: `{env: NAME}` or `{file: path}`. A file is read again when the collector
    /// refuses the token. Default: none, which a collector on the same machine takes.
    pub token: Option<Secret>,
    /// PEM file with the certificate authorities to trust for an `https://` collector. Default: `relay.ca_file` or
    /// `relay.roots`.
    pub ca_file: Option<PathBuf>,
    /// `none` or `zstd`. Default `none`: agent and collector are usually close.
    pub compression: Compression,
    /// Memory for calls the collector has not acknowledged. When it is full, new calls are counted as dropped and not
    /// recorded; the calls themselves go on. About 100 bytes a call in an outage. Default 12582912.
    pub spool_bytes_max: usize,
    /// When told to stop: how long to wait for the collector after the last call ended. Default 10, at most
    /// 86400.
    pub flush_timeout_seconds: u64,
}

impl Default for ExportConfig {
    fn default() -> Self {
        Self {
            collector: "http://127.0.0.1:4317".to_owned(),
            token: None,
            ca_file: None,
            compression: Compression::None,
            spool_bytes_max: 12 << 20,
            flush_timeout_seconds: 10,
        }
    }
}

/// Compression of export requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// Zstandard.
    Zstd,
}

impl Resolve for Config {
    type Settings = Self;

    fn resolve(self, problems: &mut Problems) -> Option<Self> {
        self.validate_addresses(problems);
        self.validate_upstreams(problems);
        self.validate_identity_headers(problems);
        if !(1..=64).contains(&self.relay.threads) {
            problems.push("relay.threads", "must be from 1 to 64");
        }
        let connect_timeout_ms_max = CONNECT_TIMEOUT_MAX.as_millis();
        if !(1..=connect_timeout_ms_max).contains(&u128::from(self.relay.connect_timeout_ms)) {
            let message = format!("must be from 1 to {connect_timeout_ms_max}; 5000 is usual");
            problems.push("relay.connect_timeout_ms", message);
        }
        for (path, seconds) in [
            ("relay.drain_timeout_seconds", self.relay.drain_timeout_seconds),
            ("export.flush_timeout_seconds", self.export.flush_timeout_seconds),
        ] {
            if seconds > STOP_TIMEOUT_MAX.as_secs() {
                problems.push(path, format!("must be at most {}, a day", STOP_TIMEOUT_MAX.as_secs()));
            }
        }
        self.validate_export(problems);
        host::validate("admin.hosts", &self.admin.hosts, problems);
        if let Some(tls) = &self.tls {
            tls.validate("tls", problems);
        }
        self.log.resolve(problems);
        self.telemetry.check(&[self.listen, self.admin.listen], problems);
        let authorities = [("relay.ca_file", &self.relay.ca_file), ("export.ca_file", &self.export.ca_file)];
        for (path, file) in authorities {
            if let Some(file) = file.as_deref() {
                problems.take(path, client_config(Roots::Webpki, Some(file)));
            }
        }
        Some(self)
    }
}

impl Config {
    fn validate_export(&self, problems: &mut Problems) {
        match parse_base_url(&self.export.collector) {
            Ok(url) if !matches!(url.path(), "" | "/") => {
                let message = format!(
                    "`{}` must end with the port: OTLP over gRPC has a path of its own",
                    self.export.collector
                );
                problems.push("export.collector", message);
            }
            Ok(_) => {}
            Err(message) => problems.push("export.collector", message),
        }
        if self.export.spool_bytes_max < (1 << 20) {
            problems.push("export.spool_bytes_max", "must be at least 1048576 (1 MiB)");
        }
        if let Some(Err(reason)) = self.export.token.as_ref().map(Secret::read) {
            problems.push("export.token", reason);
        }
    }

    fn validate_addresses(&self, problems: &mut Problems) {
        for (path, address) in [("listen", self.listen), ("admin.listen", self.admin.listen)] {
            if !address.ip().is_loopback() && !self.allow_remote {
                problems.push(
                    path,
                    format!(
                        "{address} can be reached from other machines and the agent has no authentication; \
                         use 127.0.0.1, or set `allow_remote: true` if the network keeps strangers out"
                    ),
                );
            }
        }
        if self.listen == self.admin.listen && self.listen.port() != 0 {
            problems.push("admin.listen", "must differ from `listen`");
        }
    }

    fn validate_upstreams(&self, problems: &mut Problems) {
        if self.upstreams.is_empty() {
            problems.push(
                "upstreams",
                format!(
                    "is empty, so there is nowhere to forward to; add for instance \
                     {{name: NAME, prefix: /NAME, url: https://HOST, dialect: NAME}}, where dialect is one of {}",
                    dialect::names().collect::<Vec<_>>().join(", ")
                ),
            );
        }
        for (index, upstream) in self.upstreams.iter().enumerate() {
            let at = |field: &str| format!("upstreams[{index}].{field}");
            let name_is_plain = !upstream.name.is_empty()
                && upstream.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
            if !name_is_plain {
                problems.push(at("name"), "must be made of letters, digits, `-`, `_` and `.`");
            }
            if !upstream.prefix.starts_with('/') || upstream.prefix.contains(['?', '#', ' ']) {
                problems.push(at("prefix"), format!("`{}` must be a path such as /llm", upstream.prefix));
            }
            if upstream.provider.as_ref().is_some_and(|provider| provider.trim().is_empty()) {
                problems.push(at("provider"), "is empty; name who is paid, or leave it out");
            }
            if let Err(message) = upstream.check_url() {
                problems.push(at("url"), message);
            }
            let same_path = |other: &UpstreamConfig| {
                other.prefix.trim_end_matches('/') == upstream.prefix.trim_end_matches('/')
            };
            let before = &self.upstreams[..index];
            if before.iter().any(same_path) {
                problems.push(at("prefix"), format!("`{}` is taken by another upstream", upstream.prefix));
            }
            if before.iter().any(|other| other.name == upstream.name) {
                problems.push(at("name"), format!("`{}` is taken by another upstream", upstream.name));
            }
        }
    }

    fn validate_identity_headers(&self, problems: &mut Problems) {
        let mut seen = HashSet::new();
        for (key, header) in self.identity_headers.list() {
            let path = format!("identity_headers.{key}");
            let Ok(name) = HeaderName::try_from(header) else {
                problems.push(path, format!("`{header}` is not a header name"));
                continue;
            };
            if crate::relay::headers::is_needed_upstream(&name) {
                problems.push(path, format!("`{name}` is needed by the upstream and must not be taken away"));
            } else if !seen.insert(name) {
                problems.push(path, format!("`{header}` is used twice"));
            }
        }
    }
}

#[cfg(test)]
mod tests;
