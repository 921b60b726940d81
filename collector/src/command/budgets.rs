//! `budgets`: where the budgets of the configuration stand, beside a running collector or without one.

use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use ledgerline_process::SystemClock;
use ledgerline_promql::MemoryPool;
use ledgerline_promql::source::{Scope, SourceError, Tenant};
use ledgerline_store::Store;
use ledgerline_store::client::StoreError;
use ledgerline_store::sql::SqlSource;

use crate::budget::Budget;
use crate::budget::crossings::Crossings;
use crate::budget::ledger::Ledger;
use crate::budget::status::status;
use crate::command::prices::table::aligned;

/// Nobody waits at a screen.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What is asked about budgets.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// What was spent of each in its present period, what will be, and which thresholds are reached, since when
    Status {
        /// As GET /api/v1/budgets says it
        #[arg(long)]
        json: bool,
    },
}

/// Why it cannot be told.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum BudgetsError {
    #[error("there are no budgets: name their documents in budgets.files, see docs/budgets.md")]
    None,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("the answer cannot be written")]
    Json(#[from] serde_json::Error),
}

impl Command {
    /// What is printed.
    pub async fn answer(
        self,
        store: Store,
        budgets: Arc<[Budget]>,
        owner: Tenant,
        memory_bytes: usize,
    ) -> Result<String, BudgetsError> {
        if budgets.is_empty() {
            return Err(BudgetsError::None);
        }
        let clock = Arc::new(SystemClock);
        let crossings = Crossings::of(store.clone(), owner.clone(), Arc::clone(&budgets)).await?;
        let scope =
            Scope { tenant: owner.clone(), timeout: TIMEOUT, memory: MemoryPool::new(memory_bytes).share() };
        let ledger = Ledger {
            source: Arc::new(SqlSource::new(store, clock.clone())),
            budgets,
            owner,
            crossings: Arc::new(crossings),
            clock,
        };
        let body = status(&ledger, &scope).await?;
        let Self::Status { json } = self;
        Ok(if json { serde_json::to_string_pretty(&body)? + "\n" } else { aligned(&body.rows()) })
    }
}
