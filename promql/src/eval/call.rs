//! Pure: function calls. Arguments are evaluated here; what is computed from them is a kernel's business.

use super::table::{Implementation, implementation};
use super::{Evaluator, windows};
use crate::aggregate::warn_quantile;
use crate::cells::Cells;
use crate::error::QueryError;
use crate::functions::FunctionId;
use crate::histogram;
use crate::labels::METRIC_NAME;
use crate::matcher::Matcher;
use crate::number::Number;
use crate::plan::{Call, Grid, Node, RangeNode, RangeOver};
use crate::relabel::{self, Replacement};
use crate::series::Samples;
use crate::special;
use crate::value::{Value, Vector};
use crate::window::{self, Compute, NameRule, seconds};

fn argument(call: &Call, at: usize) -> Result<&Node, QueryError> {
    let missing = || QueryError::Parameter { message: format!("{} lacks an argument", call.function.name()) };
    call.arguments.get(at).ok_or_else(missing)
}

/// The range argument of a call and the scalar ones.
fn range_argument(call: &Call) -> Result<(&RangeNode, Vec<&Node>), QueryError> {
    let mut range = None;
    let mut scalars = Vec::new();
    for argument in &call.arguments {
        match argument {
            Node::Range(node) => range = Some(&**node),
            other => scalars.push(other),
        }
    }
    let missing =
        || QueryError::Parameter { message: format!("{} needs a range vector", call.function.name()) };
    Ok((range.ok_or_else(missing)?, scalars))
}

impl Evaluator<'_> {
    /// Evaluates a function call.
    pub(super) fn call(&self, call: &Call, grid: Grid) -> Result<Value, QueryError> {
        match implementation(call.function) {
            Implementation::Increase(per) => {
                let (range, _) = range_argument(call)?;
                let samples = self.samples(range, grid)?;
                window::increase(self.budget, &self.notices, &samples, windows(range, grid), per)
                    .map(Value::Vector)
            }
            Implementation::Window(compute, name) => {
                self.window(call, grid, compute, name).map(Value::Vector)
            }
            Implementation::Math(compute) => self.math(call, grid, compute).map(Value::Vector),
            Implementation::Special => self.special(call, grid),
        }
    }

    fn window(
        &self,
        call: &Call,
        grid: Grid,
        compute: Compute,
        name: NameRule,
    ) -> Result<Vector, QueryError> {
        let (range, scalars) = range_argument(call)?;
        let parameters = scalars.into_iter().map(|node| self.scalar(node, grid));
        let parameters = parameters.collect::<Result<Vec<Cells>, _>>()?;
        let samples = self.samples(range, grid)?;
        let windows = windows(range, grid);
        let function = call.function.name();
        let out = window::over(self.budget, function, (compute, name), &parameters, &samples, windows)?;
        if call.function == FunctionId::QuantileOverTime && !out.columns.is_empty() {
            parameters.iter().for_each(|quantiles| warn_quantile(&self.notices, quantiles));
        }
        Ok(out)
    }

    /// A function of each value alone; further arguments are scalars. Without arguments it is applied to the time of evaluation.
    fn math(
        &self,
        call: &Call,
        grid: Grid,
        compute: fn(f64, &[f64]) -> Option<f64>,
    ) -> Result<Vector, QueryError> {
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

    fn special(&self, call: &Call, grid: Grid) -> Result<Value, QueryError> {
        let scalar = |at| self.scalar(argument(call, at)?, grid);
        let vector = |at| self.vector(argument(call, at)?, grid);
        let text = |at| self.text(argument(call, at)?, grid);
        Ok(match call.function {
            FunctionId::Time => Value::Scalar(special::time(self.budget, grid)?),
            FunctionId::Pi => Value::Scalar(Cells::constant(self.budget, grid.len(), std::f64::consts::PI)?),
            FunctionId::Scalar => Value::Scalar(special::scalar(self.budget, &vector(0)?, grid)?),
            FunctionId::Vector => Value::Vector(Vector::unlabelled(self.budget, scalar(0)?)?),
            FunctionId::Timestamp => Value::Vector(self.timestamp(call, grid)?),
            FunctionId::Absent => {
                let present = special::presence(self.budget, &vector(0)?, grid)?;
                let matchers = self.matchers(argument(call, 0)?);
                Value::Vector(special::where_absent(self.budget, &present, matchers, grid)?)
            }
            FunctionId::AbsentOverTime => {
                let (range, _) = range_argument(call)?;
                let samples = self.samples(range, grid)?;
                let function = call.function.name();
                let present = window::presence(self.budget, function, &samples, windows(range, grid))?;
                let matchers = self.matchers(argument(call, 0)?);
                Value::Vector(special::where_absent(self.budget, &present, matchers, grid)?)
            }
            FunctionId::Sort => Value::Vector(special::sorted(vector(0)?, grid, Number::compare)),
            FunctionId::SortDesc => Value::Vector(special::sorted(vector(0)?, grid, |a, b| b.compare(a))),
            FunctionId::LabelReplace => {
                let (target, template, source, pattern) = (text(1)?, text(2)?, text(3)?, text(4)?);
                let texts = Replacement { target, template, source, pattern };
                Value::Vector(relabel::replace(self.budget, &texts, vector(0)?)?)
            }
            FunctionId::LabelJoin => {
                let (target, separator) = (text(1)?, text(2)?);
                let sources = (3..call.arguments.len()).map(text).collect::<Result<Vec<_>, _>>()?;
                Value::Vector(relabel::join(self.budget, &target, &separator, &sources, vector(0)?)?)
            }
            FunctionId::HistogramQuantile => {
                let (quantiles, buckets) = (scalar(0)?, vector(1)?);
                Value::Vector(histogram::of_quantile(self.budget, &self.notices, &quantiles, &buckets)?)
            }
            FunctionId::HistogramFraction => {
                let (lower, upper, buckets) = (scalar(0)?, scalar(1)?, vector(2)?);
                let notices = &self.notices;
                Value::Vector(histogram::of_fraction(self.budget, notices, &lower, &upper, &buckets)?)
            }
            other => return Err(QueryError::UnsupportedFunction { name: other.name().to_owned() }),
        })
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
    fn timestamp(&self, call: &Call, grid: Grid) -> Result<Vector, QueryError> {
        let node = argument(call, 0)?;
        let out = if let Node::Selector(selector) = node {
            let series = self.series(selector.id)?;
            if let Some(series) = series.iter().find(|series| matches!(series.samples, Samples::Delta(_))) {
                let metric = series.labels.get(METRIC_NAME).to_owned();
                return Err(QueryError::DeltaCounter { function: "timestamp".to_owned(), metric });
            }
            self.instant(selector, grid, |point| Number::Float(seconds(point.time_ms)))?
        } else {
            let times = special::time(self.budget, grid)?;
            self.vector(node, grid)?.map(self.budget, |step, _| times.get(step))?
        };
        out.drop_names()?.merged(self.budget)
    }
}
