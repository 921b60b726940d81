//! How the store is: what it holds, how fast it grows, who sends into it. For people; no account is made of it.

use std::time::Duration;

use serde::Deserialize;

use crate::Store;
use crate::client::{StoreError, at_most};
use crate::limits;
use crate::rows::{Select, select};

/// A page waits no longer for one of these.
const WAIT: Duration = Duration::from_secs(5);

/// The engine itself.
#[derive(Clone, Debug, Deserialize)]
pub struct EngineStatus {
    /// ClickHouse's version.
    pub version: String,
    /// Since its start.
    pub uptime_seconds: u64,
    /// Bytes free on its disks.
    pub free_bytes: u64,
    /// Bytes of its disks.
    pub total_bytes: u64,
    /// Bytes that the last week's spans and minutes took a day; `None`: there is no whole day yet.
    pub bytes_per_day: Option<u64>,
}

/// A table with rows. On a cluster, of the server that was asked.
#[derive(Clone, Debug, Deserialize)]
pub struct TableStatus {
    /// Its name in the database.
    pub name: String,
    /// Rows in its active parts.
    pub rows: u64,
    /// Bytes of them on disk.
    pub bytes: u64,
    /// The oldest partition, as the table names it: a day, a month, a year.
    pub oldest: String,
}

/// Who has sent calls in the last 24 hours.
#[derive(Clone, Debug, Deserialize)]
pub struct Sender {
    /// The instrumentation that saw them: `ledgerline-agent` for ours.
    pub observer: String,
    /// Its version, as the latest call has it: of our agents theirs. Empty where it is not sent.
    pub version: String,
    /// The service that made them.
    pub service: String,
    /// Its environment.
    pub environment: String,
    /// How many.
    pub calls: u64,
    /// When the last one ended, microseconds since the epoch.
    pub last_us: u64,
}

/// Spans that were refused one by one in the last seven days.
#[derive(Clone, Debug, Deserialize)]
pub struct Quarantined {
    /// The word of [`crate::quarantine::Reason`].
    pub reason: String,
    /// How many.
    pub spans: u64,
    /// When the last one came, microseconds since the epoch.
    pub last_us: u64,
    /// What was wrong with it.
    pub detail: String,
}

const ENGINE: &str = "SELECT version(), toUInt64(uptime()), (SELECT toUInt64(sum(free_space)) FROM system.disks), \
    (SELECT toUInt64(sum(total_space)) FROM system.disks), (SELECT if(count() = 0, NULL, toUInt64(avg(bytes))) FROM \
    (SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database = currentDatabase() \
    AND table IN ('spans', 'calls_minute', 'spend_minute') AND partition < toString(today()) AND partition >= toString(today() - 7) GROUP BY partition))";

const TABLES: &str = "SELECT table, sum(rows) AS total, sum(bytes_on_disk), min(partition) FROM system.parts \
    WHERE active AND database = currentDatabase() GROUP BY table HAVING total > 0 ORDER BY table";

const SENDERS: &str = "SELECT observer, argMax(observer_version, end_time), service, environment, count(), toUnixTimestamp64Micro(max(end_time)) AS last FROM spans \
    WHERE tenant = {tenant:String} AND end_time > now() - INTERVAL 1 DAY AND is_call = 1 GROUP BY observer, service, environment \
    ORDER BY last DESC, service LIMIT 200";

const QUARANTINED: &str = "SELECT reason, count() AS spans, toUnixTimestamp64Micro(toDateTime64(max(received_at), 6)), argMax(detail, received_at) \
    FROM quarantine WHERE tenant = {tenant:String} AND received_at > now() - INTERVAL 7 DAY GROUP BY reason ORDER BY spans DESC, reason";

impl Store {
    /// The engine; `None` if it answers in no row, which it never does.
    pub async fn engine_status(&self) -> Result<Option<EngineStatus>, StoreError> {
        let rows: Vec<EngineStatus> = self.ask(ENGINE, None).await?;
        Ok(rows.into_iter().next())
    }

    /// The tables, by name.
    pub async fn table_status(&self) -> Result<Vec<TableStatus>, StoreError> {
        self.ask(TABLES, None).await
    }

    /// Who has sent that tenant's calls, the latest first.
    pub async fn senders(&self, tenant: &str) -> Result<Vec<Sender>, StoreError> {
        self.ask(SENDERS, Some(tenant)).await
    }

    /// What of that tenant's was refused.
    pub async fn quarantined(&self, tenant: &str) -> Result<Vec<Quarantined>, StoreError> {
        self.ask(QUARANTINED, Some(tenant)).await
    }

    async fn ask<R: serde::de::DeserializeOwned>(
        &self,
        text: &str,
        tenant: Option<&str>,
    ) -> Result<Vec<R>, StoreError> {
        let parameters = tenant.map(|tenant| ("tenant".to_owned(), tenant.to_owned()));
        let statement = Select {
            text: text.to_owned(),
            parameters: parameters.into_iter().collect(),
            settings: vec![("max_memory_usage", limits::READ_MEMORY_BYTES_MAX)],
            timeout: WAIT,
        };
        select(self.client(), &statement, at_most(limits::STATEMENT_BYTES_MAX)).await
    }
}
