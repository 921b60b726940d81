//! Pure. The part of Go's template language that alert labels and annotations use.
//!
//! Supported: `$value`, `.Value`, `$labels`, `$labels.name`, `.Labels.name`, `$externalLabels.name` (always empty), string
//! literals, pipes, parentheses, the functions printf, humanize, humanize1024, humanizeDuration, humanizePercentage, title,
//! toUpper, toLower, and `query`, whose answer is read with `| first | value`. Everything else (control flow, variables) is
//! refused when the rule is loaded, with its position: a template must never fail for the first time while an alert is firing.
//!
//! A template asks nothing itself: [`Template::queries`] says what it wants to know, and whoever renders brings the answers.

mod gofmt;
mod parse;
mod printf;
mod value;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::alerting::sample::Labels;

pub use parse::TemplateError;

pub(crate) use gofmt::exponential;

/// A parsed template. Its JSON is its text.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct Template {
    pub(super) source: String,
    #[serde(skip)]
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Action(Expr),
}

/// What stands between `{{` and `}}`. Types are checked by the parser.
#[derive(Clone, Debug)]
enum Expr {
    Value,
    AllLabels,
    Label(String),
    Text(String),
    Printf(printf::Format, Vec<Expr>),
    Call(&'static value::Function, Box<Expr>),
    /// The text of a query: its answer, on the way to a number.
    Vector(Box<Expr>),
    First(Box<Expr>),
    Answer(Box<Expr>),
}

/// For the text of each query that templates wanted an answer to: the first sample's value, or why there is none.
pub type Answers = BTreeMap<String, Result<f64, String>>;

/// A result on the way through a pipe.
#[derive(Clone, Debug)]
enum Datum {
    Number(f64),
    Text(String),
}

impl Template {
    /// Parses and type-checks; the error says where and what to write instead.
    pub fn parse(source: &str) -> Result<Self, TemplateError> {
        Ok(Self { source: source.to_owned(), parts: parse::parse(source)? })
    }

    /// The queries whose answers [`Template::render`] needs for this sample.
    pub fn queries(&self, labels: &Labels, value: f64) -> Vec<String> {
        let mut texts = Vec::new();
        for part in &self.parts {
            if let Part::Action(expr) = part {
                expr.queries(labels, value, &mut texts);
            }
        }
        texts
    }

    /// Expands for one sample. Two failures are left: a humanize function applied to a label that is not a number, and a query
    /// without an answer; as in Prometheus the text then says so in place, because an alert with a blemish is better than no alert.
    pub fn render(&self, labels: &Labels, value: f64, answers: &Answers) -> String {
        let mut out = String::with_capacity(self.source.len());
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Action(expr) => match evaluate(expr, labels, value, answers) {
                    Ok(datum) => out.push_str(&datum.print()),
                    Err(error) => return format!("<error expanding template: {error}>"),
                },
            }
        }
        out
    }
}

impl Datum {
    fn print(&self) -> String {
        match self {
            Self::Number(number) => gofmt::general(*number, None),
            Self::Text(text) => text.clone(),
        }
    }
}

impl Expr {
    fn queries(&self, labels: &Labels, value: f64, texts: &mut Vec<String>) {
        match self {
            Self::Vector(text) | Self::First(text) | Self::Answer(text) => {
                texts.extend(evaluate(text, labels, value, &Answers::new()).map(|text| text.print()));
            }
            Self::Printf(_, arguments) => arguments.iter().for_each(|one| one.queries(labels, value, texts)),
            Self::Call(_, argument) => argument.queries(labels, value, texts),
            Self::Value | Self::AllLabels | Self::Label(_) | Self::Text(_) => {}
        }
    }
}

fn evaluate(expr: &Expr, labels: &Labels, value: f64, answers: &Answers) -> Result<Datum, String> {
    Ok(match expr {
        Expr::Value => Datum::Number(value),
        Expr::Label(name) => Datum::Text(labels.get(name).cloned().unwrap_or_default()),
        Expr::AllLabels => {
            let pairs: Vec<String> = labels.iter().map(|(name, text)| format!("{name}:{text}")).collect();
            Datum::Text(format!("map[{}]", pairs.join(" ")))
        }
        Expr::Text(text) => Datum::Text(text.clone()),
        Expr::Printf(format, arguments) => {
            let data: Result<Vec<Datum>, String> =
                arguments.iter().map(|argument| evaluate(argument, labels, value, answers)).collect();
            Datum::Text(format.print(&data?))
        }
        Expr::Call(function, argument) => {
            Datum::Text(function.apply(&evaluate(argument, labels, value, answers)?)?)
        }
        // The parser lets nobody stop before the number.
        Expr::Vector(text) | Expr::First(text) | Expr::Answer(text) => {
            let text = evaluate(text, labels, value, answers)?.print();
            let answer = answers.get(&text).ok_or_else(|| "the query was not asked".to_owned())?;
            Datum::Number(answer.clone()?)
        }
    })
}
