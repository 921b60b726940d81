//! Brings the store's tables up to this version, and refuses to run on tables that would count a retry twice.
//!
//! Migrations are files, applied in order and once. Each is idempotent and additive, so that a crash in the middle, or two
//! collectors starting together, end in the same tables. What was applied is kept with a checksum of its statements: an
//! old migration that changed must be found here and not in the data.

use xxhash_rust::xxh3::xxh3_128;

use super::client::{Client, StoreError};
use super::cluster::{local, rendered};

/// One file of `migrations/`.
#[derive(Debug)]
pub struct Migration {
    /// Its number; the order of the list.
    pub version: u32,
    /// The name of its file, without `.sql`.
    pub name: &'static str,
    /// Statements and comments as the file has them.
    pub sql: &'static str,
}

impl Migration {
    /// Of the statements and not of the file: a comment may be corrected.
    fn checksum(&self) -> String {
        format!("{:032x}", xxh3_128(statements(self.sql).join(";\n").as_bytes()))
    }
}

/// The table that says what has been applied.
const BOOKKEEPING: &str = include_str!("../migrations/0000_migrations.sql");

/// Every migration, oldest first. A new one is added at the end; none is ever changed.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "0001_spans", sql: include_str!("../migrations/0001_spans.sql") },
    Migration {
        version: 2,
        name: "0002_corrections",
        sql: include_str!("../migrations/0002_corrections.sql"),
    },
    Migration { version: 3, name: "0003_rollups", sql: include_str!("../migrations/0003_rollups.sql") },
    Migration { version: 4, name: "0004_record", sql: include_str!("../migrations/0004_record.sql") },
    Migration { version: 5, name: "0005_quarantine", sql: include_str!("../migrations/0005_quarantine.sql") },
    Migration { version: 6, name: "0006_sealed", sql: include_str!("../migrations/0006_sealed.sql") },
    Migration {
        version: 7,
        name: "0007_budget_crossings",
        sql: include_str!("../migrations/0007_budget_crossings.sql"),
    },
];

/// The statements of a file, of which ClickHouse runs one a request: each ends with a semicolon at the end of a line. Comments have
/// lines of their own and are left out.
pub(crate) fn statements(sql: &str) -> Vec<String> {
    let is_text = |line: &&str| !line.is_empty() && !line.trim_start().starts_with("--");
    let text = sql.lines().map(str::trim_end).filter(is_text).collect::<Vec<_>>().join("\n");
    let statements = text.split(";\n").map(|statement| statement.trim_end_matches(';').to_owned());
    statements.filter(|statement| !statement.is_empty()).collect()
}

/// The statements of a file as they are run on one server, or on every server of a cluster.
pub fn rendering(sql: &str, cluster: Option<&str>) -> Vec<String> {
    statements(sql).iter().flat_map(|statement| rendered(statement, cluster)).collect()
}

/// Why the store is not ready for this version.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what is wrong, with which values")]
pub enum MigrateError {
    #[error("migration {name} failed")]
    Statement { name: String, source: StoreError },
    #[error("cannot read the state of the store")]
    State(#[from] StoreError),
    #[error(
        "migration {name} was applied with other statements (checksum {applied}, here {ours}); this collector does not \
         belong to this database: use the version that created it, or an empty database"
    )]
    Changed { name: String, applied: String, ours: String },
    #[error(
        "the database has migration {version} ({name}), which this collector does not know; use a newer collector"
    )]
    FromTheFuture { version: u32, name: String },
    #[error(
        "table {table} has no deduplication window, so a retried insert would be counted twice; run: \
         ALTER TABLE {table} MODIFY SETTING non_replicated_deduplication_window = 100000"
    )]
    NoDeduplicationWindow { table: String },
    #[error(
        "table {table} is missing although its migration was applied; restore it or start with an empty database"
    )]
    TableMissing { table: &'static str },
    #[error(
        "materialized view {view} is missing although its migration was applied, so what is stored in {from} no longer reaches \
         {to}: create it again with its statement in migrations/0003_rollups.sql, and then add to {to} what was stored \
         meanwhile with the view's SELECT over those times, or restore the database"
    )]
    ViewMissing { view: &'static str, from: &'static str, to: &'static str },
    #[error("the table migrations holds a row that is none: {0:?}")]
    Bookkeeping(String),
}

/// Tables that an insert writes, directly or through a view.
const TABLES: [&str; 11] = [
    "spans",
    "corrections",
    "calls_minute",
    "calls_quarter",
    "calls_day",
    "spend_minute",
    "spend_quarter",
    "spend_day",
    "quarantine",
    "sealed",
    "budget_crossings",
];

