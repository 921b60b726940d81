//! The migrations for one server and for a cluster, as the real engine reads them.

use ledgerline_store::migrate::{MIGRATIONS, rendering};

use crate::engine::{ask, storage};

/// Guarantees: the engine parses every statement of both renderings; on a cluster each says where it runs, each table that keeps rows is
/// replicated with a window of its own, and no view reads or fills a table of another shard.
#[tokio::test]
async fn every_statement_of_both_renderings_is_sql() {
    let storage = storage("renderings").await;
    let bookkeeping = include_str!("../../migrations/0000_migrations.sql");
    let files = || [bookkeeping].into_iter().chain(MIGRATIONS.iter().map(|migration| migration.sql));
    for cluster in [None, Some("main")] {
        let statements: Vec<String> = files().flat_map(|sql| rendering(sql, cluster)).collect();
        for statement in &statements {
            let tree = ask(&storage, &format!("EXPLAIN AST {statement}")).await;
            assert!(tree.starts_with("CreateQuery"), "{statement}");
            if cluster.is_none() {
                assert!(!statement.contains("ON CLUSTER") && !statement.contains("_local"), "{statement}");
                continue;
            }
            assert!(statement.contains(" ON CLUSTER `main`"), "{statement}");
            let keeps = statement.contains("MergeTree");
            assert_eq!(keeps, statement.contains("ENGINE = Replicated"), "{statement}");
            assert_eq!(keeps, statement.contains(" replicated_deduplication_window = 10000"), "{statement}");
            if statement.starts_with("CREATE MATERIALIZED VIEW") {
                let from = statement.split("\nFROM ").nth(1).unwrap().split([' ', '\n']).next().unwrap();
                let to = statement.split(" TO ").nth(1).unwrap().split(' ').next().unwrap();
                assert!(from.ends_with("_local") && to.ends_with("_local"), "{statement}");
            }
        }
        // One more for each of the nine tables over the shards.
        assert_eq!(statements.len(), if cluster.is_some() { 32 } else { 23 });
    }
}
