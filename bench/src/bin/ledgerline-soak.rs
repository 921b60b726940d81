//! Ten thousand calls at 200 per second with 50 streams open, with and without kill -9, and the proof afterwards.
#![allow(clippy::print_stdout, reason = "a report is there to be read on a terminal")]

use std::time::Duration;

use clap::{Parser, ValueEnum};
use ledgerline_mock_provider::MockOptions;
use ledgerline_testkit::load::{self, Fault, Victim};
use ledgerline_testkit::stack::{Stack, StackOptions};
use ledgerline_testkit::traffic::Plan;

/// Sends calls through agent and collector under load and faults, and proves that none is lost or counted twice.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Paced calls per run; long streams come on top.
    #[arg(long, default_value_t = 10_000)]
    calls: u64,
    /// Calls per second.
    #[arg(long, default_value_t = 200.0)]
    rate: f64,
    /// Streams open all the time.
    #[arg(long, default_value_t = 50)]
    streams: usize,
    /// Which runs to make, one after another.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Run::Calm, Run::Collector, Run::Engine])]
    runs: Vec<Run>,
    /// Kills per run with faults, spread evenly.
    #[arg(long, default_value_t = 3)]
    kills: u32,
    /// Chooses the calls.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Run {
    /// No faults.
    Calm,
    /// kill -9 of the collector, and with it of its engine.
    Collector,
    /// kill -9 of the engine.
    Engine,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    for run in &options.runs {
        println!(
            "\n{run:?}: {} calls at {} per second, {} streams",
            options.calls, options.rate, options.streams
        );
        for line in soak(&options, *run).await? {
            println!("  {line}");
        }
    }
    Ok(())
}

async fn soak(options: &Options, run: Run) -> anyhow::Result<Vec<String>> {
    let duration = Duration::from_secs_f64(options.calls as f64 / options.rate);
    let plan = Plan {
        seed: options.seed,
        duration: duration * 2,
        calls_max: options.calls,
        rate_per_s: options.rate,
        long_streams: options.streams,
        ..Plan::default()
    };
    let victim = match run {
        Run::Calm => None,
        Run::Collector => Some(Victim::Collector),
        Run::Engine => Some(Victim::Engine),
    };
    let between = duration / (options.kills + 1);
    let faults: Vec<Fault> = victim
        .into_iter()
        .flat_map(|victim| (1..=options.kills).map(move |n| Fault { at: between * n, victim }))
        .collect();
    let remembered = usize::try_from(options.calls * 2)?;
    let mut stack =
        Stack::start(StackOptions { provider: MockOptions::for_load(remembered), ..StackOptions::default() })
            .await?;
    let outcome = load::run(&mut stack, &plan, &faults, Duration::from_secs(60)).await?;
    let mut lines = load::prove(&stack, &outcome).await?;
    lines.push(format!("kills: {}", faults.len()));
    stack.agent.terminate().await?;
    stack.collector.terminate().await?;
    Ok(lines)
}
