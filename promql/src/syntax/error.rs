//! Pure: why a text is not PromQL.

use super::ast::Span;

/// A text that was not parsed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// It is not PromQL, or its types do not fit.
    #[error(transparent)]
    Syntax(#[from] SyntaxError),
    /// It is longer, deeper or wider than is read.
    #[error("{what} is {found}, the limit is {limit}; split the query")]
    TooLarge {
        /// What was counted.
        what: &'static str,
        /// How much there is, or how much there was when counting stopped.
        found: usize,
        /// How much there may be.
        limit: usize,
    },
}

/// The first mistake of a text, printed as Prometheus prints it: `1:5: parse error: ...`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: parse error: {message}", place(*.position))]
pub struct SyntaxError {
    /// What is at fault, in bytes of the text.
    pub span: Span,
    /// Line and column of its start, counted from 1, the column in bytes; `None` for an empty text, as in Prometheus.
    pub position: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
}

impl SyntaxError {
    /// A mistake at a place of `text`.
    pub fn new(text: &str, span: Span, message: impl Into<String>) -> Self {
        let before = text.as_bytes().get(..span.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        Self { span, position: (!text.is_empty()).then_some((line, column)), message: message.into() }
    }
}

fn place(position: Option<(usize, usize)>) -> String {
    position.map_or("unknown position".to_owned(), |(line, column)| format!("{line}:{column}"))
}
