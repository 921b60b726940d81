//! What a model's name says: the snapshot's date, the base of a fine-tuned model. Pure.

use jiff::civil::Date;

/// The key of a fine-tuned model: `ft:gpt-4o-2024-08-06:acme::id` and Azure's `gpt-4o-2024-08-06.ft-id` are both
/// `ft:gpt-4o-2024-08-06`. Such a name is only ever looked up under that key, so it cannot take the base's price.
pub(crate) fn fine_tuned_key(name: &str) -> Option<String> {
    if let Some(rest) = name.strip_prefix("ft:") {
        return Some(format!("ft:{}", rest.split(':').next().unwrap_or_default()));
    }
    name.split_once(".ft-").map(|(base, _)| format!("ft:{base}"))
}

/// The name without the date of a snapshot (`-2025-04-14`, `-20250414`, `@20250414`); `None` when it carries none.
pub(crate) fn without_date(name: &str) -> Option<&str> {
    let base = |length: usize, marks: &[char]| {
        let (base, tail) = name.split_at_checked(name.len().checked_sub(length)?)?;
        let day = tail.strip_prefix(marks)?;
        let plain = day.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
        let is_day = plain && day.parse::<Date>().is_ok_and(|day| (2020..=2099).contains(&day.year()));
        (is_day && !base.is_empty()).then_some(base)
    };
    base(9, &['-', '@']).or_else(|| base(11, &['-']))
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
}
