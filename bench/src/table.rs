//! The live table: calls, tokens, cost, errors, p95 and time to first token by team and model, read from the rollups.

use ledgerline_testkit::stack::sql;

/// Token columns are disjoint, so their sum is the number of tokens.
const TOKEN_COLUMNS: &str = "tokens_input_uncached + tokens_cache_read + tokens_cache_write_5m + tokens_cache_write_30m \
    + tokens_cache_write_1h + tokens_cache_write_12h + tokens_input_audio + tokens_input_image + tokens_tool_use_prompt \
    + tokens_output_text + tokens_output_reasoning + tokens_output_audio + tokens_output_image";

/// The sketch's own list of levels; merging needs the same one.
const LEVELS: &str = "0.01, 0.5, 0.9, 0.95, 0.99";

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
        "sum(calls), sum({TOKEN_COLUMNS}), toDecimalString(sum(cost), 12), sum(unpriced_calls), sum(errors), \
         round(quantilesDDMerge({LEVELS})(duration_us_quantiles)[3] / 1000), \
         round(quantilesDDMerge({LEVELS})(ttft_us_quantiles)[1] / 1000)"
    );
    let query = format!(
        "SELECT team, model, {columns} FROM calls_minute GROUP BY team, model ORDER BY sum(cost) DESC LIMIT 40 \
         UNION ALL SELECT 'all', '', {columns} FROM calls_minute"
    );
    let text = sql(engine, &query).await?;
    let mut rows: Vec<Row> =
        text.lines().map(|line| Row { fields: line.split('\t').map(str::to_owned).collect() }).collect();
    // The order of the two halves of a UNION is not promised.
    rows.sort_by_key(|row| row.fields.first().is_some_and(|team| team == "all"));
    Ok(rows)
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
