//! The binary: command line, logs, signals and the exit code. The program is [`ledgerline_collector::app`].

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use ledgerline_collector::app::{Addresses, App};
use ledgerline_collector::config::{Config, Settings};
use ledgerline_process::telemetry::Telemetry;
use ledgerline_process::{SystemClock, addresses, config, descriptors, logging, shutdown};

/// Takes LLM spans in, prices them, keeps the record in ClickHouse, answers Grafana and raises alerts.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The configuration; `ledgerline-collector.example.yaml` shows every key
    #[arg(long, global = true, default_value = "/etc/ledgerline/collector.yaml")]
    config: PathBuf,
    /// Write `grpc=`, `http=` and `api=` with the addresses that were taken into this file, for a configuration with port 0
    #[arg(long, value_name = "FILE")]
    addresses_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum Command {
    /// Run (the default)
    Run,
    /// Say everything that is wrong with the configuration, and start nothing
    CheckConfig,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let outcome = match arguments.command.unwrap_or(Command::Run) {
        Command::CheckConfig => load(&arguments.config).map(|_| {
            let _ = writeln!(std::io::stdout(), "{}: the configuration is valid", arguments.config.display());
        }),
        Command::Run => {
            load(&arguments.config).and_then(|settings| run(settings, arguments.addresses_file.as_deref()))
        }
    };
    shutdown::exit_code("ledgerline-collector", outcome)
}

fn load(path: &Path) -> anyhow::Result<Settings> {
    Ok(config::load::<Config>(path)?)
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
