//! Pure. From template text to parts: a scanner for `{{ }}`, a small recursive-descent parser, and the type check.

use ledgerline_promql::syntax::read_string;

use super::printf::Format;
use super::value::{FUNCTIONS, Function};
use super::{Expr, Part};
use crate::alerting::sample::is_label_name;

/// Nesting of parentheses; deeper input is refused instead of recursing.
const DEPTH_MAX: usize = 16;

/// What Go's templates take for white space.
const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];

const SUPPORTED: &str = "supported are $value, $labels.name, $externalLabels.name, strings, pipes, and the functions printf, humanize, \
                         humanize1024, humanizeDuration, humanizePercentage, title, toUpper, toLower, query with first and value";

const UNREAD: &str =
    "a query is one text without a query in it, and its answer is read as a whole: query | first | value";

/// Why a template was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template, character {position}: {message}")]
pub struct TemplateError {
    /// Of a character, from 1.
    pub position: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    /// A pipe or a parenthesis.
    Sign(char),
    /// `}}`; true if `-}}` asks to trim the text that follows.
    End(bool),
}

struct Scanner<'a> {
    source: &'a str,
    /// Byte offset of the next character.
    at: usize,
    /// Whether white space stood before `at`.
    spaced: bool,
}

pub(super) fn parse(source: &str) -> Result<Vec<Part>, TemplateError> {
    let mut scanner = Scanner { source, at: 0, spaced: false };
    let mut parts = Vec::new();
    let mut trim_next = false;
    loop {
        let (text, action) = match scanner.rest().split_once("{{") {
            Some((text, action)) => (text, Some(action)),
            None => (scanner.rest(), None),
        };
        // `{{- ` with white space after the minus; `{{-3` would be a number.
        let trims =
            action.and_then(|action| action.strip_prefix('-')).is_some_and(|rest| rest.starts_with(SPACE));
        scanner.at += text.len() + 2 + usize::from(trims);
        let text = if trim_next { text.trim_start_matches(SPACE) } else { text };
        let text = if trims { text.trim_end_matches(SPACE) } else { text };
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        if action.is_none() {
            return Ok(parts);
        }
        scanner.skip_space();
        let start = scanner.at;
        let (expr, Token::End(trims)) = scanner.pipeline(0)? else {
            return scanner.error(start, "closing parenthesis without an opening one");
        };
        if expr.kind() == Kind::Unread {
            return scanner.error(start, UNREAD);
        }
        parts.push(Part::Action(expr));
        trim_next = trims;
    }
}

impl<'a> Scanner<'a> {
    fn error<T>(&self, at: usize, message: impl Into<String>) -> Result<T, TemplateError> {
        let position = self.source[..at].chars().count() + 1;
        Err(TemplateError { position, message: message.into() })
    }

