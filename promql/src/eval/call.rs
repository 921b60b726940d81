//! Pure: function calls. Arguments are evaluated here; what is computed from them is a kernel's business.

use super::{Evaluator, windows};
use crate::aggregate::warn_quantile;
use crate::cells::{Cells, Steps};
use crate::error::{QueryError, Result};
use crate::functions::{Implementation, implementation};
use crate::histogram;
use crate::labels::METRIC_NAME;
use crate::matcher::Matcher;
use crate::number::Number;
use crate::plan::{Call, Grid, Node, RangeNode, RangeOver};
use crate::relabel;
use crate::series::{Samples, Series};
use crate::special;
use crate::value::{Value, Vector};
use crate::window::{self, Compute, seconds};

/// The checker lets no other call through.
fn arguments_missing(call: &Call) -> QueryError {
    QueryError::Parameter(format!("{} lacks an argument", call.function))
}

fn argument(call: &Call, at: usize) -> Result<&Node> {
    call.arguments.get(at).ok_or_else(|| arguments_missing(call))
}

fn range_argument(call: &Call) -> Result<&RangeNode> {
    let range = call.arguments.iter().find_map(|node| match node {
        Node::Range(range) => Some(&**range),
        _ => None,
    });
    range.ok_or_else(|| arguments_missing(call))
}

impl Evaluator<'_> {
    pub(super) fn call(&self, call: &Call, grid: Grid) -> Result<Value> {
        match implementation(call.function) {
            Some(Implementation::Increase(per)) => {
                let range = range_argument(call)?;
                let samples = self.samples(range)?;
                window::increase(self.budget, &self.notices, &samples, windows(range, grid), per)
                    .map(Value::Vector)
            }
            Some(Implementation::Window(compute)) => self.window(call, grid, compute).map(Value::Vector),
            Some(Implementation::Math(compute)) => self.math(call, grid, compute).map(Value::Vector),
            Some(Implementation::Special) | None => self.special(call, grid),
        }
    }

    fn window(&self, call: &Call, grid: Grid, compute: Compute) -> Result<Vector> {
        let range = range_argument(call)?;
        let scalars = call.arguments.iter().filter(|node| !matches!(node, Node::Range(_)));
        let parameters = scalars.map(|node| self.scalar(node, grid)).collect::<Result<Vec<Cells>, _>>()?;
        let (samples, windows) = (self.samples(range)?, windows(range, grid));
        let out = window::over(self.budget, call.function, compute, &parameters, &samples, windows)?;
        if call.function == "quantile_over_time" && !out.columns.is_empty() {
            parameters.iter().for_each(|quantiles| warn_quantile(&self.notices, quantiles));
        }
        Ok(out)
    }

    /// A function of each value alone; further arguments are scalars. Without arguments it is applied to the time of evaluation.
    fn math(&self, call: &Call, grid: Grid, compute: fn(f64, &[f64]) -> Option<f64>) -> Result<Vector> {
        let Some((first, rest)) = call.arguments.split_first() else {
            let values = grid.times().map(|time| compute(seconds(time), &[]).map(Number::Float));
            return Vector::unlabelled(self.budget, Cells::build(self.budget, grid.len(), values)?);
        };
        let input = self.vector(first, grid)?;
        let arguments = rest.iter().map(|node| self.scalar(node, grid)).collect::<Result<Vec<Cells>, _>>()?;
        let out = input.map(self.budget, |step, value| {
            // No function of values has more than two further arguments.
            let mut row = [f64::NAN; 2];
            for (place, argument) in row.iter_mut().zip(&arguments) {
                *place = argument.float(step)?;
            }
            compute(value.to_f64(), row.get(..arguments.len())?).map(Number::Float)
        })?;
        out.drop_names()?.merged(self.budget)
    }

    fn special(&self, call: &Call, grid: Grid) -> Result<Value> {
        let (budget, notices) = (self.budget, &self.notices);
        let scalar = |at| self.scalar(argument(call, at)?, grid);
        let vector = |at| self.vector(argument(call, at)?, grid);
        let text = |at| self.text(argument(call, at)?, grid);
        let absent = |present: &Steps| {
            special::where_absent(budget, present, self.matchers(argument(call, 0)?), grid).map(Value::Vector)
        };
        match call.function {
            "time" => special::time(budget, grid).map(Value::Scalar),
            "pi" => Cells::constant(budget, grid.len(), std::f64::consts::PI).map(Value::Scalar),
            "scalar" => special::scalar(budget, &vector(0)?, grid).map(Value::Scalar),
            "vector" => Vector::unlabelled(budget, scalar(0)?).map(Value::Vector),
            "timestamp" => self.timestamp(argument(call, 0)?, grid).map(Value::Vector),
            "absent" => absent(&special::presence(budget, &vector(0)?, grid)?),
            "absent_over_time" => {
                let range = range_argument(call)?;
                absent(&window::presence(budget, &self.samples(range)?, windows(range, grid))?)
            }
            "sort" => Ok(Value::Vector(special::sorted(vector(0)?, grid, Number::compare))),
            "sort_desc" => Ok(Value::Vector(special::sorted(vector(0)?, grid, |a, b| b.compare(a)))),
            "label_replace" => {
                let texts = [text(1)?, text(2)?, text(3)?, text(4)?];
                relabel::replace(budget, texts, vector(0)?).map(Value::Vector)
            }
            "label_join" => {
                let (target, separator) = (text(1)?, text(2)?);
                let sources = (3..call.arguments.len()).map(text).collect::<Result<Vec<_>, _>>()?;
                relabel::join(budget, &target, &separator, &sources, vector(0)?).map(Value::Vector)
            }
            "histogram_quantile" => {
                histogram::of_quantile(budget, notices, &scalar(0)?, &vector(1)?).map(Value::Vector)
            }
            "histogram_fraction" => {
                let (lower, upper) = (scalar(0)?, scalar(1)?);
                histogram::of_fraction(budget, notices, &lower, &upper, &vector(2)?).map(Value::Vector)
            }
            // No plan has any other.
            other => Err(QueryError::Parameter(format!("{other} cannot be evaluated"))),
        }
    }

    /// The matchers of a bare selector; none for anything else.
    fn matchers(&self, node: &Node) -> &[Matcher] {
        let selector = match node {
            Node::Selector(selector) => Some(selector.id),
            Node::Range(range) => match &range.over {
                RangeOver::Selector { id } => Some(*id),
                RangeOver::Subquery { .. } => None,
            },
            _ => None,
        };
        selector.and_then(|id| self.requests.get(id)).map_or(&[], |request| &request.matchers)
    }

    /// When the newest sample was taken, for a bare selector; otherwise the time of evaluation.
    fn timestamp(&self, node: &Node, grid: Grid) -> Result<Vector> {
        let out = if let Node::Selector(selector) = node {
            let increments = |series: &&Series| matches!(series.samples, Samples::Delta(_));
            if let Some(series) = self.series(selector.id)?.iter().find(increments) {
                let (function, metric) = ("timestamp".to_owned(), series.labels.get(METRIC_NAME).to_owned());
                return Err(QueryError::DeltaCounter(function, metric));
            }
            self.instant(selector, grid, |point| Number::Float(seconds(point.time_ms)))?
        } else {
            let times = special::time(self.budget, grid)?;
            self.vector(node, grid)?.map(self.budget, |step, _| times.get(step))?
        };
        out.drop_names()?.merged(self.budget)
    }
}
