//! Named sessions keep what a session keeps, and nothing of a request's own parameters.

use super::harness::{Engine, eventually};
use super::inserts::join_all;

#[tokio::test]
async fn a_session_keeps_tables_and_settings_but_not_parameters() {
    let engine = Engine::start().await;
    let session = ("session_id", "s1");
    let ask = |more: &[(&'static str, &'static str)], sql: &'static str| {
        let parameters: Vec<_> = [session].iter().chain(more).copied().collect();
        let engine = &engine;
        async move { engine.post(&parameters, &[], sql).await }
    };
    ask(&[], "CREATE TEMPORARY TABLE x (a UInt8)").await.good();
    ask(&[("query", "INSERT INTO x VALUES")], "(1), (2)").await.good();
    assert_eq!(ask(&[], "SELECT sum(a) FROM x").await.good(), "3\n");
    ask(&[], "SET max_block_size = 777").await.good();
    let probe = "SELECT getSetting('max_block_size'), getSetting('max_threads') = 3, currentDatabase()";
    assert_eq!(ask(&[], probe).await.good(), "777\tfalse\tdefault\n".replace("false", "0"));
    let own = [("max_threads", "3"), ("max_block_size", "5"), ("database", "system")];
    assert_eq!(ask(&own, probe).await.good(), "5\t1\tsystem\n");
    assert_eq!(ask(&[], probe).await.good(), "777\t0\tdefault\n");
    // A failing request puts its parameters back too.
    assert_eq!(ask(&own, "SELECT nope").await.status, 404);
    assert_eq!(ask(&[("max_block_size", "1"), ("max_threads", "x")], probe).await.status, 400);
    assert_eq!(ask(&[("nope", "1")], probe).await.status, 404);
    assert_eq!(ask(&[], probe).await.good(), "777\t0\tdefault\n");
    assert_eq!(engine.query("SELECT * FROM x").await.status, 404, "the temporary table is the session's");
}

#[tokio::test]
async fn sessions_are_checked_locked_and_expire() {
    let engine = Engine::start().await;
    let missing = engine.post(&[("session_id", "a"), ("session_check", "1")], &[], "SELECT 1").await;
    assert_eq!(missing.header("x-clickhouse-exception-code"), "372", "{}", missing.text());
    let both = join_all((0..2).map(|_| engine.post(&[("session_id", "b")], &[], "SELECT sleep(0.5)"))).await;
    let mut codes: Vec<_> = both.iter().map(|reply| reply.header("x-clickhouse-exception-code")).collect();
    codes.sort_unstable();
    assert_eq!(codes, ["", "373"]);
    engine.post(&[("session_id", "c"), ("session_timeout", "1")], &[], "SELECT 1").await.good();
    let gone = || async {
        let again = engine
            .post(&[("session_id", "c"), ("session_check", "1"), ("session_timeout", "0")], &[], "SELECT 1")
            .await;
        (again.header("x-clickhouse-exception-code") == "372").then_some(())
    };
    eventually("the end of the session", gone).await;
}
