//! Pure: the tree of a query, as written: parentheses, signs and quoted names are kept, nothing is computed.

use std::sync::Arc;

use super::signatures::{Signature, ValueType};
use crate::labels::Labels;

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

/// A query, or a part of one, with its place in the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    pub(crate) kind: ExprKind,
    /// Modifiers included.
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ExprKind {
    /// Of a duration the seconds.
    Number(f64),
    String(String),
    Paren(Box<Expr>),
    /// Over anything but a number, whose sign is part of it.
    Unary(Sign, Box<Expr>),
    Selector(Box<Selector>),
    Range(Box<RangeSelector>),
    Subquery(Box<Subquery>),
    Binary(Box<Binary>),
    Aggregate(Box<Aggregate>),
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
                let is_scalar = |side: &Self| side.value_type() == ValueType::Scalar;
                let scalars = is_scalar(&binary.right) && is_scalar(&binary.left);
                if scalars { ValueType::Scalar } else { ValueType::Vector }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    Plus,
    Minus,
}

named! {
    /// How a matcher compares.
    pub enum MatchKind {
        /// `=`
        Equal = "=",
        /// `!=`
        NotEqual = "!=",
        /// `=~`
        Regex = "=~",
        /// `!~`
        NotRegex = "!~",
    }
}

/// A quoted metric name inside the braces is an `=` matcher on `__name__`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LabelMatcher {
    pub name: String,
    pub kind: MatchKind,
    /// A pattern is not anchored, and never compiled here.
    pub value: String,
    pub span: Span,
}

/// An instant selector, or what a range selector ranges over.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Selector {
    /// The metric's name before the braces.
    pub name: Option<String>,
    /// What is in the braces, as written.
    pub matchers: Vec<LabelMatcher>,
    pub mode: Option<RangeMode>,
    pub modifiers: Modifiers,
}

named! {
    /// How the samples around a window's edges count.
    pub(crate) enum RangeMode {
        /// The last sample before the window takes part.
        Anchored = "anchored",
        /// Values at the edges are interpolated.
        Smoothed = "smoothed",
    }
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Modifiers {
    /// Never 0, which is the same as none.
    pub offset: Option<Expr>,
    pub at: Option<At>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At {
    /// Milliseconds since 1970.
    Time(i64),
    Start,
    End,
}

/// Offset and `@` are the selector's.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RangeSelector {
    pub selector: Selector,
    /// A length of time: numbers, their arithmetic, `step()`, `range()`, `min_of()` and `max_of()`.
    pub range: Expr,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Subquery {
    pub expr: Expr,
    pub range: Expr,
    /// `None` leaves it to the evaluator.
    pub step: Option<Expr>,
    pub modifiers: Modifiers,
}

named! {
    pub(crate) enum Operator {
        Add = "+",
        Subtract = "-",
        Multiply = "*",
        Divide = "/",
        Modulo = "%",
        Power = "^",
        Atan2 = "atan2",
        Equal = "==",
        NotEqual = "!=",
        Less = "<",
        LessOrEqual = "<=",
        Greater = ">",
        GreaterOrEqual = ">=",
        /// Takes the upper buckets off a native histogram.
        TrimUpper = "</",
        TrimLower = ">/",
        And = "and",
        Or = "or",
        Unless = "unless",
    }
}

impl Operator {
    /// How tightly it binds; a sign binds as `*` does.
    pub fn precedence(self) -> u8 {
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

    pub fn is_comparison(self) -> bool {
        use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        matches!(self, Equal | NotEqual | Less | LessOrEqual | Greater | GreaterOrEqual)
    }

    pub fn is_set(self) -> bool {
        matches!(self, Self::And | Self::Or | Self::Unless)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Binary {
    pub operation: Operation,
    pub left: Expr,
    pub right: Expr,
}

/// A binary operator with what follows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operation {
    pub operator: Operator,
    /// A comparison gives 1 or 0 for each element instead of keeping what satisfies it.
    pub return_bool: bool,
    pub matching: Matching,
    pub fill: Fill,
}

/// How the elements of two vectors find each other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Matching {
    /// `By` for `on`, `Without` for `ignoring`; without either, all labels count.
    pub labels: Grouping,
    pub cardinality: Cardinality,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Cardinality {
    #[default]
    OneToOne,
    /// `group_left`: the left side is the many; these labels come from the right.
    ManyToOne(Vec<Arc<str>>),
    OneToMany(Vec<Arc<str>>),
}

/// What stands in for a missing element of either side.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Fill {
    pub left: Option<f64>,
    pub right: Option<f64>,
}

/// Which labels count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grouping {
    /// Only these.
    By(Vec<Arc<str>>),
    /// All but these (and the metric's name).
    Without(Vec<Arc<str>>),
}

impl Default for Grouping {
    fn default() -> Self {
        Self::Without(Vec::new())
    }
}

impl Grouping {
    /// The labels that are named.
    pub fn names(&self) -> &[Arc<str>] {
        let (Self::By(names) | Self::Without(names)) = self;
        names
    }

    /// Whether a label of that name counts, other than the metric's name.
    pub fn counts(&self, name: &str) -> bool {
        self.names().iter().any(|other| &**other == name) == matches!(self, Self::By(_))
    }

    /// Those of the labels that count.
    pub fn of(&self, labels: &Labels) -> Labels {
        match self {
            Self::By(names) => labels.only(names),
            Self::Without(names) => labels.without(names),
        }
    }
}

named! {
    pub(crate) enum Aggregation {
        Sum = "sum",
        Average = "avg",
        Minimum = "min",
        Maximum = "max",
        Count = "count",
        Group = "group",
        Deviation = "stddev",
        Variance = "stdvar",
        Top = "topk",
        Bottom = "bottomk",
        Quantile = "quantile",
        CountValues = "count_values",
        Limit = "limitk",
        LimitRatio = "limit_ratio",
    }
}

impl Aggregation {
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

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Aggregate {
    pub aggregation: Aggregation,
    /// No modifier is `By` of nothing.
    pub grouping: Grouping,
    /// The first argument of those that have two.
    pub parameter: Option<Expr>,
    pub expr: Expr,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub function: Signature,
    pub arguments: Vec<Expr>,
}
