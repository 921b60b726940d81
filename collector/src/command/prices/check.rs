//! `prices check`: what is wrong with price files, and what is legal and probably not meant.

use std::path::PathBuf;

use clap::Args;
use ledgerline_pricing::PriceBook;

use super::{PricesError, days_left, read, retirement};

/// How long before its end a model is named.
const RETIRES_WITHIN_DAYS: i64 = 30;

/// Fails where a file cannot be used, with the line of every problem. Warnings fail nothing.
#[derive(Debug, Args)]
pub struct Check {
    /// Override files; without one, the book of the configuration is looked at
    files: Vec<PathBuf>,
}

impl Check {
    pub(super) fn text(&self, book: &PriceBook, now_unix_ns: u64) -> Result<String, PricesError> {
        let own = read(&self.files)?;
        let book =
            if self.files.is_empty() { book.clone() } else { PriceBook::embedded().with_overrides(&own) };
        let mut lines: Vec<String> =
            book.warnings().iter().map(|warning| format!("warning: {warning}\n")).collect();
        // With files their own models; calls to one that has retired fail already.
        let is_asked = |layer: &str| self.files.is_empty() || layer.starts_with("override");
        let entries = book.entries(now_unix_ns);
        for entry in entries.iter().filter(|entry| entry.inherited_from.is_none() && is_asked(&entry.layer)) {
            if days_left(entry, now_unix_ns).is_some_and(|days| (0..RETIRES_WITHIN_DAYS).contains(&days))
                && let Some(when) = retirement(entry, now_unix_ns)
            {
                lines.push(format!(
                    "warning: {}/{}: retires {when}; calls to it fail then\n",
                    entry.provider, entry.model
                ));
            }
        }
        let checked = match self.files.len() {
            0 => format!("the price book {}", book.version()),
            1 => "1 file".to_owned(),
            files => format!("{files} files"),
        };
        let warnings = lines.len();
        lines.push(format!("{checked}: no problem; warnings: {warnings}\n"));
        Ok(lines.concat())
    }
}
