//! Queries: parameters, settings, parallel runs, large results, cancelling.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use super::harness::{Engine, eventually};
use super::inserts::join_all;

#[tokio::test]
async fn parameters_of_every_kind_are_bound() {
    let engine = Engine::start().await;
    for (kind, value, expected) in [
        ("UInt64", "18446744073709551615", "18446744073709551615"),
        ("Int8", "-1", "-1"),
        ("Float64", "1.5", "1.5"),
        ("Decimal(38, 9)", "123456789.000000001", "123456789.000000001"),
        ("Bool", "true", "true"),
        ("Date", "2026-01-31", "2026-01-31"),
        ("DateTime64(3)", "2026-01-31 12:00:00.123", "2026-01-31 12:00:00.123"),
        ("UUID", "61f0c404-5cb3-11e7-907b-a6006ad3dba0", "61f0c404-5cb3-11e7-907b-a6006ad3dba0"),
        ("String", "it's; DROP TABLE t -- \u{e9}", "it\\'s; DROP TABLE t -- \u{e9}"),
        ("String", "a\\tb\\nc\\\\", "a\\tb\\nc\\\\"),
        ("Array(String)", "['a','b\\'c']", "['a','b\\'c']"),
        ("Map(String, UInt8)", "{'a':1}", "{'a':1}"),
        ("Nullable(String)", "\\N", "\\N"),
    ] {
        let reply = engine.post(&[("param_x", value)], &[], format!("SELECT {{x:{kind}}}")).await;
        assert_eq!(reply.good().trim_end_matches('\n'), expected, "{kind} {value}");
    }
    engine.run("CREATE TABLE t (a UInt8, b String) ENGINE = Memory").await;
    let parameters = [("param_a", "7"), ("param_t", "t")];
    engine.post(&parameters, &[], "INSERT INTO {t:Identifier} SELECT {a:UInt8}, 'x'").await.good();
    engine.post(&parameters, &[], "INSERT INTO t VALUES ({a:UInt8}, 'y')").await.good();
    assert_eq!(engine.run("SELECT * FROM t ORDER BY b FORMAT CSV").await, "7,\"x\"\n7,\"y\"\n");
}

/// Scenario: requests set settings, databases, temporary tables and SET itself, in turn with plain ones on one thread.
/// Guarantees: nothing of it reaches the next request.
#[tokio::test]
async fn settings_do_not_leak() {
    let engine = Engine::with(&["--max-connections", "1"]).await;
    let probe = "SELECT getSetting('max_block_size'), currentDatabase(), getSetting('readonly')";
    let plain = engine.run(probe).await;
    let set = engine
        .post(&[("max_block_size", "1234"), ("database", "system"), ("readonly", "1")], &[], probe)
        .await;
    assert_eq!(set.good(), "1234\tsystem\t1\n");
    assert_eq!(engine.run(probe).await, plain);
    engine.run("SET max_block_size = 4321").await;
    assert_eq!(engine.run(probe).await, plain);
    engine.run("USE system").await;
    assert_eq!(engine.run(probe).await, plain);
    engine.run("CREATE TEMPORARY TABLE x (a UInt8)").await;
    assert_eq!(engine.query("SELECT * FROM x").await.status, 404);
    let quoted = engine
        .post(
            &[("output_format_json_quote_64bit_integers", "1"), ("default_format", "JSONEachRow")],
            &[],
            "SELECT 1::UInt64 AS a",
        )
        .await;
    assert_eq!(quoted.good(), "{\"a\":\"1\"}\n");
    let unquoted = engine.post(&[("default_format", "JSONEachRow")], &[], "SELECT 1::UInt64 AS a").await;
    assert_eq!(unquoted.good(), "{\"a\":1}\n");
}

