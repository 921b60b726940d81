//! Clients that others wrote: the official `clickhouse` crate, and Python's clickhouse-connect.

use std::path::PathBuf;
use std::process::Command;

use clickhouse::{Client, Row};
use serde::{Deserialize, Serialize};

use super::harness::{Engine, PASSWORD};

#[derive(Debug, Clone, PartialEq, Row, Serialize, Deserialize)]
struct Call {
    id: u64,
    name: String,
    tags: Vec<String>,
    score: Option<f64>,
}

fn calls(count: u64) -> Vec<Call> {
    (0..count)
        .map(|id| Call {
            id,
            name: format!("line\nbreak\0{id}"),
            tags: vec![format!("{}", id % 7), "\t".to_owned()],
            score: (id % 3 != 0).then_some(id as f64 / 2.0),
        })
        .collect()
}

#[tokio::test]
async fn the_clickhouse_crate_writes_and_reads() {
    let engine = Engine::start().await;
    for compression in [clickhouse::Compression::None, clickhouse::Compression::Lz4] {
        let client = Client::default()
            .with_url(format!("http://{}", engine.address()))
            .with_user("default")
            .with_password(PASSWORD)
            .with_compression(compression);
        client.query("DROP TABLE IF EXISTS calls").execute().await.unwrap();
        let table = "CREATE TABLE calls (id UInt64, name String, tags Array(LowCardinality(String)), score Nullable(Float64)) \
            ENGINE = MergeTree ORDER BY id";
        client.query(table).execute().await.unwrap();
        let expected = calls(50_000);
        let mut insert = client.insert::<Call>("calls").await.unwrap();
        for call in &expected {
            insert.write(call).await.unwrap();
        }
        insert.end().await.unwrap();
        let found: Vec<Call> =
            client.query("SELECT ?fields FROM calls ORDER BY id").fetch_all().await.unwrap();
        assert!(found == expected);
        let one: String = client
            .query("SELECT name FROM calls WHERE id = ? AND has(tags, {tag:String})")
            .bind(8)
            .param("tag", "1")
            .fetch_one()
            .await
            .unwrap();
        assert_eq!(one, "line\nbreak\08");
        let error = client.query("SELECT * FROM nope").execute().await.unwrap_err().to_string();
        assert!(error.contains("Code: 60") && error.contains("UNKNOWN_TABLE"), "{error}");
        let error = client
            .query("SELECT throwIf(number = 5000000) FROM numbers(10000000)")
            .fetch_all::<u8>()
            .await
            .unwrap_err();
        assert!(error.to_string().contains("Code: 395"), "{error}");
        let limited = client.clone().with_setting("max_result_rows", "10");
        let error = limited
            .query("SELECT number FROM numbers(100)")
            .fetch_all::<u64>()
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("Code: 396"), "{error}");
        assert_eq!(client.query("SELECT count() FROM calls").fetch_one::<u64>().await.unwrap(), 50_000);
    }
}

/// Scenario: ClickHouse's official Python client, blocking and asyncio, writes and reads.
/// Guarantees: what it asserts in tests/clients/clickhouse/*.py. Its environment is `LEDGERLINE_VENV`, which `make test` sets.
#[tokio::test]
async fn clickhouse_connect_writes_and_reads() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let venv = std::env::var_os("LEDGERLINE_VENV").expect(
        "LEDGERLINE_VENV is not set: run `make test`, or set it to what tests/clients/setup.sh prints",
    );
    let python = PathBuf::from(venv).join("bin/python");
    let engine = Engine::start().await;
    for script in ["connect.py", "connect_async.py"] {
        let script = root.join("tests/clients/clickhouse").join(script);
        let output = tokio::task::spawn_blocking({
            let (python, url) = (python.clone(), engine.url());
            let script = script.clone();
            move || Command::new(python).arg(script).arg(url).output().unwrap()
        });
        let output = output.await.unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}", script.display());
    }
}
