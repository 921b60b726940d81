//! Pure: the evaluator. It walks the tree, evaluates children first and hands their values to the kernels, which know neither the tree
//! nor the evaluator.

mod call;

use super::alive::Alive;
use super::budget::Budget;
use super::cells::Cells;
use super::error::{QueryError, Result};
use super::limits::LOOKBACK_MS;
use super::notices::Notices;
use super::number::Number;
use super::plan::{Grid, Node, Plan, QueryParams, RangeNode, RangeOver, Selector, SelectorRequest};
use super::pool::Charge;
use super::result::{QueryResult, QueryValue, RangeSeries, Values, VectorSample};
use super::series::{Fetched, Increments, Point, Samples, Series};
use super::value::{Value, Vector};
use super::window::{RangeSamples, Windows};
use super::{aggregate, binary};

/// Computes the answer to a plan from what was fetched for it.
pub fn evaluate(plan: &Plan, fetched: &Fetched, budget: &Budget<'_>) -> Result<QueryResult> {
    let grid = Grid::from(plan.params);
    let evaluator = Evaluator { requests: &plan.requests, fetched, budget, notices: Notices::default() };
    fetched.infos.iter().for_each(|info| evaluator.notices.inform(info));
    let (value, charge) = evaluator.answer(plan, grid)?;
    let (warnings, infos) = evaluator.notices.into_lists();
    Ok(QueryResult { value, warnings, infos, charge })
}

struct Evaluator<'a> {
    fetched: &'a Fetched,
    budget: &'a Budget<'a>,
    /// What was asked for; `absent` reads the matchers.
    requests: &'a [SelectorRequest],
    notices: Notices,
}

