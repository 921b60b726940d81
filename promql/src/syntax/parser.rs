//! Pure: from tokens to the tree. Binary operators and signs are parsed with two stacks and not by recursion, so that only brackets
//! nest on the call stack, and those are bounded.

mod durations;
mod selectors;

use std::sync::Arc;

use super::ast::{
    Aggregate, Aggregation, Binary, Call, Cardinality, Expr, ExprKind, Fill, Grouping, Matching, Operation,
    Operator, Selector, Sign, Span,
};
use super::check::{check, check_selector};
use super::duration::parse_duration_ms;
use super::error::{ParseError, SyntaxError};
use super::lexer::lex;
use super::number::parse_number;
use super::quoted::{quote, unquote};
use super::signatures::signature;
use super::token::{Keyword, Token, TokenKind, describe};
use crate::limits::{
    MATCHERS_MAX, NESTING_MAX, NODES_MAX, OPERATORS_MAX, QUERY_BYTES_MAX, REGEX_BYTES_MAX, REGEXES_BYTES_MAX,
};

/// Reads a query and checks its types.
pub fn parse(text: &str) -> Result<Expr, ParseError> {
    let mut parser = Parser::new(text)?;
    if parser.kind() == TokenKind::End {
        return parser.fail(Span::default(), "no expression found in input");
    }
    let expr = parser.expression()?;
    parser.finish()?;
    check(text, &expr)?;
    Ok(expr)
}

/// Reads a bare selector, as in `match[]`, with its place in the text.
pub(crate) fn parse_selector(text: &str) -> Result<(Selector, Span), ParseError> {
    let mut parser = Parser::new(text)?;
    let kind = parser.kind();
    if kind != TokenKind::LeftBrace && !kind.is_metric() {
        return Err(parser.unexpected("", ""));
    }
    let (selector, span) = parser.selector()?;
    parser.finish()?;
    check_selector(text, &selector, span)?;
    Ok((selector, span))
}

type Parsed<T> = Result<T, ParseError>;

/// What is said when nothing closer to the mistake has anything to say: a place, and what was expected there.
type Context = (&'static str, &'static str);

