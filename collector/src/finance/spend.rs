//! The spend of a stretch of time by some dimensions: amounts, what of them is estimated, what was corrected, calls, and the lines of bills.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use futures_util::future::try_join_all;
use jiff::Timestamp;
use ledgerline_promql::source::{Scope, SourceError};
use ledgerline_promql::{Charge, Labels, Number, PICOS, Point, QueryParams, QueryResult, QueryValue};
use ledgerline_proto::dimension::Dimension;
use ledgerline_proto::{Unit, UsageSource};
use tokio::task::JoinError;

use super::period::{Period, PeriodError, Run, Step, runs};
use crate::limits::{DAYS_MAX, PERIODS_MAX};
use crate::query::error::RunError;
use crate::query::querier::Querier;
use crate::selector::Selector;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Question {
    /// When the calls ended.
    pub period: Period,
    /// What the stretch is cut into, if it is.
    pub step: Option<Step>,
    /// A table for each, with a row for each combination of the values of its dimensions. All are of one reading.
    pub tables: Vec<Vec<Dimension>>,
    /// Whether what was used of each unit is asked for too: half of the reading.
    pub has_lines: bool,
    /// Which calls.
    pub selector: Selector,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say it")]
pub enum SpendError {
    #[error(transparent)]
    Period(#[from] PeriodError),
    #[error(transparent)]
    Run(#[from] RunError),
    /// A defect, or sums that no company has.
    #[error("a sum of {0} is not exact any more: ask for less")]
    Inexact(&'static str),
}

/// Sums of one row, or of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Pico-dollars, corrections included.
    pub cost: i128,
    /// Of it, where our own estimate says how much was used.
    pub estimated: i128,
    /// Of it, where another program said so.
    pub by_sender: i128,
    /// Of it, what was booked and taken back after the first booking.
    pub corrections: i128,
    /// Calls that ended.
    pub calls: i128,
    /// Of them, those that failed.
    pub failed: i128,
    /// Of them, those whose cost is unknown and in no sum.
    pub unpriced: i128,
    /// What was used and what it cost, by unit.
    pub lines: BTreeMap<Unit, Line>,
}

/// What was used of one unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// Of priced and unpriced calls.
    pub quantity: i128,
    /// Pico-dollars.
    pub cost: i128,
}

impl Sums {
    /// Nothing was called, spent or corrected.
    pub fn is_nothing(&self) -> bool {
        let lines = self.lines.values().all(|line| *line == Line::default());
        lines && Self { lines: BTreeMap::new(), ..self.clone() } == Self::default()
    }
}

impl AddAssign<&Self> for Sums {
    fn add_assign(&mut self, other: &Self) {
        self.cost += other.cost;
        self.estimated += other.estimated;
        self.by_sender += other.by_sender;
        self.corrections += other.corrections;
        self.calls += other.calls;
        self.failed += other.failed;
        self.unpriced += other.unpriced;
        for (unit, line) in &other.lines {
            let sum = self.lines.entry(*unit).or_default();
            sum.quantity += line.quantity;
            sum.cost += line.cost;
        }
    }
}

/// A row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The values of the dimensions, in their order; empty where a call had none.
    pub values: Vec<String>,
    /// The sums of each part of the stretch in which there is something, by its place.
    pub parts: Parts,
    /// The sums of all of it.
    pub sums: Sums,
}

/// Sums by the place of a part.
pub type Parts = BTreeMap<usize, Sums>;

/// The same spend by some dimensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The dimensions.
    pub by: Vec<Dimension>,
    /// In order of their values. Rows of which nothing is left are not there.
    pub rows: Vec<Row>,
}

/// The answer.
#[derive(Debug)]
pub struct Spend {
    /// As it was asked.
    pub question: Question,
    /// Up to when calls are in it: the end of the stretch, or now, even if it has not begun.
    pub through: Timestamp,
    /// Where the parts begin and end, milliseconds since the epoch.
    pub boundaries: Vec<i64>,
    /// As many as were asked for.
    pub tables: Vec<Table>,
    /// The sum of the rows of any of them, by part.
    pub parts: Vec<Sums>,
    /// The sum of the rows of any of them.
    pub total: Sums,
    /// What whoever reads it should know.
    pub notices: Vec<String>,
    /// Holds the memory of the rows.
    _charge: Charge,
}

/// Bytes of the sums of a part of a row, its lines included.
const CELL_BYTES: usize = size_of::<Sums>() + 768;

/// What is added up: a metric, and what its values are of.
struct Measure {
    metric: &'static str,
    labels: &'static [&'static str],
    add: fn(&mut Sums, &Labels, i128),
}

const COST: Measure = Measure {
    metric: "llm_cost_usd_total",
    labels: &["usage_source"],
    add: |sums, labels, picos| add_cost(sums, labels, picos),
};

