//! The collector's configuration: one YAML file, checked whole before a port opens.
//!
//! The doc comment of a field is its manual entry; `ledgerline-collector.example.yaml` shows every field.

mod resolve;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledgerline_pricing::PriceBook;
use ledgerline_process::config::{ConfigError, Secret, load};
use ledgerline_process::logging::{LogConfig, LogSettings};
use ledgerline_process::telemetry::TelemetryConfig;
use ledgerline_process::tls::TlsConfig;
use serde::Deserialize;

use crate::access::{Access, Principal};
use crate::alerting::{AlertingConfig, AlertingSettings};
use crate::budget::{Budget, BudgetsConfig};
use crate::ingest::config::{IngestConfig, IngestSettings};
use ledgerline_store::client::Target;
use ledgerline_store::engine::EngineConfig;

/// Where the configuration is unless the command line says otherwise.
pub const DEFAULT_PATH: &str = "/etc/ledgerline/collector.yaml";

/// The price book of a configuration file, whatever else is right or wrong in it: whoever asks what a model costs may have neither the
/// engine nor the tokens.
pub fn price_book(path: &Path) -> Result<PriceBook, ConfigError> {
    load::<resolve::PricingAlone>(path)
}

/// The whole file. Every section may be left out.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The ports.
    pub listen: Listen,
    /// Whose spans are those that come without a token, while `auth` is not set; `default` if nobody is named. Rules read this
    /// tenant's record, and its tokens alone see them and their alerts; with `auth` and rule files one of the tokens must be this
    /// tenant's.
    pub tenant: Option<String>,
    /// Who may send and ask. Needed to listen anywhere but on loopback.
    pub auth: Option<Auth>,
    /// What is taken in, and of it kept.
    pub ingest: IngestConfig,
    /// Where the record is kept.
    pub storage: StorageConfig,
    /// What calls cost.
    pub pricing: Pricing,
    /// What questions may use, those of rules among them.
    pub query: QueryConfig,
    /// Rules over the record of `tenant`, and who hears of their alerts.
    pub alerting: AlertingConfig,
    /// What may be spent, and where somebody is told.
    pub budgets: BudgetsConfig,
    /// What is written to standard error.
    pub log: LogConfig,
    /// Spans of the collector's own work, as service `ledgerline-collector`, and of the embedded engine's, as
    /// `ledgerline-engine`. Off by default.
    pub telemetry: TelemetryConfig,
}

/// The ports. Port 0 takes a free one.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Listen {
    /// OTLP over gRPC.
    pub grpc: SocketAddr,
    /// OTLP over HTTP.
    pub http: SocketAddr,
    /// Health, metrics and queries.
    pub api: SocketAddr,
    /// The certificate that all three ports show, `{cert_file, key_file}`; plain text when not set.
    pub tls: Option<TlsConfig>,
    /// Names of this machine that requests to `http` and `api` may be addressed to, beside IP addresses and `localhost`:
    /// what keeps web pages from reading the record through a rebound name. `*`: any.
    pub hosts: Vec<String>,
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self { grpc: loopback(4317), http: loopback(4318), api: loopback(4319), tls: None, hosts: Vec::new() }
    }
}

/// Who may send and ask.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// The tokens, sent as `authorization: Bearer <token>`, or as the password of Basic credentials. Several may belong to one tenant, for rotation.
    pub tokens: Vec<Token>,
}

/// A token and whose it is.
#[derive(Clone, Debug, Deserialize)]
pub struct Token {
    /// Where the token is kept: `{env: NAME}` or `{file: path}`.
    pub token: Secret,
    /// The tenant that everything sent with it belongs to.
    pub tenant: String,
}

/// Where the record is kept.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct StorageConfig {
    /// `embedded`, which is the default, or a ClickHouse server: `http://host:8123`, `https://host:8443`. On a machine without
    /// certificate authorities Mozilla's list, built in, is trusted.
    pub url: Option<String>,
    /// The database; created when it is not there. `ledgerline` by default.
    pub database: Option<String>,
    /// A server only: the cluster of that name in its configuration, which the tables are spread over, see docs/cluster.md. One server
    /// when not set.
    pub cluster: Option<String>,
    /// The user; the server's default user when not set.
    pub user: Option<String>,
    /// The user's password: `{env: NAME}` or `{file: path}`.
    pub password: Option<Secret>,
    /// `embedded` only: where the engine keeps its data. `ledgerline-data` by default.
    pub data_dir: Option<PathBuf>,
    /// `embedded` only: how to run the engine.
    pub engine: EngineSection,
}

/// The value of `storage.url` that starts an engine of our own.
pub(crate) const EMBEDDED: &str = "embedded";

/// How to run the engine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EngineSection {
    /// `ledgerline-engine`; looked for beside the collector, then in PATH, when not set.
    pub binary: Option<PathBuf>,
    /// `libchdb.so`; looked for in the cache that set-up fills when not set.
    pub library: Option<PathBuf>,
}

/// What calls cost.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Pricing {
    /// Price files of your own, in the form of `pricing/prices/*.yaml`: they come before the published prices.
    pub overrides: Vec<PathBuf>,
}

/// What questions may use.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct QueryConfig {
    /// Bytes that all queries together may hold: what the store sends, intermediate results, responses. One query may hold an eighth
    /// of it, which must be enough to compile a regular expression: at least 32 MiB in all. A query that needs more is answered
    /// with 422; one that finds the memory in use, with 503. 512 MiB by default.
    pub memory_bytes_max: Option<usize>,
}

/// What a collector is built from: the configuration, parsed once, with the files and secrets that it names.
#[derive(Debug)]
#[allow(missing_docs, reason = "the sections of the configuration say it")]
pub struct Settings {
    pub listen: Listen,
    pub access: Access,
    pub ingest: IngestSettings,
    /// Whose record the rules read.
    pub owner: Principal,
    pub storage: Storage,
    /// What this build knows of prices, below the overrides.
    pub prices: PriceBook,
    /// Bytes that all queries together may hold.
    pub query_memory_bytes: usize,
    pub alerting: AlertingSettings,
    pub budgets: Arc<[Budget]>,
    pub log: LogSettings,
    pub telemetry: TelemetryConfig,
}

/// Who runs ClickHouse.
#[derive(Clone, Debug)]
pub enum Storage {
    /// We do, with this and for the database of that name.
    Embedded(EngineConfig, String),
    /// Somebody else.
    Server(Target),
}
