//! Pure. The reference of the metrics, `docs/metrics.md`, made from the catalogue that queries are planned with and from the lists of
//! the processes' own metrics, so that it cannot say something else.

use std::fmt::Write as _;

use ledgerline_store::catalog::METRICS;

/// The page. `own` are the processes, each with its committed `metrics.txt`.
#[must_use]
pub fn metrics(own: &[(&str, &str)]) -> String {
    let mut page = String::from(HEAD);
    for metric in
        METRICS.iter().filter(|metric| !metric.name.ends_with("_count") && !metric.name.ends_with("_sum"))
    {
        let more: Vec<String> =
            metric.more_labels.iter().map(|label| format!("`{}`", label.name())).collect();
        let kind = metric.family().1;
        let parts = if kind == "histogram" { ", `_sum`, `_count`" } else { "" };
        let _written =
            writeln!(page, "| `{}`{parts} | {kind} | {} | {} |", metric.name, more.join(", "), metric.help);
    }
    page.push_str("\nThe values of labels whose list is short:\n\n| label | values |\n|---|---|\n");
    let mut known: Vec<&str> = Vec::new();
    for label in METRICS.iter().flat_map(|metric| metric.more_labels) {
        let Some(values) = label.values() else { continue };
        if !known.contains(&label.name()) {
            known.push(label.name());
            let _written = writeln!(page, "| `{}` | {} |", label.name(), values.join(", "));
        }
    }
    for (process, list) in own {
        let _written =
            write!(page, "\n## Of the {process} itself\n\n| metric | type | meaning |\n|---|---|---|\n");
        let lines: Vec<&str> = list.lines().collect();
        for pair in lines.chunks(2) {
            let help = pair
                .first()
                .and_then(|line| line.strip_prefix("# HELP "))
                .and_then(|line| line.split_once(' '));
            let kind = pair.get(1).and_then(|line| line.rsplit(' ').next());
            if let (Some((name, help)), Some(kind)) = (help, kind) {
                let end = if kind == "counter" { "_total" } else { "" };
                let _written = writeln!(page, "| `{name}{end}` | {kind} | {help} |");
            }
        }
    }
    page
}

const HEAD: &str = "# Every metric

<!-- Made by the test the_reference_of_metrics_is_what_the_product_has with LEDGERLINE_UPDATE=1; do not edit. -->

## Of calls, at the Prometheus API

These are not scraped: each is computed from the stored ledger when it is asked for. `increase` over them is the exact sum over the window,
with neither extrapolation nor resets, and a call counts when it ends. All of them have the labels `service`, `environment`, `team`,
`feature`, `provider`, `model`, `operation`, `status` and `error_type`; users and sessions are never labels.

| metric | type | labels beside these | meaning |
|---|---|---|---|
";
