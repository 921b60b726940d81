//! The whole product on one machine: opens with the console's address, plays a company, and says whether the accounts agree.
#![allow(clippy::print_stdout, reason = "a demo is there to be read on a terminal")]

use std::process::ExitCode;

use anyhow::ensure;
use clap::Parser;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use ledgerline_bench::demo::{Company, Play, alert_lines, screen};
use ledgerline_bench::{table, terminal};
use ledgerline_process::{Clock as _, SystemClock, shutdown};
use ledgerline_testkit::service::binary;
use ledgerline_testkit::stack::Ports;
use tokio::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Runs Ledgerline on this machine with a mock provider and the services of a company that call it.
#[derive(Debug, Parser)]
#[command(version)]
struct Options {
    /// How long the services call, in seconds.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Calls per second.
    #[arg(long, default_value_t = 8.0)]
    rate: f64,
    /// End with the verdict, instead of serving until Ctrl-C.
    #[arg(long)]
    once: bool,
    /// Play so many times, each from nothing and to the verdict, a line each.
    #[arg(long, default_value_t = 1)]
    runs: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    // With the causes of an error and without a backtrace, whatever the environment asks for.
    shutdown::exit_code("ledgerline-demo", run(&options).await)
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let stop = shutdown::on_signal()?;
    let stopping = tokio::spawn({
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            println!("\nStopping: what runs is ended and its files are removed. That takes some seconds.");
        }
    });
    let outcome = until_stopped(options, &stop).await;
    if stop.is_cancelled() {
        stopping.await?;
        println!("\nStopped; nothing is left running.");
    } else {
        stopping.abort();
    }
    outcome
}

/// Plays and serves; at its end nothing runs any more.
async fn until_stopped(options: &Options, stop: &CancellationToken) -> anyhow::Result<()> {
    let played = tokio::select! {
        biased;
        () = stop.cancelled() => None,
        result = async {
            if options.runs > 1 { again(options, stop).await.map(|()| None) } else { play(options, stop).await.map(Some) }
        } => result?,
    };
    let Some((company, has_agreed)) = played else { return Ok(()) };
    if options.once {
        company.close().await?;
    } else {
        println!("{}\n\nServing. Ctrl-C ends it and leaves nothing running.", where_to_look(&company));
        stop.cancelled().await;
        // Dropping what runs ends every process it started.
        drop(company);
    }
    ensure!(has_agreed, "the accounts disagree, see above");
    Ok(())
}

/// Starts the company, lets it call, and returns it with whether its accounts agree.
async fn play(options: &Options, stop: &CancellationToken) -> anyhow::Result<(Company, bool)> {
    let started = Instant::now();
    let since = |what: &str| println!("{what} {:.1} s after the start.", started.elapsed().as_secs_f64());
    let company = Company::open(Some(Ports::DOCUMENTED)).await?;
    let head = head(&company)?;
    println!("{head}");
    since("Ready");
    let play = company.play(options.seconds, options.rate, stop)?;
    company.first_call().await?;
    since("The first call was on the console's page");
    company.send_history().await?;
    watch(&company, &head, &play, options.seconds).await?;
    let (report, accounts) = company.settle(play).await?;
    println!(
        "\n{} calls of the services; {} answers compared with the provider's, {} different, {} client errors.\n\n{}",
        report.started,
        report.equal + report.different,
        report.different,
        report.client_errors,
        accounts.text()
    );
    println!("Alertmanager has\n{}\n\n{head}", company.alerts().await?.join("\n"));
    Ok((company, accounts.disagreements.is_empty()))
}