    fn rest(&self) -> &'a str {
        &self.source[self.at..]
    }

    /// Commands joined by `|`; returns the token that ended it, `End` or the sign `)`.
    fn pipeline(&mut self, depth: usize) -> Result<(Expr, Token), TemplateError> {
        if depth > DEPTH_MAX {
            return self.error(self.at, format!("parentheses nest deeper than {DEPTH_MAX}"));
        }
        let mut piped: Option<Expr> = None;
        loop {
            self.skip_space();
            let start = self.at;
            let mut words = Vec::new();
            let ended_by = loop {
                self.skip_space();
                let at = self.at;
                let word = match self.token()? {
                    Token::Sign('(') => match self.pipeline(depth + 1)? {
                        (inner, Token::Sign(_)) => Word::Operand(inner),
                        _ => return self.error(at, "parenthesis is not closed"),
                    },
                    Token::Word(word) => self.word(at, &word)?,
                    Token::Text(text) => Word::Operand(Expr::Text(text)),
                    end @ (Token::Sign(_) | Token::End(_)) => break end,
                };
                words.push((at, word));
            };
            let expr = self.command(start, words, piped.take())?;
            if ended_by != Token::Sign('|') {
                return Ok((expr, ended_by));
            }
            piped = Some(expr);
        }
    }

    /// A value alone, or a function with its arguments; a piped value becomes the last argument.
    fn command(
        &self,
        start: usize,
        words: Vec<(usize, Word)>,
        piped: Option<Expr>,
    ) -> Result<Expr, TemplateError> {
        let mut words = words.into_iter();
        let Some((at, first)) = words.next() else {
            return self.error(start, "a value is missing here");
        };
        let mut arguments = Vec::new();
        for (at, word) in words {
            let Word::Operand(expr) = word else {
                return self.error(at, "a function as an argument needs parentheses around its call");
            };
            arguments.push(expr);
        }
        arguments.extend(piped);
        match first {
            Word::Operand(expr) if arguments.is_empty() => Ok(expr),
            Word::Operand(_) => self.error(at, "only a function can take arguments or a piped value"),
            Word::Printf => self.printf(at, arguments),
            Word::Function(function) => {
                let Ok([argument]) = <[Expr; 1]>::try_from(arguments) else {
                    return self.error(at, "this function takes exactly one argument");
                };
                match argument.kind() {
                    Kind::Number if matches!(function, Function::Text(_)) => self.error(
                        at,
                        "this function needs text and got a number; format it first, for example with printf \"%.2f\"",
                    ),
                    Kind::Labels => self.error(at, "name one label, for example $labels.team"),
                    Kind::Unread => self.error(at, UNREAD),
                    Kind::Number | Kind::Text => Ok(Expr::Call(function, Box::new(argument))),
                }
            }
            Word::Query(step) => match (step, <[Expr; 1]>::try_from(arguments)) {
                ("query", Ok([text])) if text.kind() == Kind::Text && !text.asks() => {
                    Ok(Expr::Vector(Box::new(text)))
                }
                ("first", Ok([Expr::Vector(text)])) => Ok(Expr::First(text)),
                ("value", Ok([Expr::First(text)])) => Ok(Expr::Answer(text)),
                _ => self.error(at, UNREAD),
            },
        }
    }

    fn printf(&self, at: usize, arguments: Vec<Expr>) -> Result<Expr, TemplateError> {
        let mut arguments = arguments.into_iter();
        let Some(Expr::Text(format)) = arguments.next() else {
            return self
                .error(at, "printf needs a format in quotes first, for example printf \"%.2f\" $value");
        };
        let format = Format::parse(&format).or_else(|message| self.error(at, message))?;
        let arguments: Vec<Expr> = arguments.collect();
        let (wanted, got) = (format.verbs.len(), arguments.len());
        if wanted != got {
            return self.error(at, format!("printf has {wanted} verbs and {got} values; they must match"));
        }
        for ((_, verb), argument) in format.verbs.iter().zip(&arguments) {
            let kind = argument.kind();
            let message = match verb.letter {
                _ if kind == Kind::Unread => UNREAD.to_owned(),
                letter @ ('s' | 'q') if kind != Kind::Text => {
                    format!("printf verb %{letter} needs text; use %v, %f, %e or %g for a number")
                }
                letter @ ('f' | 'F' | 'e' | 'g') if kind != Kind::Number => {
                    format!("printf verb %{letter} needs a number; use %s or %v for text")
                }
                _ => continue,
            };
            return self.error(at, message);
        }
        Ok(Expr::Printf(format, arguments))
    }

    fn skip_space(&mut self) {
        let trimmed = self.rest().trim_start_matches(SPACE);
        self.spaced = trimmed.len() < self.rest().len();
        self.at = self.source.len() - trimmed.len();
    }

    fn token(&mut self) -> Result<Token, TemplateError> {
        let (at, rest) = (self.at, self.rest());
        let Some(first) = rest.chars().next() else {
            return self.error(at, "{{ is not closed; write }} after the expression");
        };
        let (token, length) = match first {
            '}' if rest.starts_with("}}") => (Token::End(false), 2),
            '-' if self.spaced && rest.starts_with("-}}") => (Token::End(true), 3),
            '|' | '(' | ')' => (Token::Sign(first), 1),
            '"' | '`' => {
                let (length, bytes) = read_string(rest).or_else(|message| self.error(at, message))?;
                let text = String::from_utf8(bytes).or_else(|_| self.error(at, "string is not UTF-8"))?;
                (Token::Text(text), length)
            }
            _ => {
                let is_in_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '$' | '.' | '_');
                let length = rest.find(|letter| !is_in_word(letter)).unwrap_or(rest.len());
                if length == 0 {
                    return self.error(at, format!("{first:?} is not supported; {SUPPORTED}"));
                }
                (Token::Word(rest[..length].to_owned()), length)
            }
        };
        self.at += length;
        Ok(token)
    }

    fn word(&self, at: usize, word: &str) -> Result<Word, TemplateError> {
        if word == "printf" {
            return Ok(Word::Printf);
        }
        if let Some(step) = ["query", "first", "value"].into_iter().find(|step| *step == word) {
            return Ok(Word::Query(step));
        }
        if let Some((_, function)) = FUNCTIONS.iter().find(|(name, _)| *name == word) {
            return Ok(Word::Function(function));
        }
        let of = |prefixes: [&str; 2]| prefixes.iter().find_map(|prefix| word.strip_prefix(prefix));
        let (own, external) = (of(["$labels.", ".Labels."]), of(["$externalLabels.", ".ExternalLabels."]));
        Ok(Word::Operand(match (word, own, external) {
            ("$value" | ".Value", ..) => Expr::Value,
            ("$labels" | ".Labels", ..) => Expr::AllLabels,
            (_, Some(name), _) | (_, _, Some(name)) if !is_label_name(name) => {
                return self.error(at, format!("{name:?} is not a label name"));
            }
            (_, Some(name), _) => Expr::Label(name.to_owned()),
            // There are no external labels here, so each of them is empty, as a missing one is in Prometheus.
            (_, _, Some(_)) => Expr::Text(String::new()),
            _ => return self.error(at, format!("{word:?} is not supported; {SUPPORTED}")),
        }))
    }
}

enum Word {
    Operand(Expr),
    Printf,
    Function(&'static Function),
    /// `query`, `first` or `value`.
    Query(&'static str),
}

/// What an expression gives.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Number,
    Text,
    Labels,
    /// A query's answer of which no number was taken.
    Unread,
}

impl Expr {
    const fn kind(&self) -> Kind {
        match self {
            Self::Value | Self::Answer(_) => Kind::Number,
            Self::Label(_) | Self::Text(_) | Self::Printf(..) | Self::Call(..) => Kind::Text,
            Self::AllLabels => Kind::Labels,
            Self::Vector(_) | Self::First(_) => Kind::Unread,
        }
    }

    /// Whether a query is in it.
    fn asks(&self) -> bool {
        match self {
            Self::Vector(_) | Self::First(_) | Self::Answer(_) => true,
            Self::Printf(_, arguments) => arguments.iter().any(Self::asks),
            Self::Call(_, argument) => argument.asks(),
            Self::Value | Self::AllLabels | Self::Label(_) | Self::Text(_) => false,
        }
    }
}
