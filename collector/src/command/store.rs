//! The store for a command: that of the configuration, whether the collector runs or not.
//!
//! An embedded engine belongs to one process. Where a collector has it, the command talks to it as the collector does; else the command
//! starts it under the collector's own lock, and no collector starts until the command has ended.

use ledgerline_process::lock::{COLLECTOR, LockError};
use ledgerline_store::engine::{Engine, EngineError};
use ledgerline_store::{OpenError, Store};
use prometheus_client::metrics::counter::Counter;
use tokio_util::sync::CancellationToken;

use crate::config::Storage;

/// Why a command has no store.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum AttachError {
    #[error("the embedded engine cannot be used")]
    Engine(#[from] EngineError),
    #[error("the store cannot be used")]
    Store(#[from] OpenError),
}

/// An open store, and the engine if this process had to start it. End it with [`Attached::close`].
pub struct Attached {
    /// With its tables as this version has them.
    pub store: Store,
    engine: Option<Engine>,
}

impl Attached {
    /// Opens what `storage` names.
    pub async fn to(storage: Storage) -> Result<Self, AttachError> {
        let (config, database) = match storage {
            Storage::Server(target) => return Ok(Self { store: Store::open(target).await?, engine: None }),
            Storage::Embedded(config, database) => (config, database),
        };
        let data_dir = config.data_dir.clone();
        match Engine::start(config, Counter::default(), CancellationToken::new()).await {
            Ok(engine) => match Store::open(engine.target(&database)).await {
                Ok(store) => Ok(Self { store, engine: Some(engine) }),
                Err(error) => {
                    engine.stop().await;
                    Err(error.into())
                }
            },
            Err(EngineError::DataDir(LockError::InUse { holder: COLLECTOR, .. })) => {
                let target = Engine::of_another(&data_dir, &database).await?;
                Ok(Self { store: Store::open(target).await?, engine: None })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Stops the engine if this process has started it.
    pub async fn close(self) {
        if let Some(engine) = self.engine {
            engine.stop().await;
        }
    }
}
