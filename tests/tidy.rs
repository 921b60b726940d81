//! The conventions that a compiler cannot hold, held as tests.
//!
//! Each test names the rule; each failure names the file and what to do. A rule that cannot be checked here or by a
//! lint is not a rule (CONVENTIONS.md).
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what broke where it broke")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[path = "tidy/imports.rs"]
mod imports;
#[path = "tidy/promises.rs"]
mod promises;
#[path = "tidy/walls.rs"]
mod walls;

/// The longest source file, tests apart (CONVENTIONS.md, Modules).
const FILE_LINES_MAX: usize = 600;
/// The longest ARCHITECTURE.md: a map that does not fit a head is no map.
const ARCHITECTURE_LINES_MAX: usize = 200;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A tracked text file, with its path relative to the root.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_test(&self) -> bool {
        self.path.contains("/tests/") || self.path.starts_with("tests/") || self.path.ends_with("/tests.rs")
    }

    /// The tests here name what they forbid.
    fn is_tidy(&self) -> bool {
        self.path.starts_with("tests/tidy")
    }

    /// The lines before a trailing `#[cfg(test)] mod tests`.
    fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len());
        self.text[..end].lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Product lines that are not comments.
    fn code_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.product_lines().filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn sources(extension: &str) -> Vec<Source> {
    fn walk(directory: &Path, extension: &str, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() {
                if !["target", ".git", "node_modules", ".venv", "__pycache__", "artifacts"]
                    .contains(&name.as_str())
                {
                    walk(&path, extension, found);
                }
            } else if path.extension().is_some_and(|found| found == extension) {
                found.push(path);
            }
        }
    }
    let root = root();
    let mut found = Vec::new();
    walk(&root, extension, &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| Source {
            text: std::fs::read_to_string(&path).unwrap(),
            path: path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(),
        })
        .collect()
}

fn report(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

#[test]
fn every_source_file_says_what_it_is() {
    let sources = sources("rs");
    assert!(sources.len() > 100, "only {} source files were found", sources.len());
    let problems: Vec<_> = sources
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| {
            format!("{}: open with `//!`: what it is, why it exists, what it must never do", source.path)
        })
        .collect();
    report(&problems);
}

#[test]
fn every_source_file_fits_a_head() {
    let problems: Vec<_> = sources("rs")
        .iter()
        .filter(|source| !source.is_test())
        .map(|source| (source, source.product_lines().count()))
        .filter(|(_, lines)| *lines > FILE_LINES_MAX)
        .map(|(source, lines)| {
            format!("{}: {lines} lines, {FILE_LINES_MAX} is the limit; move a wall", source.path)
        })
        .collect();
    report(&problems);
}

#[test]
fn names_explain_themselves() {
    let mut problems = Vec::new();
    for source in sources("rs") {
        let stem = Path::new(&source.path).file_stem().unwrap().to_string_lossy().into_owned();
        if ["mod", "manager", "helper", "helpers", "util", "utils", "common", "misc"].contains(&stem.as_str())
        {
            problems.push(format!("{}: name the file after what it does", source.path));
        }
    }
    report(&problems);
}

#[test]
fn dependencies_point_down() {
    // Each crate and what it may depend on, of ours.
    let allowed: [(&str, &[&str]); 12] = [
        ("proto", &[]),
        ("promql", &[]),
        ("process", &[]),
        ("pricing", &["proto"]),
        ("engine", &["process"]),
        ("agent", &["process", "proto"]),
        ("store", &["pricing", "process", "promql", "proto"]),
        ("collector", &["pricing", "process", "promql", "proto", "store"]),
        ("tests/mock-provider", &[]),
        ("tests/testkit", &["mock-provider"]),
        (
            "tests",
            &[
                "agent",
                "bench",
                "collector",
                "engine",
                "mock-provider",
                "pricing",
                "process",
                "promql",
                "proto",
                "store",
                "testkit",
            ],
        ),
        ("bench", &["collector", "mock-provider", "process", "promql", "store", "testkit"]),
    ];
    let mut problems = Vec::new();
    for (name, allowed) in allowed {
        let manifest = std::fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        for line in manifest.lines() {
            let Some(dependency) =
                line.strip_prefix("ledgerline-").and_then(|rest| rest.split(['.', ' ']).next())
            else {
                continue;
            };
            if !allowed.contains(&dependency) {
                problems.push(format!(
                    "{name} must not depend on {dependency} (DESIGN: dependencies point down only)"
                ));
            }
        }
    }
    report(&problems);
}

/// What is special about a provider stands in its own file and its row of the table, so that one more is one file more.
#[test]
fn providers_are_named_only_by_their_dialects() {
    let sources = sources("rs");
    let table = sources.iter().find(|source| source.path == "agent/src/dialect.rs").unwrap();
    let rows = table.text.split("\ndialects! {").nth(1).and_then(|rest| rest.split('}').next()).unwrap();
    let names: Vec<&str> = rows.split_whitespace().collect();
    assert!(names.len() >= 2, "the table has rows");
    let mut problems = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with("agent/src/") && !source.is_test()) {
        if source.path.starts_with("agent/src/dialect") {
            continue;
        }
        for (number, line) in source.code_lines() {
            for name in names.iter().filter(|name| line.to_lowercase().contains(**name)) {
                problems.push(format!("{}:{number}: {name} belongs into its dialect's Spec", source.path));
            }
        }
    }
    report(&problems);
}

