//! Evaluates the rules over a record, every minute. A day's evaluations of a rule are asked as one range query, which is defined as the same
//! query at each of its times; what alerts become of it is stepped minute by minute.

use std::collections::BTreeSet;
use std::future::ready;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use ledgerline_collector::alerting::{
    AlertRule, Answers, Defaults, Group, Labels, Phase, RuleState, Sample, UnixMs, load_rules, queries, step,
};
use ledgerline_collector::metrics::Metrics;
use ledgerline_collector::query::querier::Querier;
use ledgerline_process::config::Problems;
use ledgerline_promql::source::{BoxFuture, Scope, SeriesFilter, SeriesSource, SourceError, Tenant};
use ledgerline_promql::{
    self as promql, Grouping, Increments, MemoryPool, QueryParams, QueryValue, Samples, SelectorRequest,
    Series,
};

use super::team::{BEGIN_S, DAY};

const MINUTE_MS: i64 = 60_000;
/// Of one query; nobody waits for it but us.
const TIMEOUT: Duration = Duration::from_secs(600);
/// Of all queries together.
const MEMORY_BYTES: usize = 16 << 30;

/// An alert that fired.
#[derive(Debug, Clone, PartialEq)]
pub struct Firing {
    /// The rule's name.
    pub alert: String,
    /// Its label `severity`.
    pub severity: String,
    /// The minute at which it began to fire.
    pub from: usize,
    /// The minute at which it was over; none if it was not.
    pub until: Option<usize>,
    /// What it said when it began.
    pub summary: String,
}

/// The rules that are evaluated, each minute.
pub fn load(folder: &Path) -> anyhow::Result<Arc<Vec<Group>>> {
    let interval = Duration::from_secs(60);
    let defaults = Defaults { interval, query_offset: Duration::ZERO, accept: &|_| Ok(()) };
    let mut problems = Problems::default();
    let groups = load_rules(&[folder.to_owned()], defaults, &mut problems);
    let groups = problems.into_result(Some(groups)).map_err(|found| anyhow::anyhow!("{found:?}"))?;
    ensure!(
        groups.iter().all(|group| group.interval == interval),
        "a group has another interval than a minute"
    );
    Ok(Arc::new(groups))
}

/// A record in memory: increments, all of one tenant.
struct Record(Vec<Series>);

impl SeriesSource for Record {
    fn are_increments(&self, _: &SelectorRequest) -> bool {
        true
    }

    fn select<'a>(
        &'a self,
        _: &'a Scope,
        request: &'a SelectorRequest,
    ) -> BoxFuture<'a, Result<Vec<Series>, SourceError>> {
        let edges = request.edges;
        let from = edges.window_ms.map_or(i64::MIN, |window| edges.first_ms - window);
        let from = request.alive_from_ms.map_or(from, |alive| alive.min(from));
        let wanted = self.0.iter().filter(|series| {
            request.matchers.iter().all(|matcher| matcher.matches(series.labels.get(&matcher.name)))
        });
        let found = wanted.map(|series| cut(series, from, edges.until_ms())).collect();
        Box::pin(ready(Ok(found)))
    }

    fn labels<'a>(
        &'a self,
        _: &'a Scope,
        _: &'a SeriesFilter,
        _: Option<Grouping>,
    ) -> BoxFuture<'a, Result<BTreeSet<promql::Labels>, SourceError>> {
        Box::pin(ready(Ok(self.0.iter().map(|series| series.labels.clone()).collect())))
    }
}

/// What is after one time and not after another.
fn cut(series: &Series, from_ms: i64, until_ms: i64) -> Series {
    let samples = match &series.samples {
        Samples::Delta(Increments { times_ms, picos }) => {
            let from = times_ms.partition_point(|time| *time <= from_ms);
            let until = times_ms.partition_point(|time| *time <= until_ms).max(from);
            let (times_ms, picos) = (times_ms[from..until].to_vec(), picos[from..until].to_vec());
            Samples::Delta(Increments { times_ms, picos })
        }
        points @ Samples::Points(_) => points.clone(),
    };
    Series { labels: series.labels.clone(), samples }
}

struct Watcher {
    querier: Querier,
    tenant: Tenant,
    firings: Vec<Firing>,
}

