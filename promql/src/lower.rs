//! Pure: from query text to a [`Plan`]. Everything that can be refused without data is refused here.

use crate::alive::alive_from_ms;
use crate::budget::Budget;
use crate::error::{QueryError, Result};
use crate::functions::{implementation, supported_functions};
use crate::labels::METRIC_NAME;
use crate::limits::{POINTS_PER_SERIES_MAX, SUBQUERY_STEPS_MAX, TIME_MS_MAX, WORK_CELLS_MAX};
use crate::matcher::Matcher;
use crate::plan::{
    Call, Edges, Grid, Node, Plan, QueryParams, RangeNode, RangeOver, Selector, SelectorRequest, TimeShift,
    inner_grid,
};
use crate::syntax::{
    self as ast, Aggregation, At, Expr, ExprKind, Grouping, MatchKind, Operator, ParseError, Sign, Span,
    SyntaxError, ValueType,
};
use crate::window::seconds;

/// The step of a subquery that names none.
const SUBQUERY_STEP_MS_DEFAULT: i64 = 60_000;

/// Reads a query and lists what it needs, within bounds of its own.
pub fn plan(query: &str, params: QueryParams) -> Result<Plan> {
    plan_within(&Budget::default(), query, params)
}

/// Reads a query and lists what it needs. Its regular expressions are compiled here, which is why this is work for a thread that may
/// be kept busy.
pub fn plan_within(budget: &Budget<'_>, query: &str, params: QueryParams) -> Result<Plan> {
    let (start_ms, end_ms, step_ms) = times(params)?;
    let expr = ast::parse(query)?;
    let kind = expr.value_type();
    let range_query = matches!(params, QueryParams::Range { .. });
    if range_query && !matches!(kind, ValueType::Scalar | ValueType::Vector) {
        return Err(QueryError::RangeQueryType(kind.name()));
    }
    let (text, requests) = (query, Vec::new());
    let mut lowering = Lowering { budget, text, start_ms, end_ms, step_ms, requests, cells: 0, held: 0 };
    let root = lowering.node(&expr, Grid::from(params), None)?;
    lowering.reads_samples(&root, "a range selector");
    // A subquery multiplies steps: forty bytes can ask for a thousand million cells. That is refused before anything is fetched.
    if lowering.cells > WORK_CELLS_MAX {
        return Err(QueryError::TooMuchWork(WORK_CELLS_MAX));
    }
    Ok(Plan { requests: lowering.requests, root, params })
}

/// Reads a bare selector, as in `match[]`.
pub fn parse_selector(budget: &Budget<'_>, text: &str) -> Result<Vec<Matcher>> {
    let (selector, span) = ast::parse_selector(text)?;
    matchers(budget, text, &selector, span)
}

/// Start, end and step.
fn times(params: QueryParams) -> Result<(i64, i64, i64)> {
    let (start_ms, end_ms, step_ms) = match params {
        QueryParams::Instant { time_ms } => return Ok((in_time("time", time_ms)?, time_ms, 0)),
        QueryParams::Range { start_ms, end_ms, step_ms } => (start_ms, end_ms, step_ms),
    };
    for (what, value) in [("start", start_ms), ("end", end_ms), ("step", step_ms)] {
        in_time(what, value)?;
    }
    if step_ms <= 0 {
        return Err(QueryError::TimeOutOfRange("step", step_ms));
    }
    if end_ms < start_ms {
        return Err(QueryError::TimeOutOfRange("end before start", end_ms));
    }
    let too_many = (end_ms - start_ms) / step_ms > POINTS_PER_SERIES_MAX;
    if too_many { Err(QueryError::TooManyPoints) } else { Ok((start_ms, end_ms, step_ms)) }
}

struct Lowering<'a> {
    budget: &'a Budget<'a>,
    text: &'a str,
    /// What `start()`, `end()` and `step()` are: as asked for, also where no evaluation falls on the end.
    start_ms: i64,
    end_ms: i64,
    step_ms: i64,
    requests: Vec<SelectorRequest>,
    /// Cells that are read or written if each selector finds one series.
    cells: u64,
    /// Bytes that are certainly held while what is read now is evaluated: left operands wait for right ones.
    held: usize,
}

