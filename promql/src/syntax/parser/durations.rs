//! Pure: durations with their arithmetic. After `offset` an operator ends a bare duration, so that `a offset 5m + b` adds; in
//! brackets and parentheses it goes on.

use super::{Parsed, Parser};
use crate::syntax::ast::{Duration, DurationKind, Number, Operator, Sign, Span};
use crate::syntax::duration::SECONDS_MAX;
use crate::syntax::token::{Keyword, TokenKind};

impl Parser<'_> {
    /// A range or a step.
    pub(super) fn positive_duration(&mut self) -> Parsed<Duration> {
        let mut duration = self.duration(0)?;
        if let DurationKind::Number(number) = &mut duration.kind {
            if number.value <= 0.0 || number.value.is_nan() {
                return self.fail(duration.span, "duration must be greater than 0");
            }
            // Alone, 300 and 5m are the same and print alike.
            number.duration = true;
        }
        Ok(duration)
    }

    /// What follows `offset`.
    pub(super) fn offset_duration(&mut self) -> Parsed<Duration> {
        let start = self.token().span;
        let mut duration = match self.sign()? {
            Some((sign, _)) => {
                let operand = match self.kind() {
                    TokenKind::LeftParen => self.duration_operand()?,
                    _ => self.duration_primary()?,
                };
                signed(sign, start, operand)
            }
            None if self.kind() == TokenKind::LeftParen => self.duration(0)?,
            None => self.duration_primary()?,
        };
        if let DurationKind::Number(number) = &mut duration.kind {
            number.duration = true;
        }
        Ok(duration)
    }

    /// An expression of operators that bind at least this tightly.
    fn duration(&mut self, least: u8) -> Parsed<Duration> {
        let mut left = self.duration_operand()?;
        loop {
            use Operator::{Add, Divide, Modulo, Multiply, Power, Subtract};
            let TokenKind::Operator(operator @ (Add | Subtract | Multiply | Divide | Modulo | Power)) =
                self.kind()
            else {
                return Ok(left);
            };
            let precedence = operator.precedence();
            if precedence < least {
                return Ok(left);
            }
            let place = self.take().span;
            self.count_operator()?;
            let right_least = if operator == Power { precedence } else { precedence + 1 };
            let right = self.nested(|parser| parser.duration(right_least))?;
            if let (DurationKind::Number(number), Divide | Modulo) = (&right.kind, operator)
                && number.value == 0.0
            {
                let what = if operator == Divide { "division" } else { "modulo" };
                return self.fail(place, format!("{what} by zero"));
            }
            let span = left.span.to(right.span);
            left = Duration { kind: DurationKind::Binary(operator, Box::new(left), Box::new(right)), span };
            self.count_node()?;
        }
    }

    /// One operand, signs included. A sign binds as `*` does.
    fn duration_operand(&mut self) -> Parsed<Duration> {
        let start = self.token().span;
        if let Some((sign, _)) = self.sign()? {
            let operand = self.nested(|parser| parser.duration(Operator::Multiply.precedence() + 1))?;
            return Ok(signed(sign, start, operand));
        }
        if self.accept(TokenKind::LeftParen).is_some() {
            let inner = self.nested(|parser| parser.duration(0))?;
            let end = self.expect(TokenKind::RightParen)?.span;
            return Ok(Duration { kind: DurationKind::Paren(Box::new(inner)), span: start.to(end) });
        }
        self.duration_primary()
    }

    /// A number or one of the functions of durations.
    fn duration_primary(&mut self) -> Parsed<Duration> {
        self.count_node()?;
        let token = self.token();
        let kind = match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                let number = self.number()?;
                if number.value.abs() > SECONDS_MAX {
                    return self.fail(token.span, "duration out of range");
                }
                DurationKind::Number(number)
            }
            TokenKind::Keyword(keyword @ (Keyword::Step | Keyword::Range)) => {
                self.take();
                self.expect(TokenKind::LeftParen)?;
                self.expect(TokenKind::RightParen)?;
                if keyword == Keyword::Step { DurationKind::Step } else { DurationKind::Range }
            }
            // Named min and max before Prometheus 3.13.
            TokenKind::Aggregation(_) | TokenKind::Identifier => {
                let make = match self.text_of(token).to_ascii_lowercase().as_str() {
                    "min" | "min_of" => DurationKind::Least,
                    "max" | "max_of" => DurationKind::Greatest,
                    _ => return Err(self.misplaced()),
                };
                self.take();
                self.expect(TokenKind::LeftParen)?;
                let left = self.nested(|parser| parser.duration(0))?;
                self.expect(TokenKind::Comma)?;
                let right = self.nested(|parser| parser.duration(0))?;
                self.expect(TokenKind::RightParen)?;
                make(Box::new(left), Box::new(right))
            }
            _ => return Err(self.misplaced()),
        };
        Ok(Duration { kind, span: Span { start: token.span.start, end: self.closing } })
    }
}

/// A number takes its sign in; `+` is nothing.
fn signed(sign: Sign, start: Span, operand: Duration) -> Duration {
    let span = start.to(operand.span);
    let kind = match (sign, operand.kind) {
        (Sign::Plus, kind) => kind,
        (Sign::Minus, DurationKind::Number(Number { value, duration })) => {
            DurationKind::Number(Number { value: -value, duration })
        }
        (Sign::Minus, kind) => DurationKind::Negate(Box::new(Duration { kind, span: operand.span })),
    };
    Duration { kind, span }
}
