//! Pure. The part of Go's template language that alert labels and annotations use.
//!
//! Supported: `$value`, `.Value`, `$labels`, `$labels.name`, `.Labels.name`, `$externalLabels.name` (always empty), string
//! literals, pipes, parentheses, and the functions printf, humanize, humanize1024, humanizeDuration,
//! humanizePercentage, title, toUpper, toLower. Everything else (control flow, variables, queries) is refused when the
//! rule is loaded, with its position: a template must never fail for the first time while an alert is firing.

mod gofmt;
mod parse;
mod printf;
mod value;

#[cfg(test)]
mod tests;

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
}

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

    /// Expands for one sample. The only failure left is a humanize function applied to a label that is not a number; as in
    /// Prometheus the text then says so in place, because an alert with a blemish is better than no alert.
    pub fn render(&self, labels: &Labels, value: f64) -> String {
        let mut out = String::with_capacity(self.source.len());
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Action(expr) => match evaluate(expr, labels, value) {
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

fn evaluate(expr: &Expr, labels: &Labels, value: f64) -> Result<Datum, String> {
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
                arguments.iter().map(|argument| evaluate(argument, labels, value)).collect();
            Datum::Text(format.print(&data?))
        }
        Expr::Call(function, argument) => Datum::Text(function.apply(&evaluate(argument, labels, value)?)?),
    })
}
