//! Pure: one label matcher. Regular expressions mean what they mean in Prometheus: RE2's reading of the classes, fully anchored, a
//! dot matches a newline. A missing label has the empty value.

use std::iter::Peekable;
use std::str::CharIndices;

use regex::{Regex, RegexBuilder};

use super::error::QueryError;
use super::labels::Labels;
use super::limits::{REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX};

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchKind {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`
    Regex,
    /// `!~`
    NotRegex,
}

/// `name <kind> "value"`.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The label.
    pub name: String,
    /// How it compares.
    pub kind: MatchKind,
    /// The value or pattern as written, not anchored.
    pub value: String,
    regex: Option<Regex>,
}

impl Matcher {
    /// Builds a matcher; a pattern that does not compile is an error that names it.
    pub fn new(
        name: impl Into<String>,
        kind: MatchKind,
        value: impl Into<String>,
    ) -> Result<Self, QueryError> {
        let (name, value) = (name.into(), value.into());
        let regex = match kind {
            MatchKind::Equal | MatchKind::NotEqual => None,
            MatchKind::Regex | MatchKind::NotRegex => Some(anchored_regex(&value)?),
        };
        Ok(Self { name, kind, value, regex })
    }

    /// Whether a value (empty for a missing label) satisfies the matcher.
    pub fn matches(&self, value: &str) -> bool {
        match (self.kind, &self.regex) {
            (MatchKind::Equal, _) => self.value == value,
            (MatchKind::NotEqual, _) => self.value != value,
            (MatchKind::Regex, Some(regex)) => regex.is_match(value),
            (MatchKind::NotRegex, Some(regex)) => !regex.is_match(value),
            (MatchKind::Regex | MatchKind::NotRegex, None) => false,
        }
    }

    /// Whether every matcher accepts these labels.
    pub fn all_match(matchers: &[Self], labels: &Labels) -> bool {
        matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name)))
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, self.kind, &self.value) == (&other.name, other.kind, &other.value)
    }
}

/// Compiles a pattern as Prometheus does: anchored at both ends, a dot matches everything.
pub fn anchored_regex(pattern: &str) -> Result<Regex, QueryError> {
    let fail = |reason: String| QueryError::Regex { pattern: pattern.chars().take(80).collect(), reason };
    if pattern.len() > REGEX_BYTES_MAX {
        return Err(fail(format!("{} bytes, the limit is {REGEX_BYTES_MAX}", pattern.len())));
    }
    RegexBuilder::new(&format!("^(?s:{})$", as_re2(pattern)))
        .size_limit(REGEX_COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| fail(error.to_string().lines().last().unwrap_or_default().to_owned()))
}

/// Rewrites what the `regex` crate reads differently from RE2: the Perl classes are ASCII, a brace that does not open a
/// repetition is a brace, and a bracket or doubled operator inside a class is a literal.
fn as_re2(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut class = ClassState::Outside;
    let bytes = pattern.as_bytes();
    let mut chars = pattern.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let inside = class != ClassState::Outside;
        match c {
            '\\' => {
                class = class.after_item();
                push_escape(&mut chars, inside, &mut out);
            }
            '[' if !inside => {
                class = ClassState::Start;
                out.push('[');
            }
            '[' => match pattern[at..].strip_prefix("[:").and_then(|rest| rest.find(":]")) {
                Some(end) => {
                    class = ClassState::Inside;
                    out.push_str(&pattern[at..at + end + 4]);
                    chars.by_ref().take(end + 3).for_each(drop);
                }
                None => {
                    class = ClassState::Inside;
                    out.push_str("\\[");
                }
            },
            '^' if class == ClassState::Start && bytes.get(at.wrapping_sub(1)) == Some(&b'[') => {
                out.push('^');
            }
            ']' if class == ClassState::Start => {
                class = ClassState::Inside;
                out.push_str("\\]");
            }
            ']' if inside => {
                class = ClassState::Outside;
                out.push(']');
            }
            '&' | '~' if inside => {
                class = class.after_item();
                out.extend(['\\', c]);
            }
            '{' if !inside && !opens_repetition(&pattern[at..]) => out.push_str("\\{"),
            _ => {
                class = class.after_item();
                out.push(c);
            }
        }
    }
    out
}

/// What follows a backslash.
fn push_escape(chars: &mut Peekable<CharIndices<'_>>, in_class: bool, out: &mut String) {
    let Some((_, escaped)) = chars.next() else {
        out.push('\\');
        return;
    };
    match escaped {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        's' => out.push_str("[\\t\\n\\x0C\\r ]"),
        'S' => out.push_str("[^\\t\\n\\x0C\\r ]"),
        'x' | 'p' | 'P' if chars.peek().is_some_and(|(_, next)| *next == '{') => {
            out.extend(['\\', escaped]);
            for (_, c) in chars.by_ref() {
                out.push(c);
                if c == '}' {
                    break;
                }
            }
        }
        'b' if !in_class => out.push_str("(?-u:\\b)"),
        'B' if !in_class => out.push_str("(?-u:\\B)"),
        other => out.extend(['\\', other]),
    }
}

/// Where the scan is with respect to a bracketed class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClassState {
    Outside,
    /// Just after `[` or `[^`, where `]` is a literal.
    Start,
    Inside,
}

impl ClassState {
    fn after_item(self) -> Self {
        if self == Self::Start { Self::Inside } else { self }
    }
}

/// Whether `{` begins `{n}`, `{n,}` or `{n,m}`.
fn opens_repetition(rest: &str) -> bool {
    let Some(end) = rest.find('}') else { return false };
    let body = &rest[1..end];
    let (low, high) = body.split_once(',').unwrap_or((body, ""));
    !low.is_empty() && low.bytes().chain(high.bytes()).all(|b| b.is_ascii_digit())
}
