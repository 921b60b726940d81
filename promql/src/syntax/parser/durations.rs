//! Pure: durations with their arithmetic. After `offset` an operator ends a bare duration, so that `a offset 5m + b` adds; in
//! brackets and parentheses it goes on.

use super::{NODES, OPERATORS, Parsed, Parser};
use crate::syntax::ast::{Binary, Call, Expr, ExprKind, Fill, Matching, Operation, Operator, Sign, Span};
use crate::syntax::duration::SECONDS_MAX;
use crate::syntax::signatures::signature;
use crate::syntax::token::{Keyword, TokenKind};

impl Parser<'_> {
    pub(super) fn positive_duration(&mut self) -> Parsed<Expr> {
        let duration = self.duration(0)?;
        match duration.kind {
            ExprKind::Number(seconds) if seconds <= 0.0 || seconds.is_nan() => {
                self.fail(duration.span, "duration must be greater than 0")
            }
            _ => Ok(duration),
        }
    }

    pub(super) fn offset_duration(&mut self) -> Parsed<Expr> {
        let start = self.token().span;
        match (self.sign()?, self.kind()) {
            (Some((sign, _)), TokenKind::LeftParen) => Ok(signed(sign, start, self.duration_operand()?)),
            (Some((sign, _)), _) => Ok(signed(sign, start, self.duration_primary()?)),
            (None, TokenKind::LeftParen) => self.duration(0),
            (None, _) => self.duration_primary(),
        }
    }

    /// An expression of operators that bind at least this tightly.
    fn duration(&mut self, least: u8) -> Parsed<Expr> {
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
            self.count(OPERATORS, 1)?;
            let right_least = if operator == Power { precedence } else { precedence + 1 };
            let right = self.nested(|parser| parser.duration(right_least))?;
            if let (&ExprKind::Number(number), Divide | Modulo) = (&right.kind, operator)
                && number == 0.0
            {
                let what = if operator == Divide { "division" } else { "modulo" };
                return self.fail(place, format!("{what} by zero"));
            }
            let span = left.span.to(right.span);
            let (matching, fill) = (Matching::default(), Fill::default());
            let operation = Operation { operator, return_bool: false, matching, fill };
            let binary = Binary { operation, left, right };
            left = Expr { kind: ExprKind::Binary(Box::new(binary)), span };
            self.count(NODES, 1)?;
        }
    }

    /// One operand, signs included. A sign binds as `*` does.
    fn duration_operand(&mut self) -> Parsed<Expr> {
        let start = self.token().span;
        if let Some((sign, _)) = self.sign()? {
            let operand = self.nested(|parser| parser.duration(Operator::Multiply.precedence() + 1))?;
            return Ok(signed(sign, start, operand));
        }
        if self.accept(TokenKind::LeftParen).is_some() {
            let inner = self.nested(|parser| parser.duration(0))?;
            let end = self.expect(TokenKind::RightParen)?.span;
            return Ok(Expr { kind: ExprKind::Paren(Box::new(inner)), span: start.to(end) });
        }
        self.duration_primary()
    }

    /// A number or one of the functions of durations.
    fn duration_primary(&mut self) -> Parsed<Expr> {
        self.count(NODES, 1)?;
        let token = self.token();
        let kind = match token.kind {
            TokenKind::Number | TokenKind::Duration => {
                let number = self.number()?;
                if number.abs() > SECONDS_MAX {
                    return self.fail(token.span, "duration out of range");
                }
                ExprKind::Number(number)
            }
            TokenKind::Keyword(Keyword::Step | Keyword::Range) => {
                self.take();
                let name = self.text_of(token);
                self.expect(TokenKind::LeftParen)?;
                self.expect(TokenKind::RightParen)?;
                self.duration_call(&name.to_ascii_lowercase(), Vec::new())?
            }
            // Named min and max before Prometheus 3.13.
            TokenKind::Aggregation(_) | TokenKind::Identifier => {
                let name = match self.text_of(token).to_ascii_lowercase().as_str() {
                    "min" | "min_of" => "min_of",
                    "max" | "max_of" => "max_of",
                    _ => return Err(self.misplaced()),
                };
                self.take();
                self.expect(TokenKind::LeftParen)?;
                let left = self.nested(|parser| parser.duration(0))?;
                self.expect(TokenKind::Comma)?;
                let right = self.nested(|parser| parser.duration(0))?;
                self.expect(TokenKind::RightParen)?;
                self.duration_call(name, vec![left, right])?
            }
            _ => return Err(self.misplaced()),
        };
        Ok(Expr { kind, span: Span { start: token.span.start, end: self.closing } })
    }

    fn duration_call(&self, name: &str, arguments: Vec<Expr>) -> Parsed<ExprKind> {
        let function = signature(name).ok_or_else(|| self.misplaced())?;
        Ok(ExprKind::Call(Box::new(Call { function, arguments })))
    }
}

/// A number takes its sign in; `+` is nothing.
fn signed(sign: Sign, start: Span, operand: Expr) -> Expr {
    match sign {
        Sign::Plus => Expr { span: start.to(operand.span), ..operand },
        Sign::Minus => super::signed(sign, start, operand),
    }
}
