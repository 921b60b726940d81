//! The demo as a person starts it: the program, its first line, its verdict; and several at a time.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what broke where it broke")]

use std::process::{Command, Stdio};

/// The program, which Cargo builds for this test.
const DEMO: &str = env!("CARGO_BIN_EXE_ledgerline-demo");

/// Scenario: two demos are started at the same moment on one machine, each of which wants the documented ports; they play for some seconds.
/// Guarantees: both open with the address of a console, no port of one is a port of the other, both find that their accounts agree, see the
/// alerts of the budgets and of the provider that fails, and end with 0; neither prints a backtrace, although the environment asks for them.
#[test]
fn two_demos_at_once_find_their_ports_and_agree() {
    let start = |seed: u64| {
        let seconds = (3 + seed).to_string();
        Command::new(DEMO)
            .args(["--once", "--seconds", &seconds, "--rate", "10"])
            .env("RUST_BACKTRACE", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let running = [start(0), start(1)];
    let mut ports: Vec<String> = Vec::new();
    for demo in running {
        let output = demo.wait_with_output().unwrap();
        let (out, problem) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert!(output.status.success(), "{out}{problem}");
        assert!(out.starts_with("Console: http://127.0.0.1:"), "{out}");
        assert!(out.contains("Verdict: the accounts agree") && !out.contains("DIFFERENT"), "{out}");
        // Two thresholds of the budget that is spent, one of the one that nearly is; and the provider that fails, no other.
        let held = out.rsplit("Alertmanager has\n").next().unwrap_or_default();
        for alert in ["search, 80%", "support, 80%", "support, 100%"] {
            assert!(held.contains(&format!("  LLMBudgetThreshold: {alert}\n")), "{alert}: {out}");
        }
        assert_eq!(held.matches("ProviderFails: ").count(), 1, "{out}");
        assert!(held.contains("  ProviderFails: groq\n"), "{out}");
        assert!(
            out.contains("/collector.yaml export --month 2") && out.contains("/data/reader.url)"),
            "{out}"
        );
        assert!(!format!("{out}{problem}").contains("stack backtrace"), "{out}{problem}");
        let head = out.lines().take(3).collect::<Vec<_>>().join("\n");
        let found = head.split("127.0.0.1:").skip(1).filter_map(|rest| rest.split(['/', ' ', '\n']).next());
        let mut found: Vec<String> = found.map(str::to_owned).collect();
        found.dedup();
        ports.extend(found);
    }
    assert_eq!(ports.len(), 8, "{ports:?}");
    ports.sort();
    ports.dedup();
    assert_eq!(ports.len(), 8, "a port is there twice: {ports:?}");
}

/// Scenario: a demo that cannot start, because a program is missing in its path.
/// Guarantees: it ends with 1 and one line that says what to do.
#[test]
fn a_demo_that_cannot_start_says_why_in_one_line() {
    let output =
        Command::new(DEMO).arg("--once").env("PATH", "/nowhere").env("RUST_BACKTRACE", "1").output().unwrap();
    let problem = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{problem}");
    assert!(problem.lines().count() == 1 && problem.contains("deploy/setup/prometheus.sh"), "{problem}");
}
