//! The collector's configuration: one YAML file, checked whole before a port opens.
//!
//! The doc comment of a field is its manual entry; `ledgerline-collector.example.yaml` shows every field.

mod validate;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use ledgerline_pricing::PriceBook;
use ledgerline_process::config::{Problem, Problems, Secret, SecretText};
use ledgerline_process::logging::LogConfig;
use serde::Deserialize;
use tokio::sync::watch;

use crate::alerting::{AlertingConfig, RuleSet};
use crate::ingest::auth::Authentication;
use crate::ingest::config::IngestConfig;
use ledgerline_store::client::Target;

/// The whole file. Every section may be left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The ports.
    pub listen: Listen,
    /// Whose spans are those that come without a token, while `auth` is not set. Rules read this tenant's record, and its
    /// tokens alone see them and their alerts; with `auth` and rule files one of the tokens must be this tenant's.
    pub tenant: String,
    /// Who may send and ask. Needed to listen anywhere but on loopback.
    pub auth: Option<Auth>,
    /// What is taken in, and of it kept.
    pub ingest: IngestConfig,
    /// Where the record is kept.
    pub storage: StorageConfig,
    /// What calls cost.
    pub pricing: Pricing,
    /// Rules over the record of `tenant`, and who hears of their alerts.
    pub alerting: AlertingConfig,
    /// What is written to standard error.
    pub log: LogConfig,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: Listen::default(),
            tenant: "default".to_owned(),
            auth: None,
            ingest: IngestConfig::default(),
            storage: StorageConfig::default(),
            pricing: Pricing::default(),
            alerting: AlertingConfig::default(),
            log: LogConfig::default(),
        }
    }
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
}

impl Default for Listen {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        Self { grpc: loopback(4317), http: loopback(4318), api: loopback(4319) }
    }
}

/// Who may send and ask.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Auth {
    /// The tokens, sent as `authorization: Bearer <token>`. Several may belong to one tenant, for rotation.
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
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct StorageConfig {
    /// `embedded`, or a ClickHouse server: `http://host:8123`, `https://host:8443`.
    pub url: String,
    /// The database; created when it is not there.
    pub database: String,
    /// The user; the server's default user when not set.
    pub user: Option<String>,
    /// The user's password: `{env: NAME}` or `{file: path}`.
    pub password: Option<Secret>,
    /// `embedded` only: where the engine keeps its data.
    pub data_dir: PathBuf,
    /// `embedded` only: how to run the engine.
    pub engine: EngineConfig,
}

impl Default for StorageConfig {
    fn default() -> Self {
        Self {
            url: EMBEDDED.to_owned(),
            database: "ledgerline".to_owned(),
            user: None,
            password: None,
            data_dir: PathBuf::from("ledgerline-data"),
            engine: EngineConfig::default(),
        }
    }
}

/// The value of `storage.url` that starts an engine of our own.
pub const EMBEDDED: &str = "embedded";

impl StorageConfig {
    /// Whether the collector runs the engine itself.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.url == EMBEDDED
    }
}

/// How to run the engine.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EngineConfig {
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

/// A configuration whose files and secrets could not be read. Found by `validate` too, unless they changed since.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Unreadable(pub Vec<Problem>);

impl Config {
    /// The price book: what this build carries, below the overrides.
    ///
    /// # Errors
    /// Every problem of every override file.
    pub fn prices(&self) -> Result<PriceBook, Unreadable> {
        let mut problems = Problems::default();
        let book = validate::prices(&self.pricing, &mut problems);
        problems.into_result(book).map_err(Unreadable)
    }

    /// The rules, each with an expression that our evaluator can answer.
    ///
    /// # Errors
    /// Every problem of every rule file.
    pub fn rules(&self) -> Result<RuleSet, Unreadable> {
        let mut problems = Problems::default();
        let rules = validate::rules(&self.alerting, &mut problems);
        problems.into_result(rules).map_err(Unreadable)
    }

    /// How requests find their tenant.
    ///
    /// # Errors
    /// Every token that cannot be read.
    pub fn authentication(&self) -> Result<Authentication, Unreadable> {
        let mut problems = Problems::default();
        let authentication = match &self.auth {
            None => Authentication::Open(self.tenant.as_str().into()),
            Some(auth) => Authentication::Tokens(validate::tokens(auth, &mut problems)),
        };
        problems.into_result(authentication).map_err(Unreadable)
    }

    /// The store at that URL, with the configured database and user.
    ///
    /// # Errors
    /// When the password cannot be read.
    pub fn target(&self, url: watch::Receiver<String>) -> Result<Target, Unreadable> {
        let mut problems = Problems::default();
        let password = validate::password(&self.storage, &mut problems);
        let target = Target {
            url,
            database: self.storage.database.clone(),
            user: self.storage.user.clone(),
            password,
        };
        problems.into_result(target).map_err(Unreadable)
    }
}

/// Tokens and their tenants, read.
type Tokens = Vec<(SecretText, Arc<str>)>;
