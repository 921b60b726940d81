//! Two years of calls, and what they are asked: `make` makes the store, `ledger` holds its accounts against each other and `panels` measures
//! how long a dashboard waits.
#![allow(clippy::print_stdout, reason = "a report is there to be read on a terminal")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use ledgerline_bench::years::world::{DAY_US, World};
use ledgerline_bench::years::{forecast, ledger, now_us, panels, store};
use tokio::time::Instant;

/// A store of two years in which spans and minutes have expired, and questions to it.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// Where the store is; its files go here and beside it.
    #[arg(long)]
    data: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the store, which ends tomorrow: ask it today.
    Make {
        /// Calls on a working day in the middle of the two years.
        #[arg(long, default_value_t = 10_000)]
        calls_a_day: u64,
        /// How many times as many there are on the last 37 days.
        #[arg(long, default_value_t = 5)]
        recent: u64,
        /// Calls on Saturday and Sunday, of a hundred.
        #[arg(long, default_value_t = 40)]
        weekend_percent: u64,
    },
    /// Compare bills, rollups, PromQL and arithmetic over random windows.
    Ledger {
        /// How many.
        #[arg(long, default_value_t = 1000)]
        windows: usize,
        /// Chooses them.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Ask every panel of a dashboard over every range.
    Panels {
        /// The dashboard.
        #[arg(long, default_value = "dashboards/ledgerline-overview.json")]
        dashboard: PathBuf,
        /// How often each.
        #[arg(long, default_value_t = 5)]
        runs: i64,
        /// How many seconds the user's clock is ahead of UTC.
        #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
        offset: i64,
        /// A median above this is a failure, in milliseconds.
        #[arg(long, default_value_t = 300)]
        most_ms: u64,
    },
    /// Hold the forecast of a month's budget against what each month cost.
    Forecast,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Options { data, command } = Options::parse();
    let data = std::path::absolute(data)?;
    match command {
        Command::Make { calls_a_day, recent, weekend_percent } => {
            let world = World::until(now_us() / DAY_US, calls_a_day, recent, weekend_percent);
            make(&data, &world).await
        }
        Command::Ledger { windows, seed } => {
            let world = world_of(&data)?;
            let opened = store::Opened::at(&data).await?;
            let report = ledger::check(&opened, &world, windows, seed).await?;
            println!("{} windows, 0 apart; {} of them had a time moved", report.windows, report.moved);
            println!("by kind: {:?}", report.kinds);
            println!("sums compared with arithmetic: {:?}", report.sums);
            opened.close().await
        }
        Command::Forecast => {
            let world = world_of(&data)?;
            let opened = store::Opened::at(&data).await?;
            let months = forecast::replay(&opened, &world).await;
            opened.close().await?;
            show_forecasts(&months?)
        }
        Command::Panels { dashboard, runs, offset, most_ms } => {
            // An empty store answers at once.
            world_of(&data)?;
            let opened = store::Opened::at(&data).await?;
            let measured = panels::measure(&opened, &dashboard, runs, offset).await?;
            opened.close().await?;
            show(&measured);
            let most = Duration::from_millis(most_ms);
            let slow = measured.iter().filter(|measured| measured.median() >= most).count();
            ensure!(slow == 0, "{slow} of {} medians take {most_ms} ms or more", measured.len());
            Ok(())
        }
    }
}

/// A line for each month, and how many bands hold what it cost; fewer than four of five are a failure.
fn show_forecasts(months: &[forecast::Month]) -> anyhow::Result<()> {
    for month in months {
        print!("{} cost {:10.2}", month.period, month.truth);
        for (after, band) in forecast::AFTER.iter().zip(month.bands) {
            match band {
                None => print!(" | day {after}: not known"),
                Some(band) => {
                    let [low, expected, high] = band;
                    let word = if month.is_inside(band) { "inside" } else { "OUTSIDE" };
                    print!(" | day {after}: {expected:.2} ({low:.2} to {high:.2}) {word}");
                }
            }
        }
        println!();
    }
    for (at, after) in forecast::AFTER.iter().enumerate() {
        let known = months.iter().filter_map(|month| Some(month.is_inside(month.bands[at]?)));
        let (inside, all) = (known.clone().filter(|inside| *inside).count(), known.count());
        println!("after day {after}: {inside} of {all} months inside");
        ensure!(inside * 5 >= all * 4, "fewer than four of five");
    }
    Ok(())
}

async fn make(data: &Path, world: &World) -> anyhow::Result<()> {
    let begun = Instant::now();
    let calls = world.runs().last().map_or(0, |run| run.calls().end);
    println!("{calls} calls on {} days", world.days);
    let World { first_day, days, calls_a_day, recent, weekend_percent } = world;
    store::make(data, world, |done| {
        if done % 28 == 0 {
            println!("day {done} after {:.0} s", begun.elapsed().as_secs_f64());
        }
    })
    .await?;
    fs::write(
        data.with_extension("world"),
        format!("{first_day} {days} {calls_a_day} {recent} {weekend_percent}"),
    )?;
    println!("made in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

fn world_of(data: &Path) -> anyhow::Result<World> {
    let file = data.with_extension("world");
    let text =
        fs::read_to_string(&file).with_context(|| format!("{}: make the store first", file.display()))?;
    let numbers: Vec<i64> = text.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [first_day, days, calls_a_day, recent, weekend_percent] = numbers[..] else {
        anyhow::bail!("{} is not ours", file.display());
    };
    let unsigned = i64::unsigned_abs;
    Ok(World {
        first_day,
        days,
        calls_a_day: unsigned(calls_a_day),
        recent: unsigned(recent),
        weekend_percent: unsigned(weekend_percent),
    })
}

/// One line for each question: median and longest time in milliseconds, by range.
fn show(measured: &[panels::Measured]) {
    print!("{:44}", "median/longest, ms");
    panels::RANGES.iter().for_each(|(range, _)| print!("{range:>12}"));
    println!();
    let mut lines: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for one in measured {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let cell = format!("{:.0}/{:.0}", ms(one.median()), ms(one.max()));
        lines.entry(&one.title).or_default().push(cell);
    }
    for (title, cells) in lines {
        print!("{title:44}");
        cells.iter().for_each(|cell| print!("{cell:>12}"));
        println!();
    }
}
