//! LiteLLM's `model_prices_and_context_window.json`, as of 1.110. Pure.
//!
//! One object a model, one key a price: `input_cost_per_token_above_200k_tokens_priority` is unit, step and tier in one word. A key
//! that tells of money and is not in the tables here is kept as a comment.

use std::collections::BTreeMap;

use ledgerline_proto::decimal::shifted;
use serde_json::value::RawValue;

use super::Imported;

/// Their names of providers, the beginning where they have several, and ours.
const PROVIDERS: &[(&str, &str)] = &[
    ("azure_ai", "azure.ai.inference"),
    ("azure", "azure.ai.openai"),
    ("bedrock", "aws.bedrock"),
    ("gemini", "gcp.gemini"),
    ("vertex_ai", "gcp.vertex_ai"),
    ("mistral", "mistral_ai"),
    ("xai", "x_ai"),
    ("moonshot", "moonshot_ai"),
    ("together_ai", "together"),
    ("fireworks_ai", "fireworks"),
    ("text-completion-openai", "openai"),
    ("cohere", "cohere"),
    ("voyage", "voyageai"),
];

/// Their prices: the key, our unit, the key it stands under, and the digits in between.
const PRICES: &[(&str, &str, &str, i32)] = &[
    ("input_cost_per_token", "input_uncached", "per_million", 6),
    ("output_cost_per_token", "output_text", "per_million", 6),
    ("output_cost_per_reasoning_token", "output_reasoning", "per_million", 6),
    ("cache_read_input_token_cost", "cache_read", "per_million", 6),
    ("cache_read_input_audio_token_cost", "cache_read_audio", "per_million", 6),
    ("cache_read_input_image_token_cost", "cache_read_image", "per_million", 6),
    ("cache_creation_input_token_cost", "cache_write_5m", "per_million", 6),
    ("cache_creation_input_token_cost_above_1hr", "cache_write_1h", "per_million", 6),
    ("cache_creation_input_token_cost_above_12hr", "cache_write_12h", "per_million", 6),
    ("input_cost_per_audio_token", "input_audio", "per_million", 6),
    ("input_cost_per_image_token", "input_image", "per_million", 6),
    ("input_cost_per_video_token", "input_video", "per_million", 6),
    ("output_cost_per_audio_token", "output_audio", "per_million", 6),
    ("output_cost_per_image_token", "output_image", "per_million", 6),
    ("output_cost_per_video_token", "output_video", "per_million", 6),
    ("citation_cost_per_token", "output_citation", "per_million", 6),
    ("input_cost_per_character", "character", "per_million", 6),
    ("input_cost_per_request", "request", "each", 0),
    ("input_cost_per_text_message", "text_message", "each", 0),
    ("output_cost_per_image", "image", "each", 0),
    ("ocr_cost_per_page", "page", "each", 0),
    ("annotation_cost_per_page", "annotated_page", "each", 0),
    ("input_cost_per_audio_per_second", "input_audio_ms", "per_second", 0),
    ("input_cost_per_video_per_second", "input_video_ms", "per_second", 0),
    ("output_cost_per_video_per_second", "output_video_ms", "per_second", 0),
];

/// The ends of their keys that name a tier.
const TIERS: &[(&str, &str)] = &[("_batches", "batch"), ("_flex", "flex"), ("_priority", "priority")];

/// Parts of a key that tells of money.
const MONEY: [&str; 5] = ["cost", "pric", "multiplier", "uplift", "free_requests"];

/// Keys with such a part that tell of none.
const NO_MONEY: [&str; 1] = ["model_cost_key"];

const SEARCH: &str = "search_context_cost_per_query";

type Raw<'a> = BTreeMap<String, &'a RawValue>;

