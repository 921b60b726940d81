//! Inserts: every byte arrives, in any format and cut anywhere; counts are right; tokens deduplicate.

use std::io::Write;
use std::net::TcpStream;

use super::harness::{Engine, eventually};

/// All 256 bytes, newlines, NULs, blank lines and a would-be FORMAT clause.
fn awkward() -> Vec<Vec<u8>> {
    vec![
        (0..=255).collect(),
        b"\n\n\0\n\nFORMAT CSV\n1,2\n;".to_vec(),
        b"'quoted' \\ \t \r\n".to_vec(),
        Vec::new(),
        vec![0xff; 70_000],
    ]
}

fn row_binary(rows: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (number, row) in rows.iter().enumerate() {
        out.extend(u64::try_from(number).unwrap().to_le_bytes());
        let mut length = row.len();
        while length >= 0x80 {
            out.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        out.push(length as u8);
        out.extend(row);
    }
    out
}

#[tokio::test]
async fn binary_rows_arrive_byte_for_byte() {
    let engine = Engine::start().await;
    engine.run("CREATE TABLE t (n UInt64, s String) ENGINE = MergeTree ORDER BY n").await;
    let rows = awkward();
    let reply = engine.post(&[("query", "INSERT INTO t FORMAT RowBinary")], &[], row_binary(&rows)).await;
    reply.good();
    assert_eq!(reply.summary("written_rows"), 5);
    let stored = engine.query("SELECT n, s FROM t ORDER BY n FORMAT RowBinary").await;
    assert!(stored.body == row_binary(&rows));
}

#[tokio::test]
async fn what_one_format_writes_the_same_format_reads() {
    let engine = Engine::start().await;
    let columns = "n UInt64, s String, a Array(Nullable(Int32)), d DateTime64(3, 'UTC'), l LowCardinality(String), m Map(String, UInt8), x Decimal(38, 9)";
    engine.run(&format!("CREATE TABLE source ({columns}) ENGINE = MergeTree ORDER BY n")).await;
    let values = "SELECT number, concat('a\\n\\n\\0;FORMAT ', toString(number), char(number % 128)), [number, NULL, -1], \
        toDateTime64(1e9 + number, 3), toString(number % 10), map('k\\t', number % 200), number / 7 FROM numbers(100000)";
    engine.run(&format!("INSERT INTO source {values}")).await;
    let sum = |table: &str| format!("SELECT count(), groupBitXor(cityHash64(*)) FROM {table}");
    let expected = engine.run(&sum("source")).await;
    let formats = [
        "Native",
        "RowBinary",
        "RowBinaryWithNamesAndTypes",
        "Parquet",
        "ArrowStream",
        "Arrow",
        "ORC",
        "TabSeparated",
        "TabSeparatedWithNamesAndTypes",
        "CSVWithNames",
        "JSONEachRow",
        "JSONCompactEachRow",
        "JSON",
        "Values",
        "Avro",
    ];
    for format in formats {
        let plain = if matches!(format, "ORC" | "Avro" | "Parquet" | "Arrow" | "ArrowStream") {
            // These have types of their own; the point here is the bytes.
            "SELECT n, s FROM source"
        } else {
            "SELECT * FROM source"
        };
        engine.run("DROP TABLE IF EXISTS target").await;
        engine.run(&format!("CREATE TABLE target ({columns}) ENGINE = MergeTree ORDER BY n")).await;
        let written = engine.query(&format!("{plain} FORMAT {format}")).await;
        assert_eq!(written.status, 200, "{format}: {}", written.text());
        let names = if plain.contains('*') { "" } else { "(n, s)" };
        let reply = engine
            .post(&[("query", &format!("INSERT INTO target {names} FORMAT {format}"))], &[], written.body)
            .await;
        assert_eq!(reply.status, 200, "{format}: {}", reply.text());
        assert_eq!(reply.summary("written_rows"), 100_000, "{format}");
        if names.is_empty() {
            assert_eq!(engine.run(&sum("target")).await, expected, "{format}");
        } else {
            let pair = |table: &str| format!("SELECT count(), groupBitXor(cityHash64(n, s)) FROM {table}");
            assert_eq!(engine.run(&pair("target")).await, engine.run(&pair("source")).await, "{format}");
        }
    }
}

#[tokio::test]
async fn the_statement_may_be_in_the_url_the_body_or_both() {
    let engine = Engine::start().await;
    engine.run("CREATE TABLE t (a UInt8, b String DEFAULT concat('d', toString(a))) ENGINE = Memory").await;
    for (query, body) in [
        ("INSERT INTO t (a) VALUES", "(1)"),
        ("INSERT INTO t (a)", "VALUES (2), (1 + 2)"),
        ("", "INSERT INTO t FORMAT TSV\n4\tx\n5\ty"),
        ("INSERT INTO t FORMAT JSONEachRow", "{\"a\": 6, \"b\": \"\\n\\n\"}"),
        ("INSERT INTO t SETTINGS input_format_tsv_crlf_end_of_line = 1 FORMAT TSV", "7\tz\r\n"),
        ("INSERT INTO t (a) SELECT 8", ""),
        ("INSERT INTO t (a)", "SELECT 9"),
        ("INSERT INTO t FORMAT TSV", ""),
    ] {
        let reply = engine.post(&[("query", query)], &[], body).await;
        assert_eq!(reply.status, 200, "{query} + {body}: {}", reply.text());
    }
    let rows = engine.run("SELECT a, b FROM t ORDER BY a FORMAT CSV").await;
    assert_eq!(
        rows,
        "1,\"d1\"\n2,\"d2\"\n3,\"d3\"\n4,\"x\"\n5,\"y\"\n6,\"\n\n\"\n7,\"z\"\n8,\"d8\"\n9,\"d9\"\n"
    );
}

#[tokio::test]
async fn bad_rows_are_an_error_and_leave_nothing() {
    let engine = Engine::start().await;
    engine.run("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a").await;
    let mut body: String = (0..200_000).map(|number| format!("{number}\n")).collect();
    body.push_str("not a number\n");
    let reply = engine.post(&[("query", "INSERT INTO t FORMAT TSV")], &[], body).await;
    assert_eq!((reply.status, reply.header("x-clickhouse-exception-code")), (400, "27"), "{}", reply.text());
    assert!(reply.text().contains("not a number"), "{}", reply.text());
    assert_eq!(engine.run("SELECT count() FROM t").await, "0\n");
}

/// Scenario: a client announces more bytes than it sends, and leaves.
/// Guarantees: the half body is not committed and its connection is free again.
#[tokio::test]
async fn a_body_cut_short_is_not_committed() {
    let engine = Engine::with(&["--max-connections", "1"]).await;
    engine.run("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a").await;
    let query = "INSERT%20INTO%20t%20FORMAT%20TSV";
    for framing in ["Content-Length: 1000", "Transfer-Encoding: chunked"] {
        let mut socket = TcpStream::connect(engine.address()).unwrap();
        let body = if framing.starts_with("Transfer") { "4\r\n1\n2\n\r\n" } else { "1\n2\n" };
        write!(
            socket,
            "POST /?password=password&query={query} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{body}"
        )
        .unwrap();
        drop(socket);
    }
    // With one connection in the pool, an answer here means that both inserts have ended.
    assert_eq!(engine.run("SELECT count() FROM t").await, "0\n");
}

/// Scenario: an insert is sent again with its token, as after a lost answer; a rollup hangs on the table.
/// Guarantees: table and rollup count it once; the answer reports the rows that were sent, each time.
#[tokio::test]
async fn a_token_counts_a_retry_once_in_table_and_rollup() {
    let engine = Engine::start().await;
    engine.run("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100").await;
    engine.run("CREATE TABLE r (k UInt8, n UInt64) ENGINE = SummingMergeTree ORDER BY k SETTINGS non_replicated_deduplication_window = 100").await;
    engine.run("CREATE MATERIALIZED VIEW v TO r AS SELECT a % 2 AS k, count() AS n FROM t GROUP BY k").await;
    let insert = |token: &'static str| {
        let parameters = [
            ("query", "INSERT INTO t FORMAT TSV"),
            ("insert_deduplication_token", token),
            ("deduplicate_blocks_in_dependent_materialized_views", "1"),
        ];
        let engine = &engine;
        async move { engine.post(&parameters, &[], "1\n2\n3\n").await }
    };
    for (token, table) in [("one", "3"), ("one", "3"), ("two", "6"), ("one", "6"), ("two", "6")] {
        let reply = insert(token).await;
        reply.good();
        // Three rows of the table and two of the rollup: ClickHouse's summary counts what views write, duplicate or not.
        assert_eq!(reply.summary("written_rows"), 5, "{token}");
        assert_eq!(engine.run("SELECT count() FROM t").await.trim(), table, "{token}");
        assert_eq!(engine.run("SELECT sum(n) FROM r").await.trim(), table, "{token}");
    }
}

#[tokio::test]
async fn parallel_inserts_all_arrive() {
    let engine = Engine::with(&["--max-connections", "4"]).await;
    engine.run("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a").await;
    let rows: String = (0..1000).map(|number| format!("{number}\n")).collect();
    let inserts = (0..32).map(|_| engine.post(&[("query", "INSERT INTO t FORMAT TSV")], &[], rows.clone()));
    for reply in join_all(inserts).await {
        reply.good();
        assert_eq!(reply.summary("written_rows"), 1000);
    }
    assert_eq!(engine.run("SELECT count() FROM t").await, "32000\n");
    let parts = || async {
        let active = engine.run("SELECT count() FROM system.parts WHERE table = 't' AND active").await;
        (active.trim().parse::<u32>().unwrap() < 32).then_some(())
    };
    eventually("a background merge", parts).await;
}

/// Polls all futures together.
pub async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *output = Some(value);
            }
        }
        if outputs.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
