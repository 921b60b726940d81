//! The store: the only part of Ledgerline that speaks ClickHouse.
//!
//! [`spans`], [`corrections`] and [`quarantine`] declare what is written, [`writer`] makes a write exact, [`sql`] is what PromQL selects from,
//! [`stored`] reads calls back, [`engine`] runs the embedded server. Table names, their TTLs, ClickHouse's functions, settings and error codes stand here
//! and nowhere else.

pub mod catalog;
pub mod client;
mod cluster;
pub mod corrections;
pub mod crossings;
mod dimensions;
pub mod engine;
pub mod ledger;
pub mod limits;
pub mod metrics;
pub mod migrate;
mod native;
pub mod quarantine;
pub mod rows;
pub mod sealed;
pub mod spans;
pub mod sql;
pub mod status;
pub mod stored;
pub mod usage_object;
pub mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;
use ledgerline_proto::{SpanId, TraceId};
use tokio::time::Instant;

use client::{Client, ConnectError, Insert, StoreError, Target};
use migrate::{MIGRATIONS, MigrateError};

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what happened, with which values")]
pub enum OpenError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error("the store at {url} did not answer within {:?}", limits::STORE_START_WAIT)]
    Silent { url: String, source: StoreError },
    #[error(transparent)]
    Migrate(#[from] MigrateError),
}

/// An open store whose tables are those of this version. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    client: Arc<Client>,
    answers: Arc<AtomicBool>,
    /// What is wrong with the tables, as last seen.
    damage: Arc<ArcSwapOption<String>>,
}

impl Store {
    /// Connects, waits until the store answers, and migrates it.
    pub async fn open(target: Target) -> Result<Self, OpenError> {
        let client = Client::new(target)?;
        let silent = |source| OpenError::Silent { url: client.target.url.clone(), source };
        wait_for(&client).await.map_err(silent)?;
        let applied = migrate::migrate(&client, MIGRATIONS).await?;
        client.learn_version().await.map_err(MigrateError::State)?;
        tracing::info!(migrations = ?applied, "the store is ready");
        let answers = Arc::new(AtomicBool::new(true));
        Ok(Self { client: Arc::new(client), answers, damage: Arc::default() })
    }

    /// The client, for statements.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Whether the store answered and its tables were whole when they were last looked at; if not, the reason.
    pub fn ready(&self) -> Result<(), String> {
        if !self.answers.load(Ordering::Relaxed) {
            return Err("the store does not answer".to_owned());
        }
        self.damage.load_full().map_or(Ok(()), |damage| Err(String::clone(&damage)))
    }

    /// Looks whether the tables and views are still those that start-up found, and remembers it for [`Store::ready`]. A store
    /// that does not answer says nothing about its tables; [`Store::check`] notices that.
    pub async fn check_tables(&self) {
        let damage = match migrate::verify(&self.client).await {
            Ok(()) => None,
            Err(MigrateError::State(_)) => return,
            Err(damage) => Some(Arc::new(damage.to_string())),
        };
        let before = self.damage.swap(damage.clone());
        match damage {
            Some(damage) if before.as_ref() != Some(&damage) => {
                tracing::error!(damage = %damage, "the store's tables are not whole");
            }
            None if before.is_some() => tracing::info!("the store's tables are whole again"),
            _ => {}
        }
    }

    /// Asks the store whether it is there, and remembers the answer for [`Store::ready`].
    pub async fn check(&self) -> bool {
        let answer = self.client.ping().await;
        let answers = answer.is_ok();
        if self.answers.swap(answers, Ordering::Relaxed) != answers {
            match answer {
                Ok(()) => tracing::info!("the store answers again"),
                Err(error) => tracing::warn!(%error, "the store does not answer"),
            }
        }
        answers
    }
}

impl writer::Transport for Store {
    async fn insert(&self, insert: &Insert<'_>) -> Result<(), StoreError> {
        self.client.insert(insert).await
    }

    async fn change(&self, batch: u128, tenant: &str, changes: &[ledger::Change]) -> Result<(), StoreError> {
        Self::change(self, batch, tenant, changes).await
    }

    async fn is_stored(&self, batch: u128) -> Result<bool, StoreError> {
        Self::is_stored(self, batch).await
    }

    async fn roles(
        &self,
        batch: u128,
        tenant: &str,
        ended_unix_ns: (u64, u64),
    ) -> Result<Vec<(TraceId, SpanId, spans::Role)>, StoreError> {
        Self::roles(self, batch, tenant, ended_unix_ns).await
    }
}

async fn wait_for(client: &Client) -> Result<(), StoreError> {
    let deadline = Instant::now() + limits::STORE_START_WAIT;
    loop {
        match client.ping().await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() + limits::RETRY_WAIT_MAX >= deadline => return Err(error),
            Err(error) => {
                tracing::debug!(%error, "waiting for the store");
                tokio::time::sleep(limits::RETRY_WAIT * 4).await;
            }
        }
    }
}
