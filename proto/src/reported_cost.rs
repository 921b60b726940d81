//! What a call costs in the words of whoever served it: the cost in its usage object. Pure. Read digit by digit, never as a float.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::money::PicoUsd;

/// Of the usage object of an answer. OpenRouter and Perplexity call it `cost`, xAI counts ticks.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    cost: Option<&'a RawValue>,
    /// OpenRouter: the customer's own key, whose use the provider behind it bills apart.
    #[serde(borrow)]
    is_byok: Option<&'a RawValue>,
    #[serde(borrow)]
    cost_details: Option<&'a RawValue>,
    #[serde(borrow)]
    cost_in_usd_ticks: Option<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Parts<'a> {
    #[serde(borrow)]
    total_cost: Option<&'a RawValue>,
    #[serde(borrow)]
    upstream_inference_cost: Option<&'a RawValue>,
}

/// The cost that the usage object states; `None` where it states none, or none that is an amount.
pub fn of_usage(object: &str) -> Option<PicoUsd> {
    // Most state none, and the object is read for its counts elsewhere.
    if !object.contains("\"cost") {
        return None;
    }
    let body: Body<'_> = serde_json::from_str(object).ok()?;
    // Ten billion ticks are a dollar.
    let ticks = || PicoUsd::rounded(&format!("{}e-10", body.cost_in_usd_ticks?.get()));
    let cost = body.cost.and_then(usd).or_else(ticks)?;
    let is_byok = body.is_byok.is_some_and(|flag| flag.get() == "true");
    let details = body.cost_details.and_then(parts).filter(|_| is_byok);
    match details.and_then(|details| usd(details.upstream_inference_cost?)) {
        Some(behind) => PicoUsd::from_picos(cost.picos().checked_add(behind.picos())?),
        None => Some(cost),
    }
}

/// A number, a text that is one, or an object with the total.
fn usd(raw: &RawValue) -> Option<PicoUsd> {
    let total = parts(raw).and_then(|parts| parts.total_cost);
    PicoUsd::rounded(total.unwrap_or(raw).get().trim_matches('"'))
}

fn parts(raw: &RawValue) -> Option<Parts<'_>> {
    let is_object = raw.get().starts_with('{');
    serde_json::from_str(raw.get()).ok().filter(|_| is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_provider_says_it_costs_is_read_digit_by_digit() {
        for (usage, picos) in [
            // OpenRouter; the second with the customer's own key.
            (
                r#"{"prompt_tokens":1,"cost":0.00014,"cost_details":{"upstream_inference_cost":null}}"#,
                Some(140_000_000),
            ),
            (
                r#"{"cost":1.5e-06,"is_byok":true,"cost_details":{"upstream_inference_cost":0.0003}}"#,
                Some(301_500_000),
            ),
            (
                r#"{"cost":0.0003,"is_byok":false,"cost_details":{"upstream_inference_cost":0.0003}}"#,
                Some(300_000_000),
            ),
            (r#"{"cost":0,"prompt_tokens":1}"#, Some(0)),
            // Perplexity.
            (
                r#"{"cost":{"input_tokens_cost":0.0,"request_cost":0.006,"total_cost":0.00605}}"#,
                Some(6_050_000_000),
            ),
            // xAI.
            (r#"{"cost_in_usd_ticks":37756000}"#, Some(3_775_600_000)),
            (r#"{"cost":"0.25"}"#, Some(250_000_000_000)),
            (r#"{"cost":-1}"#, None),
            (r#"{"cost":null,"cost_in_usd_ticks":"many"}"#, None),
            (r#"{"cost":[1],"cost_details":7}"#, None),
            (r#"{"prompt_tokens":1}"#, None),
            (r#"{"cost":"#, None),
        ] {
            assert_eq!(of_usage(usage).map(PicoUsd::picos), picos, "{usage}");
        }
    }
}