#[test]
fn money_is_never_a_float() {
    let mut problems = Vec::new();
    for source in sources("rs") {
        let holds_money = source.path.starts_with("pricing/src") || source.path == "proto/src/money.rs";
        if !holds_money {
            continue;
        }
        for (number, line) in source.code_lines() {
            if line.contains("f64")
                || line.contains("f32")
                || line.contains(" as ") && !line.trim_start().starts_with("use ")
            {
                problems.push(format!(
                    "{}:{number}: money is integers, without `as`: {}",
                    source.path,
                    line.trim()
                ));
            }
        }
    }
    report(&problems);
}

/// Cargo holds the crate; this holds the headers, the functions and the names of the tables.
#[test]
fn only_the_store_speaks_clickhouse() {
    let manifests = ["agent", "collector", "pricing", "process", "proto"].map(|name| {
        let path = format!("{name}/Cargo.toml");
        Source { text: std::fs::read_to_string(root().join(&path)).unwrap(), path }
    });
    let mut problems = Vec::new();
    for manifest in manifests.iter().filter(|manifest| manifest.text.contains("\nclickhouse")) {
        problems.push(format!("{}: reach ClickHouse through ledgerline_store", manifest.path));
    }
    let words = [
        "x-clickhouse",
        "calls_minute",
        "calls_quarter",
        "calls_day",
        "spend_minute",
        "spend_quarter",
        "spend_day",
        "tounixtimestamp",
        "intdiv(",
        "insert into ",
        "format native",
    ];
    for source in sources("rs").iter().filter(|source| source.path.starts_with("collector/src")) {
        if source.is_test() {
            continue;
        }
        for (number, line) in source.code_lines() {
            let line = line.to_lowercase();
            for word in words.iter().filter(|word| line.contains(**word)) {
                problems.push(format!("{}:{number}: {word} belongs into the store", source.path));
            }
        }
    }
    report(&problems);
}

#[test]
fn unsafe_lives_in_one_file() {
    let mut problems = Vec::new();
    for source in
        sources("rs").iter().filter(|source| source.path != "engine/src/ffi.rs" && !source.is_tidy())
    {
        for (number, line) in source.code_lines() {
            if line.contains("unsafe {") || line.contains("allow(unsafe_code") || line.contains("unsafe fn") {
                problems.push(format!("{}:{number}: unsafe belongs into engine/src/ffi.rs", source.path));
            }
        }
    }
    report(&problems);
}

#[test]
fn sources_are_plain_ascii_and_finished() {
    let mut problems = Vec::new();
    for source in sources("rs").iter().filter(|source| !source.is_tidy()) {
        for (index, line) in source.text.lines().enumerate() {
            if !line.is_ascii() {
                problems.push(format!("{}:{}: not ASCII; write an escape: {line}", source.path, index + 1));
            }
            if ["TODO", "FIXME", "XXX"].iter().any(|mark| line.contains(mark)) {
                problems.push(format!("{}:{}: finish it or open an issue", source.path, index + 1));
            }
        }
    }
    report(&problems);
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    let mut problems = Vec::new();
    let machine = [["/ro", "ot/"].concat(), ["/wo", "rk/"].concat()];
    for extension in ["rs", "toml", "md", "sh", "py", "yaml", "yml", "sql", "json", "txt"] {
        for source in sources(extension) {
            for word in machine.iter().filter(|word| source.text.contains(word.as_str())) {
                problems.push(format!("{}: contains {word}", source.path));
            }
        }
    }
    report(&problems);
}

#[test]
fn every_column_of_a_migration_is_explained() {
    let mut problems = Vec::new();
    for source in sources("sql").iter().filter(|source| source.path.starts_with("store/migrations/")) {
        for (index, line) in source.text.lines().enumerate() {
            let trimmed = line.trim();
            let words: Vec<&str> = trimmed.split_whitespace().collect();
            let is_column = words.len() >= 2
                && line.starts_with("    ")
                && words[0]
                    .chars()
                    .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_')
                && words[1].starts_with(|letter: char| letter.is_ascii_uppercase())
                && [
                    "String",
                    "UInt",
                    "Int",
                    "Decimal",
                    "DateTime",
                    "Date",
                    "LowCardinality",
                    "Nullable",
                    "FixedString",
                    "Map",
                    "Array",
                    "UUID",
                    "Enum",
                    "SimpleAggregateFunction",
                    "AggregateFunction",
                ]
                .iter()
                .any(|column_type| words[1].starts_with(column_type));
            if is_column && !trimmed.contains("COMMENT") && !trimmed.contains("--") {
                problems.push(format!("{}:{}: say what the column holds: {trimmed}", source.path, index + 1));
            }
        }
    }
    report(&problems);
}

#[test]
fn documents_point_to_what_exists() {
    let mut problems = Vec::new();
    for source in sources("md") {
        let directory = root().join(&source.path).parent().unwrap().to_owned();
        for link in source.text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = link.split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") && !directory.join(target).exists() {
                problems.push(format!("{}: links to {target}, which does not exist", source.path));
            }
        }
    }
    let architecture = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    if architecture.lines().count() > ARCHITECTURE_LINES_MAX {
        problems.push(format!("ARCHITECTURE.md: longer than {ARCHITECTURE_LINES_MAX} lines"));
    }
    report(&problems);
}

/// The folders of the design, each with something true in it.
#[test]
fn the_house_has_its_rooms() {
    let rooms: BTreeSet<&str> = [
        "agent",
        "alerts",
        "bench",
        "collector",
        "dashboards",
        "deploy",
        "engine",
        "pricing",
        "process",
        "promql",
        "proto",
        "store",
        "tests",
    ]
    .into();
    for room in rooms {
        let files =
            std::fs::read_dir(root().join(room)).unwrap_or_else(|_| panic!("{room}/ is missing")).count();
        assert!(files > 0, "{room}/ is empty");
    }
}
