//! `reprice` beside a running collector, as a person runs it.

use std::process::Command;
use std::time::Duration;

use ledgerline_testkit::clients::{Case, Client, run_clients};
use ledgerline_testkit::service::binary;
use ledgerline_testkit::stack::{Stack, StackOptions};

/// Scenario: calls were just made; the command is run with the configuration of the running collector, wrongly, as a trial and in earnest.
/// Guarantees: a mistake on the command line is named; it finds the collector's store; calls that may still be booked otherwise are left out
/// and counted; nothing is booked that is not different; a stored call is explained.
#[tokio::test(flavor = "multi_thread")]
async fn calls_of_a_running_collector_are_repriced_when_they_are_settled() {
    let stack = Stack::start(StackOptions::default()).await.unwrap();
    let case = |case| Case { case, scenario: "plain".to_owned(), ..Case::default() };
    let cases: Vec<Case> = (0..3).map(case).collect();
    run_clients(Client::OpenAi, &stack.openai(), 1, &cases, Duration::from_secs(120)).await.unwrap();
    let calls = stack.wait_recorded(Duration::from_secs(60)).await.unwrap();
    let config = stack.path().join("collector.yaml");
    let run = |words: &[&str], arguments: &[&str]| {
        let mut command = Command::new(binary("ledgerline-collector").unwrap());
        let output = command.arg("--config").arg(&config).args(words).args(arguments).output().unwrap();
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        (output.status.success(), text(&output.stdout), text(&output.stderr))
    };
    let reprice = |arguments: &[&str]| run(&["reprice"], arguments);
    for (arguments, problem) in [
        (&["--from", "2026-11", "--to", "2100-01-01"][..], "neither a date"),
        (&["--from", "2100-01-01", "--to", "2020-01-01"], "--from must be before --to"),
        (&["--from", "2020-01-01", "--to", "2100-01-01", "--match", "{user=\"ada\"}"], "no label user"),
    ] {
        let (accepted, _, text) = reprice(arguments);
        assert!(!accepted && text.contains(problem), "{arguments:?}: {text}");
    }
    let everything = ["--from", "2020-01-01", "--to", "2100-01-01", "--match", "{provider=\"openai\"}"];
    let trial = [&everything[..], &["--dry-run"]].concat();
    for (arguments, end) in [(&trial[..], "nothing is booked"), (&everything[..], "0 calls are booked anew")]
    {
        let (accepted, report, progress) = reprice(arguments);
        assert!(accepted, "{report}{progress}");
        assert!(
            report.contains(&format!("{calls} calls came in the last hours")) && report.contains(end),
            "{report}"
        );
        assert!(progress.contains("reprice: 0 of 0 calls (100 %)") && !progress.contains('\r'), "{progress}");
    }
    let call = "SELECT lower(hex(trace_id)), toString(cost) FROM spans WHERE is_call = 1 LIMIT 1";
    let call = stack.sql(call).await.unwrap();
    let (trace, cost) = call.trim().split_once('\t').unwrap();
    let (accepted, bill, problem) = run(&["prices", "explain"], &[trace]);
    assert!(
        accepted && bill.contains(&format!(" {cost}")) && bill.contains("booked with"),
        "{bill}{problem}"
    );
    assert_eq!(stack.sql("SELECT count() FROM corrections").await.unwrap().trim(), "0");
}
