//! Pure: PromQL from text to a checked tree.
//!
//! The language is that of Prometheus 3 with every experimental construct switched on, and errors are in Prometheus's words, at
//! Prometheus's positions. What the language has and the evaluator lacks is refused by name when a plan is made, not here.
//!
//! Every bound is checked before the work that it bounds: length before lexing, depth before recursion, bytes of regular expressions
//! before any is compiled. Nothing here compiles one, recurses without a bound or panics.

/// An enum whose values have a name, in the language or in its error texts.
macro_rules! named {
    ($(#[$outer:meta])* $visibility:vis enum $type:ident { $($(#[$inner:meta])* $value:ident = $name:literal,)* }) => {
        $(#[$outer])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        $visibility enum $type { $($(#[$inner])* $value,)* }

        #[allow(dead_code, reason = "of a token only the list is read, of a type only the name")]
        impl $type {
            pub(crate) const NAMES: &'static [(&'static str, Self)] = &[$(($name, Self::$value),)*];

            /// As a query or Prometheus's error texts spell it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$value => $name,)* }
            }
        }
    };
}

mod ast;
mod check;
mod duration;
mod error;
mod lexer;
mod number;
mod parser;
mod quoted;
mod signatures;
#[cfg(test)]
mod tests;
mod token;
mod watched;

pub(crate) use ast::{
    Aggregate, Aggregation, At, Binary, Call, Cardinality, ExprKind, Fill, Matching, Modifiers, Operation,
    Operator, Selector, Sign, Subquery,
};
pub use ast::{Expr, Grouping, MatchKind, Span};
pub use duration::parse_duration_ms;
pub use error::{ParseError, SyntaxError};
pub use parser::parse;
pub(crate) use parser::parse_selector;
pub use quoted::{quote, read_string};
pub use signatures::{Signature, ValueType, signature, signatures};
pub use watched::{Watched, watched};
