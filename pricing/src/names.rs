//! What a model's name says: the snapshot's date, the base of a fine-tuned model, a pattern, what clouds put around it. Pure.

use std::fmt;

use jiff::civil::Date;

/// Stands for the date of a snapshot, its mark included.
pub(crate) const DATE_MARK: &str = "-{date}";
const NAME_MARK: &str = "{name}";

/// The key of a fine-tuned model: `ft:gpt-4o-2024-08-06:acme::id` and Azure's `gpt-4o-2024-08-06.ft-id` are both
/// `ft:gpt-4o-2024-08-06`. Such a name is only ever looked up under that key, so it cannot take the base's price.
pub(crate) fn fine_tuned_key(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("ft:") {
        return Some(format!("ft:{}", rest.split(':').next().unwrap_or_default()));
    }
    // Asked for every name there is: a plain comparison is several times faster here than a search for a text.
    let at = name.as_bytes().windows(4).position(|window| window == b".ft-")?;
    Some(format!("ft:{}", name.get(..at)?))
}

/// The name without the date of a snapshot (`-2025-04-14`, `-20250414`, `@20250414`); `None` when it carries none.
pub(crate) fn without_date(name: &str) -> Option<&str> {
    let base = |length: usize| {
        let (base, tail) = name.split_at_checked(name.len().checked_sub(length)?)?;
        (is_date(tail) && !base.is_empty()).then_some(base)
    };
    base(9).or_else(|| base(11))
}

/// `-20250414`, `@20250414` or `-2025-04-14`, and a day of the calendar.
fn is_date(text: &str) -> bool {
    let marks: &[char] = if text.len() == 9 { &['-', '@'] } else { &['-'] };
    let Some(day) = text.strip_prefix(marks) else { return false };
    let plain = day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    plain && day.parse::<Date>().is_ok_and(|day| (2020..=2099).contains(&day.year()))
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Piece {
    Text(String),
    Date,
    Any,
}

/// A name with marks: `gpt-4o*`, `claude-*-{date}`. Not a regular expression: finance has to read it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Pattern(Vec<Piece>);

impl Pattern {
    /// Reads a name with marks. The text has been checked for other marks.
    pub(crate) fn new(text: &str) -> Self {
        let mut pieces = Vec::new();
        for (place, part) in text.split('*').enumerate() {
            if place > 0 && pieces.last() != Some(&Piece::Any) {
                pieces.push(Piece::Any);
            }
            for (place, part) in part.split(DATE_MARK).enumerate() {
                if place > 0 {
                    pieces.push(Piece::Date);
                }
                if !part.is_empty() {
                    pieces.push(Piece::Text(part.to_owned()));
                }
            }
        }
        Self(pieces)
    }

    /// How many letters it states: the longer of two patterns is asked first.
    pub(crate) fn letters(&self) -> usize {
        self.0.iter().map(|piece| if let Piece::Text(text) = piece { text.len() } else { 0 }).sum()
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        fits(&self.0, name)
    }

    /// Whether some name could match both; a date counts as any text.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        let (left, right) = (self.letters_and_gaps(), other.letters_and_gaps());
        // row[j]: whether what is left of both from (i, j) on can be one text.
        let mut below = vec![false; right.len() + 1];
        for i in (0..=left.len()).rev() {
            let mut row = vec![false; right.len() + 1];
            for j in (0..=right.len()).rev() {
                let (one, two) = (left.get(i).copied(), right.get(j).copied());
                row[j] = match (one, two) {
                    (None, None) => true,
                    (Some(None), _) => below[j] || (j < right.len() && row[j + 1]),
                    (_, Some(None)) => row[j + 1] || (i < left.len() && below[j]),
                    (Some(one), Some(two)) => one == two && below[j + 1],
                    _ => false,
                };
            }
            below = row;
        }
        below[0]
    }

    fn letters_and_gaps(&self) -> Vec<Option<char>> {
        let each = |piece: &Piece| match piece {
            Piece::Text(text) => text.chars().map(Some).collect(),
            Piece::Date | Piece::Any => vec![None],
        };
        self.0.iter().flat_map(each).collect()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| match piece {
            Piece::Text(text) => f.write_str(text),
            Piece::Date => f.write_str(DATE_MARK),
            Piece::Any => f.write_str("*"),
        })
    }
}

fn fits(pieces: &[Piece], name: &str) -> bool {
    match pieces.split_first() {
        None => name.is_empty(),
        Some((Piece::Text(text), rest)) => {
            name.strip_prefix(text.as_str()).is_some_and(|name| fits(rest, name))
        }
        Some((Piece::Date, rest)) => [9, 11].into_iter().any(|length| {
            name.split_at_checked(length).is_some_and(|(date, name)| is_date(date) && fits(rest, name))
        }),
        Some((Piece::Any, [])) => true,
        Some((Piece::Any, rest)) => {
            name.char_indices().any(|(at, _)| fits(rest, &name[at..])) || fits(rest, "")
        }
    }
}

/// What stands around a model's name: `us.{name}`, `arn:aws:bedrock:*/{name}`, `{name}-v1:0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Within {
    before: Vec<String>,
    after: Vec<String>,
}

