//! Pure: one label matcher. A missing label has the empty value.

use super::budget::Budget;
use super::error::Result;
use super::regex::Regex;
pub use super::syntax::MatchKind;

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
        budget: &Budget<'_>,
        name: impl Into<String>,
        kind: MatchKind,
        value: impl Into<String>,
    ) -> Result<Self> {
        let (name, value) = (name.into(), value.into());
        let regex = match kind {
            MatchKind::Equal | MatchKind::NotEqual => None,
            MatchKind::Regex | MatchKind::NotRegex => Some(Regex::compile(budget, &value)?),
        };
        Ok(Self { name, kind, value, regex })
    }

    /// Whether a value (empty for a missing label) satisfies the matcher.
    pub fn matches(&self, value: &str) -> bool {
        let fits = self.regex.as_ref().map_or_else(|| self.value == value, |regex| regex.is_match(value));
        fits == matches!(self.kind, MatchKind::Equal | MatchKind::Regex)
    }

    /// Whether it plainly accepts every value: what Grafana writes for a variable that is at "All".
    pub fn accepts_all(&self) -> bool {
        self.kind == MatchKind::Regex && self.value == ".*"
    }
}