impl<'a> Evaluator<'a> {
    fn series(&self, selector: usize) -> Result<&'a [Series]> {
        let series = self.fetched.get(selector).ok_or(QueryError::NotFetched(selector))?;
        self.budget.check_series(series.len())?;
        Ok(series)
    }

    fn answer(&self, plan: &Plan, grid: Grid) -> Result<(QueryValue, Charge)> {
        let mut charge = self.budget.charge(0)?;
        if let Node::Range(range) = &plan.root {
            let series = self.raw_range(range, grid, &mut charge)?;
            return Ok((QueryValue::Matrix(series), charge));
        }
        let value = self.node(&plan.root, grid)?;
        let time_ms = grid.start_ms;
        let instant = matches!(plan.params, QueryParams::Instant { .. });
        let value = match value {
            Value::Text(text) if instant => QueryValue::Text { time_ms, text },
            Value::Scalar(cells) if instant => {
                let value = cells.get(0).unwrap_or(Number::Float(f64::NAN));
                QueryValue::Scalar(Point { time_ms, value })
            }
            Value::Vector(vector) if instant => {
                let columns = vector.merged(self.budget)?.columns;
                charge.grow(columns.len() * size_of::<VectorSample>())?;
                let mut samples = Vec::with_capacity(columns.len());
                for column in columns {
                    let Some(value) = column.cells.get(0) else { continue };
                    charge.grow(column.labels.bytes())?;
                    samples.push(VectorSample { labels: column.labels, point: Point { time_ms, value } });
                }
                QueryValue::Vector(samples)
            }
            value => {
                let columns = self.as_vector(value)?.merged(self.budget)?.columns;
                charge.grow(columns.len() * size_of::<RangeSeries>())?;
                let mut series = Vec::with_capacity(columns.len());
                for column in columns.into_iter().filter(|column| !column.cells.is_blank()) {
                    charge.grow(column.labels.bytes())?;
                    let values = Values::Computed(column.cells, grid);
                    series.push(RangeSeries { labels: column.labels, values });
                }
                series.sort_by(|a, b| a.labels.cmp(&b.labels));
                QueryValue::Matrix(series)
            }
        };
        Ok((value, charge))
    }

    /// A range vector as the whole answer: the samples themselves.
    fn raw_range(&self, range: &RangeNode, grid: Grid, charge: &mut Charge) -> Result<Vec<RangeSeries>> {
        let end_ms = range.shift.apply(grid.start_ms);
        let mut out = Vec::new();
        self.samples(range)?.for_each(self.budget, "a range selector", |labels, all| {
            let from = all.partition_point(|point| point.time_ms <= end_ms - range.window_ms);
            let to = all.partition_point(|point| point.time_ms <= end_ms);
            if from < to {
                charge.grow(size_of::<RangeSeries>() + labels.bytes() + size_of_val(&all[from..to]))?;
                let values = Values::Stored(all[from..to].to_vec());
                out.push(RangeSeries { labels: labels.clone(), values });
            }
            Ok(())
        })?;
        out.sort_by(|a, b| a.labels.cmp(&b.labels));
        Ok(out)
    }

    fn node(&self, node: &Node, grid: Grid) -> Result<Value> {
        self.budget.check_stopped()?;
        Ok(match node {
            Node::Number(value) => Value::Scalar(Cells::constant(self.budget, grid.len(), *value)?),
            Node::Text(text) => Value::Text(text.clone()),
            Node::Selector(selector) => Value::Vector(self.instant(selector, grid, |point| point.value)?),
            Node::Negate(inner) => self.negated(inner, grid)?,
            Node::Binary { operation, left, right } => {
                binary::apply(self.budget, operation, self.node(left, grid)?, self.node(right, grid)?)?
            }
            Node::Aggregate { operation, grouping, parameter, over } => {
                let input = self.vector(over, grid)?;
                let parameter = parameter.as_ref().map(|parameter| self.node(parameter, grid)).transpose()?;
                let (budget, notices) = (self.budget, &self.notices);
                Value::Vector(aggregate::apply(budget, notices, *operation, grouping, parameter, input)?)
            }
            Node::Call(call) => self.call(call, grid)?,
            Node::Range(_) => {
                let instead = "apply a function such as rate() or avg_over_time() to it";
                return Err(QueryError::Unsupported("a range vector here".to_owned(), instead.to_owned()));
            }
        })
    }

    fn negated(&self, inner: &Node, grid: Grid) -> Result<Value> {
        Ok(match self.node(inner, grid)? {
            Value::Scalar(cells) => {
                let values = cells.iter().map(|cell| cell.map(Number::negated));
                Value::Scalar(Cells::build(self.budget, cells.len(), values)?)
            }
            Value::Vector(vector) => {
                Value::Vector(vector.map(self.budget, |_, value| Some(value.negated()))?.drop_names()?)
            }
            text @ Value::Text(_) => text,
        })
    }

    fn vector(&self, node: &Node, grid: Grid) -> Result<Vector> {
        let value = self.node(node, grid)?;
        self.as_vector(value)
    }

    fn as_vector(&self, value: Value) -> Result<Vector> {
        match value {
            Value::Vector(vector) => Ok(vector),
            Value::Scalar(cells) => Vector::unlabelled(self.budget, cells),
            Value::Text(_) => Err(QueryError::Parameter("expected numbers, got a string".to_owned())),
        }
    }

    fn scalar(&self, node: &Node, grid: Grid) -> Result<Cells> {
        match self.node(node, grid)? {
            Value::Scalar(cells) => Ok(cells),
            _ => Err(QueryError::Parameter("expected a scalar".to_owned())),
        }
    }

    fn text(&self, node: &Node, grid: Grid) -> Result<String> {
        match self.node(node, grid)? {
            Value::Text(text) => Ok(text),
            _ => Err(QueryError::Parameter("expected a string".to_owned())),
        }
    }

    /// The samples of a range vector: those of a selector, or the values of a subquery.
    fn samples(&self, range: &RangeNode) -> Result<RangeSamples<'a>> {
        Ok(match &range.over {
            RangeOver::Selector { id } => RangeSamples::Stored(self.series(*id)?),
            RangeOver::Subquery { node, grid } => RangeSamples::Computed(self.vector(node, *grid)?, *grid),
        })
    }

    /// An instant selector: for each step the newest sample in reach, passed through `read`.
    fn instant(&self, selector: &Selector, grid: Grid, read: impl Fn(&Point) -> Number) -> Result<Vector> {
        let mut out = Vector::default();
        for series in self.series(selector.id)? {
            self.budget.work(series.samples.len())?;
            let times = grid.times().map(|time| selector.shift.apply(time));
            let cells = match &series.samples {
                Samples::Delta(increments) => {
                    let alive = Alive::new(grid, selector.shift, 0);
                    Cells::build(self.budget, grid.len(), running_total(increments, times, alive))?
                }
                Samples::Points(points) => {
                    let mut next = 0;
                    let values = times.map(|read_at| {
                        next += points[next..].iter().take_while(|point| point.time_ms <= read_at).count();
                        let point = points.get(next.checked_sub(1)?)?;
                        let fresh = point.time_ms > read_at - LOOKBACK_MS && !point.is_stale();
                        fresh.then(|| read(point))
                    });
                    Cells::build(self.budget, grid.len(), values)?
                }
            };
            out.push(self.budget, series.labels.clone(), cells)?;
        }
        Ok(out)
    }
}

fn windows(range: &RangeNode, grid: Grid) -> Windows {
    Windows { grid, length_ms: range.window_ms, shift: range.shift }
}

/// The exact total of everything up to each time read, where the series is alive.
fn running_total(
    increments: &Increments,
    times: impl Iterator<Item = i64>,
    alive: Alive,
) -> impl Iterator<Item = Option<Number>> {
    let (mut next, mut total) = (0, Number::Exact(0));
    times.map(move |read_at| {
        let passed = increments.times_ms[next..].iter().take_while(|time| **time <= read_at).count();
        for increment in &increments.picos[next..next + passed] {
            total = total.plus(Number::Exact(*increment));
        }
        next += passed;
        alive.at(read_at, &increments.times_ms[..next], 0).then_some(total)
    })
}