/// What is counted: its place in [`Parser::used`], its name, and how much of it there may be.
type Counted = (usize, &'static str, usize);
const OPERATORS: Counted = (0, "its number of operators", OPERATORS_MAX);
const NODES: Counted = (1, "its number of nodes", NODES_MAX);
const MATCHERS: Counted = (2, "its number of label matchers", MATCHERS_MAX);
const REGEX_BYTES: Counted = (3, "the length of its regular expressions", REGEXES_BYTES_MAX);
const NESTING: Counted = (4, "its nesting depth", NESTING_MAX);

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    /// What the last token says when it is an error.
    lexing_error: String,
    at: usize,
    /// Where the last closing bracket, number or duration ended: the end of what was parsed last.
    closing: usize,
    context: Context,
    used: [usize; 5],
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Parsed<Self> {
        bound("its length in bytes", text.len(), QUERY_BYTES_MAX)?;
        let (tokens, lexing_error) = lex(text);
        Ok(Self { text, tokens, lexing_error, at: 0, closing: 0, context: ("", ""), used: [0; 5] })
    }

    /// The current token. The last token is never consumed, so there always is one.
    fn token(&self) -> Token {
        let end = Token { kind: TokenKind::End, span: Span { start: self.text.len(), end: self.text.len() } };
        self.tokens.get(self.at).copied().unwrap_or(end)
    }

    fn kind(&self) -> TokenKind {
        self.token().kind
    }

    fn next_kind(&self) -> TokenKind {
        self.tokens.get(self.at + 1).map_or(TokenKind::End, |token| token.kind)
    }

    fn take(&mut self) -> Token {
        use TokenKind::{Duration, Number, RightBrace, RightBracket, RightParen};
        let token = self.token();
        if matches!(token.kind, RightBrace | RightParen | RightBracket | Duration | Number) {
            self.closing = token.span.end;
        }
        self.at = (self.at + 1).min(self.tokens.len().saturating_sub(1));
        token
    }

    fn accept(&mut self, kind: TokenKind) -> Option<Token> {
        (self.kind() == kind).then(|| self.take())
    }

    fn accept_keyword(&mut self, keyword: Keyword) -> bool {
        self.accept(TokenKind::Keyword(keyword)).is_some()
    }

    fn expect(&mut self, kind: TokenKind) -> Parsed<Token> {
        self.accept(kind).ok_or_else(|| self.misplaced())
    }

    fn finish(&self) -> Parsed<()> {
        if self.kind() == TokenKind::End { Ok(()) } else { Err(self.misplaced()) }
    }

    fn text_of(&self, token: Token) -> &'a str {
        self.text.get(token.span.start..token.span.end).unwrap_or_default()
    }

    fn error(&self, span: Span, message: impl Into<String>) -> ParseError {
        SyntaxError::new(self.text, span, message).into()
    }

    fn fail<T>(&self, span: Span, message: impl Into<String>) -> Parsed<T> {
        Err(self.error(span, message))
    }

    /// The current token has no business here.
    fn unexpected(&self, place: &str, expected: &str) -> ParseError {
        let token = self.token();
        if token.kind == TokenKind::Error {
            return self.error(token.span, self.lexing_error.clone());
        }
        let place = if place.is_empty() { String::new() } else { format!(" in {place}") };
        let expected = if expected.is_empty() { String::new() } else { format!(", expected {expected}") };
        let found = describe(token.kind, self.text_of(token));
        let message = format!("unexpected {found}{place}{expected}");
        self.error(token.span, message)
    }

    fn misplaced(&self) -> ParseError {
        self.unexpected(self.context.0, self.context.1)
    }

    /// Parses something in whose middle mistakes are told in its own words.
    fn within<T>(&mut self, context: Context, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let outer = std::mem::replace(&mut self.context, context);
        let parsed = parse(self);
        self.context = outer;
        parsed
    }

    /// Parses one bracket deeper.
    fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        self.count(NESTING, 1)?;
        let parsed = parse(self);
        self.used[NESTING.0] -= 1;
        parsed
    }

    fn count(&mut self, (place, what, limit): Counted, more: usize) -> Parsed<()> {
        self.used[place] += more;
        bound(what, self.used[place], limit)
    }

    fn count_regex(&mut self, pattern: &str) -> Parsed<()> {
        bound("the length of a regular expression", pattern.len(), REGEX_BYTES_MAX)?;
        self.count(REGEX_BYTES, pattern.len())
    }

    /// A whole expression: operands joined by operators, the tighter ones first.
    fn expression(&mut self) -> Parsed<Expr> {
        let mut operands: Vec<Expr> = Vec::new();
        let mut waiting: Vec<Waiting> = Vec::new();
        loop {
            while let Some((sign, span)) = self.sign()? {
                waiting.push(Waiting::Sign(sign, span));
            }
            let operand = self.primary()?;
            operands.push(self.modified(operand)?);
            let TokenKind::Operator(operator) = self.kind() else { break };
            while let Some(top) = waiting.pop_if(|top| top.goes_before(operator)) {
                self.reduce(top, &mut operands)?;
            }
            self.take();
            self.count(OPERATORS, 1)?;
            waiting.push(Waiting::Operator(Box::new(self.operator_modifiers(operator)?)));
        }
        while let Some(top) = waiting.pop() {
            self.reduce(top, &mut operands)?;
        }
        operands.pop().ok_or_else(|| self.misplaced())
    }

    fn sign(&mut self) -> Parsed<Option<(Sign, Span)>> {
        let sign = match self.kind() {
            TokenKind::Operator(Operator::Add) => Sign::Plus,
            TokenKind::Operator(Operator::Subtract) => Sign::Minus,
            _ => return Ok(None),
        };
        let span = self.take().span;
        self.count(OPERATORS, 1)?;
        Ok(Some((sign, span)))
    }

    /// Applies an operator or a sign to the operands on top of the stack.
    fn reduce(&mut self, top: Waiting, operands: &mut Vec<Expr>) -> Parsed<()> {
        self.count(NODES, 1)?;
        let right = operands.pop().ok_or_else(|| self.misplaced())?;
        let reduced = match top {
            Waiting::Sign(sign, span) => signed(sign, span, right),
            Waiting::Operator(operation) => {
                let left = operands.pop().ok_or_else(|| self.misplaced())?;
                let span = left.span.to(right.span);
                Expr { kind: ExprKind::Binary(Box::new(Binary { operation: *operation, left, right })), span }
            }
        };
        operands.push(reduced);
        Ok(())
    }

    /// What follows an operator: `bool`, `on`, `group_left`, `fill` and their kin.
    fn operator_modifiers(&mut self, operator: Operator) -> Parsed<Operation> {
        let return_bool = self.accept_keyword(Keyword::Bool);
        let mut matching = Matching::default();
        if let Some(labels) = self.grouping(Keyword::On, Keyword::Ignoring)? {
            matching.labels = labels;
            if self.accept_keyword(Keyword::GroupLeft) {
                matching.cardinality = Cardinality::ManyToOne(self.labels_if_any()?);
            } else if self.accept_keyword(Keyword::GroupRight) {
                matching.cardinality = Cardinality::OneToMany(self.labels_if_any()?);
            }
        }
        let mut fill = Fill::default();
        if self.accept_keyword(Keyword::Fill) {
            let value = Some(self.fill_value()?);
            fill = Fill { left: value, right: value };
        }
        // One for each side, in either order.
        while let TokenKind::Keyword(word @ (Keyword::FillLeft | Keyword::FillRight)) = self.kind() {
            let side = if word == Keyword::FillLeft { &mut fill.left } else { &mut fill.right };
            if side.is_some() {
                break;
            }
            self.take();
            *side = Some(self.fill_value()?);
        }
        Ok(Operation { operator, return_bool, matching, fill })
    }

    fn fill_value(&mut self) -> Parsed<f64> {
        self.expect(TokenKind::LeftParen)?;
        let value = self.signed_number()?;
        self.expect(TokenKind::RightParen)?;
        Ok(value)
    }

    /// `("label", other)`, a trailing comma allowed.
    fn labels(&mut self) -> Parsed<Vec<Arc<str>>> {
        let context = "grouping opts";
        if self.accept(TokenKind::LeftParen).is_none() {
            return Err(self.unexpected(context, "\"(\""));
        }
        let mut labels = Vec::new();
        while self.accept(TokenKind::RightParen).is_none() {
            let token = self.token();
            let label: Arc<str> = match token.kind {
                TokenKind::String => self.unquoted(token)?.into(),
                kind if kind.is_label() => self.text_of(token).into(),
                _ => return Err(self.unexpected(context, "label")),
            };
            if label.is_empty() {
                return self.fail(token.span, "invalid label name for grouping: \"\"");
            }
            self.take();
            self.count(NODES, 1)?;
            labels.push(label);
            if self.accept(TokenKind::Comma).is_none() && self.kind() != TokenKind::RightParen {
                return Err(self.unexpected(context, "\",\" or \")\""));
            }
        }
        Ok(labels)
    }

    fn labels_if_any(&mut self) -> Parsed<Vec<Arc<str>>> {
        if self.kind() == TokenKind::LeftParen { self.labels() } else { Ok(Vec::new()) }
    }

    /// An operand without its postfix modifiers.
    fn primary(&mut self) -> Parsed<Expr> {
        use TokenKind::{Duration, Keyword as Word, LeftBrace, LeftParen, Number, RightParen, String};
        self.count(NODES, 1)?;
        let token = self.token();
        let called = self.next_kind() == LeftParen;
        match token.kind {
            LeftParen => {
                self.take();
                let inner = self.nested(Self::expression)?;
                let end = self.expect(RightParen)?.span;
                Ok(Expr { kind: ExprKind::Paren(Box::new(inner)), span: token.span.to(end) })
            }
            String => {
                let value = self.unquoted(token)?;
                self.take();
                Ok(Expr { kind: ExprKind::String(value), span: token.span })
            }
            Number | Duration => Ok(Expr { kind: ExprKind::Number(self.number()?), span: token.span }),
            TokenKind::Aggregation(aggregation)
                if called || matches!(self.next_kind(), Word(Keyword::By | Keyword::Without)) =>
            {
                self.within(("aggregation", ""), |parser| parser.aggregate(aggregation))
            }
            TokenKind::Identifier | Word(Keyword::Start | Keyword::End | Keyword::Step | Keyword::Range)
                if called =>
            {
                self.call()
            }
            kind if kind == LeftBrace || kind.is_metric() => {
                let (selector, span) = self.selector()?;
                Ok(Expr { kind: ExprKind::Selector(Box::new(selector)), span })
            }
            _ => Err(self.misplaced()),
        }
    }

    fn unquoted(&self, token: Token) -> Parsed<String> {
        // The lexer let only whole escapes through, but they may spell bytes that are not a text.
        unquote(self.text_of(token)).ok_or_else(|| self.error(token.span, "invalid UTF-8 rune"))
    }

    /// A number, or the seconds of a duration.
    fn number(&mut self) -> Parsed<f64> {
        let token = self.token();
        let text = self.text_of(token);
        let value = match token.kind {
            TokenKind::Duration => parse_duration_ms(text).map(milliseconds),
            TokenKind::Number => parse_number(text),
            _ => return Err(self.misplaced()),
        };
        let value = value.map_err(|message| self.error(token.span, message))?;
        self.take();
        Ok(value)
    }

    /// A number with at most one sign.
    fn signed_number(&mut self) -> Parsed<f64> {
        let sign = self.sign()?;
        let value = self.number()?;
        Ok(if matches!(sign, Some((Sign::Minus, _))) { -value } else { value })
    }

    /// The arguments of a function or an aggregation, brackets included.
    fn arguments(&mut self) -> Parsed<Vec<Expr>> {
        self.expect(TokenKind::LeftParen)?;
        let mut arguments = Vec::new();
        if self.accept(TokenKind::RightParen).is_some() {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.nested(Self::expression)?);
            if self.accept(TokenKind::RightParen).is_some() {
                return Ok(arguments);
            }
            let comma = self.expect(TokenKind::Comma)?;
            let kind = self.kind();
            if kind != TokenKind::Error && !kind.starts_expression() {
                return self.fail(comma.span, "trailing commas not allowed in function call args");
            }
        }
    }

    fn call(&mut self) -> Parsed<Expr> {
        let name = self.take();
        let arguments = self.arguments()?;
        let text = self.text_of(name);
        let Some(function) = signature(text) else {
            return self.fail(name.span, format!("unknown function with name {}", quote(text)));
        };
        if let ("label_replace", Some(ExprKind::String(pattern))) =
            (function.name, arguments.get(4).map(|pattern| &pattern.kind))
        {
            self.count_regex(pattern)?;
        }
        let span = Span { start: name.span.start, end: self.closing };
        Ok(Expr { kind: ExprKind::Call(Box::new(Call { function, arguments })), span })
    }

    fn aggregate(&mut self, aggregation: Aggregation) -> Parsed<Expr> {
        let start = self.take().span.start;
        let mut grouping = self.grouping(Keyword::By, Keyword::Without)?;
        let mut arguments = self.arguments()?.into_iter();
        if grouping.is_none() {
            grouping = self.grouping(Keyword::By, Keyword::Without)?;
        }
        let span = Span { start, end: self.closing };
        let (found, wanted) = (arguments.len(), 1 + usize::from(aggregation.parameter().is_some()));
        if found == 0 {
            return self.fail(span, "no arguments for aggregate expression provided");
        }
        let parameter = if wanted == 2 { arguments.next() } else { None };
        match (found == wanted, arguments.next()) {
            (true, Some(expr)) => {
                let grouping = grouping.unwrap_or(Grouping::By(Vec::new()));
                let aggregate = Aggregate { aggregation, grouping, parameter, expr };
                Ok(Expr { kind: ExprKind::Aggregate(Box::new(aggregate)), span })
            }
            _ => self.fail(
                span,
                format!(
                    "wrong number of arguments for aggregate expression provided, expected {wanted}, got {found}"
                ),
            ),
        }
    }

    /// The labels behind either of two words: those that count, or those that do not.
    fn grouping(&mut self, by: Keyword, without: Keyword) -> Parsed<Option<Grouping>> {
        Ok(if self.accept_keyword(by) {
            Some(Grouping::By(self.labels()?))
        } else if self.accept_keyword(without) {
            Some(Grouping::Without(self.labels()?))
        } else {
            None
        })
    }
}

enum Waiting {
    Sign(Sign, Span),
    Operator(Box<Operation>),
}

impl Waiting {
    /// Whether it takes the operand before `next` does: it binds more tightly, or as tightly and stands further left.
    fn goes_before(&self, next: Operator) -> bool {
        let own = match self {
            Self::Sign(..) => Operator::Multiply.precedence(),
            Self::Operator(operation) => operation.operator.precedence(),
        };
        own > next.precedence() || (own == next.precedence() && next != Operator::Power)
    }
}

/// A number takes its sign in; anything else is wrapped.
fn signed(sign: Sign, sign_span: Span, operand: Expr) -> Expr {
    let span = sign_span.to(operand.span);
    let kind = match operand.kind {
        ExprKind::Number(value) => ExprKind::Number(if sign == Sign::Minus { -value } else { value }),
        kind => ExprKind::Unary(sign, Box::new(Expr { kind, span: operand.span })),
    };
    Expr { kind, span }
}

#[allow(clippy::cast_precision_loss, reason = "a duration has fewer than 2^53 milliseconds")]
fn milliseconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn bound(what: &'static str, found: usize, limit: usize) -> Parsed<()> {
    if found > limit { Err(ParseError::TooLarge { what, found, limit }) } else { Ok(()) }
}
