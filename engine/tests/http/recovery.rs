//! Starting, stopping, and being killed.

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::harness::{BINARY, Engine, passwords};

#[tokio::test]
async fn signals_and_a_dead_parent_stop_it_in_order() {
    for how in ["-TERM", "-INT", "stdin"] {
        let directory = tempfile::tempdir().unwrap();
        let mut engine = Engine::on(directory.path(), &[]).await;
        engine.run("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a").await;
        engine.run("INSERT INTO t VALUES (1)").await;
        engine.post(&[("session_id", "s")], &[], "CREATE TEMPORARY TABLE x (a UInt8)").await.good();
        if how == "stdin" {
            engine.close_stdin();
        } else {
            engine.signal(how);
        }
        let status = engine.wait().await;
        assert!(status.success(), "{how}: {status}: {}", engine.log());
        assert!(engine.log().contains("stopped"), "{how}: {}", engine.log());
        let again = Engine::on(directory.path(), &[]).await;
        assert_eq!(again.run("SELECT * FROM t").await, "1\n");
    }
}

/// Scenario: SIGTERM while a query would run for hours and another request streams.
/// Guarantees: both are ended, the process exits with 0.
#[tokio::test]
async fn shutdown_ends_what_runs() {
    let mut engine = Engine::start().await;
    let queries = [
        "SELECT max(sipHash64(number)) FROM numbers(100000000000)",
        "SELECT number FROM numbers(100000000000)",
        "INSERT INTO FUNCTION null('a UInt64') SELECT sipHash64(number) FROM numbers(100000000000)",
    ];
    let children: Vec<_> = queries
        .iter()
        .map(|sql| {
            Command::new("curl").args(["-s", "-o", "/dev/null", &engine.url(), "-d", sql]).spawn().unwrap()
        })
        .collect();
    super::harness::eventually("three queries", || async {
        let running = engine.run("SELECT count() FROM system.processes").await;
        (running.trim() == "4").then_some(())
    })
    .await;
    engine.signal("-TERM");
    let status = engine.wait().await;
    assert!(status.success(), "{status}: {}", engine.log());
    for mut child in children {
        child.wait().unwrap();
    }
}

#[tokio::test]
async fn a_second_engine_on_one_directory_says_so() {
    let engine = Engine::start().await;
    let output = Command::new(BINARY)
        .args(["--listen", "127.0.0.1:0", "--passwords"])
        .arg(passwords(engine.data_dir()))
        .arg("--data-dir")
        .arg(engine.data_dir())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains(&format!("in use by another engine (process {})", engine.process_id())), "{said}");
}

#[tokio::test]
async fn a_missing_library_names_the_script() {
    let directory = tempfile::tempdir().unwrap();
    let output = Command::new(BINARY)
        .args(["--listen", "127.0.0.1:0", "--library", "/nonexistent/libchdb.so", "--passwords"])
        .arg(passwords(directory.path()))
        .arg("--data-dir")
        .arg(directory.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("engine/fetch.sh"), "{said}");
}

#[tokio::test]
async fn acknowledged_rows_survive_kill_9() {
    let directory = tempfile::tempdir().unwrap();
    let engine = Engine::on(directory.path(), &[]).await;
    engine.run("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a").await;
    engine.run("INSERT INTO t SELECT number FROM numbers(1000)").await;
    engine.kill();
    let again = Engine::on(directory.path(), &[]).await;
    assert_eq!(again.run("SELECT count(), sum(a) FROM t").await, "1000\t499500\n");
}

/// Scenario: two writers insert tokened blocks into a table with a rollup; the engine is killed in the middle, five times; each writer
/// sends what was not acknowledged again, with the same token.
/// Guarantees: every block is there once, in the table and in the rollup.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_make_retries_exact_across_kill_9() {
    const BLOCKS: usize = 200;
    const ROWS: usize = 500;
    let directory = tempfile::tempdir().unwrap();
    let mut engine = Some(Engine::on(directory.path(), &[]).await);
    let first = engine.as_ref().unwrap();
    let window = "SETTINGS non_replicated_deduplication_window = 1000";
    first
        .run(&format!("CREATE TABLE t (b UInt64, a UInt64) ENGINE = MergeTree ORDER BY (b, a) {window}"))
        .await;
    first
        .run(&format!(
            "CREATE TABLE r (b UInt64, n UInt64, s UInt64) ENGINE = SummingMergeTree ORDER BY b {window}"
        ))
        .await;
    first
        .run("CREATE MATERIALIZED VIEW v TO r AS SELECT b, count() AS n, sum(a) AS s FROM t GROUP BY b")
        .await;
    let acknowledged: Vec<AtomicBool> = (0..BLOCKS).map(|_| AtomicBool::new(false)).collect();
    for round in 0..=5_usize {
        let running = match engine.take() {
            Some(running) => running,
            None => Engine::on(directory.path(), &[]).await,
        };
        let kill_after = if round == 5 { usize::MAX } else { 20 + 7 * round };
        send_until_killed(running, &acknowledged, kill_after, ROWS).await;
    }
    let engine = Engine::on(directory.path(), &[]).await;
    let sum = ROWS * (ROWS - 1) / 2 * BLOCKS;
    let exact = format!("{}\t{}\t{sum}\n", BLOCKS, BLOCKS * ROWS);
    assert_eq!(engine.run("SELECT uniqExact(b), count(), sum(a) FROM t").await, exact);
    assert_eq!(engine.run("SELECT uniqExact(b), sum(n), sum(s) FROM r").await, exact);
}

