//! From the configuration as written to settings. Reads the files it names; opens no port.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use http::header::HeaderName;
use ledgerline_process::config::{Problems, Resolve, parse_base_url};
use ledgerline_process::connect::Offer;
use ledgerline_process::host::{self, HostGuard};
use ledgerline_process::logging::LogSettings;
use ledgerline_process::telemetry::TelemetryConfig;
use ledgerline_process::tls::{Roots, TlsConfig, client_config};
use ledgerline_proto::{Condition, Conditions, Identity};
use rustls::ClientConfig;

use super::{Compression, Config, ExportConfig, IdentityHeaders, RelayConfig, UpstreamConfig};
use crate::dialect::{self, Spec};
use crate::export::credential::Credential;
use crate::limits::{CONNECT_TIMEOUT_MAX, STOP_TIMEOUT_MAX};
use crate::relay::headers::is_needed_upstream;
use crate::relay::identity::IdentityReader;
use crate::relay::route::Route;

/// The name of a dialect that stands for none.
const NO_DIALECT: &str = "none";

/// What the agent is built from.
pub struct Settings {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<TlsConfig>,
    pub(crate) admin_listen: SocketAddr,
    pub(crate) admin_hosts: HostGuard,
    /// Where calls go, in the order of the file.
    pub upstreams: Vec<UpstreamSettings>,
    pub(crate) identity: IdentityReader,
    /// How calls are forwarded.
    pub relay: RelaySettings,
    pub(crate) export: ExportSettings,
    /// What the agent logs.
    pub log: LogSettings,
    /// Spans of the agent's own work.
    pub telemetry: TelemetryConfig,
}

/// One upstream.
pub struct UpstreamSettings {
    /// Which paths go there, and how they are read.
    pub route: Route,
    pub(crate) http_version: Offer,
    pub(crate) usage_injection: bool,
}

/// How calls are forwarded.
pub struct RelaySettings {
    /// Threads that forward.
    pub threads: usize,
    pub(crate) connect_timeout: Duration,
    pub(crate) drain_timeout: Duration,
    pub(crate) roots: Roots,
    /// Trusts what `ca_file` holds; where there is none, `roots` are trusted.
    pub(crate) tls: Option<ClientConfig>,
}

/// How finished calls reach the collector.
pub struct ExportSettings {
    pub(crate) collector: Uri,
    pub(crate) credential: Credential,
    /// `None`: as for upstreams.
    pub(crate) tls: Option<ClientConfig>,
    pub(crate) compression: Compression,
    pub(crate) spool_bytes_max: usize,
    pub(crate) flush_timeout: Duration,
}

impl Resolve for Config {
    type Settings = Settings;

    fn resolve(self, problems: &mut Problems) -> Option<Settings> {
        let localhost = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let listen = self.listen.unwrap_or_else(|| localhost(4100));
        let admin_listen = self.admin.listen.unwrap_or_else(|| localhost(4101));
        addresses(listen, admin_listen, self.allow_remote, problems);
        let upstreams = upstreams(&self.upstreams, self.relay.usage_injection.unwrap_or(true), problems);
        let headers = self.identity_headers.resolve(problems);
        let relay = self.relay.resolve(problems);
        let export = self.export.resolve(problems);
        host::validate("admin.hosts", &self.admin.hosts, problems);
        if let Some(tls) = &self.tls {
            tls.validate("tls", problems);
        }
        let log = self.log.resolve(problems);
        self.telemetry.check(&[listen, admin_listen], problems);
        let super::IdentityConfig { service, environment, team, feature } = self.identity;
        let defaults = Identity { service, environment, team, feature, ..Identity::default() };
        Some(Settings {
            listen,
            tls: self.tls,
            admin_listen,
            admin_hosts: HostGuard::new("admin.hosts", &self.admin.hosts, &[]),
            upstreams,
            identity: IdentityReader { headers: headers?, defaults },
            relay,
            export: export?,
            log: log?,
            telemetry: self.telemetry,
        })
    }
}

