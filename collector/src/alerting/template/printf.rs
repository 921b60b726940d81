//! Pure. The format strings of `printf`: parsed and type-checked at load, so that Go's `%!d(float64=5)` cannot happen.

use super::Datum;
use super::gofmt::{exponential, fixed, general};

/// Widths and precisions above this are refused: no alert needs them, and a format must not allocate at will.
const FIELD_MAX: usize = 200;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Format {
    pieces: Vec<Piece>,
}

#[derive(Clone, Debug, PartialEq)]
enum Piece {
    Text(String),
    Verb(Verb),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Verb {
    plus: bool,
    minus: bool,
    zero: bool,
    space: bool,
    width: usize,
    precision: Option<usize>,
    pub(super) letter: char,
}

/// Which arguments a verb takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Number,
    Text,
    Any,
}

impl Verb {
    pub(super) fn takes(&self) -> Takes {
        match self.letter {
            'f' | 'F' | 'e' | 'g' => Takes::Number,
            'v' => Takes::Any,
            _ => Takes::Text,
        }
    }
}

impl Format {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text.chars().peekable();
        while let Some(next) = rest.next() {
            if next != '%' {
                literal.push(next);
            } else if rest.peek() == Some(&'%') {
                rest.next();
                literal.push('%');
            } else {
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(Piece::Verb(verb(&mut rest)?));
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Self { pieces })
    }

    pub(super) fn verbs(&self) -> impl Iterator<Item = &Verb> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Verb(verb) => Some(verb),
            Piece::Text(_) => None,
        })
    }

    /// `data` has one entry for each verb; the template parser saw to that.
    pub(super) fn print(&self, data: &[Datum]) -> String {
        let mut out = String::new();
        let mut data = data.iter();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Verb(verb) => {
                    if let Some(datum) = data.next() {
                        verb.print(datum, &mut out);
                    }
                }
            }
        }
        out
    }
}

fn verb(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Verb, String> {
    let mut verb = Verb::default();
    while let Some(flag) = rest.next_if(|next| "+-0 ".contains(*next)) {
        match flag {
            '+' => verb.plus = true,
            '-' => verb.minus = true,
            '0' => verb.zero = true,
            _ => verb.space = true,
        }
    }
    verb.width = field(rest)?;
    if rest.next_if_eq(&'.').is_some() {
        verb.precision = Some(field(rest)?);
    }
    match rest.next() {
        Some(letter @ ('f' | 'F' | 'e' | 'g' | 'v' | 's' | 'q')) => {
            verb.letter = letter;
            Ok(verb)
        }
        Some('d') => Err("printf verb %d needs an integer and $value is a float; write %.0f".to_owned()),
        Some(other) => {
            Err(format!("printf verb %{other} is not supported; use %f, %e, %g, %s, %q, %v or %%"))
        }
        None => Err("printf format ends after %; write %% for a percent sign".to_owned()),
    }
}

fn field(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<usize, String> {
    let mut number = 0usize;
    while let Some(digit) = rest.next_if(char::is_ascii_digit).and_then(|digit| digit.to_digit(10)) {
        number = number * 10 + usize::try_from(digit).unwrap_or(0);
        if number > FIELD_MAX {
            return Err(format!("printf width or precision is above {FIELD_MAX}"));
        }
    }
    Ok(number)
}

impl Verb {
    fn print(&self, datum: &Datum, out: &mut String) {
        let (body, numeric) = match datum {
            Datum::Number(number) => (self.number(*number), number.is_finite()),
            Datum::Text(text) => {
                let cut: String = match self.precision {
                    Some(count) => text.chars().take(count).collect(),
                    None => text.clone(),
                };
                (if self.letter == 'q' { quote(&cut) } else { cut }, false)
            }
        };
        let missing = self.width.saturating_sub(body.chars().count());
        if self.minus {
            out.push_str(&body);
            out.extend(std::iter::repeat_n(' ', missing));
        } else if self.zero && numeric {
            let signed = usize::from(body.starts_with(['+', '-', ' ']));
            out.push_str(&body[..signed]);
            out.extend(std::iter::repeat_n('0', missing));
            out.push_str(&body[signed..]);
        } else {
            out.extend(std::iter::repeat_n(' ', missing));
            out.push_str(&body);
        }
    }

    fn number(&self, number: f64) -> String {
        let body = match self.letter {
            'f' | 'F' => fixed(number, self.precision.unwrap_or(6)),
            'e' => exponential(number, Some(self.precision.unwrap_or(6))),
            _ => general(number, self.precision),
        };
        if body.starts_with(['-', '+']) {
            body
        } else if self.plus {
            format!("+{body}")
        } else if self.space {
            format!(" {body}")
        } else {
            body
        }
    }
}

/// Go's `%q` for the characters that occur in labels: a double-quoted string with backslash escapes.
fn quote(text: &str) -> String {
    let mut out = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control.is_ascii_control() => {
                out.push_str(&format!("\\x{:02x}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
    out.push('"');
    out
}
