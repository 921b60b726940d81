//! What a statement cannot reach, whoever sends it.

use bytes::Bytes;
use http_body_util::Full;

use super::harness::{Engine, READER_PASSWORD};

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
        "SYSTEM SHUTDOWN".to_owned(),
        "SYSTEM KILL".to_owned(),
        "BACKUP DATABASE default TO Disk('default', 'b')".to_owned(),
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

/// Scenario: a local user who knows no password tries every path, and every place a password can be in.
/// Guarantees: 403 in ClickHouse's words for all but `/ping`, and nothing has happened.
#[tokio::test]
async fn nothing_but_ping_works_without_a_password() {
    let engine = Engine::start().await;
    engine.run("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a").await;
    let url = |path: &str| format!("http://{}{path}", engine.address());
    let drop_table = "/?query=DROP%20TABLE%20t";
    for (method, path, header) in [
        ("GET", "/", None),
        ("GET", "/replicas_status", None),
        ("GET", "/nothing", None),
        ("GET", "/?query=SELECT%201", None),
        ("POST", "/?query=SYSTEM%20SHUTDOWN", None),
        ("POST", drop_table, None),
        ("POST", "/?query=DROP%20TABLE%20t&user=default&password=wrong", None),
        ("POST", "/?query=DROP%20TABLE%20t&session_id=s", None),
        ("POST", "/ping", None),
        ("DELETE", "/", None),
        ("POST", drop_table, Some(("x-clickhouse-user", "default"))),
        ("POST", drop_table, Some(("x-clickhouse-key", READER_PASSWORD))),
        ("POST", drop_table, Some(("authorization", "Basic ZGVmYXVsdDp3cm9uZw=="))),
        ("POST", drop_table, Some(("authorization", "Bearer password"))),
    ] {
        let mut request =
            http::Request::builder().method(method).uri(url(path)).header("content-length", "0");
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let reply = engine.send(request.body(Full::<Bytes>::default()).unwrap()).await;
        assert_eq!(
            (reply.status, reply.header("x-clickhouse-exception-code")),
            (403, "516"),
            "{method} {path} {header:?}: {}",
            reply.text()
        );
    }
    let ping = http::Request::get(url("/ping")).body(Full::default()).unwrap();
    assert_eq!(engine.send(ping).await.good(), "Ok.\n");
    assert_eq!(engine.run("SELECT count() FROM t").await, "0\n");
}

/// Scenario: a person with the reader's password reads, and tries all that would change something.
/// Guarantees: reads work, with settings and in sessions of their own; writes are refused by every way round `readonly`.
#[tokio::test]
async fn the_reader_reads_and_changes_nothing() {
    let engine = Engine::start().await;
    engine.run("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a").await;
    engine.run("INSERT INTO t VALUES (7)").await;
    let user = [("x-clickhouse-user", "reader"), ("x-clickhouse-key", READER_PASSWORD)];
    for parameters in [
        &[][..],
        &[("max_threads", "1")],
        &[("readonly", "1")],
        &[("session_id", "s")],
        &[("wait_end_of_query", "1"), ("database", "default")],
    ] {
        let reply = engine.post(parameters, &user, "SELECT a FROM t").await;
        assert_eq!(reply.good(), "7\n", "{parameters:?}");
    }
    for sql in [
        "SHOW TABLES",
        "DESCRIBE TABLE t",
        "EXPLAIN SELECT a FROM t",
        "EXISTS TABLE t",
        "WITH 1 AS x SELECT x",
    ] {
        engine.post(&[], &user, sql).await.good();
    }
    for sql in [
        "INSERT INTO t VALUES (8)",
        "INSERT INTO t FORMAT TSV\n8\n",
        "INSERT INTO t SELECT 8",
        "DROP TABLE t",
        "TRUNCATE TABLE t",
        "CREATE TABLE u (a UInt8) ENGINE = MergeTree ORDER BY a",
        "ALTER TABLE t DELETE WHERE 1",
        "ALTER TABLE t DROP PARTITION tuple()",
        "OPTIMIZE TABLE t FINAL",
        "RENAME TABLE t TO u",
        "SYSTEM STOP MERGES",
        "SYSTEM FLUSH LOGS",
        "SELECT 1; DROP TABLE t",
        "/* SELECT */ SYSTEM STOP MERGES t",
        "KILL QUERY WHERE 1",
        "SET readonly = 0",
        "SELECT 1 SETTINGS readonly = 0",
    ] {
        for parameters in [&[][..], &[("readonly", "0")], &[("session_id", "s")]] {
            let reply = engine.post(parameters, &user, sql).await;
            assert!(reply.status >= 400, "{sql} {parameters:?}: {} {}", reply.status, reply.text());
        }
    }
    // The owner's session of that name is another one.
    let create = "CREATE TEMPORARY TABLE mine (a UInt8)";
    engine.post(&[("session_id", "shared")], &[], create).await.good();
    let reply = engine.post(&[("session_id", "shared")], &user, "SELECT * FROM mine").await;
    assert_eq!(reply.header("x-clickhouse-exception-code"), "60", "{}", reply.text());
    assert_eq!(engine.run("SELECT a FROM t").await, "7\n");
    assert_eq!(engine.run("SELECT count() FROM system.tables WHERE database = 'default'").await, "1\n");
}