fn addresses(listen: SocketAddr, admin: SocketAddr, allow_remote: bool, problems: &mut Problems) {
    for (path, address) in [("listen", listen), ("admin.listen", admin)] {
        if !address.ip().is_loopback() && !allow_remote {
            let message = format!(
                "{address} can be reached from other machines and the agent has no authentication; \
                 use 127.0.0.1, or set `allow_remote: true` if the network keeps strangers out"
            );
            problems.push(path, message);
        }
    }
    if listen == admin && listen.port() != 0 {
        problems.push("admin.listen", "must differ from `listen`");
    }
}

fn upstreams(
    configs: &[UpstreamConfig],
    usage_injection: bool,
    problems: &mut Problems,
) -> Vec<UpstreamSettings> {
    if configs.is_empty() {
        let message = format!(
            "is empty, so there is nowhere to forward to; add for instance \
             {{name: NAME, prefix: /NAME, url: https://HOST, dialect: NAME}}, where dialect is one of {}",
            dialect::names().collect::<Vec<_>>().join(", ")
        );
        problems.push("upstreams", message);
    }
    let mut upstreams = Vec::with_capacity(configs.len());
    for (index, upstream) in configs.iter().enumerate() {
        let at = |field: &str| format!("upstreams[{index}].{field}");
        let UpstreamConfig { name, prefix, .. } = upstream;
        let name_is_plain = !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !name_is_plain {
            problems.push(at("name"), "must be made of letters, digits, `-`, `_` and `.`");
        }
        if !prefix.starts_with('/') || prefix.contains(['?', '#', ' ']) {
            problems.push(at("prefix"), format!("`{prefix}` must be a path such as /llm"));
        }
        if upstream.provider.as_ref().is_some_and(|provider| provider.trim().is_empty()) {
            problems.push(at("provider"), "is empty; name who is paid, or leave it out");
        }
        for name in upstream.conditions.keys().filter(|name| Condition::from_name(name).is_none()) {
            let known = Condition::ALL.map(Condition::name).join(", ");
            problems
                .push(at("conditions"), format!("`{name}` is no condition of a price; known are {known}"));
        }
        let path = prefix.trim_end_matches('/');
        let before = &configs[..index];
        if before.iter().any(|other| other.prefix.trim_end_matches('/') == path) {
            problems.push(at("prefix"), format!("`{prefix}` is taken by another upstream"));
        }
        if before.iter().any(|other| other.name == *name) {
            problems.push(at("name"), format!("`{name}` is taken by another upstream"));
        }
        let dialect = problems.take(&at("dialect"), upstream.dialect()).flatten();
        let http_version = upstream.http_version.resolve(&at("http_version"), problems);
        let route = problems.take(&at("url"), upstream.route(dialect));
        upstreams.extend(route.zip(http_version).map(|(route, http_version)| UpstreamSettings {
            route,
            http_version,
            usage_injection: upstream.usage_injection.unwrap_or(usage_injection),
        }));
    }
    upstreams
}

impl UpstreamConfig {
    /// The wire format of that name; `none` is none.
    fn dialect(&self) -> Result<Option<&'static Spec>, String> {
        let Some(name) = self.dialect.as_deref().filter(|name| *name != NO_DIALECT) else { return Ok(None) };
        dialect::find(name).map(Some).ok_or_else(|| {
            let known: Vec<_> = dialect::names().chain([NO_DIALECT]).collect();
            format!("unknown dialect `{name}`; known are {}", known.join(", "))
        })
    }

    fn route(&self, dialect: Option<&'static Spec>) -> Result<Route, String> {
        let url = parse_base_url(&self.url)?;
        let prefix = self.prefix.trim_end_matches('/');
        if dialect.is_some() && url.path().trim_end_matches('/').ends_with("/v1") {
            return Err(format!(
                "`{}` must not end with /v1: clients send it as part of the path, and the upstream would get it twice; \
                 leave it out here and keep it in the client's base URL, which then ends with {prefix}/v1",
                self.url
            ));
        }
        let provider = self.provider.as_deref().or(dialect.map(|dialect| dialect.provider));
        let region = dialect.zip(url.host()).and_then(|(dialect, host)| dialect.region_of(host));
        let region = region.map(|region| (Condition::Region, region));
        let stated = self
            .conditions
            .iter()
            .filter_map(|(name, word)| Some((Condition::from_name(name)?, word.as_str())));
        Ok(Route {
            conditions: Arc::new(Conditions::from_pairs(region.into_iter().chain(stated))),
            name: self.name.as_str().into(),
            dialect,
            provider: provider.unwrap_or_default().into(),
            prefix: prefix.to_owned(),
            base: url,
        })
    }
}

