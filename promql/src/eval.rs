//! Pure: the evaluator. Every node yields whole columns, one per series with one cell per time of evaluation, so that label work is
//! done once per series and not once per step.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::budget::{Budget, Charge, Limits};
use super::error::QueryError;
use super::functions::Implementation;
use super::labels::Labels;
use super::limits::LOOKBACK_MS;
use super::number::Number;
use super::plan::{Call, Grid, Node, Plan, QueryParams, RangeNode, Selector, SelectorRequest};
use super::result::{QueryResult, QueryValue, RangeSeries, VectorSample};
use super::series::{Fetched, Point, Samples, Series};
use super::{aggregate, binary, window};

/// One value per time of evaluation; `None` where the series has none.
pub(super) type Cells = Vec<Option<Number>>;

/// One series of an intermediate result.
#[derive(Debug)]
pub(super) struct Column {
    pub labels: Labels,
    pub cells: Cells,
}

/// The series of an intermediate result, and the memory they are charged for.
#[derive(Debug)]
pub(super) struct Columns {
    pub list: Vec<Column>,
    charge: Charge,
}

/// What a node yields.
#[derive(Debug)]
pub(super) enum Value {
    Scalar(Vec<Number>),
    Text(String),
    Vector(Columns),
}

/// Computes the answer to a plan from what was fetched for it. `expired` is asked now and then whether to give up.
pub fn evaluate(
    plan: &Plan,
    fetched: &Fetched,
    limits: Limits,
    expired: &dyn Fn() -> bool,
) -> Result<QueryResult, QueryError> {
    let grid = Grid::from(plan.params);
    let evaluator = Evaluator {
        requests: &plan.requests,
        fetched,
        budget: Budget::new(limits, expired),
        notices: RefCell::default(),
    };
    let _charge = evaluator.charge_fetched(plan)?;
    let value = evaluator.answer(plan, grid)?;
    let notices = evaluator.notices.into_inner();
    Ok(QueryResult {
        value,
        warnings: notices.warnings.into_iter().collect(),
        infos: notices.infos.into_iter().collect(),
    })
}

#[derive(Debug, Default)]
struct Notices {
    warnings: BTreeSet<String>,
    infos: BTreeSet<String>,
}

pub(super) struct Evaluator<'a> {
    fetched: &'a Fetched,
    pub budget: Budget<'a>,
    /// What was asked for; `absent` reads the matchers.
    pub requests: &'a [SelectorRequest],
    notices: RefCell<Notices>,
}

