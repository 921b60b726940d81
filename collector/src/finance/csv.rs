//! The spend as a file for a spreadsheet (RFC 4180): a line for each row, all digits, no total, so that a column can be added up.

use std::collections::BTreeSet;

use csv::{Terminator, WriterBuilder};
use ledgerline_proto::Unit;
use ledgerline_proto::money::dollars;

use super::spend::{Spend, Sums, Table};

/// The names of the columns of every report; behind them are two for each unit that occurs.
const SUMS: [&str; 7] =
    ["cost_usd", "estimated_usd", "sender_usd", "corrections_usd", "calls", "failed_calls", "unpriced_calls"];

/// The file of one of the tables. The same record gives the same bytes.
pub fn csv(spend: &Spend, table: &Table) -> Result<Vec<u8>, csv::Error> {
    let by = table.by.iter().map(|dimension| dimension.name());
    let units: BTreeSet<Unit> = spend.total.lines.keys().copied().collect();
    let of_units = units.iter().flat_map(|unit| [unit.name().to_owned(), format!("{}_usd", unit.name())]);
    let has_parts = spend.question.step.is_some();
    let mut out = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new());
    let head = has_parts.then_some("from").into_iter().chain(by).chain(SUMS).map(str::to_owned);
    out.write_record(head.chain(of_units))?;
    for row in &table.rows {
        let values = row.values.iter().map(|value| as_text(value));
        if !has_parts {
            out.write_record(values.chain(numbers(&row.sums, &units)))?;
            continue;
        }
        for (at, part) in &row.parts {
            let begin = [spend.question.period.local(spend.boundaries[*at])];
            out.write_record(begin.into_iter().chain(values.clone()).chain(numbers(part, &units)))?;
        }
    }
    out.into_inner().map_err(|error| error.into_error().into())
}

fn numbers(sums: &Sums, units: &BTreeSet<Unit>) -> Vec<String> {
    let Sums { cost, estimated, by_sender, corrections, calls, failed, unpriced, lines } = sums;
    let mut numbers: Vec<String> = [cost, estimated, by_sender, corrections].map(|sum| dollars(*sum)).into();
    numbers.extend([calls, failed, unpriced].map(|count| count.to_string()));
    for unit in units {
        let line = lines.get(unit).copied().unwrap_or_default();
        numbers.extend([line.quantity.to_string(), dollars(line.cost)]);
    }
    numbers
}

/// What begins a formula, with the full-width forms that some spreadsheets take as well.
const FORMULA: [char; 8] = ['=', '+', '-', '@', '\u{ff1d}', '\u{ff0b}', '\u{ff0d}', '\u{ff20}'];

/// A name in which a spreadsheet would find a formula has a `'` before that, as texts have there: names come from whoever sends spans (OWASP,
/// "CSV Injection"). Some take a semicolon for the end of a cell.
fn as_text(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut begins = true;
    for letter in value.chars() {
        if begins && FORMULA.contains(&letter) {
            text.push('\'');
        }
        begins = matches!(letter, ';' | ',' | '\t' | '\r' | '\n');
        text.push(letter);
    }
    text
}
