//! Scores the evaluator with Prometheus's own test language.
//!
//! Our scripts (`scripts/*.test`) must pass whole. Prometheus's scripts are not part of this tree; where they are found (the folder in
//! `LEDGERLINE_PROMQLTEST_DIR`, else `shared/promqltest` beside the repository) each must pass at least as many cases as
//! `score.txt` says, and every wrong answer must be listed there with its reason. A case we refuse is counted, a case we get wrong
//! and do not list is a failure: no answer is better than a wrong one.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "the whole file is a test; clippy exempts only functions that carry #[test]"
)]

mod run;
mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use run::{Outcome, run};

/// How one script went.
#[derive(Debug, Default)]
struct Score {
    passed: usize,
    unsupported: BTreeMap<String, usize>,
    failed: BTreeMap<usize, String>,
}

fn score(path: &Path) -> Score {
    let text = std::fs::read_to_string(path).unwrap();
    let mut score = Score::default();
    for (line, outcome) in run(&text) {
        match outcome {
            Outcome::Passed => score.passed += 1,
            Outcome::Unsupported(why) => *score.unsupported.entry(why).or_default() += 1,
            Outcome::Failed(why) => {
                score.failed.insert(line, why);
            }
        }
    }
    score
}

fn scripts(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "test")).collect();
    paths.sort();
    paths
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

#[test]
fn own_scripts_pass_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/promqltest/scripts");
    let paths = scripts(&folder);
    assert!(!paths.is_empty());
    for path in paths {
        let score = score(&path);
        let name = file_name(&path);
        assert!(score.failed.is_empty() && score.unsupported.is_empty(), "{name}: {score:#?}");
        assert!(score.passed > 0, "{name} has no cases");
    }
}

#[test]
fn prometheus_scripts_do_not_regress() {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/promqltest");
    let folder = std::env::var_os("LEDGERLINE_PROMQLTEST_DIR").map_or(beside, PathBuf::from);
    if !folder.is_dir() {
        eprintln!("not scored: {} is not a folder; set LEDGERLINE_PROMQLTEST_DIR", folder.display());
        return;
    }
    let committed = Committed::read(include_str!("score.txt"));
    let mut problems = String::new();
    let mut report = String::new();
    for path in scripts(&folder) {
        let name = file_name(&path);
        let score = score(&path);
        let unsupported: usize = score.unsupported.values().sum();
        writeln!(
            report,
            "{name} passed={} unsupported={unsupported} wrong={}",
            score.passed,
            score.failed.len()
        )
        .unwrap();
        for (why, count) in &score.unsupported {
            writeln!(report, "    {count:4} {why}").unwrap();
        }
        let least = committed.passed.get(&name).copied().unwrap_or(0);
        if score.passed < least {
            writeln!(problems, "{name}: {} cases pass, {least} did", score.passed).unwrap();
        }
        for (line, why) in &score.failed {
            if !committed.wrong.contains(&(name.clone(), *line)) {
                writeln!(problems, "{name}:{line}: {why}").unwrap();
            }
        }
        for (_, line) in
            committed.wrong.iter().filter(|(file, line)| *file == name && !score.failed.contains_key(line))
        {
            writeln!(problems, "{name}:{line} is listed as wrong and is not; remove it from score.txt")
                .unwrap();
        }
    }
    eprintln!("{report}");
    assert!(problems.is_empty(), "{problems}\n{report}");
}

/// `score.txt`: `<file> passed=<n> ...` per script and `! <file>:<line> <reason>` per known wrong answer.
struct Committed {
    passed: BTreeMap<String, usize>,
    wrong: BTreeSet<(String, usize)>,
}

impl Committed {
    fn read(text: &str) -> Self {
        let mut committed = Self { passed: BTreeMap::new(), wrong: BTreeSet::new() };
        for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap();
            let second = words.next().unwrap();
            if first == "!" {
                let (file, at) = second.rsplit_once(':').unwrap();
                assert!(words.next().is_some(), "a wrong answer needs a reason: {line}");
                committed.wrong.insert((file.to_owned(), at.parse().unwrap()));
            } else {
                let count = second.strip_prefix("passed=").unwrap().parse().unwrap();
                committed.passed.insert(first.to_owned(), count);
            }
        }
        committed
    }
}
