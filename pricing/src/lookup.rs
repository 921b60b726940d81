//! From a provider, a model name and a time to the price that holds. Pure.
//!
//! The model that answered decides, because it is the one on the bill. The name asked for only stands in for an answer
//! that named nothing, or that named a dated snapshot of the very model asked for. It never stands in for another
//! model: a fallback to a dearer model priced as the one requested is among the bugs that made this file.

use crate::book::{Layer, Model, Period, PriceBook, Provider, Settings};
use crate::reason::UnpricedReason;

impl PriceBook {
    /// The prices of a model at a time, from the first layer that has one.
    pub(crate) fn period(
        &self,
        provider: &str,
        response_model: &str,
        request_model: &str,
        at_unix_ns: u64,
    ) -> Result<&Period, UnpricedReason> {
        let settings = self.settings(provider).ok_or(UnpricedReason::UnknownProvider)?;
        let asked = if response_model.is_empty() { request_model } else { response_model };
        if asked.is_empty() {
            return Err(UnpricedReason::ModelMissing);
        }
        match self.find(provider, settings, asked, at_unix_ns) {
            Err(UnpricedReason::UnknownModel) if is_snapshot_of(settings, response_model, request_model) => {
                self.find(provider, settings, request_model, at_unix_ns)
            }
            found => found,
        }
    }

    fn find(
        &self,
        provider: &str,
        settings: &Settings,
        name: &str,
        at_unix_ns: u64,
    ) -> Result<&Period, UnpricedReason> {
        let mut reason = UnpricedReason::UnknownModel;
        for candidate in candidates(settings, name) {
            for model in self.layers().iter().filter_map(|layer| model_in(layer, provider, candidate)) {
                let holds =
                    |period: &&Period| (period.from_unix_ns..period.until_unix_ns).contains(&at_unix_ns);
                if let Some(period) = model.periods.iter().find(holds) {
                    return Ok(period);
                }
                reason = UnpricedReason::NoPriceAtThatTime;
            }
        }
        Err(reason)
    }
}

fn model_in<'book>(layer: &'book Layer, provider: &str, name: &str) -> Option<&'book Model> {
    let provider: &Provider = layer.get(provider)?;
    let index = if let Some(fine_tuned) = fine_tuned_key(name) {
        provider.by_exact_name.get(fine_tuned.as_str())
    } else {
        let dated = || without_date(name).and_then(|base| provider.by_dated_name.get(base));
        provider.by_exact_name.get(name).or_else(dated)
    };
    provider.models.get(*index?)
}

/// The name, then the name with each prefix taken off that routers and clients put in front.
fn candidates<'name>(settings: &'name Settings, name: &'name str) -> impl Iterator<Item = &'name str> {
    std::iter::successors(Some(name), |&name| {
        settings.strip_prefixes.iter().find_map(|prefix| name.strip_prefix(prefix.as_str()))
    })
}

fn is_snapshot_of(settings: &Settings, response_model: &str, request_model: &str) -> bool {
    let bare = |name| candidates(settings, name).last().unwrap_or_default();
    !request_model.is_empty() && without_date(bare(response_model)) == Some(bare(request_model))
}

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
    let cut = |length: usize| {
        Some((name.get(..name.len().checked_sub(length)?)?, name.get(name.len() - length..)?))
    };
    let compact = cut(9).filter(|(_, tail)| {
        let digits = tail.strip_prefix(['-', '@']).unwrap_or_default();
        is_date(digits.get(..4), digits.get(4..6), digits.get(6..))
    });
    let dashed = || {
        cut(11).filter(|(_, tail)| {
            let mut parts = tail.splitn(4, '-');
            parts.next() == Some("") && is_date(parts.next(), parts.next(), parts.next())
        })
    };
    compact.or_else(dashed).map(|(base, _)| base).filter(|base| !base.is_empty())
}

fn is_date(year: Option<&str>, month: Option<&str>, day: Option<&str>) -> bool {
    let within = |part: Option<&str>, digits: usize, least: u16, most: u16| {
        part.filter(|part| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|part| part.parse::<u16>().ok())
            .is_some_and(|number| (least..=most).contains(&number))
    };
    within(year, 4, 2020, 2099) && within(month, 2, 1, 12) && within(day, 2, 1, 31)
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