const LINES: [Measure; 3] = [
    Measure {
        metric: "llm_cost_by_unit_usd_total",
        labels: &["unit", "usage_source"],
        add: |sums, labels, picos| {
            add_cost(sums, labels, picos);
            line(sums, labels.get("unit"), |line| line.cost += picos);
        },
    },
    Measure {
        metric: "llm_tokens_total",
        labels: &["token_class"],
        add: |sums, labels, picos| {
            line(sums, labels.get("token_class"), |line| line.quantity += picos / PICOS);
        },
    },
    Measure {
        metric: "llm_units_total",
        labels: &["unit"],
        add: |sums, labels, picos| line(sums, labels.get("unit"), |line| line.quantity += picos / PICOS),
    },
];

const CALLS: [Measure; 3] = [
    Measure {
        metric: "llm_corrected_cost_usd_total",
        labels: &[],
        add: |sums, _, picos| sums.corrections += picos,
    },
    Measure {
        metric: "llm_calls_total",
        labels: &["status"],
        add: |sums, labels, picos| {
            sums.calls += picos / PICOS;
            if labels.get("status") == "error" {
                sums.failed += picos / PICOS;
            }
        },
    },
    Measure {
        metric: "llm_unpriced_calls_total",
        labels: &[],
        add: |sums, _, picos| sums.unpriced += picos / PICOS,
    },
];

/// One query each, and the cost in one of them.
fn measures(has_lines: bool) -> Vec<&'static Measure> {
    let costs: &[Measure] = if has_lines { &LINES } else { &[COST] };
    costs.iter().chain(&CALLS).collect()
}

fn add_cost(sums: &mut Sums, labels: &Labels, picos: i128) {
    sums.cost += picos;
    match UsageSource::from_name(labels.get("usage_source")) {
        Some(UsageSource::Estimated) => sums.estimated += picos,
        Some(UsageSource::Sender) => sums.by_sender += picos,
        _ => {}
    }
}

fn line(sums: &mut Sums, unit: &str, add: impl FnOnce(&mut Line)) {
    if let Some(unit) = Unit::from_name(unit) {
        add(sums.lines.entry(unit).or_default());
    }
}

/// Adds up what a tenant spent, within the scope's time. Of a stretch that is not over, what is over.
pub async fn spend(
    querier: &Querier,
    scope: &Scope,
    question: Question,
    now: Timestamp,
) -> Result<Spend, SpendError> {
    let late = |_| SpendError::Run(SourceError::TimedOut.into());
    tokio::time::timeout(scope.timeout, read(querier, scope, question, now)).await.map_err(late)?
}

async fn read(
    querier: &Querier,
    scope: &Scope,
    question: Question,
    now: Timestamp,
) -> Result<Spend, SpendError> {
    let over = question.period.until(now);
    let boundaries = over.boundaries(question.step, PERIODS_MAX)?;
    // A week and a month are as many days: then there are few different lengths, and one query for each.
    let finest = question.step.map(|step| if step == Step::Hour { step } else { Step::Day });
    let fine = over.boundaries(finest, DAYS_MAX)?;
    let part_of = |at: usize| boundaries[1..].partition_point(|end| *end < fine[at + 1]);
    let by: Vec<Dimension> =
        Dimension::ALL.into_iter().filter(|one| question.tables.iter().any(|by| by.contains(one))).collect();
    let mut answer = Answer {
        by: &by,
        rows: BTreeMap::new(),
        notices: Vec::new(),
        charge: scope.memory.charge(0).map_err(RunError::from)?,
    };
    let (measures, runs) = (measures(question.has_lines), runs(&fine));
    let asked = runs.iter().flat_map(|run| measures.iter().map(move |measure| (*measure, *run)));
    let asked: Vec<(&Measure, Run)> = asked.collect();
    let results = asked.iter().map(|(measure, run)| ask(querier, scope, (&question, &by), measure, *run));
    for ((measure, run), result) in asked.iter().zip(try_join_all(results).await?) {
        answer.take(measure, &result, |time_ms| {
            let place = (time_ms - run.first_end_ms) / run.length_ms;
            part_of(run.at + usize::try_from(place).unwrap_or_default())
        })?;
    }
    let Answer { rows, mut notices, mut charge, .. } = answer;
    if now < question.period.from {
        notices.push("it has not begun".to_owned());
    }
    let cells: usize = rows.values().map(BTreeMap::len).sum();
    charge.grow(cells * CELL_BYTES * question.tables.len()).map_err(RunError::from)?;
    let through = now.min(question.period.to);
    let count = boundaries.len() - 1;
    // Much work for a thread that others wait for.
    let added = tokio::task::spawn_blocking(move || {
        let mut parts = vec![Sums::default(); count];
        for (at, sums) in rows.values().flatten() {
            parts[*at] += sums;
        }
        let tables: Vec<Table> = question.tables.iter().map(|names| table(names, &by, &rows)).collect();
        (question, tables, parts)
    });
    let failed = |error: JoinError| RunError::Evaluation { reason: error.to_string() };
    let (question, tables, parts) = added.await.map_err(failed)?;
    let total = sum(&parts);
    Ok(Spend { question, through, boundaries, tables, parts, total, notices, _charge: charge })
}

