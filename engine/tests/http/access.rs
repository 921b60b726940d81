//! What a statement cannot reach, whoever sends it.

use super::harness::Engine;

/// Scenario: statements that read, write or run something outside the store.
/// Guarantees: each is denied; what a store is used for is not.
#[tokio::test]
async fn statements_reach_the_store_and_nothing_else() {
    let engine = Engine::start().await;
    let outside = engine.data_dir().join("outside.tsv");
    let path = outside.display();
    for sql in [
        format!("SELECT * FROM file('{path}', 'LineAsString')"),
        format!("INSERT INTO FUNCTION file('{path}', 'TSV', 'a UInt8') SELECT 1"),
        format!("INSERT INTO FUNCTION file('{path}', 'TSV', 'a UInt8') VALUES (1)"),
        format!("CREATE TABLE f (a String) ENGINE = File(TSV, '{path}')"),
        format!(
            "CREATE DICTIONARY d (a UInt64) PRIMARY KEY a SOURCE(FILE(path '{path}' format 'TSV')) LIFETIME(0) LAYOUT(FLAT())"
        ),
        "SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')".to_owned(),
        "SELECT * FROM remote('127.0.0.1', system.one)".to_owned(),
        "CREATE USER someone".to_owned(),
        "GRANT ALL ON *.* TO default".to_owned(),
    ] {
        let reply = engine.query(&sql).await;
        assert_eq!(
            (reply.status, reply.header("x-clickhouse-exception-code")),
            (403, "497"),
            "{sql}: {}",
            reply.text()
        );
    }
    assert!(!outside.exists());
    for sql in [
        "CREATE DATABASE d",
        "CREATE TABLE d.t (a UInt64) ENGINE = MergeTree ORDER BY a TTL toDateTime(a + 4000000000) + INTERVAL 1 DAY",
        "CREATE MATERIALIZED VIEW d.v ENGINE = AggregatingMergeTree ORDER BY k AS SELECT 1 AS k, countState() FROM d.t GROUP BY k",
        "CREATE TABLE d.n AS d.t ENGINE = Null",
        "CREATE TABLE d.m (a UInt8) ENGINE = Memory",
        "CREATE FUNCTION plus_one AS (x) -> x + 1",
        "ALTER TABLE d.t ADD COLUMN b String",
        "INSERT INTO d.t (a) SELECT number FROM numbers(10)",
        "ALTER TABLE d.t DROP PARTITION tuple()",
        "OPTIMIZE TABLE d.t FINAL",
        "RENAME TABLE d.m TO d.k",
        "EXCHANGE TABLES d.k AND d.n",
        "SYSTEM FLUSH LOGS",
        "SYSTEM STOP MERGES d.t",
        "TRUNCATE TABLE d.t",
        "CHECK TABLE d.t",
        "SHOW CREATE TABLE d.t",
        "DROP DATABASE d",
    ] {
        let reply = engine.query(sql).await;
        assert_eq!(reply.status, 200, "{sql}: {}", reply.text());
    }
}

#[tokio::test]
async fn web_pages_are_not_served() {
    let engine = Engine::start().await;
    for header in [("origin", "http://localhost:3000"), ("host", "rebound.example:8123")] {
        let reply = engine.post(&[], &[header], "SELECT 1").await;
        assert_eq!((reply.status, reply.header("x-clickhouse-exception-code")), (403, "497"), "{header:?}");
    }
}