#[tokio::test]
async fn statements_run_in_parallel() {
    let engine = Engine::with(&["--max-connections", "5"]).await;
    let sql = "SELECT sleepEachRow(1) FROM numbers(1000) SETTINGS max_block_size = 1";
    let long = join_all((0..4).map(|_| engine.query(sql)));
    let four =
        eventually("four at once", || async { (running(&engine, "sleepEachRow").await == 4).then_some(()) });
    tokio::select! {
        _ = long => panic!("a statement of a thousand seconds ended"),
        () = four => {}
    }
}

/// Scenario: 10 million rows in a format with a header, read slowly.
/// Guarantees: exact bytes, one header, and the engine holds a small part of the result at any time.
#[tokio::test]
async fn a_large_result_streams_in_bounded_memory() {
    let engine = Engine::start().await;
    engine.run("SELECT number, toString(number) FROM numbers(10) FORMAT Null").await;
    let before = engine.resident_bytes();
    let sql = "SELECT number, toString(number) AS s FROM numbers(10000000) FORMAT TSVWithNames";
    let client: Client<_, Full<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let request = http::Request::post(engine.target(&[])).body(Full::new(sql.into())).unwrap();
    let mut body = client.request(request).await.unwrap().into_body();
    let (mut bytes, mut lines, mut peak, mut next_look) = (0_usize, 0_usize, 0, 0);
    while let Some(frame) = body.frame().await {
        let data = frame.unwrap().into_data().unwrap();
        bytes += data.len();
        lines += data.iter().filter(|&&byte| byte == b'\n').count();
        if bytes > next_look {
            next_look = bytes + (8 << 20);
            peak = peak.max(engine.resident_bytes());
        }
    }
    assert_eq!((lines, bytes), (10_000_001, 9 + 2 * 68_888_890 + 2 * 10_000_000));
    let grown = peak.saturating_sub(before);
    assert!(grown < 100 << 20, "157 MB of result raised resident memory by {grown} bytes");
}

/// Scenario: the same, held back to its end, as clickhouse-connect asks for.
/// Guarantees: an exact summary in the head, the exact bytes, and still bounded memory.
#[tokio::test]
async fn a_large_result_is_held_outside_memory() {
    let engine = Engine::start().await;
    engine.run("SELECT number, toString(number) FROM numbers(10) FORMAT Null").await;
    let before = engine.resident_bytes();
    let sql = "SELECT number FROM numbers(10000000)";
    let reply = engine.post(&[("wait_end_of_query", "1")], &[], sql).await;
    let grown = engine.resident_bytes().saturating_sub(before);
    assert_eq!((reply.body.len(), reply.summary("result_rows")), (78_888_890, 10_000_000));
    assert!(reply.body.ends_with(b"\n9999999\n"));
    assert!(grown < 100 << 20, "79 MB of result raised resident memory by {grown} bytes");
}

#[tokio::test]
async fn every_output_format_comes_whole() {
    let engine = Engine::start().await;
    let sql =
        "SELECT number % 3 AS k, count() AS n FROM numbers(200000) GROUP BY k WITH TOTALS ORDER BY k LIMIT 2";
    let reply = engine.query(&format!("{sql} FORMAT JSON")).await;
    let json: serde_json::Value = serde_json::from_str(&reply.good()).unwrap();
    assert_eq!((json["rows"].as_u64(), json["rows_before_limit_at_least"].as_u64()), (Some(2), Some(3)));
    assert_eq!(
        (json["totals"]["n"].as_u64(), json["statistics"]["rows_read"].as_u64()),
        (Some(200_000), Some(200_000))
    );
    assert_eq!(engine.run(&format!("{sql} FORMAT CSV")).await, "0,66667\n1,66667\n\n0,200000\n");
    // Several blocks, one document: what the library's own streaming does not do.
    let reply =
        engine.query("SELECT number FROM numbers(300000) SETTINGS max_block_size = 1000 FORMAT JSON").await;
    let json: serde_json::Value = serde_json::from_str(&reply.good()).unwrap();
    assert_eq!(json["data"].as_array().unwrap().len(), 300_000);
    for sql in [
        "SHOW DATABASES",
        "EXPLAIN SELECT 1",
        "DESCRIBE system.one",
        "EXISTS system.one",
        "(SELECT 1)",
        "FROM numbers(1) SELECT number",
        "WITH 1 AS x SELECT x",
    ] {
        let reply = engine.query(&format!("{sql} FORMAT JSON")).await;
        let json: serde_json::Value = serde_json::from_str(&reply.good()).unwrap();
        assert!(json["rows"].as_u64().unwrap() > 0, "{sql}");
    }
}