impl Evaluator<'_> {
    pub fn warn(&self, text: impl Into<String>) {
        self.notices.borrow_mut().warnings.insert(format!("PromQL warning: {}", text.into()));
    }

    pub fn inform(&self, text: impl Into<String>) {
        self.notices.borrow_mut().infos.insert(format!("PromQL info: {}", text.into()));
    }

    pub fn series(&self, selector: usize) -> Result<&Arc<Vec<Series>>, QueryError> {
        self.fetched.get(selector).ok_or(QueryError::NotFetched { selector })
    }

    fn charge_fetched(&self, plan: &Plan) -> Result<Charge, QueryError> {
        let mut total = self.budget.charge(0)?;
        for request in &plan.requests {
            let series = self.series(request.selector)?;
            self.budget.check_series(series.len())?;
            total.join(self.budget.charge(series.iter().map(|s| s.samples.len()).sum())?);
        }
        Ok(total)
    }

    fn answer(&self, plan: &Plan, grid: Grid) -> Result<QueryValue, QueryError> {
        if let Node::Range(range) = &plan.root {
            return self.raw_range(range, grid);
        }
        let value = self.node(&plan.root, grid)?;
        let time_ms = grid.start_ms;
        if matches!(plan.params, QueryParams::Instant { .. }) {
            return Ok(match value {
                Value::Text(text) => QueryValue::Text { time_ms, text },
                Value::Scalar(cells) => {
                    let value = cells.first().copied().unwrap_or(Number::Float(f64::NAN));
                    QueryValue::Scalar(Point { time_ms, value })
                }
                Value::Vector(columns) => QueryValue::Vector(
                    self.merged(columns)?
                        .list
                        .into_iter()
                        .filter_map(|column| first_sample(column, time_ms))
                        .collect(),
                ),
            });
        }
        let columns = self.merged(self.as_vector(value, grid)?)?;
        let mut series: Vec<RangeSeries> = columns
            .list
            .into_iter()
            .map(|column| RangeSeries { points: points(&column.cells, grid), labels: column.labels })
            .filter(|series| !series.points.is_empty())
            .collect();
        series.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(QueryValue::Matrix(series))
    }

    /// A range vector as the whole answer: the samples themselves.
    fn raw_range(&self, range: &RangeNode, grid: Grid) -> Result<QueryValue, QueryError> {
        let end_ms = range.shift.apply(grid.start_ms);
        let mut out = Vec::new();
        window::for_each_series(self, range, grid, "a range selector", |labels, all| {
            let inside = |point: &&Point| point.time_ms > end_ms - range.window_ms && point.time_ms <= end_ms;
            let points: Vec<Point> = all.iter().filter(inside).copied().collect();
            if !points.is_empty() {
                out.push(RangeSeries { labels: labels.clone(), points });
            }
            Ok(())
        })?;
        out.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(QueryValue::Matrix(out))
    }

    pub fn node(&self, node: &Node, grid: Grid) -> Result<Value, QueryError> {
        self.budget.check_deadline()?;
        Ok(match node {
            Node::Number(value) => Value::Scalar(vec![Number::Float(*value); grid.len()]),
            Node::Text(text) => Value::Text(text.clone()),
            Node::Selector(selector) => Value::Vector(self.instant(selector, grid, |point, _| point.value)?),
            Node::Negate(inner) => negate(self.node(inner, grid)?),
            Node::Binary(node) => binary::evaluate(self, node, grid)?,
            Node::Aggregate(node) => Value::Vector(aggregate::evaluate(self, node, grid)?),
            Node::Call(call) => self.call(call, grid)?,
            Node::Range(_) => {
                return Err(QueryError::Unsupported {
                    what: "a range vector here".to_owned(),
                    instead: "apply a function such as rate() or avg_over_time() to it",
                });
            }
        })
    }

    /// Evaluates a node the parser has typed as a vector.
    pub fn vector(&self, node: &Node, grid: Grid) -> Result<Columns, QueryError> {
        let value = self.node(node, grid)?;
        self.as_vector(value, grid)
    }

    fn as_vector(&self, value: Value, grid: Grid) -> Result<Columns, QueryError> {
        match value {
            Value::Vector(columns) => Ok(columns),
            Value::Scalar(cells) => {
                let mut columns = self.no_columns()?;
                self.push(&mut columns, Labels::default(), cells.into_iter().map(Some).collect())?;
                Ok(columns)
            }
            Value::Text(_) => {
                let message = format!("expected numbers at {} ms, got a string", grid.start_ms);
                Err(QueryError::Parameter { message })
            }
        }
    }

    /// Evaluates a node the parser has typed as a scalar: one value per step.
    pub fn scalar(&self, node: &Node, grid: Grid) -> Result<Vec<Number>, QueryError> {
        match self.node(node, grid)? {
            Value::Scalar(cells) => Ok(cells),
            _ => Err(QueryError::Parameter { message: "expected a scalar".to_owned() }),
        }
    }

    /// Evaluates a node the parser has typed as a string.
    pub fn text(&self, node: &Node, grid: Grid) -> Result<String, QueryError> {
        match self.node(node, grid)? {
            Value::Text(text) => Ok(text),
            _ => Err(QueryError::Parameter { message: "expected a string".to_owned() }),
        }
    }

    fn call(&self, call: &Call, grid: Grid) -> Result<Value, QueryError> {
        match call.function.implementation {
            Implementation::Increase => {
                window::increase(self, call, grid, window::Per::Window).map(Value::Vector)
            }
            Implementation::Rate => {
                window::increase(self, call, grid, window::Per::Second).map(Value::Vector)
            }
            Implementation::Window { compute, name } => {
                window::over(self, call, grid, compute, name).map(Value::Vector)
            }
            Implementation::Math(compute) => self.math(call, grid, compute).map(Value::Vector),
            Implementation::Special(compute) => compute(self, call, grid),
        }
    }

    /// A function of each value alone; further arguments are scalars. Without arguments it is applied to the time of evaluation.
    fn math(
        &self,
        call: &Call,
        grid: Grid,
        compute: fn(f64, &[f64]) -> Option<f64>,
    ) -> Result<Columns, QueryError> {
        let Some((first, rest)) = call.arguments.split_first() else {
            let mut columns = self.no_columns()?;
            let cells = grid.times().map(|time| compute(seconds(time), &[]).map(Number::Float)).collect();
            self.push(&mut columns, Labels::default(), cells)?;
            return Ok(columns);
        };
        let mut columns = self.vector(first, grid)?;
        let arguments = self.scalars(rest, grid)?;
        for column in &mut columns.list {
            self.budget.check_deadline()?;
            column.labels = column.labels.without_name();
            for (step, cell) in column.cells.iter_mut().enumerate() {
                let value = cell.and_then(|value| compute(value.to_f64(), &arguments[step]));
                *cell = value.map(Number::Float);
            }
        }
        self.merged(columns)
    }

    /// Scalar arguments, transposed: for each step the list of their values.
    pub fn scalars(&self, nodes: &[Node], grid: Grid) -> Result<Vec<Vec<f64>>, QueryError> {
        let mut rows = vec![Vec::with_capacity(nodes.len()); grid.len()];
        for node in nodes {
            for (row, value) in rows.iter_mut().zip(self.scalar(node, grid)?) {
                row.push(value.to_f64());
            }
        }
        Ok(rows)
    }

    /// An instant selector: for each step the newest sample in reach, passed through `read` with the time of evaluation.
    pub fn instant(
        &self,
        selector: &Selector,
        grid: Grid,
        read: impl Fn(&Point, i64) -> Number,
    ) -> Result<Columns, QueryError> {
        let mut columns = self.no_columns()?;
        for series in self.series(selector.id)?.iter() {
            let times = grid.times().map(|time| (time, selector.shift.apply(time)));
            let cells: Cells = match &series.samples {
                Samples::Delta(increments) => running_total(increments, times),
                Samples::Cumulative(points) | Samples::Gauge(points) => {
                    let mut next = 0;
                    times
                        .map(|(time, read_at)| {
                            next +=
                                points[next..].iter().take_while(|point| point.time_ms <= read_at).count();
                            let point = points.get(next.checked_sub(1)?)?;
                            let fresh = point.time_ms > read_at - LOOKBACK_MS && !point.is_stale();
                            fresh.then(|| read(point, time))
                        })
                        .collect()
                }
            };
            if cells.iter().any(Option::is_some) {
                self.push(&mut columns, series.labels.clone(), cells)?;
            }
        }
        Ok(columns)
    }

    /// No series yet.
    pub fn no_columns(&self) -> Result<Columns, QueryError> {
        Ok(Columns { list: Vec::new(), charge: self.budget.charge(0)? })
    }

    /// Adds a series to a result, within the budget.
    pub fn push(&self, columns: &mut Columns, labels: Labels, cells: Cells) -> Result<(), QueryError> {
        self.budget.check_series(columns.list.len() + 1)?;
        columns.charge.join(self.budget.charge(cells.len())?);
        columns.list.push(Column { labels, cells });
        Ok(())
    }

    /// Makes one series of those with equal labels; two values at one time are an error.
    pub fn merged(&self, mut columns: Columns) -> Result<Columns, QueryError> {
        let mut first: HashMap<Labels, usize> = HashMap::with_capacity(columns.list.len());
        let mut kept: Vec<Column> = Vec::with_capacity(columns.list.len());
        for column in columns.list.drain(..) {
            let Some(&at) = first.get(&column.labels) else {
                first.insert(column.labels.clone(), kept.len());
                kept.push(column);
                continue;
            };
            for (target, cell) in kept[at].cells.iter_mut().zip(column.cells) {
                match (&target, cell) {
                    (Some(_), Some(_)) => return Err(QueryError::DuplicateLabels),
                    (None, Some(_)) => *target = cell,
                    _ => {}
                }
            }
        }
        columns.list = kept;
        Ok(columns)
    }
}

