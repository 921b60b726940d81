//! Pure. From template text to parts: a scanner for `{{ }}`, a small recursive-descent parser, and the type check.

use super::printf::{Format, Takes};
use super::{Expr, Function, Part};

/// Nesting of parentheses; deeper input is refused instead of recursing.
const DEPTH_MAX: usize = 16;

const SUPPORTED: &str = "supported are $value, $labels.name, $externalLabels.name, strings, pipes, and the functions printf, humanize, \
                         humanize1024, humanizeDuration, humanizePercentage, title, toUpper, toLower";

/// Why a template was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("template, character {position}: {message}")]
pub struct TemplateError {
    /// Character offset in the template, from 1.
    pub position: usize,
    /// What is wrong and what to write instead.
    pub message: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Pipe,
    Open,
    Close,
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
        let rest = &source[scanner.at..];
        let open = rest.find("{{");
        let mut text = &rest[..open.unwrap_or(rest.len())];
        if trim_next {
            text = text.trim_start_matches([' ', '\t', '\r', '\n']);
        }
        if let Some(open) = open {
            scanner.at += open + 2;
            if scanner.trims_before() {
                text = text.trim_end_matches([' ', '\t', '\r', '\n']);
                scanner.at += 1;
            }
        }
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        if open.is_none() {
            return Ok(parts);
        }
        let (expr, trims) = scanner.action()?;
        parts.push(Part::Action(expr));
        trim_next = trims;
    }
}

