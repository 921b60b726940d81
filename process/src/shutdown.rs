//! The orderly end of a process.

use std::fmt::Display;
use std::io::Write;
use std::process::ExitCode;

use tokio_util::sync::CancellationToken;

/// A token that is cancelled by SIGTERM, SIGINT, or SIGHUP (the terminal was closed; nothing here is reloaded by it). A
/// second signal ends the process at once with exit code 130, for the person who will not wait for the drain.
pub fn on_signal() -> std::io::Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    // Not joined: it lives as long as the process and owns nothing.
    tokio::spawn(async move {
        loop {
            tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {}, _ = hangup.recv() => {} }
            if cancelled.is_cancelled() {
                std::process::exit(130);
            }
            tracing::info!("shutting down; a second signal ends the process at once");
            cancelled.cancel();
        }
    });
    Ok(token)
}

/// The exit code of the process of that name. Why it failed is told on standard error, which is readable with logging off.
pub fn exit_code(name: &str, outcome: Result<(), impl Display>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    // There is nowhere left to report that standard error is closed.
    let _unwritten = writeln!(std::io::stderr(), "{name}: {error:#}");
    ExitCode::FAILURE
}
