//! Pure: from query text to a [`Plan`]. Everything that can be refused without data is refused here.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use promql_parser::label::{MatchOp, Matchers};
use promql_parser::parser::token::{self, TokenType};
use promql_parser::parser::value::ValueType;
use promql_parser::parser::{self as ast, AtModifier, Expr, LabelModifier, Offset, VectorMatchCardinality};

use super::error::QueryError;
use super::functions::{Function, Implementation};
use super::guard::check_text;
use super::labels::METRIC_NAME;
use super::limits::{POINTS_PER_SERIES_MAX, SUBQUERY_STEPS_MAX, TIME_MS_MAX};
use super::matcher::{MatchKind, Matcher};
use super::plan::{
    Aggregate, Aggregation, Binary, Call, Cardinality, Comparison, Edges, Grid, Grouping, MatchLabels,
    Matching, Node, Operator, Plan, QueryParams, RangeNode, RangeOver, Selector, SelectorRequest, TimeShift,
};

/// The step of a subquery that names none.
const SUBQUERY_STEP_MS_DEFAULT: i64 = 60_000;

/// Reads a query and lists what it needs.
pub fn plan(query: &str, params: QueryParams) -> Result<Plan, QueryError> {
    check_params(params)?;
    let expr = parse(query)?;
    let kind = expr.value_type();
    let range_query = matches!(params, QueryParams::Range { .. });
    if range_query && !matches!(kind, ValueType::Scalar | ValueType::Vector) {
        let found = if kind == ValueType::String { "string" } else { "range vector" };
        return Err(QueryError::RangeQueryType { found });
    }
    let grid = Grid::from(params);
    let mut lowering = Lowering { bounds: grid, requests: Vec::new() };
    let root = lowering.node(&expr, grid, None)?;
    Ok(Plan { requests: lowering.requests, root, params })
}

/// Reads a bare selector, as in `match[]`.
pub fn parse_selector(text: &str) -> Result<Vec<Matcher>, QueryError> {
    match parse(text)? {
        Expr::VectorSelector(selector) if selector.offset.is_none() && selector.at.is_none() => {
            matchers(selector.name.as_deref(), &selector.matchers)
        }
        _ => Err(QueryError::Parse { reason: format!("{text:?} is not a series selector") }),
    }
}

fn parse(query: &str) -> Result<Expr, QueryError> {
    check_text(query)?;
    if query.trim().is_empty() {
        return Err(QueryError::Parse { reason: "no expression found in input".to_owned() });
    }
    // The parser panics on some texts, such as a range of 1e999 seconds; for the user that is one more text it cannot read.
    let parsed = std::panic::catch_unwind(|| ast::parse(query));
    let refused =
        || "the parser cannot read this query; look for a number or a duration out of range".to_owned();
    parsed.unwrap_or_else(|_| Err(refused())).map_err(|reason| QueryError::Parse { reason })
}

fn check_params(params: QueryParams) -> Result<(), QueryError> {
    let check = |what, value: i64| {
        let wild = value.unsigned_abs() > TIME_MS_MAX.unsigned_abs();
        if wild { Err(QueryError::TimeOutOfRange { what, value: value.into() }) } else { Ok(()) }
    };
    match params {
        QueryParams::Instant { time_ms } => check("time", time_ms),
        QueryParams::Range { start_ms, end_ms, step_ms } => {
            check("start", start_ms)?;
            check("end", end_ms)?;
            check("step", step_ms)?;
            if step_ms <= 0 {
                return Err(QueryError::TimeOutOfRange { what: "step", value: step_ms.into() });
            }
            if end_ms < start_ms {
                return Err(QueryError::TimeOutOfRange { what: "end before start", value: end_ms.into() });
            }
            let intervals = (end_ms - start_ms) / step_ms;
            let too_many = u64::try_from(intervals).is_ok_and(|count| count > POINTS_PER_SERIES_MAX);
            if too_many { Err(QueryError::TooManyPoints) } else { Ok(()) }
        }
    }
}

struct Lowering {
    /// The query's own times, to which `@ start()` and `@ end()` refer.
    bounds: Grid,
    requests: Vec<SelectorRequest>,
}

