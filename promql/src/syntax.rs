//! Pure: PromQL from text to a checked tree, and back.
//!
//! The language is that of Prometheus 3 with every experimental construct switched on, and errors are in Prometheus's words, at
//! Prometheus's positions. What the language has and the evaluator lacks is refused by name when a plan is made, not here.
//!
//! Every bound is checked before the work that it bounds: length before lexing, depth before recursion, bytes of regular expressions
//! before any is compiled. Nothing here compiles one, recurses without a bound or panics.

mod ast;
mod check;
mod duration;
mod error;
mod lexer;
mod number;
mod parser;
mod print;
mod quoted;
mod signatures;
#[cfg(test)]
mod tests;
mod token;

pub use ast::{
    Aggregate, Aggregation, At, Binary, Call, Cardinality, Duration, DurationKind, Expr, ExprKind, Fill,
    Grouping, LabelMatcher, MatchKind, Matching, Modifiers, Number, Operator, RangeMode, RangeSelector,
    Selector, Sign, Span, Subquery, ValueType,
};
pub use duration::{format_duration_ms, parse_duration_ms};
pub use error::{ParseError, SyntaxError};
pub use parser::{parse, parse_selector};
pub use quoted::quote;
pub use signatures::{Signature, signature, signatures};