impl Within {
    /// `None` unless the text holds the mark of the name once and something beside it.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let (before, after) = text.split_once(NAME_MARK)?;
        let parts = |text: &str| text.split('*').map(str::to_owned).collect();
        let touching = before.ends_with('*') || after.starts_with('*');
        let one = text.len() > NAME_MARK.len() && !after.contains(NAME_MARK) && !touching;
        one.then(|| Self { before: parts(before), after: parts(after) })
    }

    /// The name inside; `None` where this does not stand around it.
    pub(crate) fn name<'text>(&self, text: &'text str) -> Option<&'text str> {
        let mut rest = text;
        for (place, part) in self.before.iter().enumerate() {
            rest = match place {
                0 => rest.strip_prefix(part.as_str())?,
                _ => rest.split_once(part.as_str())?.1,
            };
        }
        for (place, part) in self.after.iter().rev().enumerate() {
            rest = match place {
                0 => rest.strip_suffix(part.as_str())?,
                _ => rest.rsplit_once(part.as_str())?.0,
            };
        }
        (!rest.is_empty()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_calendar_date_is_a_snapshot() {
        for (name, base) in [
            ("gpt-4.1-2025-04-14", Some("gpt-4.1")),
            ("claude-opus-4-5-20251101", Some("claude-opus-4-5")),
            ("claude-opus-5@20260701", Some("claude-opus-5")),
            ("gpt-4.1", None),
            ("gpt-4-0613", None),
            ("gpt-4.1-20251301", None),
            ("gpt-4.1-2025-00-14", None),
            ("gpt-4.1-99999999", None),
            ("gpt-4.1-2025_04_14", None),
            ("-20250414", None),
            ("gpt-4.1-2025-04-14-preview", None),
            ("mod\u{e8}le-20250414", Some("mod\u{e8}le")),
            ("\u{20ac}\u{20ac}\u{20ac}\u{20ac}", None),
        ] {
            assert_eq!(without_date(name), base, "{name}");
        }
    }

    #[test]
    fn fine_tuned_names_of_openai_and_azure_have_one_key() {
        for (name, key) in [
            ("ft:gpt-4o-2024-08-06:acme::abc", Some("ft:gpt-4o-2024-08-06")),
            ("ft:gpt-4o-2024-08-06:acme:triage:abc:ckpt-step-88", Some("ft:gpt-4o-2024-08-06")),
            ("gpt-4o-2024-08-06.ft-0123abcd", Some("ft:gpt-4o-2024-08-06")),
            ("gpt-4o-2024-08-06", None),
        ] {
            assert_eq!(fine_tuned_key(name).as_deref(), key, "{name}");
        }
    }

    #[test]
    fn a_pattern_matches_what_it_says_and_nothing_else() {
        for (pattern, name, matches) in [
            ("gpt-4o*", "gpt-4o-anything", true),
            ("gpt-4o*", "gpt-4o", true),
            ("gpt-4o*", "my-gpt-4o", false),
            ("*gpt-4o", "my-gpt-4o", true),
            ("*gpt-4o", "gpt-4o-mini", false),
            ("*gpt*mini*", "a-gpt-4o-mini-b", true),
            ("*gpt*mini*", "mini-gpt", false),
            ("claude-{date}-v1:0", "claude-20250414-v1:0", true),
            ("claude-{date}-v1:0", "claude-20251414-v1:0", false),
            ("claude-*-{date}", "claude-opus-5-2025-04-14", true),
            ("mod*", "mod\u{e8}le", true),
            ("*le", "mod\u{e8}le", true),
        ] {
            assert_eq!(Pattern::new(pattern).matches(name), matches, "{pattern} {name}");
        }
    }

    #[test]
    fn patterns_that_can_meet_are_found() {
        for (left, right, meet) in [
            ("gpt-4*", "gpt-5*", false),
            ("gpt-4*", "*-mini", true),
            ("*a", "*b", false),
            ("a*c", "ab*", true),
            ("a*c", "b*c", false),
            ("*x*", "*y*", true),
        ] {
            assert_eq!(Pattern::new(left).overlaps(&Pattern::new(right)), meet, "{left} {right}");
            assert_eq!(Pattern::new(right).overlaps(&Pattern::new(left)), meet, "{right} {left}");
        }
    }

    #[test]
    fn what_clouds_put_around_a_name_comes_off() {
        for (within, name, inner) in [
            ("openai/{name}", "openai/gpt-4o", Some("gpt-4o")),
            ("openai/{name}", "my/openai/gpt-4o", None),
            ("openai/{name}", "openai/", None),
            ("us.{name}", "us.anthropic.claude-opus-5-v1:0", Some("anthropic.claude-opus-5-v1:0")),
            ("{name}-v1:0", "claude-opus-5-v1:0", Some("claude-opus-5")),
            ("{name}-v1:0", "claude-v1:0-x", None),
            ("anthropic.{name}-v*:0", "anthropic.claude-v-5-v2:0", Some("claude-v-5")),
            (
                "arn:aws:bedrock:*/{name}",
                "arn:aws:bedrock:us-east-1::foundation-model/anthropic.claude-opus-5",
                Some("anthropic.claude-opus-5"),
            ),
        ] {
            assert_eq!(Within::new(within).unwrap().name(name), inner, "{within} {name}");
        }
        for wrong in ["{name}", "x", "{name}/{name}", "*{name}", "{name}*-v1"] {
            assert!(Within::new(wrong).is_none(), "{wrong}");
        }
    }
}
