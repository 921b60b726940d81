//! Four weeks of it, in which the shipped pack must hold what it promises; the whole is `make weeks`.

use std::path::Path;

use super::*;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// Scenario: four weeks, the first two of which the rules need to learn.
/// Guarantees: every fault of the others is found in the time that its alert's page states, hardly anybody is called for nothing, and the same
/// seed says the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_pack_finds_every_fault_of_four_weeks_and_the_report_repeats() {
    let verdict = run(root(), 4, 1).await.unwrap();
    let text = verdict.to_string();
    assert!(verdict.is_good(), "{text}");
    for fault in
        ["total outage", "outage of a service that seldom calls", "eight times the calls", "record stops"]
    {
        assert!(text.contains(fault), "{fault} is not planted:\n{text}");
    }
    assert_eq!(text, run(root(), 4, 1).await.unwrap().to_string());
    // The first line names the seed.
    let other = run(root(), 4, 2).await.unwrap().to_string();
    assert_ne!(text.split_once('\n').unwrap().1, other.split_once('\n').unwrap().1);
}

/// A simulation that could not fail would prove nothing: without the rules that find an outage, it is missed.
#[tokio::test(flavor = "multi_thread")]
async fn a_pack_without_a_rule_misses_its_faults() {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(root().join("docs"), folder.path().join("docs")).unwrap();
    std::fs::create_dir(folder.path().join("alerts")).unwrap();
    std::fs::copy(root().join("alerts/record.yaml"), folder.path().join("alerts/record.yaml")).unwrap();
    let verdict = run(folder.path(), 4, 1).await.unwrap();
    let text = verdict.to_string();
    assert!(!verdict.is_good() && text.contains("MISSED"), "{text}");
}
