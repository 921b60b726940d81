//! Pure: selectors with their braces, and what may follow an operand: `[]`, `offset`, `@`, `anchored`, `smoothed`.

use super::{MATCHERS, NODES, Parsed, Parser};
use crate::labels::METRIC_NAME;
use crate::syntax::ast::{
    At, Expr, ExprKind, LabelMatcher, MatchKind, Modifiers, Operator, RangeMode, RangeSelector, Selector,
    Span, Subquery,
};
use crate::syntax::token::{Keyword, TokenKind};

const IN_LABELS: &str = "label matching";
const DURATION: &str = "number, duration, step(), or range()";

impl Parser<'_> {
    /// `metric`, `metric{...}` or `{...}`.
    pub(super) fn selector(&mut self) -> Parsed<(Selector, Span)> {
        let mut selector = Selector::default();
        let mut span = self.token().span;
        if self.kind() != TokenKind::LeftBrace {
            let name = self.take();
            selector.name = Some(self.text_of(name).to_owned());
        }
        if self.accept(TokenKind::LeftBrace).is_some() {
            while self.accept(TokenKind::RightBrace).is_none() {
                let matcher = self.matcher()?;
                selector.matchers.push(matcher);
                if self.accept(TokenKind::Comma).is_none() && self.kind() != TokenKind::RightBrace {
                    return Err(self.unexpected(IN_LABELS, "\",\" or \"}\""));
                }
            }
            span.end = self.closing;
        }
        Ok((selector, span))
    }

    fn matcher(&mut self) -> Parsed<LabelMatcher> {
        self.count(MATCHERS, 1)?;
        let token = self.token();
        let name = match token.kind {
            TokenKind::Identifier => self.text_of(token).to_owned(),
            TokenKind::String => self.unquoted(token)?,
            _ => return Err(self.unexpected(IN_LABELS, "identifier or \"}\"")),
        };
        self.take();
        let kind = match self.kind() {
            TokenKind::Assign => MatchKind::Equal,
            TokenKind::Operator(Operator::NotEqual) => MatchKind::NotEqual,
            TokenKind::MatchRegex => MatchKind::Regex,
            TokenKind::NotMatchRegex => MatchKind::NotRegex,
            // A quoted name alone is the metric's.
            _ if token.kind == TokenKind::String => {
                let (kind, label) = (MatchKind::Equal, METRIC_NAME.to_owned());
                return Ok(LabelMatcher { name: label, kind, value: name, span: token.span });
            }
            _ => return Err(self.unexpected(IN_LABELS, "label matching operator")),
        };
        self.take();
        if self.kind() != TokenKind::String {
            return Err(self.unexpected(IN_LABELS, "string"));
        }
        let value = self.unquoted(self.token())?;
        let span = token.span.to(self.take().span);
        if matches!(kind, MatchKind::Regex | MatchKind::NotRegex) {
            self.count_regex(&value)?;
        }
        Ok(LabelMatcher { name, kind, value, span })
    }

    /// An operand with everything that follows it.
    pub(super) fn modified(&mut self, operand: Expr) -> Parsed<Expr> {
        let mut expr = operand;
        loop {
            match self.kind() {
                TokenKind::LeftBracket => expr = self.bracket(expr)?,
                TokenKind::Keyword(Keyword::Offset) => self.offset(&mut expr)?,
                TokenKind::At => self.at(&mut expr)?,
                TokenKind::Keyword(Keyword::Anchored) => self.range_mode(&mut expr, RangeMode::Anchored)?,
                TokenKind::Keyword(Keyword::Smoothed) => self.range_mode(&mut expr, RangeMode::Smoothed)?,
                _ => return Ok(expr),
            }
            self.count(NODES, 1)?;
        }
    }

    /// `[5m]` or `[1h:5m]`.
    fn bracket(&mut self, operand: Expr) -> Parsed<Expr> {
        let open = self.take().span;
        let range = self.within(("subquery or range selector", DURATION), Self::positive_duration)?;
        if self.accept(TokenKind::Colon).is_some() {
            let step = if self.kind() == TokenKind::RightBracket {
                None
            } else {
                let expected = "number, duration, step(), range(), or \"]\"";
                Some(self.within(("subquery selector", expected), Self::positive_duration)?)
            };
            if self.accept(TokenKind::RightBracket).is_none() {
                return Err(self.unexpected("subquery selector", "\"]\""));
            }
            let span = Span { start: operand.span.start, end: self.closing };
            let subquery = Subquery { expr: operand, range, step, modifiers: Modifiers::default() };
            return Ok(Expr { kind: ExprKind::Subquery(Box::new(subquery)), span });
        }
        let Some(close) = self.accept(TokenKind::RightBracket) else {
            return Err(self.unexpected("subquery or range", "\":\" or \"]\""));
        };
        let brackets = open.to(close.span);
        let ExprKind::Selector(selector) = operand.kind else {
            return self.fail(brackets, "ranges only allowed for vector selectors");
        };
        if matches!(&selector.modifiers.offset, Some(Expr { kind: ExprKind::Number(_), .. })) {
            return self.fail(brackets, "no offset modifiers allowed before range");
        }
        if matches!(selector.modifiers.at, Some(At::Time(_))) {
            return self.fail(brackets, "no @ modifiers allowed before range");
        }
        let span = operand.span.to(brackets);
        Ok(Expr { kind: ExprKind::Range(Box::new(RangeSelector { selector: *selector, range })), span })
    }

    fn offset(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.take();
        let offset = self.within(("offset", DURATION), Self::offset_duration)?;
        let span = expr.span;
        let modifiers = self.modifiers(expr, "offset")?;
        if modifiers.offset.is_some() {
            return self.fail(span, "offset may not be set multiple times");
        }
        // An offset of nothing is no offset, also in Prometheus.
        let nothing = matches!(offset.kind, ExprKind::Number(seconds) if seconds == 0.0);
        modifiers.offset = (!nothing).then_some(offset);
        expr.span.end = self.closing;
        Ok(())
    }

    fn at(&mut self, expr: &mut Expr) -> Parsed<()> {
        self.take();
        let span = expr.span;
        let at = self.within(("@", "timestamp"), |parser| {
            let at = match parser.kind() {
                TokenKind::Keyword(Keyword::Start) => At::Start,
                TokenKind::Keyword(Keyword::End) => At::End,
                _ => {
                    let seconds = parser.signed_number()?;
                    let message = || format!("timestamp out of bounds for @ modifier: {seconds:.6}");
                    return timestamp(seconds).ok_or_else(|| parser.error(span, message()));
                }
            };
            parser.take();
            parser.expect(TokenKind::LeftParen)?;
            parser.expect(TokenKind::RightParen)?;
            Ok(at)
        })?;
        let modifiers = self.modifiers(expr, "@")?;
        if modifiers.at.is_some() {
            return self.fail(span, "@ <timestamp> may not be set multiple times");
        }
        modifiers.at = Some(at);
        expr.span.end = self.closing;
        Ok(())
    }

    /// Where the offset and the `@` of an expression are kept, if it can have any.
    fn modifiers<'e>(&self, expr: &'e mut Expr, name: &str) -> Parsed<&'e mut Modifiers> {
        match &mut expr.kind {
            ExprKind::Selector(selector) => Ok(&mut selector.modifiers),
            ExprKind::Range(range) => Ok(&mut range.selector.modifiers),
            ExprKind::Subquery(subquery) => Ok(&mut subquery.modifiers),
            _ => {
                let before = "an instant vector selector or range vector selector or a subquery";
                self.fail(expr.span, format!("{name} modifier must be preceded by {before}"))
            }
        }
    }

    fn range_mode(&mut self, expr: &mut Expr, mode: RangeMode) -> Parsed<()> {
        self.take();
        let name = mode.name();
        let slot = match &mut expr.kind {
            ExprKind::Selector(selector) => &mut selector.mode,
            ExprKind::Range(range) => &mut range.selector.mode,
            ExprKind::Subquery(_) => {
                return self.fail(expr.span, format!("{name} modifier is not supported for subqueries"));
            }
            _ => return self.fail(expr.span, format!("{name} modifier not implemented")),
        };
        if slot.replace(mode).is_some_and(|before| before != mode) {
            return self.fail(expr.span, "anchored and smoothed modifiers cannot be used together");
        }
        Ok(())
    }
}

/// Seconds as milliseconds since 1970, if they fit.
#[allow(
    clippy::cast_possible_truncation,
    reason = "out of 64 bits means the far end of time, which no data reaches"
)]
fn timestamp(seconds: f64) -> Option<At> {
    const BOUND: f64 = 9_223_372_036_854_775_807.0;
    (seconds > -BOUND && seconds < BOUND).then(|| At::Time((seconds * 1000.0).round() as i64))
}
