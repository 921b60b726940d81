//! The binary: command line, logs, signals and the exit code. The program is [`ledgerline_collector::app`].

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::error::ContextKind;
use clap::{Parser, Subcommand};
use ledgerline_collector::app::{Addresses, App};
use ledgerline_collector::command::export::Export;
use ledgerline_collector::command::reprice::{self, Booking, Order, Progress, Reprice};
use ledgerline_collector::command::store::Attached;
use ledgerline_collector::command::{budgets, prices};
use ledgerline_collector::config::{Config, DEFAULT_PATH, Settings};
use ledgerline_collector::selector::Selector;
use ledgerline_process::telemetry::Telemetry;
use ledgerline_process::{Clock as _, SystemClock, addresses, config, descriptors, logging, shutdown};
use ledgerline_promql::Matcher;

/// Takes LLM spans in, prices them, keeps the record in ClickHouse, answers Grafana and raises alerts.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration, before or behind a command; `ledgerline-collector.example.yaml` shows every key
    #[arg(long, global = true, value_name = "FILE", default_value = DEFAULT_PATH)]
    config: PathBuf,
    /// Write `grpc=`, `http=` and `api=` with the addresses that were taken into this file, for a configuration with port 0
    #[arg(long, value_name = "FILE")]
    addresses_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run (the default)
    Run,
    /// Say everything that is wrong with the configuration, and start nothing
    ///
    /// All at once, also of the files that it names. Only what is no YAML, or a value of another type than its key takes, ends the reading:
    /// then the rest is said when that is mended.
    CheckConfig,
    /// Compute the bills of stored calls anew with today's prices, and book the differences as corrections
    ///
    /// A call counts that ended after --from, and at --to or before. A date is its first moment in UTC; a time names its offset:
    /// 2026-11-01T00:00:00+01:00. Calls of the last hours are left out. Stopped or killed, the same command goes on.
    Reprice(RepriceArguments),
    /// Print what was spent in a month, by team, model or whatever it is grouped by, as a file
    ///
    /// The same sums as everywhere, to the last digit: a call counts that ended after the start and at the end or before. Lines of bills,
    /// corrections and what is estimated are columns. The collector may run or not.
    Export(Export),
    /// Where the budgets of the configuration stand
    #[command(subcommand)]
    Budgets(budgets::Command),
    /// What models cost: the price book, with the overrides of the configuration
    #[command(subcommand)]
    Prices(prices::Command),
}

#[derive(Clone, Debug, clap::Args)]
struct RepriceArguments {
    /// A date or a time
    #[arg(long)]
    from: reprice::Time,
    /// A date or a time
    #[arg(long)]
    to: reprice::Time,
    /// Only calls with these labels: '{team="search",model=~"gpt-5.*"}'
    #[arg(long = "match", value_name = "SELECTOR")]
    selector: Option<Selector>,
    /// Report what would be booked, and book nothing
    #[arg(long)]
    dry_run: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|mut error| {
        // It would show an option that was given, such as --config, as though it had to be.
        error.remove(ContextKind::Usage);
        error.exit()
    });
    let outcome: anyhow::Result<()> = match arguments.command.unwrap_or(Command::Run) {
        Command::CheckConfig => {
            load(&arguments.config).map(|settings| check_config(&arguments.config, &settings))
        }
        Command::Prices(command) => {
            let now_unix_ns = SystemClock.now_unix_ns();
            let said = prices::run(&arguments.config, &command, now_unix_ns, &mut std::io::stdout());
            said.map_err(anyhow::Error::from)
        }
        Command::Run => {
            load(&arguments.config).and_then(|settings| run(settings, arguments.addresses_file.as_deref()))
        }
        Command::Budgets(command) => {
            load(&arguments.config).and_then(|settings| run_budgets(settings, command))
        }
        Command::Export(export) => run_export(&arguments.config, export),
        Command::Reprice(order) => load(&arguments.config).and_then(|settings| run_reprice(settings, order)),
    };
    shutdown::exit_code("ledgerline-collector", outcome)
}

fn load(path: &Path) -> anyhow::Result<Settings> {
    Ok(config::load::<Config>(path)?)
}

/// What is legal and probably not meant is said and fails nothing: a price that waits for its model is no mistake.
fn check_config(path: &Path, settings: &Settings) {
    let path = path.display();
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{path}: the configuration is valid");
    for warning in settings.prices.warnings() {
        let _ = writeln!(out, "{path}: warning: pricing.overrides: {warning}");
    }
}

fn run(settings: Settings, addresses_file: Option<&Path>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let telemetry = Telemetry::start(&settings.telemetry, "ledgerline-collector", runtime.handle())?;
    logging::init(&settings.log, &telemetry)?;
    descriptors::raise_limit();
    let ended = runtime.block_on(async {
        let shutdown = shutdown::on_signal()?;
        let building = App::build(settings, Arc::new(SystemClock));
        let Some(app) = shutdown.run_until_cancelled(building).await.transpose()? else { return Ok(()) };
        if let Some(file) = addresses_file {
            let Addresses { grpc, http, api } = app.addresses();
            addresses::write(file, &[("grpc", grpc), ("http", http), ("api", api)])
                .with_context(|| format!("cannot write {}", file.display()))?;
        }
        app.run(shutdown).await;
        Ok(())
    });
    telemetry.stop();
    ended
}

fn run_reprice(settings: Settings, arguments: RepriceArguments) -> anyhow::Result<()> {
    let order = Order {
        from_us: arguments.from.0,
        until_us: arguments.to.0,
        selector: arguments.selector.unwrap_or_default(),
        booking: if arguments.dry_run { Booking::Nothing } else { Booking::Corrections },
    };
    anyhow::ensure!(order.from_us < order.until_us, "--from must be before --to");
    let is_empty = |(_, matcher): &(_, Matcher)| matcher.matches("");
    anyhow::ensure!(
        order.selector.0.is_empty() || !order.selector.0.iter().all(is_empty),
        "--match: it accepts calls without any label; leave it out to mean all calls"
    );
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let stop = shutdown::on_signal()?;
        let _alone = reprice::alone(&settings.storage)?;
        let attached = Attached::to(settings.storage).await?;
        let run = Reprice::new(attached.store.clone(), settings.prices, Arc::new(SystemClock), order);
        let report = run.run(&mut Progress::on_stderr(), &stop).await;
        attached.close().await;
        write!(std::io::stdout(), "{}", report?)?;
        Ok(())
    })
}

fn run_budgets(settings: Settings, command: budgets::Command) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let Settings { storage, budgets, owner, query_memory_bytes, .. } = settings;
    let answer = runtime.block_on(async {
        let attached = Attached::to(storage).await?;
        let answer = command.answer(attached.store.clone(), budgets, owner.tenant, query_memory_bytes).await;
        attached.close().await;
        anyhow::Ok(answer?)
    })?;
    Ok(std::io::stdout().write_all(answer.as_bytes())?)
}

fn run_export(config: &Path, export: Export) -> anyhow::Result<()> {
    let order = export.order()?;
    let settings = load(config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (file, said) = runtime.block_on(async {
        let attached = Attached::to(settings.storage).await?;
        let file =
            order.file(attached.store.clone(), settings.owner.tenant, settings.query_memory_bytes).await;
        attached.close().await;
        anyhow::Ok(file?)
    })?;
    for notice in said {
        let _ = writeln!(std::io::stderr(), "export: {notice}");
    }
    Ok(std::io::stdout().write_all(&file)?)
}
