//! What a reader relies on without looking: errors that say their cause once, tasks that somebody joins, documentation
//! that says something, a size that stays.

use crate::{Source, report, sources};

fn product() -> impl Iterator<Item = Source> {
    let crates = ["agent", "collector", "engine", "pricing", "process", "promql", "proto", "store"];
    sources("rs").into_iter().filter(move |source| {
        crates.iter().any(|name| source.path.starts_with(&format!("{name}/src/"))) && !source.is_test()
    })
}

/// An error either prints its source or returns it: a report that walks the chain would else say it twice.
#[test]
fn errors_say_their_source_once() {
    let mut problems = Vec::new();
    for source in product() {
        let product = source.text.split("#[cfg(test)]").next().unwrap_or_default();
        let mut parts = product.split("#[error(");
        let mut line = parts.next().unwrap_or_default().lines().count();
        for part in parts {
            let start = line;
            line += part.lines().count().saturating_sub(1);
            let Some((message, rest)) = part.split_once(")]") else { continue };
            // The variant: up to its end, or to the next one's documentation.
            let variant = rest.split("\n    ///").next().unwrap_or(rest);
            let variant = variant.split("\n}").next().unwrap_or(variant);
            let prints_source = message.contains("{source");
            let prints_first = message.contains("{0}") || message.contains("{0:");
            let returns_first = variant.contains("(#[from]") || variant.contains("(#[source]");
            let returns_source = variant.contains("source:");
            if prints_first && returns_first || prints_source && returns_source {
                problems.push(format!(
                    "{}:{start}: the message prints its source, which the chain says again: {}",
                    source.path,
                    message.lines().next().unwrap_or_default()
                ));
            }
        }
    }
    report(&problems);
}

/// Where tasks are started by hand.
const SPAWNS: &[&str] = &[
    "agent/src/app.rs",
    "agent/src/export/sender.rs",
    "agent/src/observer.rs",
    "collector/src/alerting.rs",
    "process/src/shutdown.rs",
    "store/src/engine.rs",
];

/// Every new task has an owner that joins it: a `JoinSet` or a `TaskTracker`. The files of [`SPAWNS`] spawned before this rule and are
/// not reviewed yet. The list only gets shorter.
#[test]
fn tasks_have_owners() {
    let mut problems = Vec::new();
    for source in product().filter(|source| !SPAWNS.contains(&source.path.as_str())) {
        for (number, line) in source.code_lines().filter(|(_, line)| line.contains("tokio::spawn(")) {
            problems.push(format!(
                "{}:{number}: start tasks in a JoinSet that is joined: {}",
                source.path,
                line.trim()
            ));
        }
    }
    report(&problems);
}

/// Documentation that only repeats that there is something.
const EMPTY_WORDS: &[&str] =
    &["As written.", "Its name.", "Over what.", "The bound.", "The text.", "The value.", "Why."];

#[test]
fn documentation_says_something() {
    let mut problems = Vec::new();
    for source in product() {
        for (index, line) in source.text.lines().enumerate() {
            let text = line.trim().strip_prefix("/// ");
            let follows = index > 0
                && source.text.lines().nth(index - 1).is_some_and(|line| line.trim().starts_with("///"));
            if text.is_some_and(|text| EMPTY_WORDS.contains(&text)) && !follows {
                problems.push(format!(
                    "{}:{}: say what, with unit and bounds: {}",
                    source.path,
                    index + 1,
                    line.trim()
                ));
            }
        }
    }
    report(&problems);
}

/// Lines of product source, inline tests included. What a change adds it pays for by taking parallel inventions out; the bound
/// is never raised without a reason in the commit. (34,000 before the ledger: corrections, price book commands, repricing; 40,000 before the price engine; 41,000
/// before the rendering of the migrations for a cluster; 41,300 before repricing, which reads stored calls back; 43,200 before what a kill or a
/// bad start leaves is completed; 43,950 before the price book's commands; 45,700 before
/// `explain` of a stored call and the metric of reported costs; 46,100 before days of other time zones were read from days; 46,300 before the
/// spend of a calendar's months is a report, a file and a command, and the binary has pages; 47,560 before single calls are read, with their
/// bills and their traces, the state of the store, budgets, the runbook, and texts of alerts that ask a second number.)
const PRODUCT_LINES_MAX: usize = 52_000;

#[test]
fn the_product_stays_small_enough_to_be_read() {
    let lines: usize = product().map(|source| source.text.lines().count()).sum();
    assert!(lines > 20_000, "only {lines} lines were found");
    assert!(lines <= PRODUCT_LINES_MAX, "{lines} lines of product; {PRODUCT_LINES_MAX} is the limit");
}
