//! `ledgerline-agent`: reads the configuration and runs the agent until SIGTERM or SIGINT.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};
use ledgerline_agent::app::{Addresses, App, Parts};
use ledgerline_agent::config::Config;
use ledgerline_process::telemetry::Telemetry;
use ledgerline_process::{addresses, config, descriptors, logging, shutdown};

/// Threads for what would keep a forwarding thread: name lookups, and reading large requests. They end when idle.
const BLOCKING_THREADS_MAX: usize = 16;

/// Relays LLM calls to their providers byte for byte and reports what they cost.
///
/// Point a client's base URL at it, for instance OPENAI_BASE_URL=http://127.0.0.1:4100/openai/v1. The first SIGTERM or
/// SIGINT lets running calls finish, a second one ends at once.
#[derive(Parser)]
#[command(name = "ledgerline-agent", version)]
struct Arguments {
    /// Configuration file (YAML); ledgerline-agent.example.yaml explains every key.
    #[arg(short, long, global = true, value_name = "FILE", default_value = "/etc/ledgerline/agent.yaml")]
    config: PathBuf,
    /// Write `relay=` and `admin=` with the addresses that were taken into this file, for a configuration with port 0.
    #[arg(long, value_name = "FILE")]
    addresses_file: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Check the configuration and the files it names, report everything that is wrong, and exit.
    CheckConfig,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        None => run(&arguments),
        Some(Command::CheckConfig) => check(&arguments),
    };
    shutdown::exit_code("ledgerline-agent", result)
}

fn check(arguments: &Arguments) -> anyhow::Result<()> {
    config::load::<Config>(&arguments.config)?;
    writeln!(std::io::stdout(), "{}: the configuration is valid", arguments.config.display())?;
    Ok(())
}

fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = config::load::<Config>(&arguments.config)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(settings.relay.threads)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("ledgerline-relay")
        .enable_all()
        .build()
        .context("cannot start the relay's threads")?;
    let telemetry = Telemetry::start(&settings.telemetry, "ledgerline-agent", runtime.handle())?;
    logging::init(&settings.log, &telemetry)?;
    descriptors::raise_limit();
    let app = App::build(settings, Parts::default())?;
    if let Some(file) = &arguments.addresses_file {
        let Addresses { relay, admin } = app.addresses();
        addresses::write(file, &[("relay", relay), ("admin", admin)])
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let ended = runtime.block_on(async {
        let shutdown = shutdown::on_signal().context("cannot listen for signals")?;
        app.run(shutdown).await?;
        Ok(())
    });
    telemetry.stop();
    ended
}