impl IdentityHeaders {
    fn resolve(self, problems: &mut Problems) -> Option<[HeaderName; 6]> {
        let mut headers: Vec<HeaderName> = Vec::new();
        for (key, header) in [
            ("service", self.service),
            ("environment", self.environment),
            ("team", self.team),
            ("feature", self.feature),
            ("user", self.user),
            ("session", self.session),
        ] {
            let path = format!("identity_headers.{key}");
            let header = header.unwrap_or_else(|| format!("x-ledgerline-{key}"));
            let problem = match HeaderName::try_from(&header) {
                Err(_) => "is not a header name",
                Ok(name) if is_needed_upstream(&name) => {
                    "is needed by the upstream and must not be taken away"
                }
                Ok(name) if headers.contains(&name) => "is used twice",
                Ok(name) => {
                    headers.push(name);
                    continue;
                }
            };
            problems.push(path, format!("`{header}` {problem}"));
        }
        headers.try_into().ok()
    }
}

impl RelayConfig {
    fn resolve(self, problems: &mut Problems) -> RelaySettings {
        let threads = self.threads.unwrap_or(2);
        if !(1..=64).contains(&threads) {
            problems.push("relay.threads", "must be from 1 to 64");
        }
        let connect_timeout = Duration::from_millis(self.connect_timeout_ms.unwrap_or(5_000));
        if connect_timeout.is_zero() || connect_timeout > CONNECT_TIMEOUT_MAX {
            let message = format!("must be from 1 to {}; 5000 is usual", CONNECT_TIMEOUT_MAX.as_millis());
            problems.push("relay.connect_timeout_ms", message);
        }
        let drain_seconds = self.drain_timeout_seconds.unwrap_or(600);
        let drain_timeout = stop_timeout("relay.drain_timeout_seconds", drain_seconds, problems);
        let roots = self.roots.resolve("relay.roots", problems).unwrap_or_default();
        let tls = authorities("relay.ca_file", self.ca_file, problems);
        RelaySettings { threads, connect_timeout, drain_timeout, roots, tls }
    }
}

impl ExportConfig {
    fn resolve(self, problems: &mut Problems) -> Option<ExportSettings> {
        let url = self.collector.as_deref().unwrap_or("http://127.0.0.1:4317");
        let collector = problems.take("export.collector", collector(url));
        let spool_bytes_max = self.spool_bytes_max.unwrap_or(12 << 20);
        if spool_bytes_max < (1 << 20) {
            problems.push("export.spool_bytes_max", "must be at least 1048576 (1 MiB)");
        }
        let credential = problems.take("export.token", Credential::read(self.token));
        let flush_seconds = self.flush_timeout_seconds.unwrap_or(10);
        let flush_timeout = stop_timeout("export.flush_timeout_seconds", flush_seconds, problems);
        let compression = self.compression.resolve("export.compression", problems);
        let tls = authorities("export.ca_file", self.ca_file, problems);
        Some(ExportSettings {
            collector: collector?,
            credential: credential?,
            tls,
            compression: compression?,
            spool_bytes_max,
            flush_timeout,
        })
    }
}

fn collector(url: &str) -> Result<Uri, String> {
    let parsed = parse_base_url(url)?;
    if !matches!(parsed.path(), "" | "/") {
        return Err(format!("`{url}` must end with the port: OTLP over gRPC has a path of its own"));
    }
    Ok(parsed)
}

fn stop_timeout(path: &str, seconds: u64, problems: &mut Problems) -> Duration {
    let timeout = Duration::from_secs(seconds);
    if timeout > STOP_TIMEOUT_MAX {
        problems.push(path, format!("must be at most {}, a day", STOP_TIMEOUT_MAX.as_secs()));
    }
    timeout
}

fn authorities(path: &str, file: Option<PathBuf>, problems: &mut Problems) -> Option<ClientConfig> {
    problems.take(path, client_config(Roots::Webpki, Some(&file?)))
}