impl Scanner<'_> {
    fn error<T>(&self, at: usize, message: impl Into<String>) -> Result<T, TemplateError> {
        let position = self.source[..at].chars().count() + 1;
        Err(TemplateError { position, message: message.into() })
    }

    /// `{{- ` with white space after the minus; `{{-3` would be a number.
    fn trims_before(&self) -> bool {
        let rest = &self.source[self.at..];
        rest.starts_with('-') && rest[1..].starts_with([' ', '\t', '\r', '\n'])
    }

    /// One action up to and including `}}`.
    fn action(&mut self) -> Result<(Expr, bool), TemplateError> {
        self.skip_space();
        let start = self.at;
        match self.pipeline(0)? {
            (expr, Token::End(trims)) => Ok((expr, trims)),
            _ => self.error(start, "closing parenthesis without an opening one"),
        }
    }

    /// Commands joined by `|`; returns the token that ended it, `End` or `Close`.
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
                match self.token()? {
                    Token::Open => {
                        let (inner, end) = self.pipeline(depth + 1)?;
                        if end != Token::Close {
                            return self.error(at, "parenthesis is not closed");
                        }
                        words.push((at, Word::Operand(inner)));
                    }
                    Token::Word(word) => words.push((at, self.word(at, &word)?)),
                    Token::Text(text) => words.push((at, Word::Operand(Expr::Text(text)))),
                    end @ (Token::Pipe | Token::Close | Token::End(_)) => break end,
                }
            };
            let expr = self.command(start, words, piped.take())?;
            if ended_by != Token::Pipe {
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
            match word {
                Word::Operand(expr) => arguments.push(expr),
                Word::Printf | Word::Function(_) => {
                    return self.error(at, "a function as an argument needs parentheses around its call");
                }
            }
        }
        let has_arguments = piped.is_some() || !arguments.is_empty();
        arguments.extend(piped);
        match first {
            Word::Operand(expr) if !has_arguments => Ok(expr),
            Word::Operand(_) => self.error(at, "only a function can take arguments or a piped value"),
            Word::Printf => self.printf(at, arguments),
            Word::Function(function) => {
                let mut arguments = arguments.into_iter();
                let (Some(argument), None) = (arguments.next(), arguments.next()) else {
                    return self.error(at, "this function takes exactly one argument");
                };
                match (function, kind(&argument)) {
                    (Function::Title | Function::ToUpper | Function::ToLower, Kind::Number) => self.error(
                        at,
                        "this function needs text and got a number; format it first, for example with printf \"%.2f\"",
                    ),
                    (_, Kind::Labels) => self.error(at, "name one label, for example $labels.team"),
                    _ => Ok(Expr::Call(function, Box::new(argument))),
                }
            }
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
        let wanted = format.verbs().count();
        if wanted != arguments.len() {
            let got = arguments.len();
            return self.error(at, format!("printf has {wanted} verbs and {got} values; they must match"));
        }
        for (verb, argument) in format.verbs().zip(&arguments) {
            let fits = match (verb.takes(), kind(argument)) {
                (Takes::Any, _) | (Takes::Number, Kind::Number) | (Takes::Text, Kind::Text) => true,
                (Takes::Number | Takes::Text, _) => false,
            };
            if !fits {
                let letter = verb.letter;
                let message = match verb.takes() {
                    Takes::Number => format!("printf verb %{letter} needs a number; use %s or %v for text"),
                    _ => format!("printf verb %{letter} needs text; use %v, %f, %e or %g for a number"),
                };
                return self.error(at, message);
            }
        }
        Ok(Expr::Printf(format, arguments))
    }

    fn skip_space(&mut self) {
        let rest = &self.source[self.at..];
        let trimmed = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        self.spaced = trimmed.len() < rest.len();
        self.at += rest.len() - trimmed.len();
    }

    fn token(&mut self) -> Result<Token, TemplateError> {
        let at = self.at;
        let trimmed = &self.source[at..];
        let Some(first) = trimmed.chars().next() else {
            return self.error(at, "{{ is not closed; write }} after the expression");
        };
        let (token, length) = match first {
            '}' if trimmed.starts_with("}}") => (Token::End(false), 2),
            '-' if self.spaced && trimmed.starts_with("-}}") => (Token::End(true), 3),
            '|' => (Token::Pipe, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '"' => return self.quoted(),
            '`' => {
                let Some(length) = trimmed[1..].find('`') else {
                    return self.error(at, "string is not closed");
                };
                (Token::Text(trimmed[1..=length].to_owned()), length + 2)
            }
            _ => {
                let word: String = trimmed
                    .chars()
                    .take_while(|letter| letter.is_alphanumeric() || matches!(letter, '$' | '.' | '_'))
                    .collect();
                if word.is_empty() {
                    return self.error(at, format!("{first:?} is not supported; {SUPPORTED}"));
                }
                let length = word.len();
                (Token::Word(word), length)
            }
        };
        self.at += length;
        Ok(token)
    }

    fn quoted(&mut self) -> Result<Token, TemplateError> {
        let start = self.at;
        let mut text = String::new();
        let mut letters = self.source[start + 1..].char_indices();
        while let Some((offset, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.at = start + 1 + offset + 1;
                    return Ok(Token::Text(text));
                }
                '\n' => break,
                '\\' => match letters.next() {
                    Some((_, 'n')) => text.push('\n'),
                    Some((_, 't')) => text.push('\t'),
                    Some((_, 'r')) => text.push('\r'),
                    Some((_, same @ ('"' | '\\'))) => text.push(same),
                    _ => {
                        return self
                            .error(start, "only the escapes \\n, \\t, \\r, \\\" and \\\\ are supported");
                    }
                },
                other => text.push(other),
            }
        }
        self.error(start, "string is not closed")
    }

    fn word(&self, at: usize, word: &str) -> Result<Word, TemplateError> {
        let function = match word {
            "printf" => return Ok(Word::Printf),
            "humanize" => Function::Humanize,
            "humanize1024" => Function::Humanize1024,
            "humanizeDuration" => Function::HumanizeDuration,
            "humanizePercentage" => Function::HumanizePercentage,
            "title" => Function::Title,
            "toUpper" => Function::ToUpper,
            "toLower" => Function::ToLower,
            _ => return self.operand(at, word).map(Word::Operand),
        };
        Ok(Word::Function(function))
    }

    fn operand(&self, at: usize, word: &str) -> Result<Expr, TemplateError> {
        if matches!(word, "$value" | ".Value") {
            return Ok(Expr::Value);
        }
        if matches!(word, "$labels" | ".Labels") {
            return Ok(Expr::AllLabels);
        }
        for (prefix, external) in
            [("$labels.", false), (".Labels.", false), ("$externalLabels.", true), (".ExternalLabels.", true)]
        {
            if let Some(name) = word.strip_prefix(prefix) {
                if !crate::alerting::sample::is_label_name(name) {
                    return self.error(at, format!("{name:?} is not a label name"));
                }
                // There are no external labels here, so each of them is empty, as a missing one is in Prometheus.
                return Ok(if external { Expr::Text(String::new()) } else { Expr::Label(name.to_owned()) });
            }
        }
        self.error(at, format!("{word:?} is not supported; {SUPPORTED}"))
    }
}

enum Word {
    Operand(Expr),
    Printf,
    Function(Function),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
    Labels,
}

fn kind(expr: &Expr) -> Kind {
    match expr {
        Expr::Value => Kind::Number,
        Expr::AllLabels => Kind::Labels,
        Expr::Label(_) | Expr::Text(_) | Expr::Printf(..) | Expr::Call(..) => Kind::Text,
    }
}
