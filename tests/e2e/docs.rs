//! The documentation: each command that is printed is run, each picture is made, the reference of the metrics is the product's.
//!
//! The word behind the language of a fenced block says what is done with it; a block without one fails the test:
//!
//! | word | what is done |
//! |---|---|
//! | `run` | `sh`, `python`, `js`, `sql`, `promql`: run against a running company; SQL and PromQL must find something |
//! | `syntax` | `python`: parsed, because what it imports or asks is not here; the text beside it says what |
//! | `setup` | `sh`: parsed, and each target of `make` and each file that it starts must exist |
//! | `agent`, `collector`, `rules`, `budgets` | `yaml`: `check-config` of that process accepts it; the last two as documents of the collector |
//! | `shown` | nothing: output, a diagram |
//!
//! Ports and providers are replaced by those of the company, and what `export` sets holds for the blocks below it on the page.

mod blocks;
mod page;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ledgerline_bench::demo::Company;
use ledgerline_bench::reference;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use page::Page;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every page for users: README.md and the files in `docs/`, not those of its folders.
fn pages() -> Vec<PathBuf> {
    let is_page = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let entries = std::fs::read_dir(root().join("docs")).unwrap();
    let mut pages: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).filter(is_page).collect();
    pages.push(root().join("README.md"));
    pages.sort();
    pages
}

/// Compares a file that is committed, or writes it where `LEDGERLINE_UPDATE` is set.
fn committed(path: &Path, made: &[u8]) -> bool {
    if std::env::var_os("LEDGERLINE_UPDATE").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, made).unwrap();
    }
    std::fs::read(path).is_ok_and(|there| there == made)
}

/// Scenario: the catalogue and the lists of own metrics are written as a page.
/// Guarantees: `docs/metrics.md` is that page.
#[test]
fn the_reference_of_metrics_is_what_the_product_has() {
    let own = [
        ("collector", include_str!("../../collector/metrics.txt")),
        ("agent", include_str!("../../agent/metrics.txt")),
    ];
    let page = reference::metrics(&own);
    assert!(
        page.matches("\n| `").count() > 80
            && page.contains("| `llm_cost_usd_total` | counter | `usage_source` |"),
        "{page}"
    );
    let is_current = committed(&root().join("docs/metrics.md"), page.as_bytes());
    assert!(is_current, "docs/metrics.md is old: run this test with LEDGERLINE_UPDATE=1");
}

/// Scenario: a company plays for some seconds and is read; then every block of every page is run in order, and the console is looked at.
/// Guarantees: the accounts of the demo agree; every block is marked, and does what its mark says; the picture of the README can be made
/// and is there.
#[tokio::test(flavor = "multi_thread")]
async fn every_command_of_the_documentation_works() {
    let company = Company::open(None).await.unwrap();
    let stop = CancellationToken::new();
    let play = company.play(5, 10.0, &stop).unwrap();
    company.first_call().await.unwrap();
    company.send_history().await.unwrap();
    let (_, accounts) = company.settle(play).await.unwrap();
    assert!(accounts.disagreements.is_empty(), "{}", accounts.text());

    let bench = blocks::Bench::set_up(&company.stack).await;
    let mut problems = Vec::new();
    let mut run = 0;
    for path in pages() {
        let page = Page::read(&path);
        problems.extend(page.problems.iter().cloned());
        let mut environment = bench.environment();
        for block in &page.blocks {
            if let Err(problem) = bench.run(block, &mut environment).await {
                problems.push(format!("{}:{}: {problem}\n{}", path.display(), block.line, block.text));
            }
            run += 1;
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n\n"));
    assert!(run > 30, "only {run} blocks were found");
    picture(&company).await;
}

/// The picture of the README: the console, with the company's spend of the last days.
async fn picture(company: &Company) {
    let directory = tempfile::tempdir().unwrap();
    let made = directory.path().join("spend.png");
    // Two weeks, so that what moved is told against the two before.
    let range = "SELECT concat(toString(today() - 14), '..', toString(today()))";
    let range = company.stack.sql(range).await.unwrap();
    let page = format!("{}/?zone=UTC&range={}", company.stack.api(), range.trim());
    let mut look = Command::new("node");
    look.arg(root().join("tests/console/picture.mjs")).arg(page).arg(&made);
    let look = look.kill_on_drop(true).output();
    let output = tokio::time::timeout(Duration::from_secs(120), look).await.unwrap().unwrap();
    assert!(
        output.status.success(),
        "it needs Chromium (deploy/setup/chromium.sh) and the console (collector/console/build.sh, then build): {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let png = std::fs::read(&made).unwrap();
    assert!(png.starts_with(b"\x89PNG") && png.len() < 200_000, "{} bytes", png.len());
    // Amounts and the day differ from run to run: the committed one was made like this, it is not the same.
    let there = root().join("docs/screenshots/spend.png");
    let _is_same = committed(&there, &png);
    assert!(
        std::fs::read(&there).is_ok_and(|there| there.starts_with(b"\x89PNG")),
        "make it with LEDGERLINE_UPDATE=1"
    );
}
