//! Pure: regular expressions. They mean what they mean in Prometheus: RE2's reading of the classes, fully anchored, a dot matches a
//! newline. A program's size is bounded and charged for: a pattern of a hundred bytes can compile to megabytes.

use std::sync::Arc;

use regex_automata::util::{interpolate, syntax};
use regex_automata::{PatternID, meta};

use super::budget::Budget;
use super::error::{QueryError, Result};
use super::limits::{REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX};
use super::pool::Charge;
use super::re2;

/// A compiled pattern and the memory it is charged for.
#[derive(Debug, Clone)]
pub(crate) struct Regex {
    program: meta::Regex,
    _charge: Arc<Charge>,
}

impl Regex {
    /// Compiles a pattern as Prometheus does: anchored at both ends, a dot matches everything.
    pub fn compile(budget: &Budget<'_>, pattern: &str) -> Result<Self> {
        let fail = |reason: String| QueryError::Regex(pattern.chars().take(80).collect(), reason);
        if pattern.len() > REGEX_BYTES_MAX {
            return Err(fail(format!("{} bytes, the limit is {REGEX_BYTES_MAX}", pattern.len())));
        }
        let translated = re2::translate(pattern).map_err(fail)?;
        budget.check_stopped()?;
        // Compiling takes the bound at most, and so does searching; both are taken before the first byte is.
        let mut charge = budget.charge(2 * REGEX_COMPILED_BYTES_MAX)?;
        let program = meta::Regex::builder()
            .syntax(syntax::Config::new().utf8(true))
            .configure(
                meta::Regex::config()
                    .nfa_size_limit(Some(REGEX_COMPILED_BYTES_MAX))
                    .hybrid_cache_capacity(REGEX_COMPILED_BYTES_MAX),
            )
            .build(&format!("^(?s:{translated})$"))
            .map_err(|error| fail(reason(&error)))?;
        charge.resize(program.memory_usage())?;
        budget.add_program(program.memory_usage())?;
        Ok(Self { program, _charge: Arc::new(charge) })
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.program.is_match(text)
    }

    /// A template with `$1` and `${name}` filled in with the groups found in a text, and how many bytes the groups alone have: those
    /// beyond `bytes_max` are left out. `None` for a text that does not match.
    pub fn expand(&self, text: &str, template: &str, bytes_max: usize) -> Option<(String, usize)> {
        let mut captures = self.program.create_captures();
        self.program.captures(text, &mut captures);
        if !captures.is_match() {
            return None;
        }
        let (mut out, mut wanted) = (String::new(), 0_usize);
        let add = |group: usize, out: &mut String| {
            let Some(span) = captures.get_group(group) else { return };
            wanted = wanted.saturating_add(span.len());
            if wanted <= bytes_max {
                out.push_str(&text[span]);
            }
        };
        let named = |name: &str| self.program.group_info().to_index(PatternID::ZERO, name);
        interpolate::string(template, add, named, &mut out);
        Some((out, wanted))
    }
}

/// What the engine says, on one line.
fn reason(error: &meta::BuildError) -> String {
    if let Some(limit) = error.size_limit() {
        return format!("compiled, it takes more than {limit} bytes");
    }
    let text = error.syntax_error().map_or_else(|| error.to_string(), ToString::to_string);
    text.lines().last().unwrap_or_default().to_owned()
}