/// The table that keeps nothing and hands on to its views.
const BOOKINGS: &str = "bookings";

/// Both halves of the ledger in the form of the rollups.
const RECORDS: [&str; 2] = ["calls_record", "spend_record"];

/// The views between them: name, the table it reads and the one it writes. A missing one is not made again on our own: the
/// rollup would go on with a hole that nobody was told of.
const VIEWS: [(&str, &str, &str); 8] = [
    ("bookings_from_spans", "spans", BOOKINGS),
    ("bookings_from_corrections", "corrections", BOOKINGS),
    ("calls_minute_from_bookings", BOOKINGS, "calls_minute"),
    ("spend_minute_from_bookings", BOOKINGS, "spend_minute"),
    ("calls_quarter_from_calls_minute", "calls_minute", "calls_quarter"),
    ("calls_day_from_calls_quarter", "calls_quarter", "calls_day"),
    ("spend_quarter_from_spend_minute", "spend_minute", "spend_quarter"),
    ("spend_day_from_spend_quarter", "spend_quarter", "spend_day"),
];

/// Creates the database, applies what is missing and checks the result. Returns the names of the migrations applied now.
pub async fn migrate(client: &Client, migrations: &[Migration]) -> Result<Vec<&'static str>, MigrateError> {
    client.create_database().await?;
    run(client, "0000_migrations", BOOKKEEPING).await?;
    let applied = applied(client).await?;
    if let Some((version, name, _)) =
        applied.iter().find(|(version, ..)| migrations.iter().all(|known| known.version != *version))
    {
        return Err(MigrateError::FromTheFuture { version: *version, name: name.clone() });
    }
    let mut now = Vec::new();
    for migration in migrations {
        let ours = migration.checksum();
        match applied.iter().find(|(version, ..)| *version == migration.version) {
            Some((_, _, checksum)) if *checksum == ours => {}
            Some((_, _, checksum)) => {
                let name = migration.name.to_owned();
                return Err(MigrateError::Changed { name, applied: checksum.clone(), ours });
            }
            None => {
                run(client, migration.name, migration.sql).await?;
                record(client, migration, &ours).await?;
                now.push(migration.name);
            }
        }
    }
    verify(client).await?;
    Ok(now)
}

async fn run(client: &Client, name: &str, sql: &str) -> Result<(), MigrateError> {
    let failed = |source| MigrateError::Statement { name: name.to_owned(), source };
    for statement in rendering(sql, client.target.cluster.as_deref()) {
        client.text(client.query(&statement)).await.map_err(failed)?;
    }
    Ok(())
}

async fn applied(client: &Client) -> Result<Vec<(u32, String, String)>, MigrateError> {
    let sql =
        "SELECT DISTINCT version, name, checksum FROM migrations ORDER BY version LIMIT 10000 FORMAT TSV";
    let text = client.text(client.query(sql)).await?;
    let row = |line: &str| match *line.split('\t').collect::<Vec<_>>() {
        [version, name, checksum] => Some((version.parse().ok()?, name.to_owned(), checksum.to_owned())),
        _ => None,
    };
    text.lines().map(|line| row(line).ok_or_else(|| MigrateError::Bookkeeping(line.to_owned()))).collect()
}

async fn record(client: &Client, migration: &Migration, checksum: &str) -> Result<(), MigrateError> {
    // The token makes a row that two collectors write at once one row.
    let sql = "INSERT INTO migrations SELECT {version:UInt32}, {name:String}, {checksum:String}, now64(3)";
    let query = client
        .query(sql)
        .param("version", migration.version)
        .param("name", migration.name)
        .param("checksum", checksum)
        .with_setting("insert_deduplication_token", checksum);
    client.text(query).await?;
    Ok(())
}

/// Checks that the tables and views an insert goes through are there and count a retry once. Changes nothing.
/// [`MigrateError::State`]: the store does not answer.
pub async fn verify(client: &Client) -> Result<(), MigrateError> {
    let sql = "SELECT name, engine, extract(engine_full, 'non_replicated_deduplication_window = (\\\\d+)') \
               FROM system.tables WHERE database = {database:String} LIMIT 10000 FORMAT TSV";
    let query = client.query(sql).param("database", &client.target.database);
    check_chain(&client.text(query).await?, client.target.cluster.as_deref())
}

