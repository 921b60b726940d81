//! The `budgets` section of the collector's configuration.

use std::path::PathBuf;

use ledgerline_process::config::Problems;
use serde::Deserialize;

use super::{Budget, document};
use crate::alerting::for_each_file;

/// Where budgets are written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BudgetsConfig {
    /// Documents with `kind: budgets`, see docs/budgets.md, or directories of them (`*.yaml` and `*.yml`). They are about the record of
    /// `tenant`, and its tokens alone see them.
    pub files: Vec<PathBuf>,
}

impl BudgetsConfig {
    /// Reads all files, and says everything that is wrong with them.
    pub(crate) fn resolve(&self, problems: &mut Problems) -> Vec<Budget> {
        let mut budgets = Vec::new();
        for_each_file(&self.files, problems, |name, text, problems| {
            document::parse(name, text, &mut budgets, problems);
        });
        budgets
    }
}
