//! Logs on standard error, as text or JSON.
//!
//! A log must never harm the work it reports: a full disk or a closed pipe behind standard error is ignored, and a
//! panic is reported by its place only, because its message may quote what was being handled.

use serde::Deserialize;
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, Targets, filter_fn};
use tracing_subscriber::{Layer, Registry, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::{Problems, Word};
use crate::telemetry::Telemetry;

/// The form of a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line, for log pipelines.
    Json,
}

/// The `log` section of a configuration file.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// `text` or `json`.
    pub format: Word<LogFormat>,
    /// Least level to print, or a filter such as `info,ledgerline_agent=debug`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text.into(), level: "info".to_owned() }
    }
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "each text says what is wrong")]
pub enum LoggingError {
    #[error("`{0}` is not a level (error, warn, info, debug, trace) or a list of target=level")]
    Level(String),
    #[error("logging was started twice in one process")]
    Twice,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogSettings {
    format: LogFormat,
    filter: Targets,
}

impl LogConfig {
    /// Reads form and filter; starts nothing.
    pub fn resolve(&self, problems: &mut Problems) -> Option<LogSettings> {
        let format = self.format.resolve("log.format", problems);
        let settings = problems.take("log.level", LogSettings::new(format.unwrap_or_default(), &self.level));
        format.and(settings)
    }
}

impl LogSettings {
    /// Lines of that form at that level or with that filter.
    pub fn new(format: LogFormat, level: &str) -> Result<Self, LoggingError> {
        let filter = level.parse().map_err(|_| LoggingError::Level(level.to_owned()))?;
        Ok(Self { format, filter })
    }
}

/// Starts logging for this process, reports panics through it, and hands our own spans to `telemetry`.
pub fn init(settings: &LogSettings, telemetry: &Telemetry) -> Result<(), LoggingError> {
    subscriber(settings, telemetry).try_init().map_err(|_| LoggingError::Twice)?;
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        tracing::error!(place, thread, "a task panicked");
    }));
    Ok(())
}

/// Log lines take no part in spans: while nothing else wants these, they are disabled where they are made.
pub(crate) fn subscriber(
    settings: &LogSettings,
    telemetry: &Telemetry,
) -> impl Subscriber + Send + Sync + use<> {
    let plain =
        tracing_subscriber::fmt::layer::<Registry>().with_writer(std::io::stderr).log_internal_errors(false);
    let lines = match settings.format {
        LogFormat::Text => plain.with_ansi(false).boxed(),
        LogFormat::Json => plain.json().flatten_event(true).boxed(),
    };
    let not_spans =
        filter_fn(|metadata: &Metadata<'_>| !metadata.is_span()).with_max_level_hint(LevelFilter::TRACE);
    let mut layers = vec![lines.with_filter(settings.filter.clone().and(not_spans)).boxed()];
    layers.extend(telemetry.layer());
    tracing_subscriber::registry().with(layers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_is_none_is_told_apart() {
        for (level, good) in [("info", true), ("warn,ledgerline_agent=trace", true), ("loud=very", false)] {
            assert_eq!(LogSettings::new(LogFormat::Text, level).is_ok(), good, "{level}");
        }
    }

    #[test]
    fn without_telemetry_spans_are_never_made_and_lines_are() {
        let settings = LogSettings::new(LogFormat::Text, "trace").unwrap();
        tracing::subscriber::with_default(subscriber(&settings, &Telemetry::default()), || {
            assert!(tracing::info_span!("off").is_disabled());
            assert!(tracing::enabled!(tracing::Level::TRACE));
        });
    }
}