impl Lowering<'_> {
    /// `sum` is what an enclosing sum keeps, if this node is all it sums.
    fn node(&mut self, expr: &Expr, grid: Grid, sum: Option<&Grouping>) -> Result<Node> {
        self.cells = self.cells.saturating_add(grid.count.unsigned_abs());
        Ok(match &expr.kind {
            ExprKind::Number(number) => Node::Number(*number),
            ExprKind::String(text) => Node::Text(text.clone()),
            ExprKind::Paren(inner) | ExprKind::Unary(Sign::Plus, inner) => self.node(inner, grid, sum)?,
            ExprKind::Unary(Sign::Minus, inner) => Node::Negate(Box::new(self.node(inner, grid, None)?)),
            ExprKind::Selector(selector) => {
                let shift = self.shift(&selector.modifiers)?;
                // A sum of totals leaves out what is no longer alive: nobody else can add them up first.
                let id = self.request(selector, expr.span, shift.apply_grid(grid), None, None)?;
                Node::Selector(Selector { id, shift })
            }
            ExprKind::Range(range) => {
                let shift = self.shift(&range.selector.modifiers)?;
                let window_ms = self.positive_ms("range", &range.range)?;
                let id =
                    self.request(&range.selector, expr.span, shift.apply_grid(grid), Some(window_ms), sum)?;
                Node::Range(Box::new(RangeNode { window_ms, shift, over: RangeOver::Selector { id } }))
            }
            ExprKind::Subquery(subquery) => self.subquery(subquery, grid)?,
            ExprKind::Binary(binary) => self.binary(binary, grid)?,
            ExprKind::Aggregate(aggregate) => self.aggregate(aggregate, grid)?,
            ExprKind::Call(call) => self.call(call, grid, sum)?,
        })
    }

    fn request(
        &mut self,
        selector: &ast::Selector,
        span: Span,
        grid: Grid,
        window_ms: Option<i64>,
        sum: Option<&Grouping>,
    ) -> Result<usize> {
        if let Some(mode) = selector.mode {
            return Err(unsupported(format!("the {} modifier", mode.name()), "leave it out"));
        }
        let id = self.requests.len();
        let edges = Edges { first_ms: grid.start_ms, step_ms: grid.step_ms, count: grid.count, window_ms };
        let matchers = matchers(self.budget, self.text, selector, span)?;
        let alive_from_ms = alive_from_ms(grid.start_ms, window_ms);
        let (selector, grouping) = (id, sum.cloned());
        let request =
            SelectorRequest { selector, matchers, edges, alive_from_ms, grouping, samples_for: None };
        self.requests.push(request);
        Ok(id)
    }

    fn shift(&self, modifiers: &ast::Modifiers) -> Result<TimeShift> {
        let offset_ms = match &modifiers.offset {
            None => 0,
            Some(offset) => self.duration_ms("offset", offset)?,
        };
        let at_ms = match modifiers.at {
            None => None,
            Some(At::Start) => Some(self.start_ms),
            Some(At::End) => Some(self.end_ms),
            Some(At::Time(ms)) => Some(in_time("@ time", ms)?),
        };
        Ok(TimeShift { offset_ms, at_ms })
    }

    /// A length in whole milliseconds, computed where it has to be.
    fn duration_ms(&self, what: &'static str, duration: &Expr) -> Result<i64> {
        let length = duration.seconds(seconds(self.step_ms), seconds(self.end_ms - self.start_ms));
        let length = length.map_err(|(span, message)| fault(self.text, span, message))?;
        let ms = (length * 1000.0).round();
        if ms.is_nan() {
            return Err(fault(self.text, duration.span, "duration is not a number"));
        }
        #[allow(clippy::cast_possible_truncation, reason = "what is beyond 64 bits stays beyond the bound")]
        in_time(what, ms as i64)
    }

    fn positive_ms(&self, what: &'static str, duration: &Expr) -> Result<i64> {
        match self.duration_ms(what, duration)? {
            ..=0 => Err(fault(self.text, duration.span, "duration must be greater than 0")),
            ms => Ok(ms),
        }
    }

    fn subquery(&mut self, subquery: &ast::Subquery, grid: Grid) -> Result<Node> {
        let shift = self.shift(&subquery.modifiers)?;
        let window_ms = self.positive_ms("range", &subquery.range)?;
        let step_ms = match &subquery.step {
            Some(step) => self.positive_ms("subquery step", step)?,
            None => SUBQUERY_STEP_MS_DEFAULT,
        };
        let inner = inner_grid(shift.apply_grid(grid), window_ms, step_ms);
        let (found, limit) = (inner.len(), SUBQUERY_STEPS_MAX);
        if found > limit {
            return Err(
                ParseError::TooLarge { what: "the number of steps of a subquery", found, limit }.into()
            );
        }
        let window = (window_ms / step_ms).min(inner.count).saturating_mul(grid.count);
        self.cells = self.cells.saturating_add(window.unsigned_abs());
        let node = self.node(&subquery.expr, inner, None)?;
        let over = RangeOver::Subquery { node, grid: inner };
        Ok(Node::Range(Box::new(RangeNode { window_ms, shift, over })))
    }

    fn binary(&mut self, binary: &ast::Binary, grid: Grid) -> Result<Node> {
        let ast::Binary { operation, left, right } = binary;
        if matches!(operation.operator, Operator::TrimUpper | Operator::TrimLower) {
            let what = format!("the operator {}", operation.operator.name());
            return Err(unsupported(what, "there are no native histograms here"));
        }
        if operation.fill != ast::Fill::default() {
            return Err(unsupported("the fill modifier", "use `or` with a vector of the missing labels"));
        }
        let waits = left.value_type() == ValueType::Scalar;
        let waiting = if waits { grid.len().saturating_mul(size_of::<f64>()) } else { 0 };
        let left = Box::new(self.node(left, grid, None)?);
        self.held = self.held.saturating_add(waiting);
        self.budget.memory().check(self.held)?;
        let right = Box::new(self.node(right, grid, None)?);
        self.held -= waiting;
        Ok(Node::Binary { operation: operation.clone(), left, right })
    }

    fn aggregate(&mut self, aggregate: &ast::Aggregate, grid: Grid) -> Result<Node> {
        let ast::Aggregate { aggregation, grouping, parameter, expr } = aggregate;
        if matches!(aggregation, Aggregation::Limit | Aggregation::LimitRatio) {
            let what = format!("the aggregation {}", aggregation.name());
            return Err(unsupported(what, "use topk or bottomk"));
        }
        let parameter = parameter.as_ref().map(|parameter| self.node(parameter, grid, None)).transpose()?;
        let push = (*aggregation == Aggregation::Sum).then_some(grouping);
        let (parameter, over) = (parameter.map(Box::new), Box::new(self.node(expr, grid, push)?));
        Ok(Node::Aggregate { operation: *aggregation, grouping: grouping.clone(), parameter, over })
    }

    fn call(&mut self, call: &ast::Call, grid: Grid, sum: Option<&Grouping>) -> Result<Node> {
        let function = call.function.name;
        let time_ms = match function {
            "start" => Some(self.start_ms),
            "end" => Some(self.end_ms),
            "range" => Some(self.end_ms - self.start_ms),
            "step" => Some(self.step_ms),
            _ => None,
        };
        if let Some(time_ms) = time_ms {
            return Ok(Node::Number(seconds(time_ms)));
        }
        if implementation(function).is_none() {
            let supported = format!("supported functions: {}", supported_functions().join(", "));
            return Err(unsupported(format!("function {function:?}"), supported));
        }
        // Only these are linear in the increments, so that summing first gives the same answer.
        let linear = matches!(function, "increase" | "rate");
        let push = if linear { sum } else { None };
        let mut arguments = Vec::with_capacity(call.arguments.len());
        for argument in &call.arguments {
            let argument = self.node(argument, grid, push)?;
            match &argument {
                Node::Range(_) if !linear && function != "absent_over_time" => {
                    self.reads_samples(&argument, function);
                }
                Node::Selector(selector) if function == "timestamp" => {
                    self.requests[selector.id].samples_for = Some(function);
                }
                _ => {}
            }
            arguments.push(argument);
        }
        Ok(Node::Call(Call { function, arguments }))
    }

    /// Notes that single samples of a range selector are read.
    fn reads_samples(&mut self, node: &Node, function: &'static str) {
        if let Node::Range(range) = node
            && let RangeOver::Selector { id } = range.over
        {
            self.requests[id].samples_for = Some(function);
        }
    }
}

