//! Pure: the tree of a query, as written: parentheses, signs and quoted names are kept, nothing is computed.

use super::signatures::Signature;

/// A range of bytes of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// From the start of this one to the end of the other.
    pub fn to(self, other: Self) -> Self {
        Self { start: self.start, end: other.end }
    }
}

/// What an expression evaluates to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueType {
    /// One number per step.
    Scalar,
    /// One number per series and step.
    Vector,
    /// A window of samples per series and step.
    Matrix,
    /// A text.
    String,
}

impl ValueType {
    /// As Prometheus's error texts call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Vector => "instant vector",
            Self::Matrix => "range vector",
            Self::String => "string",
        }
    }
}

/// A node with its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where it stands, modifiers included.
    pub span: Span,
}

/// The kinds of expression.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `1`, `0x1F`, `5m`.
    Number(Number),
    /// `"text"`, unquoted.
    String(String),
    /// `(expr)`
    Paren(Box<Expr>),
    /// `-expr` over anything but a number, whose sign is part of it.
    Unary(Sign, Box<Expr>),
    /// `metric{label="value"}`
    Selector(Box<Selector>),
    /// `metric[5m]`
    Range(Box<RangeSelector>),
    /// `expr[1h:5m]`
    Subquery(Box<Subquery>),
    /// `left op right`
    Binary(Box<Binary>),
    /// `sum by (label) (expr)`
    Aggregate(Box<Aggregate>),
    /// `rate(expr)`
    Call(Box<Call>),
}

impl Expr {
    /// What it evaluates to. Right for every tree that [`parse`](super::parse) returns.
    pub fn value_type(&self) -> ValueType {
        match &self.kind {
            ExprKind::Number(_) => ValueType::Scalar,
            ExprKind::String(_) => ValueType::String,
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => inner.value_type(),
            ExprKind::Selector(_) | ExprKind::Aggregate(_) => ValueType::Vector,
            ExprKind::Range(_) | ExprKind::Subquery(_) => ValueType::Matrix,
            ExprKind::Call(call) => call.function.returns,
            ExprKind::Binary(binary) => {
                // Left-deep chains are long, so the walk down the left side is a loop.
                let mut node = binary;
                loop {
                    if node.right.value_type() != ValueType::Scalar {
                        return ValueType::Vector;
                    }
                    match &node.left.kind {
                        ExprKind::Binary(left) => node = left,
                        _ if node.left.value_type() == ValueType::Scalar => return ValueType::Scalar,
                        _ => return ValueType::Vector,
                    }
                }
            }
        }
    }

    /// The operands and arguments, in the order in which they stand.
    pub fn children(&self) -> Vec<&Self> {
        match &self.kind {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Selector(_) | ExprKind::Range(_) => {
                Vec::new()
            }
            ExprKind::Paren(inner) | ExprKind::Unary(_, inner) => vec![inner],
            ExprKind::Subquery(subquery) => vec![&subquery.expr],
            ExprKind::Binary(binary) => vec![&binary.left, &binary.right],
            ExprKind::Aggregate(aggregate) => aggregate.parameter.iter().chain([&aggregate.expr]).collect(),
            ExprKind::Call(call) => call.arguments.iter().collect(),
        }
    }

    /// Every selector of the tree, those under a range too, from left to right.
    pub fn selectors(&self) -> Vec<(&Selector, Span)> {
        let (mut found, mut open) = (Vec::new(), vec![self]);
        while let Some(expr) = open.pop() {
            match &expr.kind {
                ExprKind::Selector(selector) => found.push((&**selector, expr.span)),
                ExprKind::Range(range) => found.push((&range.selector, expr.span)),
                _ => open.extend(expr.children().into_iter().rev()),
            }
        }
        found
    }
}

/// A number and how it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Number {
    /// The value; of a duration in seconds.
    pub value: f64,
    /// Whether it was written as a duration.
    pub duration: bool,
}

/// A unary operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// `+`
    Plus,
    /// `-`
    Minus,
}

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchKind {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// `name <kind> "value"`. A quoted metric name inside the braces is an `=` matcher on `__name__`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelMatcher {
    /// The label.
    pub name: String,
    /// How it compares.
    pub kind: MatchKind,
    /// The value or the pattern, not anchored, never compiled here.
    pub value: String,
    /// Where it stands.
    pub span: Span,
}

/// An instant selector, or what a range selector ranges over.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Selector {
    /// The metric's name before the braces.
    pub name: Option<String>,
    /// What is in the braces, as written.
    pub matchers: Vec<LabelMatcher>,
    /// `anchored` or `smoothed`.
    pub mode: Option<RangeMode>,
    /// `offset` and `@`.
    pub modifiers: Modifiers,
}

/// How the samples around a window's edges count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RangeMode {
    /// `anchored`: the last sample before the window takes part.
    Anchored,
    /// `smoothed`: values at the edges are interpolated.
    Smoothed,
}

/// When a selector or a subquery is read.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Modifiers {
    /// `offset`, unless it is 0.
    pub offset: Option<Duration>,
    /// `@`
    pub at: Option<At>,
}

/// The time of an `@`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Milliseconds since 1970.
    Time(i64),
    /// `start()`
    Start,
    /// `end()`
    End,
}

/// `selector[range]`; offset and `@` are the selector's.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeSelector {
    /// Over what.
    pub selector: Selector,
    /// How long.
    pub range: Duration,
}

/// `expr[range:step]`
#[derive(Debug, Clone, PartialEq)]
pub struct Subquery {
    /// Over what.
    pub expr: Expr,
    /// How long.
    pub range: Duration,
    /// How often; `None` leaves it to the evaluator.
    pub step: Option<Duration>,
    /// `offset` and `@`.
    pub modifiers: Modifiers,
}

