//! The statements of the migrations for a cluster. Pure.
//!
//! A migration is written for one server. On a cluster each table that keeps rows is replicated and has `_local` behind its name; under
//! its own name a Distributed table stands over all shards, so that whoever reads or writes need not know. Views that feed a rollup stay
//! within their shard; those that only show something read the Distributed tables. A trace is whole on one shard, and so are a call and
//! its corrections.

use std::fmt::Write as _;

/// Inserts that are remembered, so that a repeat is counted once: in Keeper, which holds them in memory, and not in files as one server
/// does. At one insert a second on a shard the last 2.7 hours.
const WINDOW: &str =
    "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800";
const WINDOW_ALONE: &str = "non_replicated_deduplication_window = ";

/// The bookkeeping: read by every collector whichever server answers, so each is one table on all servers.
const SHARED: [&str; 3] = ["migrations", "sealed", "budget_crossings"];

/// The name of the table that keeps the rows.
pub(crate) fn local(table: &str, cluster: Option<&str>) -> String {
    if cluster.is_some() { format!("{table}_local") } else { table.to_owned() }
}

/// A statement of a migration as it is run: itself on one server, several on a cluster.
pub(crate) fn rendered(statement: &str, cluster: Option<&str>) -> Vec<String> {
    let Some(cluster) = cluster else { return vec![statement.to_owned()] };
    let mut out = String::new();
    let mut distributed = None;
    for line in statement.lines() {
        let line = if let Some(table) = line.strip_prefix("CREATE TABLE IF NOT EXISTS ") {
            distributed = (!SHARED.contains(&table)).then_some(table);
            let name = distributed.map_or(table.to_owned(), |table| local(table, Some(cluster)));
            format!("CREATE TABLE IF NOT EXISTS {name} ON CLUSTER `{cluster}`")
        } else if let Some(view) = line.strip_prefix("CREATE MATERIALIZED VIEW IF NOT EXISTS ") {
            let (name, to) = view.split_once(" TO ").unwrap_or((view, ""));
            let to = to.strip_suffix(" AS").unwrap_or(to);
            format!("CREATE MATERIALIZED VIEW IF NOT EXISTS {name} ON CLUSTER `{cluster}` TO {to}_local AS")
        } else if let Some(view) = line.strip_prefix("CREATE VIEW IF NOT EXISTS ") {
            let name = view.strip_suffix(" AS").unwrap_or(view);
            format!("CREATE VIEW IF NOT EXISTS {name} ON CLUSTER `{cluster}` AS")
        } else if let Some(source) =
            line.strip_prefix("FROM ").filter(|_| out.starts_with("CREATE MATERIALIZED"))
        {
            let (table, rest) = source
                .split_once(' ')
                .map_or((source, String::new()), |(table, rest)| (table, format!(" {rest}")));
            format!("FROM {table}_local{rest}")
        } else if line == "ENGINE = Null" {
            distributed = None;
            line.to_owned()
        } else if let Some(engine) = line.strip_prefix("ENGINE = ") {
            replicated(engine, distributed.is_none())
        } else {
            remembered(line)
        };
        let _ = writeln!(out, "{line}");
    }
    let over = |table: &str| {
        let sharded = match table {
            "spans" | "corrections" => ", sipHash64(tenant, trace_id)",
            "quarantine" => ", sipHash64(tenant)",
            // Filled by the views of each shard, and never through the Distributed table.
            _ => "",
        };
        format!(
            "CREATE TABLE IF NOT EXISTS {table} ON CLUSTER `{cluster}` AS {table}_local \
             ENGINE = Distributed('{cluster}', currentDatabase(), {table}_local{sharded})"
        )
    };
    [out.trim_end().to_owned()].into_iter().chain(distributed.map(over)).collect()
}

/// The engine with its place in Keeper. `{shard}` and `{replica}` are macros of each server's own configuration, the others are
/// ClickHouse's.
fn replicated(engine: &str, shared: bool) -> String {
    let (kind, arguments) = engine.split_once('(').unwrap_or((engine, ")"));
    let arguments = if arguments == ")" { ")".to_owned() } else { format!(", {arguments}") };
    let place = if shared {
        "'/clickhouse/tables/{database}/{table}', '{shard}-{replica}'"
    } else {
        "'/clickhouse/tables/{shard}/{database}/{table}', '{replica}'"
    };
    format!("ENGINE = Replicated{kind}({place}{arguments}")
}

fn remembered(line: &str) -> String {
    let Some((before, _)) = line.split_once(WINDOW_ALONE) else { return line.to_owned() };
    format!("{before}{WINDOW}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_runs_what_is_written() {
        assert_eq!(
            rendered("CREATE TABLE IF NOT EXISTS t\n(a Int8)", None),
            ["CREATE TABLE IF NOT EXISTS t\n(a Int8)"]
        );
        assert_eq!((local("t", None), local("t", Some("c"))), ("t".to_owned(), "t_local".to_owned()));
    }

    #[test]
    fn a_table_is_replicated_and_has_a_distributed_one_above_it() {
        let statement = "CREATE TABLE IF NOT EXISTS spans\n(\n    a Int8\n)\nENGINE = ReplacingMergeTree(a)\nORDER BY a\n\
                         SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 100000";
        let expected = [
            "CREATE TABLE IF NOT EXISTS spans_local ON CLUSTER `main`\n(\n    a Int8\n)\n\
             ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{shard}/{database}/{table}', '{replica}', a)\nORDER BY a\n\
             SETTINGS ttl_only_drop_parts = 1, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800",
            "CREATE TABLE IF NOT EXISTS spans ON CLUSTER `main` AS spans_local \
             ENGINE = Distributed('main', currentDatabase(), spans_local, sipHash64(tenant, trace_id))",
        ];
        assert_eq!(rendered(statement, Some("main")), expected);
        let shared = rendered(
            "CREATE TABLE IF NOT EXISTS migrations\n(a Int8)\nENGINE = MergeTree\nORDER BY a",
            Some("main"),
        );
        assert_eq!(
            shared,
            ["CREATE TABLE IF NOT EXISTS migrations ON CLUSTER `main`\n(a Int8)\n\
              ENGINE = ReplicatedMergeTree('/clickhouse/tables/{database}/{table}', '{shard}-{replica}')\nORDER BY a"]
        );
    }

    #[test]
    fn what_feeds_a_rollup_stays_within_its_shard_and_what_is_only_read_does_not() {
        let fed =
            "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO b AS\nSELECT\n    1\nFROM a AS finer\nGROUP BY x";
        assert_eq!(
            rendered(fed, Some("main")),
            [
                "CREATE MATERIALIZED VIEW IF NOT EXISTS v ON CLUSTER `main` TO b_local AS\nSELECT\n    1\nFROM a_local AS finer\nGROUP BY x"
            ]
        );
        let read = "CREATE VIEW IF NOT EXISTS v AS\nSELECT 1\nFROM a";
        assert_eq!(
            rendered(read, Some("main")),
            ["CREATE VIEW IF NOT EXISTS v ON CLUSTER `main` AS\nSELECT 1\nFROM a"]
        );
        let nothing = rendered("CREATE TABLE IF NOT EXISTS b\n(a Int8)\nENGINE = Null", Some("main"));
        assert_eq!(
            nothing,
            ["CREATE TABLE IF NOT EXISTS b_local ON CLUSTER `main`\n(a Int8)\nENGINE = Null"]
        );
    }
}
