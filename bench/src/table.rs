//! The live table: calls, tokens, cost, errors, p95 and time to first token by team and model, read from the rollups.

use std::fmt::Write as _;

use ledgerline_testkit::stack::sql;

/// One line of the table; every field as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    fields: Vec<String>,
}

impl Row {
    /// Of the fields, in the order of the columns.
    #[must_use]
    pub fn of(fields: &[&str]) -> Self {
        Self { fields: fields.iter().map(|field| (*field).to_owned()).collect() }
    }
}

/// Reads the table, dearest first, with a line of totals last.
///
/// # Errors
/// When the engine refuses the query.
pub async fn read(engine: &str) -> anyhow::Result<Vec<Row>> {
    let columns = format!(
        "sum(calls) AS made, tokens, toDecimalString(round(usd, 6), 6), sumIf(calls, unpriced_reason != ''), sumIf(calls, status = 'error'), \
         {}, {}",
        quantile_ms(0.95, "duration_buckets"),
        quantile_ms(0.5, "ttft_buckets")
    );
    // The units of tokens have the names of their classes; the others are counted in something else.
    let spend = "sum(amount) AS usd, sumIf(quantity, match(unit, '^(input|output|cache|tool)_') AND NOT match(unit, '_(ms|hour)$')) AS tokens \
         FROM spend_minute";
    let query = format!(
        "SELECT team, model, {columns} FROM calls_minute LEFT JOIN (SELECT team, model, {spend} GROUP BY team, model) AS spend \
         USING (team, model) GROUP BY team, model, usd, tokens ORDER BY usd DESC LIMIT 40 \
         UNION ALL SELECT 'all', '', {columns} FROM calls_minute CROSS JOIN (SELECT {spend}) AS spend GROUP BY usd, tokens"
    );
    let text = sql(engine, &query).await?;
    let mut rows: Vec<Row> =
        text.lines().map(|line| Row::of(&line.split('\t').collect::<Vec<_>>())).collect();
    // The order of the two halves of a UNION is not promised.
    rows.sort_by_key(|row| row.fields.first().is_some_and(|team| team == "all"));
    Ok(rows)
}

/// The end of the exponential bucket in which a quantile lies, which is up to 9 percent above it; `nan` without values.
fn quantile_ms(level: f64, buckets: &str) -> String {
    let sorted = format!("arraySort(CAST(sumMap({buckets}), 'Array(Tuple(Int16, Int64))'))");
    let counts = format!("arrayMap(bucket -> bucket.2, {sorted})");
    let place =
        format!("arrayFirstIndex(reached -> reached >= {level} * arraySum({counts}), arrayCumSum({counts}))");
    format!("if(empty({sorted}), nan, round(10 * exp2({sorted}[{place}].1 / 8)))")
}

/// The table as text, columns aligned: so many of the first rows, how many were left out, and the last row, which has the sums. The last
/// columns are left out as long as a line is longer than that.
#[must_use]
pub fn render(rows: &[Row], rows_max: usize, line_max: usize) -> String {
    const HEAD: [&str; 9] =
        ["team", "model", "calls", "tokens", "cost USD", "unpriced", "errors", "p95 ms", "first ms"];
    let (sums, rows) = rows.split_last().map_or((None, rows), |(sums, rows)| (Some(sums), rows));
    let shown = if rows.len() <= rows_max.saturating_add(1) { rows.len() } else { rows_max };
    let cells = |row: &'_ Row| -> Vec<String> {
        row.fields.iter().map(|field| if field == "nan" { "-" } else { field }.to_owned()).collect()
    };
    let head = HEAD.map(str::to_owned).to_vec();
    let lines: Vec<Vec<String>> =
        std::iter::once(head).chain(rows[..shown].iter().chain(sums).map(cells)).collect();
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|field| field.len()).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    while widths.iter().sum::<usize>() + widths.len() > line_max.saturating_add(1) && widths.len() > 2 {
        widths.pop();
    }
    let mut text = String::new();
    for (at, line) in lines.iter().enumerate() {
        if at == shown + 1 && shown < rows.len() {
            let _written = writeln!(text, "and {} more rows, which the console has", rows.len() - shown);
        }
        for (column, (field, width)) in line.iter().zip(&widths).enumerate() {
            let cell = if column < 2 { format!("{field:<width$} ") } else { format!("{field:>width$} ") };
            text.push_str(&cell);
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_left_and_numbers_right() {
        let row = |text: &str| Row::of(&text.split(' ').collect::<Vec<_>>());
        let rows = [
            row("search gpt-5 12 3400 0.500000 0 1 250 nan"),
            row("support gpt-5 1 3400 0.500000 0 1 250 nan"),
            row("growth gpt-5 1 3400 0.500000 0 1 250 nan"),
            row("all x 14 3400 1.500000 0 1 250 80"),
        ];
        let text = render(&rows, 1, 80);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "team   model calls tokens cost USD unpriced errors p95 ms first ms");
        assert_eq!(lines[1], "search gpt-5    12   3400 0.500000        0      1    250        -");
        assert_eq!(lines[2], "and 2 more rows, which the console has");
        assert_eq!(lines[3], "all    x        14   3400 1.500000        0      1    250       80");
        assert_eq!(lines.len(), 4);
        // The line about one row would take as much as the row.
        assert_eq!(render(&rows, 2, 80).lines().count(), 5);
        let ends = |line_max| render(&rows, 0, line_max).lines().next().map(|line| line.ends_with("p95 ms"));
        assert_eq!((ends(64), ends(63), ends(55)), (Some(false), Some(true), Some(true)));
        assert_eq!(render(&[], 2, 80).lines().count(), 1);
    }
}
