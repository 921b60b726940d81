//! Makes the store and opens it: inserted day by day as the product inserts, then expired as it expires.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use ledgerline_process::telemetry::TelemetryConfig;
use ledgerline_store::Store;
use ledgerline_store::engine::{Engine, EngineConfig};
use ledgerline_testkit::http::get;
use ledgerline_testkit::service::{AddressSource, Recipe, Service, binary};
use ledgerline_testkit::stack::{engine_url, sql};
use prometheus_client::metrics::counter::Counter;
use tokio_util::sync::CancellationToken;

use super::world::{Run, World};
use super::{BUDGETS, TENANT};

const CALLS: &str = include_str!("calls.sql");
const TABLES: [(&str, &str); 2] =
    [("spans", include_str!("spans.sql")), ("corrections", include_str!("corrections.sql"))];
/// As the product's inserts, and no bound on the days of a statement.
const SETTINGS: [(&str, &str); 5] = [
    ("optimize_on_insert", "0"),
    ("max_insert_block_size", "1048576"),
    ("min_insert_block_size_rows", "1048576"),
    ("min_insert_block_size_bytes", "268435456"),
    ("max_partitions_per_insert_block", "0"),
];
/// What of a table goes, after how many days.
const EXPIRES: [(&str, i64); 3] = [("spans", 90), ("calls_minute", 35), ("spend_minute", 35)];

/// Makes the store in an empty directory. `progress` is told how many days are done.
///
/// # Errors
/// When the engine is not there or refuses something, or when rows that have expired stay.
pub async fn make(data: &Path, world: &World, progress: impl Fn(i64)) -> anyhow::Result<()> {
    fs::create_dir_all(data)?;
    ensure!(fs::read_dir(data)?.next().is_none(), "{} is not empty", data.display());
    let config = EngineConfig {
        binary: Some(binary("ledgerline-engine")?),
        data_dir: data.to_owned(),
        library: None,
        connections: None,
        memory_bytes_max: None,
        telemetry: TelemetryConfig::default(),
    };
    let engine = Engine::start(config, Counter::default(), CancellationToken::new()).await?;
    let made = fill(&engine, world, progress).await;
    engine.stop().await;
    made
}

async fn fill(engine: &Engine, world: &World, progress: impl Fn(i64)) -> anyhow::Result<()> {
    let store = Store::open(engine.target("ledgerline")).await?;
    for run in world.runs().iter().filter(|run| run.calls_a_day > 0) {
        for (table, select) in TABLES {
            insert(&store, world, run, table, select).await?;
        }
        progress(run.day + run.days);
    }
    for (table, days) in EXPIRES {
        expire(&store, table, days).await?;
    }
    Ok(())
}

async fn insert(store: &Store, world: &World, run: &Run, table: &str, select: &str) -> anyhow::Result<()> {
    let last_word =
        |line: &str| line.trim_end_matches(',').rsplit_once(" AS ").map(|(_, name)| name.to_owned());
    let columns: Vec<String> =
        select.lines().take_while(|line| !line.starts_with("FROM")).filter_map(last_word).collect();
    let text = format!("INSERT INTO {table} ({}) {CALLS}{select}", columns.join(", "));
    let calls = run.calls();
    let query = store
        .client()
        .query(&text)
        .param("first", calls.start)
        .param("count", calls.end - calls.start)
        .param("calls_a_day", run.calls_a_day)
        .param("day", run.day)
        .param("days", world.days)
        .param("begin_us", world.begin_us());
    let query = SETTINGS.iter().fold(query, |query, (name, value)| query.with_setting(*name, *value));
    store.client().text(query).await.with_context(|| format!("{table}, {run:?}"))?;
    Ok(())
}

/// Lets the engine drop what its own rule says has expired, now and not within hours.
async fn expire(store: &Store, table: &str, days: i64) -> anyhow::Result<()> {
    let client = store.client();
    let old = format!(
        "SELECT DISTINCT partition FROM system.parts WHERE active AND rows > 0 AND database = 'ledgerline' AND table = '{table}' \
         AND toDate(partition) < today() - {days} ORDER BY partition"
    );
    for partition in client.text(client.query(&old)).await?.lines() {
        let drop = format!("OPTIMIZE TABLE {table} PARTITION '{partition}' FINAL");
        client.text(client.query(&drop)).await?;
    }
    let left = client.text(client.query(&old)).await?;
    ensure!(left.trim().is_empty(), "{table} still has {left}");
    Ok(())
}

/// A collector on a store that was made.
pub struct Opened {
    collector: Service,
    data: PathBuf,
}

impl Opened {
    /// Starts one; its configuration and its log go beside the store.
    ///
    /// # Errors
    /// When it does not become ready; the error quotes its log.
    pub async fn at(data: &Path) -> anyhow::Result<Self> {
        let file = |extension: &str| data.with_extension(extension);
        let yaml = format!(
            "listen: {{grpc: '127.0.0.1:0', http: '127.0.0.1:0', api: '127.0.0.1:0'}}\ntenant: {TENANT}\nbudgets: {{files: ['{}']}}\n\
             storage: {{url: embedded, data_dir: '{}', engine: {{binary: '{}'}}}}\n",
            file("budgets").display(),
            data.display(),
            binary("ledgerline-engine")?.display(),
        );
        fs::write(file("budgets"), BUDGETS)?;
        fs::write(file("yaml"), yaml)?;
        let path = |extension: &str| file(extension).display().to_string();
        let recipe = Recipe {
            program: binary("ledgerline-collector")?,
            arguments: vec!["--config".into(), path("yaml"), "--addresses-file".into(), path("addresses")],
            environment: Vec::new(),
            ready: ("api", "/ready"),
            addresses: AddressSource::File(file("addresses")),
            log: file("log"),
        };
        Ok(Self { collector: Service::start(recipe).await?, data: data.to_owned() })
    }

    /// Where PromQL is answered.
    #[must_use]
    pub fn prometheus(&self) -> String {
        format!("{}/prometheus/api/v1", self.collector.url("api"))
    }

    /// A statement in the engine, past the collector; rows of whole numbers.
    ///
    /// # Errors
    /// When the engine refuses it or answers with something else.
    pub async fn numbers(&self, statement: &str) -> anyhow::Result<Vec<Vec<i128>>> {
        let text = sql(&engine_url(&self.data)?, statement).await?;
        let number = |field: &str| field.parse().with_context(|| format!("{field:?} for {statement}"));
        text.lines().map(|line| line.split('\t').map(number).collect()).collect()
    }

    /// Asks the API, and returns the data of its answer and what it said beside.
    ///
    /// # Errors
    /// When it refuses; the error quotes the answer.
    pub async fn ask(&self, path: &str) -> anyhow::Result<(serde_json::Value, bool)> {
        let answer = get(&format!("{}/{path}", self.prometheus())).await?.json()?;
        ensure!(answer["status"] == "success", "{path}: {answer}");
        let is_informed = answer["infos"].as_array().is_some_and(|infos| !infos.is_empty());
        Ok((answer["data"].clone(), is_informed))
    }

    /// Ends it in order.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn close(mut self) -> anyhow::Result<()> {
        self.collector.terminate().await?;
        Ok(())
    }
}