impl Lowering {
    /// `sum` is what an enclosing sum keeps, if this node is all it sums.
    fn node(&mut self, expr: &Expr, grid: Grid, sum: Option<&Grouping>) -> Result<Node, QueryError> {
        Ok(match expr {
            Expr::NumberLiteral(number) => Node::Number(number.val),
            Expr::StringLiteral(text) => Node::Text(text.val.clone()),
            Expr::Paren(paren) => self.node(&paren.expr, grid, sum)?,
            Expr::Unary(unary) => Node::Negate(Box::new(self.node(&unary.expr, grid, None)?)),
            Expr::VectorSelector(selector) => {
                let shift = self.shift(selector.offset.as_ref(), selector.at.as_ref())?;
                let id = self.request(selector, shift.apply_grid(grid), None, sum)?;
                Node::Selector(Selector { id, shift })
            }
            Expr::MatrixSelector(matrix) => {
                let shift = self.shift(matrix.vs.offset.as_ref(), matrix.vs.at.as_ref())?;
                let window_ms = duration_ms("range", matrix.range)?;
                let id = self.request(&matrix.vs, shift.apply_grid(grid), Some(window_ms), sum)?;
                Node::Range(Box::new(RangeNode { window_ms, shift, over: RangeOver::Selector { id } }))
            }
            Expr::Subquery(subquery) => self.subquery(subquery, grid)?,
            Expr::Binary(binary) => self.binary(binary, grid)?,
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, grid)?,
            Expr::Call(call) => self.call(call, grid, sum)?,
            Expr::Extension(_) => return Err(unsupported("this expression", "use plain PromQL")),
        })
    }

    fn request(
        &mut self,
        selector: &ast::VectorSelector,
        grid: Grid,
        window_ms: Option<i64>,
        sum: Option<&Grouping>,
    ) -> Result<usize, QueryError> {
        let id = self.requests.len();
        let edges = Edges { first_ms: grid.start_ms, step_ms: grid.step_ms, count: grid.count, window_ms };
        let matchers = matchers(selector.name.as_deref(), &selector.matchers)?;
        self.requests.push(SelectorRequest { selector: id, matchers, edges, grouping: sum.cloned() });
        Ok(id)
    }

    fn shift(&self, offset: Option<&Offset>, at: Option<&AtModifier>) -> Result<TimeShift, QueryError> {
        let offset_ms = match offset {
            None => 0,
            Some(Offset::Pos(duration)) => duration_ms("offset", *duration)?,
            Some(Offset::Neg(duration)) => -duration_ms("offset", *duration)?,
        };
        let at_ms = match at {
            None => None,
            Some(AtModifier::Start) => Some(self.bounds.start_ms),
            Some(AtModifier::End) => Some(self.bounds.end_ms()),
            Some(AtModifier::At(time)) => Some(match time.duration_since(UNIX_EPOCH) {
                Ok(after) => duration_ms("@ time", after)?,
                Err(before) => -duration_ms("@ time", before.duration())?,
            }),
        };
        Ok(TimeShift { offset_ms, at_ms })
    }

    fn subquery(&mut self, subquery: &ast::SubqueryExpr, grid: Grid) -> Result<Node, QueryError> {
        let shift = self.shift(subquery.offset.as_ref(), subquery.at.as_ref())?;
        let window_ms = duration_ms("range", subquery.range)?;
        let step_ms = match subquery.step {
            Some(step) => duration_ms("subquery step", step)?,
            None => SUBQUERY_STEP_MS_DEFAULT,
        };
        let mut range =
            RangeNode { window_ms, shift, over: RangeOver::Subquery { node: Node::Number(0.0), step_ms } };
        let inner = range.inner_grid(grid, step_ms);
        if inner.count > SUBQUERY_STEPS_MAX {
            return Err(QueryError::TooLarge {
                what: "the number of steps of a subquery",
                found: inner.len(),
                limit: usize::try_from(SUBQUERY_STEPS_MAX).unwrap_or(usize::MAX),
            });
        }
        let node = self.node(&subquery.expr, inner, None)?;
        range.over = RangeOver::Subquery { node, step_ms };
        Ok(Node::Range(Box::new(range)))
    }

    fn binary(&mut self, binary: &ast::BinaryExpr, grid: Grid) -> Result<Node, QueryError> {
        let operator = operator(binary.op)?;
        let modifier = binary.modifier.as_ref();
        let comparison = if binary.return_bool() { Comparison::Bool } else { Comparison::Filter };
        let labels = match modifier.and_then(|m| m.matching.as_ref()) {
            Some(LabelModifier::Include(labels)) => MatchLabels::On(names(&labels.labels)),
            Some(LabelModifier::Exclude(labels)) => MatchLabels::Ignoring(names(&labels.labels)),
            None => MatchLabels::Ignoring(Vec::new()),
        };
        if modifier.is_some_and(|m| m.fill_values.lhs.is_some() || m.fill_values.rhs.is_some()) {
            return Err(unsupported("the fill modifier", "use `or` with a vector of the missing labels"));
        }
        let cardinality = match modifier.map(|m| &m.card) {
            Some(VectorMatchCardinality::ManyToOne(labels)) => Cardinality::ManyToOne(names(&labels.labels)),
            Some(VectorMatchCardinality::OneToMany(labels)) => Cardinality::OneToMany(names(&labels.labels)),
            _ => Cardinality::OneToOne,
        };
        let left = self.node(&binary.lhs, grid, None)?;
        let right = self.node(&binary.rhs, grid, None)?;
        let matching = Matching { labels, cardinality };
        Ok(Node::Binary(Box::new(Binary { operator, comparison, matching, left, right })))
    }

    fn aggregate(&mut self, aggregate: &ast::AggregateExpr, grid: Grid) -> Result<Node, QueryError> {
        let operation = aggregation(aggregate.op)?;
        let grouping = match &aggregate.modifier {
            None => Grouping::By(Vec::new()),
            Some(LabelModifier::Include(labels)) => Grouping::By(names(&labels.labels)),
            Some(LabelModifier::Exclude(labels)) => Grouping::Without(names(&labels.labels)),
        };
        let parameter = match &aggregate.param {
            None => None,
            Some(parameter) => Some(self.node(parameter, grid, None)?),
        };
        let push = (operation == Aggregation::Sum).then_some(&grouping);
        let over = self.node(&aggregate.expr, grid, push)?;
        Ok(Node::Aggregate(Box::new(Aggregate { operation, grouping, parameter, over })))
    }

    fn call(&mut self, call: &ast::Call, grid: Grid, sum: Option<&Grouping>) -> Result<Node, QueryError> {
        let name = call.func.name;
        let Some(function) = Function::find(name) else {
            return Err(QueryError::UnsupportedFunction { name: name.to_owned() });
        };
        // Only these are linear in the increments, so that summing first gives the same answer.
        let linear = matches!(function.implementation, Implementation::Increase | Implementation::Rate);
        let push = if linear { sum } else { None };
        let mut arguments = Vec::with_capacity(call.args.args.len());
        for argument in &call.args.args {
            arguments.push(self.node(argument, grid, push)?);
        }
        Ok(Node::Call(Box::new(Call { function, arguments })))
    }
}

