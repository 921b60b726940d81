//! The live table: calls, tokens, cost, errors, p95 and time to first token by team and model, read from the rollups.

use ledgerline_testkit::stack::sql;

/// One line of the table; every field as it is printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    fields: Vec<String>,
}

/// Reads the table, dearest first, with a line of totals last.
///
/// # Errors
/// When the engine refuses the query.
pub async fn read(engine: &str) -> anyhow::Result<Vec<Row>> {
    let columns = format!(
        "sum(calls) AS made, tokens, toDecimalString(usd, 12), sumIf(calls, unpriced_reason != ''), sumIf(calls, status = 'error'), \
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
        text.lines().map(|line| Row { fields: line.split('\t').map(str::to_owned).collect() }).collect();
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

/// The table as text, columns aligned.
#[must_use]
pub fn render(rows: &[Row]) -> String {
    const HEAD: [&str; 9] =
        ["team", "model", "calls", "tokens", "cost USD", "unpriced", "errors", "p95 ms", "first token ms"];
    let lines: Vec<Vec<&str>> = std::iter::once(HEAD.to_vec())
        .chain(
            rows.iter()
                .map(|row| row.fields.iter().map(|field| if field == "nan" { "-" } else { field }).collect()),
        )
        .collect();
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|field| field.len()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEAD.len()).map(width).collect();
    let mut text = String::new();
    for line in &lines {
        for (column, (field, width)) in line.iter().zip(&widths).enumerate() {
            let cell = if column < 2 { format!("{field:<width$}  ") } else { format!("{field:>width$}  ") };
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
        let row = |text: &str| Row { fields: text.split(' ').map(str::to_owned).collect() };
        let text = render(&[
            row("search gpt-5 12 3400 0.500000000 0 1 250 nan"),
            row("all x 12 3400 0.500000000 0 1 250 80"),
        ]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "team    model  calls  tokens     cost USD  unpriced  errors  p95 ms  first token ms"
        );
        assert_eq!(
            lines[1],
            "search  gpt-5     12    3400  0.500000000         0       1     250               -"
        );
        assert_eq!(lines.len(), 3);
    }
}