fn fault(text: &str, span: Span, message: impl Into<String>) -> QueryError {
    ParseError::Syntax(SyntaxError::new(text, span, message)).into()
}

fn unsupported(what: impl Into<String>, instead: impl Into<String>) -> QueryError {
    QueryError::Unsupported(what.into(), instead.into())
}

fn in_time(what: &'static str, ms: i64) -> Result<i64> {
    let inside = (-TIME_MS_MAX..=TIME_MS_MAX).contains(&ms);
    inside.then_some(ms).ok_or(QueryError::TimeOutOfRange(what, ms))
}

/// Compiles the matchers of a selector, which the parser has counted and measured.
fn matchers(budget: &Budget<'_>, text: &str, selector: &ast::Selector, span: Span) -> Result<Vec<Matcher>> {
    let mut all = Vec::with_capacity(selector.matchers.len() + 1);
    if let Some(name) = &selector.name {
        all.push(Matcher::new(budget, METRIC_NAME, MatchKind::Equal, name)?);
    }
    for matcher in &selector.matchers {
        let compiled = Matcher::new(budget, &matcher.name, matcher.kind, &matcher.value);
        all.push(compiled.map_err(|error| match error {
            QueryError::Regex(..) => fault(text, matcher.span, error.to_string()),
            other => other,
        })?);
    }
    if all.iter().all(|matcher| matcher.matches("")) {
        return Err(fault(text, span, "vector selector must contain at least one non-empty matcher"));
    }
    Ok(all)
}
