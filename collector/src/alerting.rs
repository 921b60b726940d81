//! Alerting: evaluates Prometheus alerting rules over the record and tells receivers what fires and what resolves.
//!
//! The core is pure: `rules` and `template` read rule files, `eval` and `state` move alerts, `grid` says when; time and samples
//! are arguments. The shell is thin: `schedule` runs a task per group, `notify` a task per receiver, `api` shows the rules as
//! Prometheus does. Alerting must never wait for a receiver, resolve an alert because something failed, or know where
//! samples come from.
//!
//! State lives in memory: after a restart `for` starts over, and a webhook is told again of what still fires. Alertmanagers
//! are not affected beyond that, because they are told states and resolve by `endsAt` what they no longer hear of. Of rules that are told
//! once the [`OnceLog`] remembers what was.

pub(crate) mod api;
mod config;
mod eval;
mod files;
pub(crate) mod grid;
mod notify;
mod once;
mod rules;
mod sample;
mod schedule;
mod snapshot;
mod state;
mod template;
mod time;

use std::sync::Arc;

use ledgerline_process::clock::Clock;
use ledgerline_process::tls::TlsError;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use config::{AlertingConfig, ReceiverConfig, ReceiverKind};
pub(crate) use config::{AlertingSettings, Receiver, ReceiverBody};
pub use eval::{queries, step};
pub(crate) use files::for_each_file;
pub use files::load_rules;
pub use once::{Forgetful, OnceLog};
pub use rules::{AlertRule, Defaults, Group};
pub use sample::{Labels, Sample, fingerprint};
pub use schedule::InstantQuery;
pub(crate) use snapshot::RulesView;
pub use state::{Phase, RuleState};
pub use template::{Answers, Template};
pub use time::UnixMs;

use crate::access::Principal;
use crate::limits;
use crate::metrics::Metrics;
use notify::Notifier;
use schedule::{GroupTask, Shared};
use snapshot::{GroupSnapshot, RuleSnapshot};

/// All groups and receivers, ready to run.
pub struct Alerting {
    groups: Vec<GroupTask>,
    notifier: Notifier,
    /// For [`api::router`]; stays current while [`Alerting::run`] runs.
    pub(crate) view: RulesView,
}

impl Alerting {
    /// Starts nothing. `owner` is whose record `query` reads: the rules and alerts are theirs; `once` remembers those that are told once.
    pub fn new(
        settings: AlertingSettings,
        owner: Principal,
        query: Arc<dyn InstantQuery>,
        once: Arc<dyn OnceLog>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> Result<Self, TlsError> {
        let notifier = Notifier::new(settings.receivers, settings.resend_delay, &once, &clock, &metrics)?;
        let snapshots: Vec<GroupSnapshot> = settings
            .groups
            .into_iter()
            .map(|group| GroupSnapshot {
                last_evaluation: None,
                evaluation_time: std::time::Duration::ZERO,
                rules: vec![RuleSnapshot::default(); group.rules.len()],
                group: Arc::new(group),
            })
            .collect();
        let view = RulesView::new(owner, snapshots.iter().cloned());
        let shared = Shared {
            query,
            once,
            clock,
            metrics,
            notifier: notifier.clone(),
            view: view.clone(),
            permits: Arc::new(Semaphore::new(limits::RULE_QUERIES_MAX)),
            query_timeout: settings.query_timeout,
            resend_delay: settings.resend_delay,
            link: settings.link,
        };
        let task = |(index, snapshot)| GroupTask::new(shared.clone(), index, snapshot);
        let groups = snapshots.into_iter().enumerate().map(task).collect();
        Ok(Self { groups, notifier, view })
    }

    /// Evaluates and delivers until `shutdown`. Groups stop first, so that what their last evaluations brought is in the outboxes
    /// when those are emptied; the whole takes at most [`limits::DRAIN_DEADLINE`] after `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let groups_ended = CancellationToken::new();
        let delivering = tokio::spawn(self.notifier.run(groups_ended.clone()));
        let mut tasks = JoinSet::new();
        for group in self.groups {
            tasks.spawn(group.run(shutdown.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a rule group's task ended abnormally; its rules are not evaluated until a restart");
            }
        }
        shutdown.cancelled().await;
        groups_ended.cancel();
        if let Err(error) = delivering.await {
            tracing::error!(%error, "the delivery task ended abnormally");
        }
    }
}