/// A length of time, possibly computed.
#[derive(Debug, Clone, PartialEq)]
pub struct Duration {
    /// What it is.
    pub kind: DurationKind,
    /// Where it stands.
    pub span: Span,
}

/// The kinds of length.
#[derive(Debug, Clone, PartialEq)]
pub enum DurationKind {
    /// `5m` or `300`, sign included.
    Number(Number),
    /// `step()`: the query's step.
    Step,
    /// `range()`: the query's end less its start.
    Range,
    /// `-(...)`
    Negate(Box<Duration>),
    /// `(...)`
    Paren(Box<Duration>),
    /// `min_of(a, b)`
    Least(Box<Duration>, Box<Duration>),
    /// `max_of(a, b)`
    Greatest(Box<Duration>, Box<Duration>),
    /// `a + b`, one of `+ - * / % ^`.
    Binary(Operator, Box<Duration>, Box<Duration>),
}

/// The operators between two expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `+`
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`
    Divide,
    /// `%`
    Modulo,
    /// `^`
    Power,
    /// `atan2`
    Atan2,
    /// `==`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `</`: takes the upper buckets off a native histogram.
    TrimUpper,
    /// `>/`: takes the lower buckets off.
    TrimLower,
    /// `and`
    And,
    /// `or`
    Or,
    /// `unless`
    Unless,
}

impl Operator {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Add => "+",
            Self::Subtract => "-",
            Self::Multiply => "*",
            Self::Divide => "/",
            Self::Modulo => "%",
            Self::Power => "^",
            Self::Atan2 => "atan2",
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
            Self::TrimUpper => "</",
            Self::TrimLower => ">/",
            Self::And => "and",
            Self::Or => "or",
            Self::Unless => "unless",
        }
    }

    /// How tightly it binds; a sign binds as `*` does.
    pub(super) fn precedence(self) -> u8 {
        match self {
            Self::Or => 1,
            Self::And | Self::Unless => 2,
            Self::TrimUpper | Self::TrimLower => 3,
            _ if self.is_comparison() => 3,
            Self::Add | Self::Subtract => 4,
            Self::Power => 6,
            _ => 5,
        }
    }

    /// `==`, `!=`, `<`, `<=`, `>` or `>=`.
    pub fn is_comparison(self) -> bool {
        use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
    }

    /// `and`, `or` or `unless`.
    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

/// `left op right`
#[derive(Debug, Clone, PartialEq)]
pub struct Binary {
    /// The operator.
    pub operator: Operator,
    /// Whether `bool` follows it.
    pub return_bool: bool,
    /// How elements of two vectors find each other.
    pub matching: Matching,
    /// What stands in for a missing element.
    pub fill: Fill,
    /// The left side.
    pub left: Expr,
    /// The right side.
    pub right: Expr,
}

/// `on` or `ignoring`, `group_left` or `group_right`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Matching {
    /// `By` for `on`, `Without` for `ignoring`; `None` when neither was written.
    pub labels: Option<Grouping>,
    /// How many of one side match one of the other.
    pub cardinality: Cardinality,
}

/// How many of one side match one of the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Cardinality {
    /// Neither group modifier was written.
    #[default]
    OneToOne,
    /// `group_left`, with the labels taken over from the right.
    ManyToOne(Vec<String>),
    /// `group_right`, with the labels taken over from the left.
    OneToMany(Vec<String>),
}

/// The values of `fill`, `fill_left` and `fill_right`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Fill {
    /// For the left side.
    pub left: Option<f64>,
    /// For the right side.
    pub right: Option<f64>,
}

/// A list of labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouping {
    /// Only these.
    By(Vec<String>),
    /// All but these.
    Without(Vec<String>),
}

/// The aggregations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    /// `sum`
    Sum,
    /// `avg`
    Average,
    /// `min`
    Minimum,
    /// `max`
    Maximum,
    /// `count`
    Count,
    /// `group`
    Group,
    /// `stddev`
    Deviation,
    /// `stdvar`
    Variance,
    /// `topk`
    Top,
    /// `bottomk`
    Bottom,
    /// `quantile`
    Quantile,
    /// `count_values`
    CountValues,
    /// `limitk`
    Limit,
    /// `limit_ratio`
    LimitRatio,
}

impl Aggregation {
    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Average => "avg",
            Self::Minimum => "min",
            Self::Maximum => "max",
            Self::Count => "count",
            Self::Group => "group",
            Self::Deviation => "stddev",
            Self::Variance => "stdvar",
            Self::Top => "topk",
            Self::Bottom => "bottomk",
            Self::Quantile => "quantile",
            Self::CountValues => "count_values",
            Self::Limit => "limitk",
            Self::LimitRatio => "limit_ratio",
        }
    }

    /// The type of its parameter, if it has one.
    pub fn parameter(self) -> Option<ValueType> {
        match self {
            Self::Top | Self::Bottom | Self::Quantile | Self::Limit | Self::LimitRatio => {
                Some(ValueType::Scalar)
            }
            Self::CountValues => Some(ValueType::String),
            _ => None,
        }
    }
}

/// `sum by (label) (expr)`
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// Which one.
    pub aggregation: Aggregation,
    /// What is kept; no modifier is `By` of nothing.
    pub grouping: Grouping,
    /// The first argument of those that have two.
    pub parameter: Option<Expr>,
    /// Over what.
    pub expr: Expr,
}

/// `rate(expr)`
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// Which function.
    pub function: &'static Signature,
    /// Its arguments.
    pub arguments: Vec<Expr>,
}