/// The rows that are read, by fewer dimensions.
fn table(names: &[Dimension], by: &[Dimension], rows: &BTreeMap<Vec<String>, Parts>) -> Table {
    let places: Vec<usize> =
        names.iter().filter_map(|name| by.iter().position(|other| other == name)).collect();
    let mut grouped: BTreeMap<Vec<String>, Parts> = BTreeMap::new();
    for (values, parts) in rows {
        let row = grouped.entry(places.iter().map(|at| values[*at].clone()).collect()).or_default();
        for (at, sums) in parts {
            *row.entry(*at).or_default() += sums;
        }
    }
    let rows = grouped.into_iter().map(|(values, mut parts)| {
        parts.retain(|_, sums| !sums.is_nothing());
        Row { values, sums: sum(parts.values()), parts }
    });
    Table { by: names.to_vec(), rows: rows.filter(|row| !row.parts.is_empty()).collect() }
}

fn sum<'a>(parts: impl IntoIterator<Item = &'a Sums>) -> Sums {
    parts.into_iter().fold(Sums::default(), |mut sum, part| {
        sum += part;
        sum
    })
}

async fn ask(
    querier: &Querier,
    scope: &Scope,
    (question, by): (&Question, &[Dimension]),
    measure: &Measure,
    run: Run,
) -> Result<QueryResult, RunError> {
    let by: Vec<&str> = by.iter().map(|dimension| dimension.name()).collect();
    let by = [by.as_slice(), measure.labels].concat().join(", ");
    let Measure { metric, .. } = measure;
    let query = format!("sum by ({by}) (increase({metric}{}[{}ms]))", question.selector, run.length_ms);
    let params = match i64::try_from(run.count) {
        Ok(1) | Err(_) => QueryParams::Instant { time_ms: run.first_end_ms },
        Ok(count) => QueryParams::Range {
            start_ms: run.first_end_ms,
            end_ms: run.first_end_ms + (count - 1) * run.length_ms,
            step_ms: run.length_ms,
        },
    };
    querier.run(scope, &query, params).await
}

/// The rows as they are read.
struct Answer<'a> {
    by: &'a [Dimension],
    rows: BTreeMap<Vec<String>, Parts>,
    notices: Vec<String>,
    charge: Charge,
}

impl Answer<'_> {
    fn take(
        &mut self,
        measure: &Measure,
        result: &QueryResult,
        part_at: impl Fn(i64) -> usize,
    ) -> Result<(), SpendError> {
        for notice in result.warnings.iter().chain(&result.infos) {
            if !self.notices.contains(notice) {
                self.notices.push(notice.clone());
            }
        }
        match &result.value {
            QueryValue::Vector(samples) => {
                for sample in samples {
                    self.add(measure, &sample.labels, [sample.point].into_iter(), &part_at)?;
                }
            }
            QueryValue::Matrix(series) => {
                for series in series {
                    self.add(measure, &series.labels, series.points(), &part_at)?;
                }
            }
            QueryValue::Scalar(_) | QueryValue::Text { .. } => {}
        }
        Ok(())
    }

    fn add(
        &mut self,
        measure: &Measure,
        labels: &Labels,
        points: impl Iterator<Item = Point>,
        part_at: impl Fn(i64) -> usize,
    ) -> Result<(), SpendError> {
        let values = self.by.iter().map(|dimension| labels.get(dimension.name()).to_owned()).collect();
        let named = measure.labels.iter().find(|label| ["unit", "token_class"].contains(label));
        let unit = named.map_or("", |label| labels.get(label));
        if !unit.is_empty() && Unit::from_name(unit).is_none() {
            let notice =
                format!("what was billed by {unit:?} is in the sums, and this version has no line for it");
            if !self.notices.contains(&notice) {
                self.notices.push(notice);
            }
        }
        let parts = self.rows.entry(values).or_default();
        for point in points {
            let Number::Exact(picos) = point.value else {
                return Err(SpendError::Inexact(measure.metric));
            };
            if picos == 0 {
                continue;
            }
            let known = parts.len();
            (measure.add)(parts.entry(part_at(point.time_ms)).or_default(), labels, picos);
            self.charge.grow((parts.len() - known) * CELL_BYTES).map_err(RunError::from)?;
        }
        Ok(())
    }
}
