//! The binary: command line, signals, and the exit code. The program is `ledgerline_engine::app`.

use std::io::{BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use ledgerline_engine::{Config, Engine, Passwords, library};
use ledgerline_process::logging::{self, LogFormat, LogSettings};
use ledgerline_process::shutdown;
use ledgerline_process::telemetry::{Endpoint, Telemetry, TelemetryConfig};
use tokio_util::sync::CancellationToken;

/// ClickHouse in one process, behind ClickHouse's HTTP interface, for this machine only.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    engine: Config,
    /// libchdb.so; else LEDGERLINE_LIBCHDB, else the cache that engine/fetch.sh fills
    #[arg(long)]
    library: Option<PathBuf>,
    /// Address on loopback; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8123")]
    listen: SocketAddr,
    /// File with the password of user `default` in its first line and that of user `reader` in its second
    #[arg(long, required_unless_present = "supervised")]
    passwords: Option<PathBuf>,
    /// For the collector: standard input brings the passwords and ends with the collector, standard output is the socket
    #[arg(long, conflicts_with_all = ["listen", "passwords"])]
    supervised: bool,
    /// error, warn, info, debug, trace, or a list of target=level
    #[arg(long, default_value = "info")]
    log_level: String,
    /// Where to send spans of its own work, OTLP over HTTP: `http://host:4318`
    #[arg(long, value_parser = |text: &str| Endpoint::try_from(text.to_owned()))]
    telemetry_endpoint: Option<Endpoint>,
}

#[expect(clippy::print_stderr, reason = "why the process did not start, for the person who started it")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            tracing::error!("a statement would not end; the store was not closed in order");
            ExitCode::FAILURE
        }
        Err(error) => {
            // The one thing that must be readable with logging off.
            eprintln!("ledgerline-engine: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let log = LogSettings::new(LogFormat::Text, &arguments.log_level)?;
    let telemetry = TelemetryConfig { endpoint: arguments.telemetry_endpoint.clone() };
    if let Some(endpoint) = telemetry.endpoint.as_ref().filter(|_| !arguments.supervised) {
        anyhow::ensure!(
            !endpoint.reaches(&arguments.listen),
            "--telemetry-endpoint is the engine's own port"
        );
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let telemetry = Telemetry::start(&telemetry, "ledgerline-engine", runtime.handle())?;
    logging::init(&log, &telemetry)?;
    let library = library::locate(arguments.library.as_deref(), |name| std::env::var_os(name))?;
    let passwords = passwords(arguments.passwords.as_deref())?;
    let closed = runtime.block_on(async {
        let shutdown = shutdown::on_signal()?;
        // The port first: a taken one should be told at once, not after the store is open.
        let listener = if arguments.supervised {
            stop_with_parent(shutdown.clone())?;
            ledgerline_engine::inherited_listener()?
        } else {
            ledgerline_engine::listen(arguments.listen).await?
        };
        let address = listener.local_addr()?;
        let engine = tokio::task::block_in_place(|| Engine::open(&arguments.engine, &library))?;
        tracing::info!(%address, "listening");
        let closed = engine.serve(listener, passwords, shutdown).await;
        tracing::info!("stopped");
        Ok(closed)
    });
    telemetry.stop();
    closed
}

/// From the file, or from the collector, which writes them into standard input first.
fn passwords(file: Option<&Path>) -> anyhow::Result<Passwords> {
    let Some(path) = file else {
        return Passwords::read(&mut std::io::stdin().lock()).context("no passwords on standard input");
    };
    let unreadable = || format!("cannot read passwords from {}", path.display());
    let file = std::fs::File::open(path).with_context(unreadable)?;
    Passwords::read(&mut BufReader::new(file)).with_context(unreadable)
}

/// A thread, not a task: a blocked read of standard input would keep the runtime from ending.
fn stop_with_parent(shutdown: CancellationToken) -> std::io::Result<()> {
    std::thread::Builder::new().name("engine-parent".to_owned()).spawn(move || {
        let mut stdin = std::io::stdin().lock();
        let mut ignored = [0; 64];
        while matches!(stdin.read(&mut ignored), Ok(length) if length > 0) {}
        tracing::info!("standard input ended");
        shutdown.cancel();
    })?;
    Ok(())
}
