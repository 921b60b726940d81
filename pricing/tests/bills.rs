//! Bills as data. Three things have to agree for each line: the amount, the arithmetic a person can follow (worked out here, with
//! none of the engine's code), and what the price book says.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ledgerline_pricing::PriceBook;
use ledgerline_proto::{
    Bill, BillGap, Billing, Call, Condition, Conditions, Cost, EndOfStream, Operation, PicoUsd, Quantities,
    Run, Unit, Usage, UsageSource,
};
use serde::Deserialize;

#[path = "support/arithmetic.rs"]
mod arithmetic;
#[path = "support/call.rs"]
mod call;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    name: String,
    source: String,
    /// A folder of `tests/books`: `NAME` is a book of its own, `NAME.overrides` lies on top of the published prices.
    book: Option<String>,
    tenant: Option<String>,
    month_tokens: Option<u64>,
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
    #[serde(default)]
    http_status: Status,
    error_type: Option<String>,
    /// Absent: nobody counted.
    usage: Option<BTreeMap<String, u64>>,
    #[serde(default)]
    runs: Vec<ExpectedRun>,
    #[serde(default)]
    conditions: BTreeMap<String, String>,
    gap: Option<String>,
    reported_usd: Option<String>,
    /// The name the call is shown under; not stated where another bill of the model does.
    canonical: Option<String>,
    /// The arithmetic of each line in dollars, by unit, and by `MODEL UNIT` for a run.
    lines: Option<BTreeMap<String, String>>,
    pico_usd: Option<i64>,
    rule: Option<String>,
    /// Lines whose amount does not fit and was rounded.
    #[serde(default)]
    rounded: u32,
    not_billed: Option<String>,
    unpriced: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedRun {
    model: String,
    usage: BTreeMap<String, u64>,
    rule: Option<String>,
}

/// The status of the answer; 200 where a bill states none, `~` where there was none.
#[derive(Deserialize)]
#[serde(transparent)]
struct Status(Option<u16>);

impl Default for Status {
    fn default() -> Self {
        Self(Some(200))
    }
}

fn chat() -> String {
    "chat".to_owned()
}

fn complete() -> String {
    "complete".to_owned()
}

fn texts(folder: &str) -> BTreeMap<String, String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = files.map(|file| file.unwrap().path());
    let read = |path: PathBuf| {
        (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap())
    };
    paths.map(read).collect()
}

fn all_bills() -> Vec<Expected> {
    let read = |(file, text): (String, String)| -> Vec<Expected> {
        yaml_serde::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    texts("tests/bills").into_iter().flat_map(read).collect()
}

fn books() -> BTreeMap<String, PriceBook> {
    let mut books = BTreeMap::from([(String::new(), PriceBook::embedded())]);
    for folder in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/books")).unwrap() {
        let folder = folder.unwrap().file_name().to_string_lossy().into_owned();
        let files = texts(&format!("tests/books/{folder}"));
        let files: Vec<(&str, &str)> =
            files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let book = PriceBook::parse(&files).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let (name, book) = match folder.strip_suffix(".overrides") {
            Some(name) => (name, PriceBook::embedded().with_overrides(&book)),
            None => (folder.as_str(), book),
        };
        assert_eq!(book.warnings(), expected_warnings(name), "{folder}");
        books.insert(name.to_owned(), book);
    }
    books
}

/// Overrides of models that only the customer has.
fn expected_warnings(book: &str) -> Vec<String> {
    let own = "matches no model of the published price files; right only for a model of your own";
    match book {
        "azure" => vec![format!("azure.ai.openai/house-model: {own}")],
        "bedrock" => vec![format!("acme.bedrock/titan-text: {own}")],
        _ => Vec::new(),
    }
}

fn quantities(bill: &str, counts: &BTreeMap<String, u64>) -> Quantities {
    let unit = |name: &str| Unit::from_name(name).unwrap_or_else(|| panic!("{bill}: {name}"));
    Quantities::from_pairs(&counts.iter().map(|(name, &count)| (unit(name), count)).collect::<Vec<_>>())
}

fn bill(books: &BTreeMap<String, PriceBook>, bill: &Expected) -> Bill {
    let mut conditions = Conditions::default();
    for (name, word) in &bill.conditions {
        let condition = Condition::from_name(name).unwrap_or_else(|| panic!("{}: {name}", bill.name));
        conditions.set(condition, word);
    }
    let run =
        |run: &ExpectedRun| Run { model: run.model.clone(), quantities: quantities(&bill.name, &run.usage) };
    let usage = bill.usage.as_ref().map(|counts| Usage {
        own: quantities(&bill.name, counts),
        runs: bill.runs.iter().map(run).collect(),
        source: UsageSource::Provider,
    });
    let call = Call {
        request_model: bill.requested.clone(),
        start_unix_ns: bill.at.parse::<Timestamp>().unwrap().as_nanosecond().try_into().unwrap(),
        operation: Operation::from_name(&bill.operation),
        end: EndOfStream::from_name(&bill.end).unwrap(),
        http_status: bill.http_status.0,
        error_type: bill.error_type.clone(),
        billing: Billing {
            conditions,
            gap: bill.gap.as_deref().map(|gap| BillGap::from_name(gap).unwrap()),
            reported_cost: bill.reported_usd.as_deref().map(|usd| usd.parse::<PicoUsd>().unwrap()),
        },
        usage,
        ..call::call(&bill.provider, &bill.model)
    };
    let name = bill.book.clone().unwrap_or_default();
    let book = books.get(&name).unwrap_or_else(|| panic!("{}: no book {name}", bill.name));
    let book = bill.tenant.as_ref().map_or_else(|| book.clone(), |tenant| book.for_tenant(tenant));
    book.bill_after(&call, bill.month_tokens.unwrap_or(0))
}

