//! `export`: the spend of a month or any stretch of time as a file, with the same sums as everywhere.

use std::sync::Arc;
use std::time::Duration;

use clap::ValueEnum;
use jiff::Timestamp;
use ledgerline_process::{Clock, SystemClock};
use ledgerline_promql::MemoryPool;
use ledgerline_promql::source::Tenant;
use ledgerline_proto::dimension::Dimension;
use ledgerline_store::Store;
use ledgerline_store::sql::SqlSource;
use prometheus_client::registry::Registry;

use crate::finance::csv::csv;
use crate::finance::http::{SpendBody, by};
use crate::finance::period::{Period, PeriodError, Step, zone};
use crate::finance::spend::{Question, Spend, SpendError, spend};
use crate::metrics::Metrics;
use crate::query::querier::Querier;
use crate::selector::Selector;

/// Nobody waits at a screen.
const TIMEOUT: Duration = Duration::from_secs(600);

/// What is exported, and how.
#[derive(Clone, Debug, clap::Args)]
pub struct Export {
    /// A month: 2026-11; or --from and --to
    #[arg(long, conflicts_with_all = ["from", "to"])]
    month: Option<String>,
    /// A date, from its first moment on, or a time with an offset
    #[arg(long, requires = "to")]
    from: Option<String>,
    /// A date, up to its first moment, or a time with an offset
    #[arg(long, requires = "from")]
    to: Option<String>,
    /// Whose months and days
    #[arg(long, default_value = "UTC")]
    zone: String,
    /// A row for each combination of these: team,model
    #[arg(long, default_value = "", value_name = "DIMENSIONS")]
    by: String,
    /// Rows for each hour, day, week or month as well
    #[arg(long, value_parser = step)]
    step: Option<Step>,
    /// Only calls with these labels: '{team="search",model=~"gpt-5.*"}'
    #[arg(long = "match", value_name = "SELECTOR")]
    selector: Option<Selector>,
    /// Of whom; the configuration's own tenant when absent
    #[arg(long)]
    tenant: Option<String>,
    /// A file for a spreadsheet, or the answer of GET /api/v1/spend
    #[arg(long, value_enum, default_value_t = Format::Csv)]
    format: Format,
}

fn step(name: &str) -> Result<Step, String> {
    Step::named(name).ok_or_else(|| "it is hour, day, week or month".to_owned())
}

/// What the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// RFC 4180.
    Csv,
    /// With the totals.
    Json,
}

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum ExportError {
    #[error("say which time is meant: --month, or --from and --to")]
    NoPeriod,
    #[error(transparent)]
    Period(#[from] PeriodError),
    #[error("--by: {0}")]
    By(String),
    #[error(transparent)]
    Spend(#[from] SpendError),
    #[error("the file cannot be written")]
    Csv(#[from] csv::Error),
    #[error("the file cannot be written")]
    Json(#[from] serde_json::Error),
}

/// An order that was read.
#[derive(Clone, Debug)]
pub struct Order {
    question: Question,
    tenant: Option<String>,
    format: Format,
}

impl Export {
    /// What is asked for, before anything is started for it.
    pub fn order(self) -> Result<Order, ExportError> {
        let zone = zone(&self.zone)?;
        let period = match (&self.month, &self.from, &self.to) {
            (Some(month), ..) => Period::month(month, zone)?,
            (None, Some(from), Some(to)) => Period::between(from, to, zone)?,
            _ => return Err(ExportError::NoPeriod),
        };
        let by: Vec<Dimension> = by(&self.by).map_err(ExportError::By)?;
        let selector = self.selector.unwrap_or_default();
        let question = Question { period, step: self.step, tables: vec![by], has_lines: true, selector };
        Ok(Order { question, tenant: self.tenant, format: self.format })
    }
}

impl Order {
    /// The file, from a store, and what is to be said beside it; `owner` is whose it is where no tenant is named.
    pub async fn file(
        self,
        store: Store,
        owner: Tenant,
        memory_bytes: usize,
    ) -> Result<(Vec<u8>, Vec<String>), ExportError> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let now = Timestamp::from_nanosecond(clock.now_unix_ns().into()).unwrap_or(Timestamp::MAX);
        let source = Arc::new(SqlSource::new(store, clock));
        let metrics = Metrics::register(&mut Registry::default());
        let querier = Querier::new(source, MemoryPool::new(memory_bytes), metrics);
        let tenant = self.tenant.map_or(owner, |tenant| Tenant(tenant.into()));
        let scope = querier.scope(tenant, TIMEOUT);
        let spend = spend(&querier, &scope, self.question, now).await?;
        let said = said(&spend, &scope.tenant);
        let file = match self.format {
            Format::Csv => {
                let file = spend.tables.iter().map(|table| csv(&spend, table)).next();
                file.transpose()?.unwrap_or_default()
            }
            Format::Json => {
                let mut file = serde_json::to_vec_pretty(&SpendBody::of(&spend))?;
                file.push(b'\n');
                file
            }
        };
        Ok((file, said))
    }
}

/// What whoever reads the file should know and it does not say.
fn said(spend: &Spend, Tenant(tenant): &Tenant) -> Vec<String> {
    let mut said = spend.notices.clone();
    let period = &spend.question.period;
    // Of what has not begun that is said, and neither a part nor a call of it is there.
    let has_begun = spend.through >= period.from;
    if has_begun && spend.through < period.to {
        let through = period.local(spend.through.as_millisecond());
        said.push(format!("the stretch is not over: calls are in it up to {through}"));
    }
    if has_begun && spend.total.is_nothing() {
        let with_labels = if spend.question.selector.0.is_empty() { "" } else { " with these labels" };
        said.push(format!("no call of tenant `{tenant}`{with_labels} is in the stretch"));
    }
    said
}