/// Scenario: SIGKILL between the moment at which ClickHouse notes a block's token and that at which it puts the block's part into place, of
/// the table or of a rollup behind a view: the token is there and the part is not. The insert is repeated.
/// Guarantees: the repeat brings what is missing and doubles nothing.
#[tokio::test]
async fn a_repeat_completes_an_insert_that_a_kill_left_as_a_token_alone() {
    let directory = tempfile::tempdir().unwrap();
    let mut engine = Engine::on(directory.path(), &[]).await;
    // Of a merged part the parts that it was made of are still there, and would come back.
    let window = "SETTINGS non_replicated_deduplication_window = 1000, max_bytes_to_merge_at_max_space_in_pool = 1, \
        max_bytes_to_merge_at_min_space_in_pool = 1";
    engine.run(&format!("CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a {window}")).await;
    engine
        .run(&format!("CREATE TABLE r (n UInt64) ENGINE = SummingMergeTree ORDER BY tuple() {window}"))
        .await;
    engine.run("CREATE MATERIALIZED VIEW v TO r AS SELECT count() AS n FROM t").await;
    let insert = async |engine: &Engine, token: &str| {
        let parameters = [
            ("query", "INSERT INTO t FORMAT TSV"),
            ("insert_deduplication_token", token),
            ("deduplicate_blocks_in_dependent_materialized_views", "1"),
        ];
        assert_eq!(engine.post(&parameters, &[], "1\n2\n3\n").await.status, 200);
    };
    insert(&engine, "before").await;
    for (round, lost) in ["t", "r", "t", "r"].into_iter().enumerate() {
        let (token, calls) = (format!("block-{round}"), 3 * (round + 2));
        insert(&engine, &token).await;
        let parts = format!(
            "SELECT path FROM system.parts WHERE table = '{lost}' AND active ORDER BY max_block_number"
        );
        let parts = engine.run(&parts).await;
        engine.kill();
        std::fs::remove_dir_all(parts.lines().last().unwrap()).unwrap();
        engine = Engine::on(directory.path(), &[]).await;
        let sums = "SELECT (SELECT count() FROM t), (SELECT sum(n) FROM r)";
        assert_ne!(engine.run(sums).await, format!("{calls}\t{calls}\n"), "{lost} has lost a part");
        for _ in 0..2 {
            insert(&engine, &token).await;
            insert(&engine, "before").await;
            assert_eq!(engine.run(sums).await, format!("{calls}\t{calls}\n"), "{lost} is whole");
        }
    }
}

/// Sends every block that is not acknowledged, from two writers; SIGKILLs the engine after some acknowledgements.
async fn send_until_killed(engine: Engine, acknowledged: &[AtomicBool], kill_after: usize, rows: usize) {
    let sent = AtomicUsize::new(0);
    let killed = AtomicBool::new(false);
    let writer = |remainder: usize| {
        let (engine, sent, killed) = (&engine, &sent, &killed);
        async move {
            for block in (0..acknowledged.len()).filter(|block| block % 2 == remainder) {
                if acknowledged[block].load(Ordering::Relaxed) || killed.load(Ordering::Relaxed) {
                    continue;
                }
                if sent.load(Ordering::Relaxed) >= kill_after && !killed.swap(true, Ordering::Relaxed) {
                    // The other writer's request is under way.
                    engine.signal("-KILL");
                    return;
                }
                let body: String = (0..rows).map(|row| format!("{block}\t{row}\n")).collect();
                let output = tokio::process::Command::new("curl")
                    .args(["-s", "-f", "--data-binary", "@-"])
                    .arg(engine.target(&[
                        ("query", "INSERT INTO t FORMAT TSV"),
                        ("insert_deduplication_token", &format!("block-{block}")),
                        ("deduplicate_blocks_in_dependent_materialized_views", "1"),
                    ]))
                    .stdin(std::process::Stdio::piped())
                    .spawn();
                let mut child = output.unwrap();
                let mut stdin = child.stdin.take().unwrap();
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stdin, body.as_bytes()).await;
                drop(stdin);
                if child.wait().await.unwrap().success() {
                    acknowledged[block].store(true, Ordering::Relaxed);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    };
    tokio::join!(writer(0), writer(1));
    if !killed.load(Ordering::Relaxed) {
        assert!(
            acknowledged.iter().all(|block| block.load(Ordering::Relaxed)),
            "an insert failed with the engine alive"
        );
    }
    engine.kill();
}
