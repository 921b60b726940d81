//! Weeks of four kinds of teams with faults in them: does the shipped pack find each in time, and whom does it call for nothing?
#![allow(clippy::print_stdout, reason = "a report is there to be read on a terminal")]

use std::path::PathBuf;

use anyhow::ensure;
use clap::Parser;

/// Simulates the alerts of `alerts/`; the same weeks and seed print the same report.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// The repository: its folders `alerts` and `docs/runbook` are read.
    #[arg(long, default_value = ".")]
    root: PathBuf,
    /// How many weeks.
    #[arg(long, default_value_t = 26)]
    weeks: usize,
    /// Chooses calls and faults; several are run one after the other.
    #[arg(long, num_args = 1.., default_values_t = [1])]
    seed: Vec<u64>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { root, weeks, seed } = Options::parse();
    let mut bad = 0;
    for seed in seed {
        let verdict = ledgerline_bench::weeks::run(&root, weeks, seed).await?;
        println!("{verdict}\n");
        bad += usize::from(!verdict.is_good());
    }
    ensure!(bad == 0, "{bad} runs with a fault missed or late, or with more than one false page");
    Ok(())
}