/// Lines of name, engine and window.
fn check_chain(text: &str, cluster: Option<&str>) -> Result<(), MigrateError> {
    let rows: Vec<Vec<&str>> = text.lines().map(|line| line.split('\t').collect()).collect();
    for table in TABLES {
        let name = local(table, cluster);
        if cluster.is_some() && !rows.iter().any(|row| row.starts_with(&[table, "Distributed"])) {
            return Err(MigrateError::TableMissing { table });
        }
        match rows.iter().find(|row| row.first() == Some(&name.as_str())).map(Vec::as_slice) {
            // A replicated table has a window of its own by default.
            Some([_, engine, ..]) if engine.starts_with("Replicated") => {}
            Some([_, _, window]) if window.parse::<u64>().is_ok_and(|window| window > 0) => {}
            Some(_) => return Err(MigrateError::NoDeduplicationWindow { table: table.to_owned() }),
            None => return Err(MigrateError::TableMissing { table }),
        }
    }
    let missing_as = |name: &str, engine| !rows.iter().any(|row| row.starts_with(&[name, engine]));
    if missing_as(&local(BOOKINGS, cluster), "Null") {
        return Err(MigrateError::TableMissing { table: BOOKINGS });
    }
    if let Some(table) = RECORDS.into_iter().find(|view| missing_as(view, "View")) {
        return Err(MigrateError::TableMissing { table });
    }
    let missing = |view| missing_as(view, "MaterializedView");
    match VIEWS.into_iter().find(|(view, ..)| missing(*view)) {
        Some((view, from, to)) => Err(MigrateError::ViewMissing { view, from, to }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_in_order_and_each_is_idempotent_with_a_window() {
        for (index, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(migration.version as usize, index + 1);
            assert!(migration.name.starts_with(&format!("{:04}_", migration.version)), "{}", migration.name);
            for statement in statements(migration.sql) {
                assert!(statement.contains("IF NOT EXISTS"), "{}: {statement:.60}", migration.name);
                let window = statement.contains("non_replicated_deduplication_window = 100000");
                let keeps = statement.starts_with("CREATE TABLE") && !statement.ends_with("ENGINE = Null");
                assert_eq!(window, keeps, "{statement:.60}");
            }
        }
    }

    #[test]
    fn a_semicolon_ends_a_statement_at_the_end_of_a_line_and_nowhere_else() {
        let sql = "-- a; b;\nSELECT 'a;b',\n\n  -- c\n  2;\n\nSELECT 3;\n";
        assert_eq!(statements(sql), ["SELECT 'a;b',\n  2", "SELECT 3"]);
        assert_eq!(statements("CREATE TABLE t\n-- why\n(a Int8)"), ["CREATE TABLE t\n(a Int8)"]);
        assert!(statements("").is_empty() && statements("-- only; a comment").is_empty());
        // A checksum is of the statements and not of the comments.
        let of = |sql| Migration { version: 1, name: "0001_a", sql }.checksum();
        assert_eq!(of("-- why\nSELECT 1;"), of("-- because\nSELECT 1;\n"));
        assert_ne!(of("SELECT 1;"), of("SELECT 2;"));
    }

    #[test]
    fn every_table_and_view_of_the_chain_is_looked_for() {
        let made: Vec<String> = MIGRATIONS.iter().flat_map(|migration| statements(migration.sql)).collect();
        let tables = made.iter().filter(|text| text.starts_with("CREATE TABLE")).count();
        let views = made.iter().filter(|text| text.starts_with("CREATE MATERIALIZED VIEW")).count();
        assert_eq!((tables, views), (TABLES.len() + 1, VIEWS.len()));
        for (view, from, to) in VIEWS {
            let head = format!("CREATE MATERIALIZED VIEW IF NOT EXISTS {view} TO {to} AS");
            let statement = made.iter().find(|text| text.starts_with(&head)).unwrap();
            assert!(statement.contains(&format!("FROM {from}")), "{view}");
        }
        let chain: Vec<String> = TABLES
            .iter()
            .map(|table| format!("{table}\tMergeTree\t10000"))
            .chain([format!("{BOOKINGS}\tNull\t")])
            .chain(RECORDS.iter().map(|view| format!("{view}\tView\t")))
            .chain(VIEWS.iter().map(|(view, ..)| format!("{view}\tMaterializedView\t")))
            .collect();
        check_chain(&chain.join("\n"), None).unwrap();
        for missing in 0..chain.len() {
            let mut rest = chain.clone();
            let name = rest.remove(missing).split('\t').next().unwrap().to_owned();
            let error = check_chain(&rest.join("\n"), None).unwrap_err().to_string();
            assert!(error.contains(&format!(" {name} is missing")), "{error}");
            // A table in the place of a view copies nothing.
            rest.push(format!("{name}\tMergeTree\t"));
            check_chain(&rest.join("\n"), None).unwrap_err();
        }
    }
}
