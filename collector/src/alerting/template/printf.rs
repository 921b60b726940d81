//! Pure. The format strings of `printf`: parsed and type-checked at load, so that Go's `%!d(float64=5)` cannot happen.

use std::iter::Peekable;
use std::str::Chars;

use ledgerline_promql::syntax::quote;

use super::Datum;
use super::gofmt::{exponential, fixed, general};

/// Widths and precisions above this are refused: no alert needs them, and a format must not allocate at will.
const FIELD_MAX: u32 = 200;

#[derive(Clone, Debug, Default)]
pub(super) struct Format {
    /// Each with the text before it.
    pub(super) verbs: Vec<(String, Verb)>,
    end: String,
}

#[derive(Clone, Debug)]
pub(super) struct Verb {
    /// Of `+`, `-`, `0` and the space.
    flags: String,
    width: u32,
    precision: Option<u32>,
    pub(super) letter: char,
}

impl Format {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut format = Self::default();
        let mut rest = text.chars().peekable();
        while let Some(next) = rest.next() {
            if next != '%' || rest.next_if_eq(&'%').is_some() {
                format.end.push(next);
            } else {
                format.verbs.push((std::mem::take(&mut format.end), verb(&mut rest)?));
            }
        }
        Ok(format)
    }

    /// `data` has one entry for each verb; the template parser saw to that.
    pub(super) fn print(&self, data: &[Datum]) -> String {
        let verbs = self.verbs.iter().zip(data);
        let printed: String = verbs.map(|((text, verb), datum)| text.clone() + &verb.print(datum)).collect();
        printed + &self.end
    }
}

fn verb(rest: &mut Peekable<Chars<'_>>) -> Result<Verb, String> {
    let flags = std::iter::from_fn(|| rest.next_if(|next| "+-0 ".contains(*next))).collect();
    let width = field(rest)?;
    let precision = if rest.next_if_eq(&'.').is_some() { Some(field(rest)?) } else { None };
    match rest.next() {
        Some(letter @ ('f' | 'F' | 'e' | 'g' | 'v' | 's' | 'q')) => {
            Ok(Verb { flags, width, precision, letter })
        }
        Some('d') => Err("printf verb %d needs an integer and $value is a float; write %.0f".to_owned()),
        Some(other) => {
            Err(format!("printf verb %{other} is not supported; use %f, %e, %g, %s, %q, %v or %%"))
        }
        None => Err("printf format ends after %; write %% for a percent sign".to_owned()),
    }
}

fn field(rest: &mut Peekable<Chars<'_>>) -> Result<u32, String> {
    let mut number = 0;
    while let Some(digit) = rest.peek().and_then(|next| next.to_digit(10)) {
        rest.next();
        number = number * 10 + digit;
        if number > FIELD_MAX {
            return Err(format!("printf width or precision is above {FIELD_MAX}"));
        }
    }
    Ok(number)
}

impl Verb {
    fn print(&self, datum: &Datum) -> String {
        let (mut body, numeric) = match datum {
            Datum::Number(number) => (self.number(*number), number.is_finite()),
            Datum::Text(text) => {
                let text: String =
                    text.chars().take(self.precision.map_or(usize::MAX, |cut| cut as usize)).collect();
                (if self.letter == 'q' { quote(&text) } else { text }, false)
            }
        };
        let missing = (self.width as usize).saturating_sub(body.chars().count());
        if self.flags.contains('-') {
            body + &" ".repeat(missing)
        } else if self.flags.contains('0') && numeric {
            let signed = usize::from(body.starts_with(['+', '-', ' ']));
            body.insert_str(signed, &"0".repeat(missing));
            body
        } else {
            " ".repeat(missing) + &body
        }
    }

    fn number(&self, number: f64) -> String {
        let body = match self.letter {
            'f' | 'F' => fixed(number, self.precision.unwrap_or(6)),
            'e' => exponential(number, Some(self.precision.unwrap_or(6))),
            _ => general(number, self.precision),
        };
        let sign = match body.starts_with(['-', '+']) {
            false if self.flags.contains('+') => "+",
            false if self.flags.contains(' ') => " ",
            _ => "",
        };
        format!("{sign}{body}")
    }
}
