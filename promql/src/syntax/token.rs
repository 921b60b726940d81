//! Pure: the words of the language, and how Prometheus's error texts call them.

use super::ast::{Aggregation, Operator, Span};
use super::quoted::quote;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    End,
    /// The text cannot be cut any further; the lexer says why.
    Error,
    Identifier,
    /// With a colon: a metric's name and never a label's.
    MetricIdentifier,
    String,
    Number,
    Duration,
    LeftParen,
    RightParen,
    LeftBrace,
    RightBrace,
    LeftBracket,
    RightBracket,
    Comma,
    Colon,
    Assign,
    MatchRegex,
    NotMatchRegex,
    At,
    Operator(Operator),
    Aggregation(Aggregation),
    Keyword(Keyword),
}

named! {
    /// The words that are neither operators nor aggregations.
    pub(super) enum Keyword {
        Anchored = "anchored",
        Bool = "bool",
        By = "by",
        End = "end",
        Fill = "fill",
        FillLeft = "fill_left",
        FillRight = "fill_right",
        GroupLeft = "group_left",
        GroupRight = "group_right",
        Ignoring = "ignoring",
        Offset = "offset",
        On = "on",
        Range = "range",
        Smoothed = "smoothed",
        Start = "start",
        Step = "step",
        Without = "without",
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Token {
    pub kind: TokenKind,
    pub span: Span,
}

/// The kind of a word, whatever its case; `None` for an ordinary name.
pub(super) fn word(text: &str) -> Option<TokenKind> {
    fn find<T: Copy>(table: &[(&str, T)], text: &str) -> Option<T> {
        table.iter().find(|(name, _)| name.eq_ignore_ascii_case(text)).map(|(_, value)| *value)
    }
    let number = || find(&[("inf", TokenKind::Number), ("nan", TokenKind::Number)], text);
    find(Operator::NAMES, text)
        .map(TokenKind::Operator)
        .or_else(|| find(Aggregation::NAMES, text).map(TokenKind::Aggregation))
        .or_else(|| find(Keyword::NAMES, text).map(TokenKind::Keyword))
        .or_else(number)
}

impl TokenKind {
    /// Whether it can be a metric's name where an expression begins.
    pub fn is_metric(self) -> bool {
        use Keyword::{Bool, GroupLeft, GroupRight, Ignoring, On};
        match self {
            Self::Identifier | Self::MetricIdentifier | Self::Aggregation(_) => true,
            Self::Operator(operator) => operator.is_set(),
            Self::Keyword(keyword) => !matches!(keyword, Bool | On | Ignoring | GroupLeft | GroupRight),
            _ => false,
        }
    }

    /// Whether it can be a label's name in a list of labels.
    pub fn is_label(self) -> bool {
        self.is_metric() || matches!(self, Self::Keyword(_) | Self::Operator(Operator::Atan2))
    }

    /// Whether an expression can begin with it.
    pub fn starts_expression(self) -> bool {
        use TokenKind::{Duration, LeftBrace, LeftParen, Number, String};
        matches!(self, LeftParen | LeftBrace | String | Number | Duration)
            || matches!(self, Self::Operator(Operator::Add | Operator::Subtract))
            || self.is_metric()
    }
}

/// A token as Prometheus's error texts describe it.
pub(super) fn describe(kind: TokenKind, text: &str) -> String {
    let short = || {
        if text.len() <= 10 {
            return quote(text);
        }
        format!("{}...", quote(&text.chars().take(10).collect::<String>()))
    };
    match kind {
        TokenKind::End => "end of input".to_owned(),
        TokenKind::Identifier => format!("identifier {}", quote(text)),
        TokenKind::MetricIdentifier => format!("metric identifier {}", quote(text)),
        TokenKind::String => format!("string {}", short()),
        TokenKind::Number => format!("number {}", short()),
        TokenKind::Duration => format!("duration {}", short()),
        TokenKind::Keyword(Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range) => quote(text),
        TokenKind::Keyword(_) => format!("<{text}>"),
        TokenKind::Operator(_) | TokenKind::MatchRegex | TokenKind::NotMatchRegex | TokenKind::At => {
            format!("<op:{text}>")
        }
        TokenKind::Aggregation(_) => format!("<aggr:{text}>"),
        _ => quote(text),
    }
}