async fn running(engine: &Engine, part: &str) -> u64 {
    let sql = format!(
        "SELECT count() FROM system.processes WHERE query LIKE '%{part}%' AND query NOT LIKE '%processes%'"
    );
    engine.run(&sql).await.trim().parse().unwrap()
}

/// Scenario: clients leave while their query computes, while it streams, and while it inserts.
/// Guarantees: each query is gone from the engine soon after.
#[tokio::test]
async fn a_query_ends_when_its_client_leaves() {
    let engine = Engine::start().await;
    engine.run("CREATE TABLE t (a UInt64) ENGINE = Null").await;
    let aggregate = "SELECT max(sipHash64(number)) FROM numbers(100000000000) SETTINGS max_threads = 1";
    let stream = "SELECT number, 'streamed' FROM numbers(100000000000)";
    let insert = "INSERT INTO t SELECT sipHash64(number) FROM numbers(100000000000) SETTINGS max_threads = 1";
    for (sql, part, reads) in [
        (aggregate, "max(sipHash64", false),
        (stream, "streamed", true),
        (insert, "INSERT INTO t SELECT", false),
    ] {
        let mut socket = TcpStream::connect(engine.address()).unwrap();
        write!(
            socket,
            "POST /?password=password HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{sql}",
            sql.len()
        )
        .unwrap();
        if reads {
            socket.read_exact(&mut [0; 4096]).unwrap();
        }
        eventually("its start", || async { (running(&engine, part).await > 0).then_some(()) }).await;
        drop(socket);
        eventually("its end", || async { (running(&engine, part).await == 0).then_some(()) }).await;
    }
}

/// Scenario: the only connection waits for the rest of an INSERT, and requests come until the queue is full.
/// Guarantees: the next one is refused at once with 503 and a reason; the waiting ones are served.
#[tokio::test]
async fn overload_is_refused_with_503() {
    let engine = Engine::with(&["--max-connections", "1"]).await;
    engine.run("CREATE TABLE t (a UInt64) ENGINE = Null").await;
    let mut slow = TcpStream::connect(engine.address()).unwrap();
    let sql = "INSERT%20INTO%20t%20FORMAT%20TSV";
    write!(
        slow,
        "POST /?password=password&query={sql} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\n1\n"
    )
    .unwrap();
    let mut waiting = FuturesUnordered::new();
    let refused = loop {
        waiting.push(engine.query("SELECT 1"));
        match timeout(Duration::from_millis(5), waiting.next()).await {
            Ok(Some(reply)) if reply.status == 503 => break reply,
            // Came before the INSERT had its connection.
            Ok(Some(reply)) => assert_eq!(reply.status, 200, "{}", reply.text()),
            Ok(None) | Err(_) => {}
        }
    };
    assert!(refused.text().contains("connections of the engine are busy"), "{}", refused.text());
    assert_eq!((refused.header("retry-after"), refused.header("x-clickhouse-exception-code")), ("1", "202"));
    slow.write_all(b"2\n").unwrap();
    let (mut served, mut late) = (0, 0);
    while let Some(reply) = waiting.next().await {
        if reply.status == 200 { served += 1 } else { late += 1 }
    }
    assert_eq!(served, ledgerline_engine::limits::WAITING_REQUESTS_MAX, "{late} more were refused");
}