/// Everything that fires, from the first minute of the record to its last whole day.
pub async fn watch(groups: &[Group], record: Vec<Series>) -> anyhow::Result<Vec<Firing>> {
    let last_ms = record.iter().filter_map(|series| match &series.samples {
        Samples::Delta(increments) => increments.times_ms.last().copied(),
        Samples::Points(_) => None,
    });
    let minutes = (last_ms.max().unwrap_or(0) / 1000 - BEGIN_S) / 60;
    let days = usize::try_from(minutes)?.div_ceil(DAY);
    let querier = Querier::new(Arc::new(Record(record)), MemoryPool::new(MEMORY_BYTES), Metrics::default());
    let mut watcher = Watcher { querier, tenant: Tenant("team".into()), firings: Vec::new() };
    for rule in groups.iter().flat_map(|group| &group.rules) {
        let mut state = RuleState::default();
        for day in 0..days {
            watcher
                .day(rule, &mut state, day * DAY)
                .await
                .with_context(|| format!("{} on day {day}", rule.name))?;
        }
    }
    watcher.firings.sort_by(|one, other| (one.from, &one.alert).cmp(&(other.from, &other.alert)));
    Ok(watcher.firings)
}

impl Watcher {
    async fn ask(&self, query: &str, params: QueryParams) -> anyhow::Result<QueryValue> {
        let scope = self.querier.scope(self.tenant.clone(), TIMEOUT);
        Ok(self.querier.run(&scope, query, params).await?.value)
    }

    async fn day(&mut self, rule: &AlertRule, state: &mut RuleState, from: usize) -> anyhow::Result<()> {
        let start_ms = time_ms(from);
        let end_ms = start_ms + (i64::try_from(DAY)? - 1) * MINUTE_MS;
        let params = QueryParams::Range { start_ms, end_ms, step_ms: MINUTE_MS };
        let QueryValue::Matrix(series) = self.ask(&rule.expr, params).await? else {
            bail!("a range query gave no matrix");
        };
        let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); DAY];
        for one in &series {
            let labels = labels_of(&one.labels);
            for point in one.points() {
                let minute = usize::try_from((point.time_ms - start_ms) / MINUTE_MS)?;
                samples[minute].push(Sample { labels: labels.clone(), value: point.value.to_f64() });
            }
        }
        for (minute, samples) in samples.iter().enumerate() {
            self.minute(rule, state, from + minute, samples).await?;
        }
        Ok(())
    }

    /// The step is pure, so the texts of alerts are asked for only where one begins to fire, and the step is made again with them.
    async fn minute(
        &mut self,
        rule: &AlertRule,
        state: &mut RuleState,
        minute: usize,
        samples: &[Sample],
    ) -> anyhow::Result<()> {
        let at = UnixMs(time_ms(minute));
        let (mut next, mut changed) = step(rule, None, state, at, samples, &Answers::new())?;
        let fires = |phase| matches!(phase, Phase::Firing { .. });
        if changed.iter().any(|alert| fires(alert.phase)) {
            let answers = self.answers(queries(rule, samples), at).await?;
            (next, changed) = step(rule, None, state, at, samples, &answers)?;
        }
        for alert in changed {
            let text = |labels: &Labels, name: &str| labels.get(name).cloned().unwrap_or_default();
            match alert.phase {
                Phase::Firing { .. } => self.firings.push(Firing {
                    alert: rule.name.clone(),
                    severity: text(&alert.labels, "severity"),
                    from: minute,
                    until: None,
                    summary: text(&alert.annotations, "summary"),
                }),
                Phase::Resolved { fired, .. } => {
                    let mut begun = self.firings.iter_mut().rev();
                    let begun = begun.find(|firing| {
                        firing.alert == rule.name && time_ms(firing.from) == fired.0 && firing.until.is_none()
                    });
                    begun.context("an alert ended that had not begun")?.until = Some(minute);
                }
                Phase::Inactive | Phase::Pending => {}
            }
        }
        *state = next;
        Ok(())
    }

    async fn answers(&self, texts: BTreeSet<String>, at: UnixMs) -> anyhow::Result<Answers> {
        let mut answers = Answers::new();
        for text in texts {
            let QueryValue::Vector(vector) = self.ask(&text, QueryParams::Instant { time_ms: at.0 }).await?
            else {
                bail!("{text} gives no vector");
            };
            let first = vector.first().with_context(|| format!("{text} has no answer"))?;
            answers.insert(text, Ok(first.point.value.to_f64()));
        }
        Ok(answers)
    }
}

fn labels_of(labels: &promql::Labels) -> Labels {
    labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The end of a minute, when its calls are recorded.
fn time_ms(minute: usize) -> i64 {
    BEGIN_S * 1000 + (i64::try_from(minute).unwrap_or(0) + 1) * MINUTE_MS
}
