//! The table `budget_crossings`: which thresholds of budgets were reached, and who was told.

use serde::Deserialize;
use xxhash_rust::xxh3::xxh3_128;

use crate::Store;
use crate::client::{StoreError, at_most};
use crate::limits;
use crate::rows::{Select, select};

/// A threshold of a budget that was reached in a period, or that somebody was told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossingRow {
    /// The name of the budget.
    pub budget: String,
    /// The key of the period.
    pub period: String,
    /// `80%`.
    pub threshold: String,
    /// What it was of, pico-dollars.
    pub amount: i128,
    /// Who was told; empty: nobody, it was reached.
    pub receiver: String,
    /// When that was, milliseconds since the epoch.
    pub at_ms: i64,
}

#[derive(Deserialize)]
struct Cells(String, String, String, String, String, i64);

impl Store {
    /// The rows of a tenant of the last thirteen months, what was reached before what was told, each the earliest first.
    pub async fn crossings(&self, tenant: &str) -> Result<Vec<CrossingRow>, StoreError> {
        let statement = Select {
            text: "SELECT budget, period, threshold, toString(amount), receiver, toUnixTimestamp64Milli(at) FROM budget_crossings \
                   WHERE tenant = {tenant:String} AND at > now() - INTERVAL 400 DAY ORDER BY receiver != '', at, receiver"
                .to_owned(),
            parameters: vec![("tenant".to_owned(), tenant.to_owned())],
            settings: vec![("max_memory_usage", limits::READ_MEMORY_BYTES_MAX)],
            timeout: limits::STATEMENT_WAIT,
        };
        let rows: Vec<Cells> = select(self.client(), &statement, at_most(limits::CALLS_BYTES_MAX)).await?;
        let row = |Cells(budget, period, threshold, amount, receiver, at_ms): Cells| {
            let amount = amount.parse().map_err(|_| StoreError::Response(format!("amount {amount:?}")))?;
            Ok(CrossingRow { budget, period, threshold, amount, receiver, at_ms })
        };
        rows.into_iter().map(row).collect()
    }

    /// Adds a row, unless there is one that differs in nothing but its time.
    pub async fn note_crossing(&self, tenant: &str, row: &CrossingRow) -> Result<(), StoreError> {
        let CrossingRow { budget, period, threshold, amount, receiver, at_ms } = row;
        let amount = amount.to_string();
        let mut name = Vec::new();
        for field in [tenant, budget, period, threshold, &amount, receiver] {
            name.extend_from_slice(&(field.len() as u64).to_le_bytes());
            name.extend_from_slice(field.as_bytes());
        }
        let sql = "INSERT INTO budget_crossings (tenant, budget, period, threshold, amount, receiver, at) SELECT {tenant:String}, {budget:String}, \
                   {period:String}, {threshold:String}, {amount:Int128}, {receiver:String}, fromUnixTimestamp64Milli({at:Int64}, 'UTC')";
        let query = self.client().query(sql).param("tenant", tenant).param("budget", budget);
        let query = query.param("period", period).param("threshold", threshold).param("amount", &amount);
        let query = query.param("receiver", receiver).param("at", at_ms);
        self.client().insert_selected(query, &format!("crossing-{:032x}", xxh3_128(&name))).await
    }
}