/// Draws the table until the services have finished.
async fn watch(company: &Company, head: &str, play: &Play, seconds: u64) -> anyhow::Result<()> {
    let began = Instant::now();
    terminal::clear();
    let pause = if terminal::is_watched() { terminal::REFRESH } else { terminal::REPRINT };
    loop {
        let end = Instant::now() + pause;
        while Instant::now() < end {
            if play.is_over() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let alerts = alert_lines(&company.alertmanager.alerts().await?);
        let rows = table::read(&company.stack.engine()?).await?;
        let progress = format!("The services call: {} of {seconds} s", began.elapsed().as_secs());
        terminal::show(&screen::frame(head, &progress, &rows, &alerts, terminal::size()));
    }
}

/// The first lines: where a browser goes, where a service does, and what an analyst and finance may paste into another terminal.
fn head(company: &Company) -> anyhow::Result<String> {
    let stack = &company.stack;
    let ports = stack.ports();
    let taken: Vec<String> = [
        (ports.api, Ports::DOCUMENTED.api),
        (ports.grpc, Ports::DOCUMENTED.grpc),
        (ports.http, Ports::DOCUMENTED.http),
        (ports.agent, Ports::DOCUMENTED.agent),
        (ports.agent_admin, Ports::DOCUMENTED.agent_admin),
    ]
    .iter()
    .filter(|(port, documented)| port != documented)
    .map(|(port, documented)| format!("{documented} was taken, so it is {port}"))
    .collect();
    let taken = if taken.is_empty() { String::new() } else { format!("\n         ({})", taken.join("; ")) };
    let collector = binary("ledgerline-collector")?;
    let here = std::env::current_dir()?;
    let (collector, folder) =
        (collector.strip_prefix(here).unwrap_or(&collector).display(), stack.path().display());
    let now = Timestamp::from_nanosecond(SystemClock.now_unix_ns().into())?;
    let today = now.to_zoned_datetime(TimeZone::UTC).date();
    let month = format!("{}-{:02}", today.year(), today.month());
    Ok(format!(
        "Console: {}/\nAgent:   OPENAI_BASE_URL={}/v1 ANTHROPIC_BASE_URL={}\nOTLP:    gRPC {}  HTTP {}{taken}\n\
         SQL:     curl \"$(cat {folder}/data/reader.url)?database=ledgerline\" -d 'SHOW TABLES'\n\
         Month:   {collector} --config {folder}/collector.yaml export --month {month} --by team,model",
        stack.api(),
        stack.openai(),
        stack.anthropic(),
        stack.otlp_grpc(),
        stack.otlp_http()
    ))
}

fn where_to_look(company: &Company) -> String {
    let stack = &company.stack;
    format!(
        "Where to look\n  the console    {}/\n  collector      {}/ready  {}/metrics\n  ClickHouse     {}\n  Alertmanager   {}\n\n\
         Add it to a Grafana, no plugin needed\n  1. Connections, Data sources, Add: Prometheus\n  2. URL: {}   then Save & test\n  \
         3. Dashboards, New, Import: dashboards/ledgerline-overview.json",
        stack.api(),
        stack.api(),
        stack.api(),
        stack.engine().unwrap_or_default(),
        company.alertmanager.url,
        stack.prometheus()
    )
}

/// Plays again and again, and fails if any run does not agree.
async fn again(options: &Options, stop: &CancellationToken) -> anyhow::Result<()> {
    let (mut agreed, mut documented) = (0, 0);
    let (mut ready, mut first): (Vec<f64>, Vec<f64>) = (Vec::new(), Vec::new());
    for run in 1..=options.runs {
        let started = Instant::now();
        let company = Company::open(Some(Ports::DOCUMENTED)).await?;
        ready.push(started.elapsed().as_secs_f64());
        let play = company.play(options.seconds, options.rate, stop)?;
        company.first_call().await?;
        first.push(started.elapsed().as_secs_f64());
        company.send_history().await?;
        let (report, accounts) = company.settle(play).await?;
        let has_agreed = accounts.disagreements.is_empty();
        let ports = company.stack.ports();
        agreed += u32::from(has_agreed);
        documented += u32::from(ports == Ports::DOCUMENTED);
        company.close().await?;
        println!(
            "run {run}: {}, {} calls played, {} in the record, {} USD; console port {}, ready {:.1} s, first call {:.1} s, all {:.1} s",
            if has_agreed { "the accounts agree" } else { "THE ACCOUNTS DISAGREE" },
            report.started,
            accounts.calls,
            ledgerline_bench::demo::prices::dollars(accounts.cost),
            ports.api,
            ready.last().copied().unwrap_or_default(),
            first.last().copied().unwrap_or_default(),
            started.elapsed().as_secs_f64()
        );
        if !has_agreed {
            println!("{}", accounts.text());
        }
    }
    for (what, times) in [("ready", &mut ready), ("first call on the console's page", &mut first)] {
        times.sort_by(f64::total_cmp);
        println!("{what}: median {:.1} s, at most {:.1} s", times[times.len() / 2], times[times.len() - 1]);
    }
    println!(
        "{} of {} runs started, {documented} at the documented ports; {agreed} of {} agree.",
        ready.len(),
        options.runs,
        options.runs
    );
    ensure!(agreed == options.runs, "{} runs do not agree", options.runs - agreed);
    Ok(())
}