/// The tier and the step at which prices hold; both absent is the standard price.
type When = (Option<&'static str>, Option<u64>);

/// Prices by the key they stand under, then by unit.
type Prices = BTreeMap<&'static str, BTreeMap<String, String>>;

/// By our name of the provider.
pub fn read(text: &str) -> Result<BTreeMap<String, Imported>, serde_json::Error> {
    let file: BTreeMap<String, Raw<'_>> = serde_json::from_str(text)?;
    let mut providers: BTreeMap<String, Imported> = BTreeMap::new();
    for (name, entry) in &file {
        // Entries without one are rules and aliases of theirs; the first entry explains the format.
        let Some(theirs) = entry.get("litellm_provider").and_then(|raw| string(raw)) else { continue };
        if name == "sample_spec" {
            continue;
        }
        let ours = PROVIDERS.iter().find(|(prefix, _)| theirs.starts_with(prefix)).map(|(_, ours)| *ours);
        let imported = providers.entry(ours.unwrap_or(&theirs).to_owned()).or_default();
        // `azure/gpt-4o`, `bedrock/converse/...`: what routes there is no part of the name that answers.
        let head = name.split_once('/').filter(|(head, _)| theirs.starts_with(head) || ours == Some(head));
        let model = head.map_or(name.as_str(), |(_, model)| model).to_owned();
        match lines(ours.unwrap_or(&theirs), entry) {
            _ if imported.models.contains_key(&model) => {
                imported
                    .left_out
                    .insert(name.clone(), format!("is `{model}` as well, which another entry is"));
            }
            Ok(lines) => drop(imported.models.insert(model, lines)),
            Err(reason) => drop(imported.left_out.insert(model, reason)),
        }
    }
    Ok(providers)
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// The lines of a model below its name, or why there are none.
fn lines(provider: &str, entry: &Raw<'_>) -> Result<String, String> {
    let mut tables: BTreeMap<When, Prices> = BTreeMap::new();
    let mut comments = String::new();
    let mut searches = Vec::new();
    for (key, raw) in entry {
        if key == SEARCH {
            searches = search_prices(raw);
        }
        let is_money = MONEY.iter().any(|part| key.contains(part)) && !NO_MONEY.contains(&key.as_str());
        match price(provider, key, raw) {
            Some((when, unit, under, price)) => {
                tables.entry(when).or_default().entry(under).or_default().insert(unit, price);
            }
            None if key == SEARCH && !searches.is_empty() => {}
            None if is_money => {
                comments.push_str(&format!(
                    "    # not imported: {}: {}\n",
                    key.escape_debug(),
                    one_line(raw)
                ));
            }
            None => {}
        }
    }
    let mut standard = tables.remove(&(None, None)).unwrap_or_default();
    let mut clauses = Vec::new();
    if let Some((_, first)) = searches.first() {
        if searches.iter().all(|(_, price)| price == first) {
            standard.entry("each").or_default().insert("web_search".to_owned(), first.clone());
        } else {
            let clause = |(size, price): &(String, String)| {
                format!("      - {{ search_context: {size}, each: {{ web_search: \"{price}\" }} }}\n")
            };
            clauses.extend(searches.iter().map(clause));
        }
    }
    let all = standard.values().chain(tables.values().flat_map(BTreeMap::values)).flat_map(BTreeMap::values);
    if standard.is_empty() {
        return Err("has no price that is known here".to_owned());
    }
    if all.clone().all(|price| price == "0") {
        return Err("all its prices are 0, which there also means unknown".to_owned());
    }
    let mut text = comments;
    if let Some(day) = entry.get("deprecation_date").and_then(|raw| string(raw)) {
        text.push_str(&format!("    retires: {day:?}\n"));
    }
    for (under, units) in &standard {
        text.push_str(&format!("    {under}: {}\n", table(units)));
    }
    let has_tiers = tables.keys().any(|(tier, _)| tier.is_some());
    clauses.extend(tables.iter().map(|(when, prices)| clause(*when, prices, has_tiers)));
    if !clauses.is_empty() {
        text.push_str("    when:\n");
        text.push_str(&clauses.concat());
    }
    Ok(text)
}

/// A step that names no tier is for the standard one where the model has tiers: theirs are prices of their own.
fn clause((tier, above): When, prices: &Prices, has_tiers: bool) -> String {
    let tier = tier.or((has_tiers && above.is_some()).then_some("standard"));
    let tier = tier.map(|tier| format!("service_tier: {tier}"));
    let above = above.map(|above| format!("prompt_above: {above}"));
    let prices = prices.iter().map(|(under, units)| format!("{under}: {}", table(units)));
    let parts: Vec<String> = tier.into_iter().chain(above).chain(prices).collect();
    format!("      - {{ {} }}\n", parts.join(", "))
}

fn table(units: &BTreeMap<String, String>) -> String {
    let units = units.iter().map(|(unit, price)| format!("{unit}: \"{price}\""));
    format!("{{ {} }}", units.collect::<Vec<_>>().join(", "))
}

fn price(provider: &str, key: &str, raw: &RawValue) -> Option<(When, String, &'static str, String)> {
    let tier = TIERS.iter().find_map(|(end, tier)| Some((key.strip_suffix(end)?, *tier)));
    let (rest, tier) = tier.map_or((key, None), |(rest, tier)| (rest, Some(tier)));
    let step = rest.strip_suffix("k_tokens").and_then(|rest| rest.rsplit_once("_above_"));
    let step =
        step.and_then(|(rest, thousands)| Some((rest, thousands.parse::<u64>().ok()?.checked_mul(1_000)?)));
    let (rest, above) = step.map_or((rest, None), |(rest, above)| (rest, Some(above)));
    let (_, unit, under, shift) = PRICES.iter().find(|(known, ..)| *known == rest)?;
    let is_openai = matches!(provider, "openai" | "azure.ai.openai");
    let unit = if *unit == "cache_write_5m" && is_openai { "cache_write_30m" } else { unit };
    Some(((tier, above), unit.to_owned(), under, shifted(raw.get(), *shift)?))
}

/// By the size of the context; empty where it is not what we know.
fn search_prices(raw: &RawValue) -> Vec<(String, String)> {
    let sizes: BTreeMap<String, &RawValue> = serde_json::from_str(raw.get()).unwrap_or_default();
    let size = |(key, raw): (&String, &&RawValue)| {
        Some((key.strip_prefix("search_context_size_")?.to_owned(), shifted(raw.get(), 0)?))
    };
    sizes.iter().map(size).collect::<Option<_>>().unwrap_or_default()
}

/// As it stands there, on one line.
fn one_line(raw: &RawValue) -> String {
    raw.get().split_whitespace().collect::<Vec<_>>().join(" ")
}
