//! Bills of the two providers as data. Three things have to agree in each: the amount, the arithmetic a person can
//! follow (worked out here, with none of the engine's code), and what the price book says.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use ledgerline_pricing::PriceBook;
use ledgerline_proto::{
    BillGap, Billing, Call, Condition, Conditions, Cost, EndOfStream, Operation, PicoUsd, Quantities, Unit,
    Usage, UsageSource,
};
use serde::Deserialize;

#[path = "support/arithmetic.rs"]
mod arithmetic;
#[path = "support/call.rs"]
mod call;

const FILES: [(&str, &str); 3] = [
    ("anthropic.yaml", include_str!("bills/anthropic.yaml")),
    ("openai.yaml", include_str!("bills/openai.yaml")),
    ("unpriced.yaml", include_str!("bills/unpriced.yaml")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bill {
    name: String,
    source: String,
    provider: String,
    #[serde(default)]
    requested: String,
    #[serde(default)]
    model: String,
    at: String,
    #[serde(default = "chat")]
    operation: String,
    #[serde(default = "complete")]
    end: String,
    http_status: Option<u16>,
    /// Absent: nobody counted.
    usage: Option<BTreeMap<String, u64>>,
    #[serde(default)]
    billing: Facts,
    arithmetic: Option<String>,
    usd: Option<String>,
    rule: Option<String>,
    unpriced: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Facts {
    service_tier: Option<String>,
    speed: Option<String>,
    region: Option<String>,
    gap: Option<String>,
}

fn chat() -> String {
    "chat".to_owned()
}

fn complete() -> String {
    "complete".to_owned()
}

fn all_bills() -> Vec<Bill> {
    let read = |(file, text): (&str, &str)| -> Vec<Bill> {
        yaml_serde::from_str(text).unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    FILES.into_iter().flat_map(read).collect()
}

fn price(book: &PriceBook, bill: &Bill) -> String {
    let class = |name: &str| Unit::from_name(name).unwrap_or_else(|| panic!("{}: {name}", bill.name));
    let usage = bill.usage.as_ref().map(|counts| {
        let pairs: Vec<_> = counts.iter().map(|(name, &tokens)| (class(name), tokens)).collect();
        Usage::of(Quantities::from_pairs(&pairs), UsageSource::Provider)
    });
    let facts = &bill.billing;
    let words = [
        (Condition::ServiceTier, &facts.service_tier),
        (Condition::Speed, &facts.speed),
        (Condition::Region, &facts.region),
    ];
    let priced = book.bill(&Call {
        request_model: bill.requested.clone(),
        start_unix_ns: bill.at.parse::<Timestamp>().unwrap().as_nanosecond().try_into().unwrap(),
        operation: Operation::from_name(&bill.operation),
        end: EndOfStream::from_name(&bill.end).unwrap(),
        http_status: bill.http_status,
        billing: Billing {
            conditions: Conditions::from_pairs(
                words.into_iter().filter_map(|(condition, word)| Some((condition, word.as_deref()?))),
            ),
            gap: bill.billing.gap.as_deref().map(|gap| BillGap::from_name(gap).unwrap()),
            reported_cost: None,
        },
        usage,
        ..call::call(&bill.provider, &bill.model)
    });
    let rule = priced.lines.first().and_then(|line| line.price.as_ref()).map_or("", |price| &price.rule);
    match priced.cost {
        Cost::Known(amount) => format!("{amount} by {rule}"),
        Cost::NotBilled(reason) => format!("{} by not_billed/{}", PicoUsd::ZERO, reason.name()),
        Cost::Unpriced(reason) => reason.to_string(),
    }
}

#[test]
fn every_bill_comes_out_to_the_pico_dollar() {
    let book = PriceBook::embedded();
    let mut failures = Vec::new();
    for bill in all_bills() {
        let expected = match (&bill.arithmetic, &bill.usd, &bill.rule, &bill.unpriced) {
            (Some(arithmetic), Some(usd), Some(rule), None) => {
                let (usd, worked_out) = (usd.parse::<PicoUsd>().unwrap(), arithmetic::pico_usd(arithmetic));
                if worked_out != i128::from(usd.picos()) {
                    failures
                        .push(format!("{}: {arithmetic} is {worked_out} pico-dollars, not {usd}", bill.name));
                }
                format!("{usd} by {rule}")
            }
            (None, None, None, Some(reason)) => reason.clone(),
            _ => panic!("{}: a bill has arithmetic, usd and rule, or it has unpriced", bill.name),
        };
        let got = price(&book, &bill);
        if got != expected {
            failures.push(format!("{}: got {got}, expected {expected}", bill.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn there_are_enough_bills_and_each_is_named_once_and_sourced() {
    let bills = all_bills();
    let names: BTreeSet<_> = bills.iter().map(|bill| bill.name.as_str()).collect();
    assert_eq!(names.len(), bills.len(), "a name is used twice");
    assert!(bills.iter().filter(|bill| bill.usd.is_some()).count() >= 90);
    assert!(bills.iter().all(|bill| bill.source.starts_with("https://")));
}

#[test]
fn every_reason_a_call_can_be_unpriced_has_a_bill() {
    let bills = all_bills();
    let seen: BTreeSet<_> = bills
        .iter()
        .filter_map(|bill| bill.unpriced.as_deref())
        .map(|reason| reason.split('(').next().unwrap())
        .collect();
    let reasons = [
        "model_missing",
        "no_price_at_that_time",
        "no_price_for_class",
        "no_price_for_web_search",
        "not_a_call",
        "overflow",
        "tier_combination",
        "unread",
        "no_price_for_tool",
        "other_model",
        "unknown_inference_geo",
        "unknown_model",
        "unknown_provider",
        "unknown_service_tier",
        "unknown_speed",
        "usage_missing",
    ];
    assert_eq!(seen, BTreeSet::from(reasons));
}