fn unsupported(what: &str, instead: &'static str) -> QueryError {
    QueryError::Unsupported { what: what.to_owned(), instead }
}

fn names(labels: &[String]) -> Vec<Arc<str>> {
    labels.iter().map(|label| Arc::from(label.as_str())).collect()
}

fn duration_ms(what: &'static str, duration: Duration) -> Result<i64, QueryError> {
    let value = duration.as_millis();
    match i64::try_from(value) {
        Ok(ms) if ms <= TIME_MS_MAX => Ok(ms),
        _ => Err(QueryError::TimeOutOfRange { what, value: i128::try_from(value).unwrap_or(i128::MAX) }),
    }
}

fn matchers(name: Option<&str>, parsed: &Matchers) -> Result<Vec<Matcher>, QueryError> {
    if !parsed.or_matchers.is_empty() {
        return Err(unsupported("`or` between label matchers", "join two selectors with the `or` operator"));
    }
    let mut all = Vec::with_capacity(parsed.matchers.len() + 1);
    if let Some(name) = name {
        all.push(Matcher::new(METRIC_NAME, MatchKind::Equal, name)?);
    }
    for matcher in &parsed.matchers {
        let kind = match matcher.op {
            MatchOp::Equal => MatchKind::Equal,
            MatchOp::NotEqual => MatchKind::NotEqual,
            MatchOp::Re(_) => MatchKind::Regex,
            MatchOp::NotRe(_) => MatchKind::NotRegex,
        };
        all.push(Matcher::new(&matcher.name, kind, &matcher.value)?);
    }
    Ok(all)
}

fn operator(op: TokenType) -> Result<Operator, QueryError> {
    Ok(match op.id() {
        token::T_ADD => Operator::Add,
        token::T_SUB => Operator::Subtract,
        token::T_MUL => Operator::Multiply,
        token::T_DIV => Operator::Divide,
        token::T_MOD => Operator::Modulo,
        token::T_POW => Operator::Power,
        token::T_ATAN2 => Operator::Atan2,
        token::T_EQLC => Operator::Equal,
        token::T_NEQ => Operator::NotEqual,
        token::T_LSS => Operator::Less,
        token::T_LTE => Operator::LessOrEqual,
        token::T_GTR => Operator::Greater,
        token::T_GTE => Operator::GreaterOrEqual,
        token::T_LAND => Operator::And,
        token::T_LOR => Operator::Or,
        token::T_LUNLESS => Operator::Unless,
        _ => return Err(unsupported(&format!("the operator {op}"), "see the PromQL operators")),
    })
}

fn aggregation(op: TokenType) -> Result<Aggregation, QueryError> {
    Ok(match op.id() {
        token::T_SUM => Aggregation::Sum,
        token::T_AVG => Aggregation::Average,
        token::T_MIN => Aggregation::Minimum,
        token::T_MAX => Aggregation::Maximum,
        token::T_COUNT => Aggregation::Count,
        token::T_GROUP => Aggregation::Group,
        token::T_STDDEV => Aggregation::Deviation,
        token::T_STDVAR => Aggregation::Variance,
        token::T_TOPK => Aggregation::Top,
        token::T_BOTTOMK => Aggregation::Bottom,
        token::T_QUANTILE => Aggregation::Quantile,
        token::T_COUNT_VALUES => Aggregation::CountValues,
        _ => {
            return Err(unsupported(
                &format!("the aggregation {op}"),
                "use sum, avg, min, max, count, group, stddev, stdvar, topk, bottomk, quantile or count_values",
            ));
        }
    })
}
