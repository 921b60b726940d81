//! Reads Prometheus's test language: `load`, `clear` and `eval` with their indented lines.
//!
//! One word is ours: `load_delta <step>` loads series whose values are increments, the kind a counter derived from spans has.

use ledgerline_promql::{Budget, Labels, METRIC_NAME, MatchKind, STALE_NAN_BITS, parse_selector};

/// One command.
#[derive(Debug)]
pub enum Command {
    Clear,
    Load {
        step_ms: i64,
        kind: LoadKind,
        series: Vec<LoadedSeries>,
    },
    Eval(Eval),
    /// Not understood; the reason.
    Unknown(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadKind {
    Samples,
    /// Also makes native histograms of classic buckets, which we do not have.
    WithHistograms,
    Increments,
}

#[derive(Debug)]
pub struct LoadedSeries {
    pub labels: Labels,
    /// One per step; `None` leaves the step out.
    pub values: Vec<Option<Cell>>,
}

#[derive(Debug, Clone, Copy)]
pub enum Cell {
    Float(f64),
    Histogram,
}

#[derive(Debug)]
pub struct Eval {
    pub times: Times,
    pub expression: String,
    pub expectations: Vec<(String, String)>,
    pub fails: bool,
    pub ordered: bool,
    pub results: Vec<ExpectedLine>,
}

#[derive(Debug, Clone, Copy)]
pub enum Times {
    Instant { time_ms: i64 },
    Range { start_ms: i64, end_ms: i64, step_ms: i64 },
}

#[derive(Debug)]
pub enum ExpectedLine {
    Scalar(f64),
    Series(LoadedSeries),
    Histogram,
}

/// All commands with the number of the line they begin on.
pub fn parse(text: &str) -> Vec<(usize, Command)> {
    let mut commands: Vec<(usize, Command)> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let indented = line.starts_with([' ', '\t']);
        match commands.last_mut() {
            Some((_, command)) if indented => add_line(command, trimmed),
            _ => commands.push((at + 1, head(trimmed))),
        }
    }
    commands
}

fn head(line: &str) -> Command {
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let load = |kind| match duration_ms(rest) {
        Some(step_ms) => Command::Load { step_ms, kind, series: Vec::new() },
        None => Command::Unknown(format!("load step {rest}")),
    };
    match word {
        "clear" => Command::Clear,
        "load" => load(LoadKind::Samples),
        "load_with_nhcb" => load(LoadKind::WithHistograms),
        "load_delta" => load(LoadKind::Increments),
        _ if word.starts_with("eval") => eval_head(word, rest.trim()),
        _ => Command::Unknown(word.to_owned()),
    }
}

fn eval_head(word: &str, rest: &str) -> Command {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let after = |count: usize| {
        let mut rest = rest;
        for _ in 0..count {
            rest = rest.trim_start().split_once(char::is_whitespace).map_or("", |(_, rest)| rest);
        }
        rest.trim().to_owned()
    };
    let (times, expression) = match words.as_slice() {
        ["instant", "at", time, ..] => {
            let Some(time_ms) = duration_ms(time) else { return Command::Unknown((*time).to_owned()) };
            (Times::Instant { time_ms }, after(3))
        }
        ["range", "from", start, "to", end, "step", step, ..] => {
            let (Some(start_ms), Some(end_ms), Some(step_ms)) =
                (duration_ms(start), duration_ms(end), duration_ms(step))
            else {
                return Command::Unknown(rest.to_owned());
            };
            (Times::Range { start_ms, end_ms, step_ms }, after(7))
        }
        _ => return Command::Unknown(rest.to_owned()),
    };
    let mut expectations = Vec::new();
    match word {
        "eval_warn" => expectations.push(("warn".to_owned(), String::new())),
        "eval_info" => expectations.push(("info".to_owned(), String::new())),
        _ => {}
    }
    Command::Eval(Eval {
        times,
        expression,
        expectations,
        fails: word == "eval_fail",
        ordered: word == "eval_ordered",
        results: Vec::new(),
    })
}

fn add_line(command: &mut Command, line: &str) {
    match command {
        Command::Load { series, .. } => match read_series(line) {
            Some(one) => series.push(one),
            None => *command = Command::Unknown(format!("series {line}")),
        },
        Command::Eval(eval) => {
            if let Some(rest) = line.strip_prefix("expect ") {
                let rest = rest.trim();
                let (word, detail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                match word {
                    "fail" => eval.fails = true,
                    "ordered" => eval.ordered = true,
                    _ => {}
                }
                eval.expectations.push((word.to_owned(), detail.trim().to_owned()));
            } else if line.contains("{{") {
                eval.results.push(ExpectedLine::Histogram);
            } else if let Some(value) = number(line) {
                eval.results.push(ExpectedLine::Scalar(value));
            } else if let Some(series) = read_series(line) {
                eval.results.push(ExpectedLine::Series(series));
            } else if !line.starts_with("expected_fail") {
                *command = Command::Unknown(format!("result {line}"));
            }
        }
        Command::Clear | Command::Unknown(_) => {}
    }
}

fn read_series(line: &str) -> Option<LoadedSeries> {
    let end = metric_end(line)?;
    let (metric, values) = line.split_at(end);
    Some(LoadedSeries { labels: labels(metric.trim())?, values: read_values(values)? })
}

/// Where the metric ends and the values begin.
fn metric_end(line: &str) -> Option<usize> {
    let mut quote = None;
    let mut previous = ' ';
    let mut inside = false;
    for (at, c) in line.char_indices() {
        match (quote, c) {
            (Some(open), _) if c == open && previous != '\\' => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(c),
            (None, '{') => inside = true,
            (None, '}') => return Some(at + 1),
            // A blank between the name and its braces is allowed.
            (None, _) if c.is_whitespace() && !inside && !line[at..].trim_start().starts_with('{') => {
                return Some(at);
            }
            (None, _) if c.is_whitespace() && !inside && line[at..].trim_start().starts_with("{{") => {
                return Some(at);
            }
            _ => {}
        }
        previous = c;
    }
    Some(line.len())
}

fn labels(metric: &str) -> Option<Labels> {
    if metric.is_empty() || metric == "{}" {
        return Some(Labels::default());
    }
    // An empty selector is refused by the parser, so a name that is never used is added and taken off again.
    let named = !metric.starts_with('{') || metric.contains(METRIC_NAME) || metric.starts_with("{\"");
    let text = if named { metric.to_owned() } else { metric.replacen('{', "{__name__=\"x\",", 1) };
    let matchers = parse_selector(&Budget::default(), &text).ok()?;
    let mut labels = Labels::default();
    for matcher in matchers.iter().filter(|matcher| matcher.kind == MatchKind::Equal) {
        labels.set(matcher.name.as_str(), matcher.value.as_str());
    }
    if !named {
        labels.set(METRIC_NAME, "");
    }
    Some(labels)
}

fn read_values(text: &str) -> Option<Vec<Option<Cell>>> {
    let mut out = Vec::new();
    for item in items(text) {
        if item == "_" {
            out.push(None);
        } else if let Some(count) = item.strip_prefix("_x") {
            out.extend(std::iter::repeat_n(None, count.parse().ok()?));
        } else if item.contains("{{") {
            let count: usize = match item.rsplit_once("}}x") {
                Some((_, count)) => count.parse::<usize>().ok()? + 1,
                None => 1,
            };
            out.extend(std::iter::repeat_n(Some(Cell::Histogram), count));
        } else if item == "stale" {
            out.push(Some(Cell::Float(f64::from_bits(STALE_NAN_BITS))));
        } else {
            expand(&item, &mut out)?;
        }
    }
    Some(out)
}

/// Splits at blanks outside of `{{...}}`.
fn items(text: &str) -> Vec<String> {
    let mut items = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if c.is_whitespace() && depth == 0 {
            items.push(String::new());
        } else if let Some(last) = items.last_mut() {
            last.push(c);
        }
    }
    items.into_iter().take_while(|item| !item.starts_with('#')).filter(|item| !item.is_empty()).collect()
}

/// `a`, `axn` (a, n + 1 times), `a+bxn` and `a-bxn` (n steps of b from a).
fn expand(item: &str, out: &mut Vec<Option<Cell>>) -> Option<()> {
    if let Some(value) = number(item) {
        out.push(Some(Cell::Float(value)));
        return Some(());
    }
    let (range, count) = item.rsplit_once('x')?;
    let count: usize = count.parse().ok()?;
    let (start, step) = match number(range) {
        Some(start) => (start, 0.0),
        None => {
            let split = |at: &usize| !matches!(range.as_bytes()[at - 1], b'e' | b'E');
            let at = range
                .char_indices()
                .skip(1)
                .filter(|(_, c)| matches!(c, '+' | '-'))
                .map(|(at, _)| at)
                .find(split)?;
            (number(&range[..at])?, number(range[at..].trim_start_matches('+'))?)
        }
    };
    let mut value = start;
    for _ in 0..=count {
        out.push(Some(Cell::Float(value)));
        value += step;
    }
    Some(())
}

fn number(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let value = match digits.to_ascii_lowercase().as_str() {
        "inf" => f64::INFINITY,
        "nan" => f64::NAN,
        lower if lower.starts_with(|c: char| c.is_ascii_digit() || c == '.') => {
            match lower.strip_prefix("0x") {
                // `0x10` is the value 0 repeated, not hexadecimal.
                Some(_) => return None,
                None => lower.parse().ok()?,
            }
        }
        _ => return None,
    };
    Some(sign * value)
}

/// `1h30m`, `-5m`, or plain seconds.
pub fn duration_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        #[allow(clippy::cast_possible_truncation, reason = "times in scripts are small")]
        return Some((seconds * 1000.0).round() as i64);
    }
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut total = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let amount: i64 = rest[..digits].parse().ok()?;
        let unit_end = rest[digits..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| digits + at);
        let unit = match &rest[digits..unit_end] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            _ => return None,
        };
        total += amount * unit;
        rest = &rest[unit_end..];
    }
    Some(sign * total)
}
