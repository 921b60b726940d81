//! `prices explain` of stored calls, as a person runs it: against the store, and with a calculator.

use std::io::Write as _;

use clap::Parser;
use ledgerline_collector::command::prices::{Command, run};
use ledgerline_collector::command::reprice::Booking;
use ledgerline_pricing::PriceBook;
use ledgerline_proto::Unit;
use ledgerline_store::spans::Role;
use serde_json::Value;
use tempfile::NamedTempFile;

use crate::engine::storage;
use crate::ingest::section;
use crate::reprice::{everything, file, now_ns, of, reprice, row, write};

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn written(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::with_suffix(".yaml").unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// What `prices explain ARGUMENTS` prints for a person, a line as its words; or the error.
async fn explain(config: &NamedTempFile, arguments: &str) -> Vec<String> {
    let words = ["prices", "explain"].into_iter().chain(arguments.split(' '));
    let line = match Line::try_parse_from(words) {
        Ok(line) => line,
        Err(error) => return vec![error.to_string()],
    };
    let path = config.path().to_owned();
    let asked = move || {
        let mut out = Vec::new();
        match run(&path, &line.command, now_ns(), &mut out) {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(error) => format!("error: {error}"),
        }
    };
    let text = tokio::task::spawn_blocking(asked).await.unwrap();
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

const USED: [(Unit, u64); 2] = [(Unit::InputUncached, 1_000), (Unit::OutputText, 100)];

/// Scenario: a call was billed, another sight of it was not counted, a third call's sender states a cost.
/// Guarantees: the arithmetic of what is booked; why a call is not booked and what others say it cost stand beside it; what is not found or
/// not written right is said.
#[tokio::test]
async fn a_stored_call_is_explained_line_by_line() {
    let store = storage("explained").await;
    let list = PriceBook::embedded();
    let billed = of(1, "gpt-4.1", &USED);
    let (trace, span) = (billed.trace_id, billed.span_id);
    let mut repeated = row(&list, "acme", of(2, "gpt-4.1", &USED));
    repeated.role = Role::Repeat;
    let mut stated = of(3, "gpt-4o-mini", &USED);
    stated.billing.reported_cost = Some("0.0003".parse().unwrap());
    let (second, third) = (of(2, "gpt-4.1", &USED).trace_id, stated.trace_id);
    write(&store, 1, vec![row(&list, "acme", billed), repeated, row(&list, "acme", stated)]).await;

    let of_list = written(&format!("storage: {}\n", section("explained")));
    let bill = [
        "openai/gpt-4.1",
        "input_uncached 1000 x 2 / 1000000 0.002000000000 by openai/gpt-4.1@2025-04-14/standard",
        "output_text 100 x 8 / 1000000 0.000800000000 by openai/gpt-4.1@2025-04-14/standard",
        "total 0.002800000000 USD",
    ];
    let booked = format!("booked with price book {}:", list.version());
    let told = explain(&of_list, &format!("{trace}/{span}")).await;
    assert!(told[0].starts_with(&format!("call {trace}/{span} of tenant acme, ended 20")), "{told:?}");
    assert_eq!(told[1..4], ["asked for gpt-4.1", "answered by gpt-4.1", &booked]);
    assert_eq!(told[4..], bill);
    // A trace that ends in zero bytes, and one that is in capitals, are found as well.
    assert_eq!(explain(&of_list, &trace.to_string().to_uppercase()).await, told);

    let told = explain(&of_list, &second.to_string()).await;
    assert_eq!(told[3], "not booked (repeat); alone it would be:");
    assert_eq!(told[4..], bill);

    // 1,000 x 0.15 + 100 x 0.6 a million.
    let told = explain(&of_list, &third.to_string()).await;
    let last = "reported with the call: 0.000300000000 USD; the price book computes 0.000210000000 USD";
    assert_eq!(told[told.len() - 2..], ["total 0.000210000000 USD", last]);
    let unknown = explain(&of_list, &"ab".repeat(16)).await;
    assert!(
        unknown[0].starts_with(&format!(
            "error: no such call of trace {} is stored; spans are kept",
            "ab".repeat(16)
        )),
        "{unknown:?}"
    );
    for (arguments, problem) in [
        ("abc", "`abc` is no trace id, which is 32 hexadecimal digits"),
        (&format!("{trace}/12"), "`12` is no span id, which is 16 hexadecimal digits"),
        (&format!("{trace} --provider openai"), "cannot be used with"),
        ("--model gpt-4.1", "--provider <PROVIDER>"),
    ] {
        let told = explain(&of_list, arguments).await;
        assert!(told[0].contains(problem), "{arguments}: {told:?}");
    }
    for elsewhere in [format!("{trace} --tenant globex"), format!("{trace}/{}", "cd".repeat(8))] {
        let told = explain(&of_list, &elsewhere).await;
        assert!(
            told[0].ends_with(&format!("stored of that trace are: span {span} of tenant acme")),
            "{told:?}"
        );
    }
}

/// Scenario: a call was billed at the list's price; a contract says otherwise, and then the call is repriced.
/// Guarantees: what is booked and what the present book would book stand beside each other until they are the same; the corrections say how.
#[tokio::test]
async fn a_call_whose_price_has_changed_is_explained_before_and_after() {
    let store = storage("explained_anew").await;
    let list = PriceBook::embedded();
    let billed = of(1, "gpt-4.1", &USED);
    let trace = billed.trace_id;
    write(&store, 1, vec![row(&list, "acme", billed)]).await;
    let booked = format!("booked with price book {}:", list.version());
    let contract = file(
        "openai",
        "models: { gpt-4.1: { per_million: { input_uncached: \"1.5\", output_text: \"7\" } } }\n",
    );
    let contract_file = written(&contract);
    let alike_file = written(&format!("tenant: acme\n{contract}"));
    let of_contract = written(&format!(
        "storage: {}\npricing: {{overrides: [{}]}}\n",
        section("explained_anew"),
        contract_file.path().display()
    ));
    let new = [
        "openai/gpt-4.1",
        "input_uncached 1000 x 1.5 / 1000000 0.001500000000 by override:openai/gpt-4.1@start/standard",
        "output_text 100 x 7 / 1000000 0.000700000000 by override:openai/gpt-4.1@start/standard",
        "total 0.002200000000 USD",
    ];
    let told = explain(&of_contract, &trace.to_string()).await;
    let without_steps = [
        &booked,
        "openai/gpt-4.1",
        "input_uncached 1000 0.002000000000 by openai/gpt-4.1@2025-04-14/standard",
        "output_text 100 0.000800000000 by openai/gpt-4.1@2025-04-14/standard",
        "total 0.002800000000 USD",
        "with the present book it would be (price), and `reprice` books that:",
    ];
    assert_eq!(told[3..9], without_steps);
    assert_eq!(told[9..], new);

    let path = contract_file.path().display().to_string();
    let prices = list.with_overrides(&PriceBook::parse(&[(&path, &contract)]).unwrap());
    reprice(&store, &prices, everything(Booking::Corrections)).await;
    let told = explain(&of_contract, &trace.to_string()).await;
    assert_eq!(told[3], format!("booked with price book {}:", prices.version()));
    assert_eq!(told[4..8], new);
    assert_eq!(told[8], "corrections:");
    let corrections: Vec<&str> = told[9..].iter().filter_map(|line| Some(line.split_once("Z ")?.1)).collect();
    let expected = [
        format!("reprice takes back 0.0028 USD price book {}", list.version()),
        format!("reprice books 0.0022 USD price book {}", prices.version()),
    ];
    assert_eq!(corrections, expected);
    // Back to the list: what is booked is of the last booking, and not of the first, which was the same.
    reprice(&store, &list, everything(Booking::Corrections)).await;
    let of_list = written(&format!("storage: {}\n", section("explained_anew")));
    let told = explain(&of_list, &trace.to_string()).await;
    assert_eq!((told[3].as_str(), told[9..].len()), (booked.as_str(), 4), "{told:?}");
    reprice(&store, &prices, everything(Booking::Corrections)).await;
    // A price of the same amount under another rule: it stays booked by the first.
    let alike = written(&format!(
        "storage: {}\npricing: {{overrides: [{}]}}\n",
        section("explained_anew"),
        alike_file.path().display()
    ));
    let told = explain(&alike, &trace.to_string()).await;
    assert_eq!(told[4..8], new);

    let json: Value =
        serde_json::from_str(&explain(&of_contract, &format!("{trace} --json")).await.join("\n")).unwrap();
    assert_eq!(json[0]["booked"]["cost_usd"], "0.002200000000");
    assert_eq!(json[0]["state"], "same");
    assert_eq!(json[0]["corrections"][0]["sign"], -1);
    assert_eq!(json[0]["present_book"]["lines"][1]["arithmetic"], "100 x 7 / 1000000");
}