/// Milliseconds as seconds.
#[allow(clippy::cast_precision_loss, reason = "times are bounded far below 2^53")]
pub(super) fn seconds(time_ms: i64) -> f64 {
    time_ms as f64 / 1000.0
}

fn negate(value: Value) -> Value {
    match value {
        Value::Scalar(cells) => Value::Scalar(cells.into_iter().map(Number::negated).collect()),
        Value::Vector(mut columns) => {
            for column in &mut columns.list {
                column.labels = column.labels.without_name();
                for cell in &mut column.cells {
                    *cell = cell.map(Number::negated);
                }
            }
            Value::Vector(columns)
        }
        text @ Value::Text(_) => text,
    }
}

/// The exact total of everything up to each time read.
fn running_total(increments: &[(i64, i128)], times: impl Iterator<Item = (i64, i64)>) -> Cells {
    let (mut next, mut total) = (0, Number::Exact(0));
    times
        .map(|(_, read_at)| {
            while let Some((_, increment)) = increments.get(next).filter(|(time, _)| *time <= read_at) {
                total = total.plus(Number::Exact(*increment));
                next += 1;
            }
            (next > 0).then_some(total)
        })
        .collect()
}

fn first_sample(column: Column, time_ms: i64) -> Option<VectorSample> {
    let value = column.cells.into_iter().next().flatten()?;
    Some(VectorSample { labels: column.labels, point: Point { time_ms, value } })
}

/// The cells that have a value, with their times.
pub(super) fn points(cells: &[Option<Number>], grid: Grid) -> Vec<Point> {
    let with_times = grid.times().zip(cells);
    with_times.filter_map(|(time_ms, cell)| cell.map(|value| Point { time_ms, value })).collect()
}
