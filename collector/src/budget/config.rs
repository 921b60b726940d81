//! The `budgets` section of the collector's configuration.

use std::path::PathBuf;

use ledgerline_process::config::Problems;
use serde::Deserialize;

use super::{Budget, document};
use crate::alerting::for_each_file;

/// Where budgets are written.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct BudgetsConfig {
    /// Documents with `kind: budgets`, see docs/budgets.md, or directories of them (`*.yaml` and `*.yml`). They are about the record of
    /// `tenant`, and its tokens alone see them.
    pub files: Vec<PathBuf>,
    /// How often what was spent is held against the thresholds. Each budget is a statement or two.
    pub evaluation_interval_ms: u64,
}

impl Default for BudgetsConfig {
    fn default() -> Self {
        Self { files: Vec::new(), evaluation_interval_ms: 60_000 }
    }
}

impl BudgetsConfig {
    /// Reads all files, and says everything that is wrong with them.
    pub(crate) fn resolve(&self, problems: &mut Problems) -> Vec<Budget> {
        if self.evaluation_interval_ms < 100 {
            let wrong = "must be at least 100; the unit is milliseconds";
            problems.push("budgets.evaluation_interval_ms", wrong);
        }
        let mut budgets = Vec::new();
        for_each_file(&self.files, problems, |name, text, problems| {
            document::parse(name, text, &mut budgets, problems);
        });
        budgets
    }
}
