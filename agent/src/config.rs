//! The agent's configuration: one YAML file, read whole and checked whole before a port opens.
//!
//! Each field's comment is its manual entry; `ledgerline-agent.example.yaml` shows all of them with their defaults. What the
//! file says becomes [`Settings`] once (`config/resolve.rs`), which cannot be wrong.
mod resolve;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use ledgerline_process::config::{Secret, Word};
use ledgerline_process::connect::Offer;
use ledgerline_process::logging::LogConfig;
use ledgerline_process::telemetry::TelemetryConfig;
use ledgerline_process::tls::{Roots, TlsConfig};
use serde::Deserialize;

pub use resolve::{ExportSettings, RelaySettings, Settings, UpstreamSettings};

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where services send their calls, HTTP/1.1 and HTTP/2 on the same port. Default `127.0.0.1:4100`.
    listen: Option<SocketAddr>,
    /// Allows `listen` and `admin.listen` on addresses that other machines can reach. The relay has no
    /// authentication of its own: whoever reaches it can use it. Default `false`.
    allow_remote: bool,
    /// Serve TLS on `listen`. Default: plain text, which is right for loopback.
    tls: Option<TlsConfig>,
    /// Health, readiness and the agent's own metrics.
    admin: AdminConfig,
    /// Where calls go. At least one.
    upstreams: Vec<UpstreamConfig>,
    /// Who calls, where the request does not say so in a header.
    identity: IdentityConfig,
    /// Names of the headers in which a request says who calls. They are read and not forwarded.
    identity_headers: IdentityHeaders,
    /// How calls are forwarded.
    relay: RelayConfig,
    /// How finished calls reach the collector.
    export: ExportConfig,
    /// The agent's own log.
    log: LogConfig,
    /// Spans of the agent's own work, as service `ledgerline-agent`. Off by default.
    telemetry: TelemetryConfig,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AdminConfig {
    /// Address of `/health`, `/ready` and `/metrics`. Default `127.0.0.1:4101`.
    listen: Option<SocketAddr>,
    /// Names of this machine that requests may be addressed to, beside IP addresses and `localhost`: what keeps web pages
    /// from reading it through a rebound name. `*`: any. Default: none.
    hosts: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct UpstreamConfig {
    /// Its name in metrics, logs and error texts.
    name: String,
    /// Requests whose path starts with this go here; the longest prefix wins and is cut off. `/` takes all the rest.
    prefix: String,
    /// Scheme, host and, if needed, port and base path: `https://api.openai.com`.
    url: String,
    /// How calls to it are read: `openai`, `anthropic`, or `none` to forward without observing. Default `none`.
    #[serde(default)]
    dialect: Option<String>,
    /// Who is paid, as OpenTelemetry names providers: `azure.ai.openai`, `groq`, `x_ai`. Decides whose prices hold. Default:
    /// the dialect's own provider, `openai` or `anthropic`.
    #[serde(default)]
    provider: Option<String>,
    /// What else decides its prices, in the words of the price book: `deployment: ptu-1` for committed capacity, `region: eu`,
    /// `service_tier`. What a response states counts before this. Default: what the host says, for instance that of
    /// `eu.api.openai.com`.
    #[serde(default)]
    conditions: BTreeMap<String, String>,
    /// `auto` (ask the server by ALPN; plain text is HTTP/1.1), `http1`, or `http2` (also in plain text).
    #[serde(default)]
    http_version: Word<Offer>,
    /// `relay.usage_injection` for this upstream alone. Default: what `relay` says.
    #[serde(default)]
    usage_injection: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IdentityConfig {
    /// The calling service. Default: not stated.
    service: String,
    /// Its deployment environment, for instance `production`. Default: not stated.
    environment: String,
    /// The team that pays. Default: not stated.
    team: String,
    /// The product feature. Default: not stated.
    feature: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct IdentityHeaders {
    /// Default `x-ledgerline-service`.
    service: Option<String>,
    /// Default `x-ledgerline-environment`.
    environment: Option<String>,
    /// Default `x-ledgerline-team`.
    team: Option<String>,
    /// Default `x-ledgerline-feature`.
    feature: Option<String>,
    /// Default `x-ledgerline-user`.
    user: Option<String>,
    /// Default `x-ledgerline-session`.
    session: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RelayConfig {
    /// Threads that forward. Default 2.
    threads: Option<usize>,
    /// Longest time for name lookup, TCP and TLS; then the client gets a 502. Default 5000, at most 60000.
    connect_timeout_ms: Option<u64>,
    /// When told to stop: how long running calls may take to finish. Kubernetes'
    /// `terminationGracePeriodSeconds` must be longer. Default 600, at most 86400.
    drain_timeout_seconds: Option<u64>,
    /// Where an `OpenAI` chat stream would carry no usage because the client did not ask for it: ask for it, and hide
    /// the extra chunk from the client. Default `true`.
    usage_injection: Option<bool>,
    /// Whose certificates upstreams and collector may show: `native` (the machine's) or `webpki` (Mozilla's list, built
    /// in). Without certificates on the machine, `native` is `webpki`. Default `native`.
    roots: Word<Roots>,
    /// PEM file with certificate authorities to trust instead of `roots`.
    ca_file: Option<PathBuf>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ExportConfig {
    /// The collector's OTLP/gRPC address; `https://` where it has `listen.tls`. Default `http://127.0.0.1:4317`.
    collector: Option<String>,
    /// One of the collector's `auth.tokens`: `{env: NAME}` or `{file: path}`. A file is read again when the collector
    /// refuses the token. Default: none, which a collector on the same machine takes.
    token: Option<Secret>,
    /// PEM file with the certificate authorities to trust for the collector. Default: those of `relay`.
    ca_file: Option<PathBuf>,
    /// `none` or `zstd`. Default `none`: agent and collector are usually close.
    compression: Word<Compression>,
    /// Memory for calls the collector has not acknowledged. When it is full, new calls are counted as dropped and not
    /// recorded; the calls themselves go on. About 100 bytes a call in an outage. Default 12582912.
    spool_bytes_max: Option<usize>,
    /// When told to stop: how long to wait for the collector after the last call. Default 10, at most 86400.
    flush_timeout_seconds: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    #[default]
    None,
    Zstd,
}

#[cfg(test)]
mod tests;