/// One line a line: `unit picos by rule`, in the order of their names.
fn printed(lines: impl Iterator<Item = (String, i128, String)>) -> Vec<String> {
    let mut lines: Vec<_> = lines.map(|(unit, picos, rule)| format!("{unit} {picos} by {rule}")).collect();
    lines.sort_unstable();
    lines
}

fn expected_lines(expected: &Expected, lines: &BTreeMap<String, String>) -> Vec<String> {
    let rule = expected.rule.as_ref().unwrap_or_else(|| panic!("{}: a bill has a rule", expected.name));
    let of_run = |key: &str| {
        let model = key.split_once(' ').map(|(model, _)| model)?;
        let run = expected.runs.iter().find(|run| run.model == model);
        run.unwrap_or_else(|| panic!("{}: no run of {model}", expected.name)).rule.clone()
    };
    printed(lines.iter().map(|(key, text)| {
        (key.clone(), arithmetic::pico_usd(text), of_run(key).unwrap_or_else(|| rule.clone()))
    }))
}

/// A run has its lines behind those of the call, also where it is of the same model.
fn got_lines(expected: &Expected, bill: &Bill) -> Vec<String> {
    let stated = expected.usage.iter().flatten().filter(|(_, count)| **count > 0).count();
    let counted =
        bill.lines.get(stated).is_some_and(|line| line.unit == Unit::Request && line.model == bill.model);
    let own = stated + usize::from(counted);
    let priced =
        bill.lines.iter().enumerate().filter_map(|(place, line)| Some((place, line, line.price.as_ref()?)));
    printed(priced.map(|(place, line, price)| {
        let unit = line.unit.name();
        let key = if place < own { unit.to_owned() } else { format!("{} {unit}", line.model) };
        (key, i128::from(price.amount.picos()), price.rule.to_string())
    }))
}

#[test]
fn every_bill_comes_out_to_the_pico_dollar() {
    let books = books();
    let mut failures = Vec::new();
    for expected in all_bills() {
        let got = bill(&books, &expected);
        let mut check = |what: &str, got: String, wanted: String| {
            if got != wanted {
                failures.push(format!("{}: {what}: got {got}, expected {wanted}", expected.name));
            }
        };
        let cost = match got.cost {
            Cost::Known(amount) => amount.picos().to_string(),
            Cost::NotBilled(reason) => format!("not_billed/{}", reason.name()),
            Cost::Unpriced(reason) => reason.to_string(),
        };
        match (&expected.lines, expected.pico_usd, &expected.unpriced, &expected.not_billed) {
            (Some(lines), Some(total), None, None) => {
                check("cost", cost, total.to_string());
                check(
                    "lines",
                    format!("{:#?}", got_lines(&expected, &got)),
                    format!("{:#?}", expected_lines(&expected, lines)),
                );
                let sum: i128 = lines.values().map(|text| arithmetic::pico_usd(text)).sum();
                check("the total of the lines' arithmetic", sum.to_string(), total.to_string());
                check("rounded lines", got.rounded.to_string(), expected.rounded.to_string());
            }
            (None, None, Some(reason), None) => {
                check("cost", cost, reason.clone());
                let amounts = got.lines.iter().filter(|line| line.price.is_some()).count();
                check("amounts of an unpriced bill", amounts.to_string(), "0".to_owned());
            }
            (None, None, None, Some(reason)) => {
                check("cost", cost, format!("not_billed/{reason}"));
                check("lines of what is not billed", got.lines.len().to_string(), "0".to_owned());
            }
            _ => {
                panic!("{}: a bill has lines, pico_usd and a rule, or not_billed, or unpriced", expected.name)
            }
        }
        if let Some(canonical) = &expected.canonical {
            check("canonical", got.model.to_string(), canonical.clone());
        }
    }
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn there_are_enough_bills_and_each_is_named_once_and_sourced() {
    let bills = all_bills();
    let mut names = BTreeSet::new();
    let twice: Vec<_> =
        bills.iter().filter(|bill| !names.insert(bill.name.as_str())).map(|bill| &bill.name).collect();
    assert!(twice.is_empty(), "used twice: {twice:?}");
    assert!(bills.iter().filter(|bill| bill.pico_usd.is_some()).count() >= 100);
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
        "failed_without_usage",
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
        "unknown_condition",
        "unknown_inference_geo",
        "unknown_model",
        "unknown_provider",
        "unknown_service_tier",
        "unknown_speed",
        "usage_missing",
    ];
    assert_eq!(seen, BTreeSet::from(reasons));
}
