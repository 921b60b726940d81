//! The walls inside a crate: which folder may import which, no circles, and purity.

use std::collections::BTreeSet;

use crate::imports::{Graph, Module, name, paths};
use crate::{report, sources};

const CRATES: [&str; 8] = ["agent", "collector", "engine", "pricing", "process", "promql", "proto", "store"];

/// For a crate, a folder (or file) at its top and what it must not import. What is not listed is free.
const FORBIDDEN: &[(&str, &str, &[&str])] = &[
    // The relay forwards and copies; it waits for nobody and understands nothing.
    ("agent", "relay", &["app", "export", "observer", "worker"]),
    ("agent", "dialect", &["app", "config", "connect", "export", "observer", "relay", "worker"]),
    ("agent", "wire", &["app", "config", "dialect", "export", "observer", "relay", "worker"]),
    ("agent", "worker", &["app", "config", "connect", "export", "observer", "relay"]),
    ("agent", "export", &["app", "observer", "relay", "worker"]),
    ("agent", "observation", &["app", "export", "observer", "relay", "worker"]),
    // The collector's parts meet in app and nowhere else.
    ("collector", "ingest", &["alerting", "api", "app", "query"]),
    ("collector", "query", &["alerting", "app", "ingest"]),
    ("collector", "alerting", &["api", "app", "ingest", "query"]),
    // In the language, what reads text knows nothing of what computes.
    ("promql", "syntax", &["eval", "lower", "plan", "source"]),
    ("engine", "ffi", &["app", "http"]),
];

#[test]
fn folders_import_what_they_may() {
    let mut problems = Vec::new();
    for (crate_name, folder, forbidden) in FORBIDDEN {
        let graph = Graph::of_crate(crate_name);
        let is_in = |module: &Module, folder: &str| module.first().is_some_and(|first| first == folder);
        assert!(graph.edges.keys().any(|module| is_in(module, folder)), "{crate_name} has no {folder}");
        for (module, imported) in graph.edges.iter().filter(|(module, _)| is_in(module, folder)) {
            for other in imported.iter().filter(|other| forbidden.iter().any(|wall| is_in(other, wall))) {
                problems.push(format!("{crate_name}: {} must not import {}", name(module), name(other)));
            }
        }
    }
    report(&problems);
}

#[test]
fn no_file_imports_itself_in_a_circle() {
    let mut problems = Vec::new();
    for crate_name in CRATES {
        for circle in Graph::of_crate(crate_name).circles() {
            let circle: BTreeSet<String> = circle.iter().map(name).collect();
            problems.push(format!(
                "{crate_name}: {circle:?} import each other; move what they share one floor down"
            ));
        }
    }
    report(&problems);
}

/// What reaches outside: other machines, files, the clock, other threads.
const IMPURE: &[&str] = &[
    "axum",
    "clickhouse",
    "hyper",
    "hyper_util",
    "libloading",
    "reqwest",
    "rustix",
    "std::env",
    "std::fs",
    "std::net::TcpListener",
    "std::net::TcpStream",
    "std::net::UdpSocket",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tokio_util",
    "tonic",
];

/// Files whose first line calls them pure, and the crates that are pure as a whole, take time as an argument and touch
/// nothing outside themselves.
#[test]
fn what_is_called_pure_is_pure() {
    let pure_crates = ["pricing/src/", "promql/src/", "proto/src/"];
    let mut problems = Vec::new();
    let mut pure_files = 0;
    for source in sources("rs") {
        let first = source.text.lines().next().unwrap_or_default().to_lowercase();
        let is_pure =
            first.contains("pure") || pure_crates.iter().any(|folder| source.path.starts_with(folder));
        if source.is_test() || !is_pure {
            continue;
        }
        pure_files += 1;
        let named: BTreeSet<String> = paths(&source).iter().map(|path| path.join("::")).collect();
        for path in &named {
            let is_impure = |outside: &&&str| {
                path.strip_prefix(**outside).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
            };
            if let Some(outside) = IMPURE.iter().find(is_impure) {
                problems.push(format!("{}: a pure file must not name {outside}: {path}", source.path));
            }
        }
    }
    assert!(pure_files > 10, "only {pure_files} pure files: is the first line of each still saying so?");
    report(&problems);
}
