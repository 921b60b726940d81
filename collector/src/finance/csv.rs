//! The spend as a file for a spreadsheet (RFC 4180): a line for each row, all digits, no total, so that a column can be added up.

use std::collections::BTreeSet;

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
    let mut out = csv::Writer::from_writer(Vec::new());
    let head = has_parts.then_some("from").into_iter().chain(by).chain(SUMS).map(str::to_owned);
    out.write_record(head.chain(of_units))?;
    for row in &table.rows {
        let values = row.values.iter().map(|value| as_text(value));
        if !has_parts {
            out.write_record(values.chain(numbers(&row.sums, &units)))?;
            continue;
        }
        let parts = row.parts.iter().zip(&spend.boundaries).filter(|(part, _)| !part.is_nothing());
        for (part, begin_ms) in parts {
            let begin = [spend.question.period.local(*begin_ms)];
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

/// A name that a spreadsheet would take for a formula is quoted as it quotes texts: names come from whoever sends spans (OWASP, "CSV
/// Injection").
fn as_text(value: &str) -> String {
    if value.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{value}") } else { value.to_owned() }
}
