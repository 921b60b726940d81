//! The generated price files against the catalogue they are converted from: 5,000 random calls, billed by the catalogue's own
//! calculator, and the models that names stand for. `make prices` writes both lists, see docs/prices.md.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use ledgerline_pricing::PriceBook;
use ledgerline_proto::{Billing, Call, Condition, Conditions, Cost, Quantities, Unit, Usage, UsageSource};

#[path = "support/call.rs"]
mod call;

/// The generated files alone, as if nobody had corrected one by hand.
static GENERATED: LazyLock<PriceBook> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("prices/generated");
    let paths = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let paths = paths.filter(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    let files: Vec<_> =
        paths.map(|path| (path.display().to_string(), fs::read_to_string(&path).unwrap())).collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    PriceBook::parse(&files).unwrap_or_else(|problems| panic!("{problems:#?}"))
});

fn lines(file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/points").join(file);
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// Millionths of a pico-dollar, so that a third of one can be told from a whole one.
fn micros(picos: &str) -> i128 {
    let (whole, fraction) = picos.split_once('.').unwrap_or((picos, "000000"));
    assert_eq!(fraction.len(), 6, "{picos}");
    format!("{whole}{fraction}").parse().unwrap()
}

fn conditions(text: &str) -> Conditions {
    let pair = text.split_once('=').map(|(name, word)| (Condition::from_name(name).unwrap(), word));
    Conditions::from_pairs(pair)
}

/// `None` where the bill is as expected.
fn differs(call: &Call, expected: &str) -> Option<String> {
    let bill = GENERATED.bill(call);
    let as_expected = match bill.cost {
        // Each line that does not fit is rounded by half a pico-dollar at most; a sum of those that fit is exact.
        Cost::Known(amount) if expected.starts_with(|first: char| first.is_ascii_digit()) => {
            let apart = (i128::from(amount.picos()) * 1_000_000 - micros(expected)).abs();
            apart <= i128::from(bill.rounded) * 500_000 + i128::from(expected.contains('.'))
        }
        Cost::Unpriced(reason) => reason.to_string() == expected,
        _ => false,
    };
    (!as_expected).then(|| format!("{:?}, expected {expected}", bill.cost))
}

#[test]
fn five_thousand_random_calls_cost_what_the_catalogue_bills() {
    let lines = lines("points.txt");
    let units: Vec<Unit> = lines[0]
        .split(' ')
        .skip(1)
        .map(|name| Unit::from_name(name).unwrap_or_else(|| panic!("{name}")))
        .collect();
    let (mut failures, mut count) = (Vec::new(), 0);
    let mut model = ("", "");
    for line in &lines[1..] {
        let fields: Vec<_> = line.split('\t').collect();
        if let [provider, name] = fields[..] {
            model = (provider, name);
            continue;
        }
        let [_, second, condition, counts, expected] = fields[..] else { panic!("{line}") };
        let pairs: Vec<_> = counts
            .split(' ')
            .filter_map(|pair| pair.split_once(':'))
            .map(|(unit, count)| (units[unit.parse::<usize>().unwrap()], count.parse().unwrap()))
            .collect();
        let own = Quantities::from_pairs(&pairs);
        let call = Call {
            start_unix_ns: second.parse::<u64>().unwrap() * 1_000_000_000,
            usage: Some(Usage { own, runs: Vec::new(), source: UsageSource::Provider }),
            billing: Billing { conditions: conditions(condition), ..Billing::default() },
            ..call::call(model.0, model.1)
        };
        let failure = differs(&call, expected);
        failures.extend(failure.map(|failure| format!("{} {} {line}: {failure}", model.0, model.1)));
        count += 1;
    }
    assert_eq!(count, 5_000);
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}

/// A line is a provider, the model here (`-`: none), the reason where the catalogue says otherwise, and names.
#[test]
fn names_stand_for_the_models_they_stand_for_in_the_catalogue() {
    let (mut failures, mut count) = (Vec::new(), 0);
    for line in lines("names.txt") {
        let mut fields = line.split('\t');
        let (provider, model, _reason) =
            (fields.next().unwrap(), fields.next().unwrap(), fields.next().unwrap());
        for name in fields {
            let usage = Usage { own: Quantities::default(), runs: Vec::new(), source: UsageSource::Provider };
            let call = Call { usage: Some(usage), ..call::call(provider, name) };
            let bill = GENERATED.bill(&call);
            let found = match bill.cost {
                Cost::Unpriced(reason) if reason.name() == "unknown_model" => "-",
                _ => &*bill.model,
            };
            if found != model {
                failures.push(format!("{provider} {name}: {found}, expected {model}"));
            }
            count += 1;
        }
    }
    assert!(count > 5_000, "{count}");
    assert!(failures.is_empty(), "{} failures\n{}", failures.len(), failures.join("\n"));
}
