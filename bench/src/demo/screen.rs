//! Pure. What the demo shows while its services call: where to go, the live table and the alerts, in as many lines as the terminal has.

use crate::table::{self, Row};
use crate::terminal::Size;

/// Lines of the table beside its rows: the names of the columns, what was left out, the sums.
const TABLE_LINES: usize = 3;

/// A frame for a terminal of that size, in which the rows that do not fit are counted and not shown; without one all of it.
#[must_use]
pub fn frame(head: &str, progress: &str, rows: &[Row], alerts: &[String], size: Option<Size>) -> String {
    let alerts = if alerts.is_empty() {
        "Alertmanager has no alert".to_owned()
    } else {
        format!("Alertmanager has\n{}", alerts.join("\n"))
    };
    let table = match size {
        None => table::render(rows, usize::MAX, usize::MAX),
        Some(size) => {
            let others: usize = [head, progress, &alerts].map(|text| size.lines_of(text)).iter().sum();
            // A line is left for the cursor.
            let left = size.lines.saturating_sub(others + TABLE_LINES + 1);
            let table = table::render(rows, left.max(1), size.columns);
            table.lines().fold(String::new(), |text, line| {
                let line: String = line.chars().take(size.columns).collect();
                text + &line + "\n"
            })
        }
    };
    format!("{head}\n{progress}\n{table}{alerts}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_the_terminal_and_begins_with_the_address() {
        let head = format!("Console: http://127.0.0.1:4319/\nAgent:   {}", "x".repeat(98));
        let rows = |count: usize| -> Vec<Row> {
            let row = |number: usize| {
                let model = format!("model-{number}-of-a-long-name");
                Row::of(&[
                    "platform",
                    &model,
                    "1234",
                    "12345678",
                    "12345.678901",
                    "1000",
                    "1000",
                    "12345",
                    "1234",
                ])
            };
            (0..=count).map(row).collect()
        };
        let alerts = ["  LLMBudgetThreshold: support, 80%".to_owned(), "  ProviderFails: groq".to_owned()];
        let small = Size { columns: 80, lines: 24 };
        for count in [0, 1, 13, 14, 15, 30] {
            let frame = frame(&head, "The services call: 2 of 120 s", &rows(count), &alerts, Some(small));
            assert!(small.lines_of(frame.trim_end()) < small.lines, "{count} rows:\n{frame}");
            assert!(frame.starts_with("Console: ") && frame.ends_with("ProviderFails: groq\n"), "{frame}");
            assert!(frame.lines().skip(2).all(|line| line.chars().count() <= 80), "{frame}");
            assert_eq!(frame.contains("more rows"), count > 14, "{count} rows:\n{frame}");
        }
        let all = frame(&head, "", &rows(30), &[], None);
        assert!(all.contains("model-30") && !all.contains("more rows") && all.contains("no alert"), "{all}");
    }
}
