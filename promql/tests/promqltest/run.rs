//! Runs a script against the evaluator and judges every case.

use ledgerline_promql::syntax::ParseError;
use ledgerline_promql::{
    Budget, Fetched, Labels, METRIC_NAME, Number, Plan, Point, QueryError, QueryParams, QueryResult,
    QueryValue, Samples, Series, evaluate, plan,
};

use crate::script::{Cell, Command, Eval, ExpectedLine, LoadKind, LoadedSeries, Times, duration_ms, parse};

/// What became of one case.
#[derive(Debug)]
pub enum Outcome {
    Passed,
    /// We gave no answer, or not every notice: the reason, for counting.
    Unsupported(String),
    /// We gave a wrong answer.
    Failed(String),
}

#[derive(Default)]
struct Store {
    series: Vec<(Series, bool)>,
}

impl Store {
    fn load(&mut self, step_ms: i64, kind: LoadKind, loaded: &LoadedSeries) {
        let mut points = Vec::new();
        let mut histogram = false;
        let mut time_ms = 0;
        for cell in &loaded.values {
            match cell {
                Some(Cell::Float(value)) => points.push(Point { time_ms, value: Number::Float(*value) }),
                Some(Cell::Histogram) => histogram = true,
                None => {}
            }
            time_ms += step_ms;
        }
        let samples = if kind == LoadKind::Increments {
            Samples::Delta(points.iter().map(|point| (point.time_ms, picos(point.value))).collect())
        } else {
            Samples::Points(points)
        };
        if kind == LoadKind::WithHistograms
            && let Some(name) = loaded.labels.get(METRIC_NAME).strip_suffix("_bucket")
        {
            let mut labels = loaded.labels.clone();
            labels.set(METRIC_NAME, name);
            labels.set("le", "");
            self.series.push((Series { labels, samples: Samples::Points(Vec::new()) }, true));
        }
        if let Some((series, mixed)) =
            self.series.iter_mut().find(|(series, _)| series.labels == loaded.labels)
        {
            *mixed |= histogram;
            if let (Samples::Points(all), Samples::Points(more)) = (&mut series.samples, samples) {
                all.extend(more);
                all.sort_by_key(|point| point.time_ms);
            }
            return;
        }
        self.series.push((Series { labels: loaded.labels.clone(), samples }, histogram));
    }

    /// `None` when a native histogram would be read.
    fn fetch(&self, budget: &Budget<'_>, plan: &Plan) -> Option<Fetched> {
        let mut fetched = Fetched::default();
        for request in &plan.requests {
            let matches = |labels: &Labels| {
                request.matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.name)))
            };
            let matching = self.series.iter().filter(|(series, _)| matches(&series.labels));
            let mut found = Vec::new();
            for (series, histogram) in matching {
                if *histogram {
                    return None;
                }
                found.push(series.clone());
            }
            fetched.insert(budget.memory(), request.selector, found).unwrap();
        }
        Some(fetched)
    }
}

fn picos(value: Number) -> i128 {
    let Number::Float(value) = value else { panic!("scripts hold floats") };
    let text = format!("{value:.12}");
    text.replace('.', "").parse().unwrap()
}

/// Every case of a script with the number of its line.
pub fn run(text: &str) -> Vec<(usize, Outcome)> {
    let mut store = Store::default();
    let mut outcomes = Vec::new();
    for (line, command) in parse(text) {
        match command {
            Command::Clear => store = Store::default(),
            Command::Load { step_ms, kind, series } => {
                series.iter().for_each(|one| store.load(step_ms, kind, one));
            }
            Command::Eval(eval) => outcomes.push((line, judge(&store, &eval))),
            Command::Unknown(what) => outcomes.push((line, Outcome::Unsupported(format!("script: {what}")))),
        }
    }
    outcomes
}

fn judge(store: &Store, eval: &Eval) -> Outcome {
    if eval.results.iter().any(|line| matches!(line, ExpectedLine::Histogram)) {
        return Outcome::Unsupported("native histograms".to_owned());
    }
    let params = match eval.times {
        Times::Instant { time_ms } => QueryParams::Instant { time_ms },
        Times::Range { start_ms, end_ms, step_ms } => QueryParams::Range { start_ms, end_ms, step_ms },
    };
    let budget = Budget::default();
    let result = match plan(&eval.expression, params) {
        Err(error) => Err(error),
        Ok(plan) => match store.fetch(&budget, &plan) {
            None => return Outcome::Unsupported("native histograms".to_owned()),
            Some(fetched) => evaluate(&plan, &fetched, &budget),
        },
    };
    match result {
        Err(error) => judge_error(eval, &error),
        Ok(result) if eval.fails => Outcome::Failed(format!("should fail, got {:?}", result.value)),
        Ok(result) => match mismatch(eval, &result.value) {
            Some(why) => Outcome::Failed(format!("{}: {why}", eval.expression)),
            None => judge_notices(eval, &result),
        },
    }
}

fn judge_error(eval: &Eval, error: &QueryError) -> Outcome {
    match error {
        QueryError::Unsupported(what, _) => Outcome::Unsupported(what.clone()),
        QueryError::Parse(ParseError::Syntax(_)) if !eval.fails => {
            Outcome::Unsupported(format!("not parsed: {}", eval.expression))
        }
        _ if eval.fails => {
            let expected =
                eval.expectations.iter().find(|(word, _)| word == "fail").map(|(_, detail)| detail);
            let message = expected.and_then(|detail| detail.strip_prefix("msg:")).map(str::trim);
            match message {
                Some(message) if !error.to_string().contains(message) => {
                    Outcome::Unsupported(format!("error text {message:?}"))
                }
                _ => Outcome::Passed,
            }
        }
        error => Outcome::Failed(format!("{}: {error}", eval.expression)),
    }
}

fn judge_notices(eval: &Eval, result: &QueryResult) -> Outcome {
    for (word, _) in &eval.expectations {
        let (notices, wanted) = match word.as_str() {
            "warn" => (&result.warnings, true),
            "no_warn" => (&result.warnings, false),
            "info" => (&result.infos, true),
            "no_info" => (&result.infos, false),
            _ => continue,
        };
        if notices.is_empty() == wanted {
            return if wanted {
                Outcome::Unsupported(format!("notice: {word}"))
            } else {
                Outcome::Failed(format!("{}: unwanted notice {notices:?}", eval.expression))
            };
        }
    }
    Outcome::Passed
}

fn mismatch(eval: &Eval, value: &QueryValue) -> Option<String> {
    if let Some((_, text)) = eval.expectations.iter().find(|(word, _)| word == "string") {
        let QueryValue::Text { text: got, .. } = value else {
            return Some(format!("expected a string, got {value:?}"));
        };
        let wanted = text.trim_matches(['"', '`', '\'']);
        return (got != wanted).then(|| format!("expected {wanted:?}, got {got:?}"));
    }
    match value {
        QueryValue::Scalar(point) => match eval.results.as_slice() {
            [ExpectedLine::Scalar(wanted)] if close(*wanted, point.value) => None,
            other => Some(format!("expected {other:?}, got {:?}", point.value)),
        },
        QueryValue::Text { .. } => Some("unexpected string".to_owned()),
        QueryValue::Vector(samples) => {
            let got = samples.iter().map(|sample| (sample.labels.clone(), vec![sample.point])).collect();
            let time_ms = samples.first().map_or(0, |sample| sample.point.time_ms);
            compare(eval, got, &|_| time_ms)
        }
        QueryValue::Matrix(series) => {
            let got = series.iter().map(|one| (one.labels.clone(), one.points().collect())).collect();
            let (start, step) = match eval.times {
                Times::Range { start_ms, step_ms, .. } => (start_ms, step_ms),
                Times::Instant { .. } => range_vector_times(eval)?,
            };
            compare(eval, got, &|at| start + i64::try_from(at).unwrap() * step)
        }
    }
}

/// `expect range vector from <start> to <end> step <step>`.
fn range_vector_times(eval: &Eval) -> Option<(i64, i64)> {
    let (_, detail) = eval.expectations.iter().find(|(word, _)| word == "range")?;
    let words: Vec<&str> = detail.split_whitespace().collect();
    match words.as_slice() {
        ["vector", "from", start, "to", _, "step", step] => Some((duration_ms(start)?, duration_ms(step)?)),
        _ => None,
    }
}

fn compare(eval: &Eval, mut got: Vec<(Labels, Vec<Point>)>, time: &dyn Fn(usize) -> i64) -> Option<String> {
    let mut wanted: Vec<(Labels, Vec<(i64, f64)>)> = Vec::new();
    for line in &eval.results {
        let (labels, values) = match line {
            ExpectedLine::Series(series) => (series.labels.clone(), series.values.as_slice()),
            ExpectedLine::Scalar(value) => (Labels::default(), &[Some(Cell::Float(*value))][..]),
            ExpectedLine::Histogram => return None,
        };
        let points = values.iter().enumerate().filter_map(|(at, cell)| match cell {
            Some(Cell::Float(value)) => Some((time(at), *value)),
            _ => None,
        });
        wanted.push((labels, points.collect()));
    }
    wanted.retain(|(_, points)| !points.is_empty());
    if !eval.ordered {
        got.sort_by(|a, b| a.0.cmp(&b.0));
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let same = got.len() == wanted.len()
        && got.iter().zip(&wanted).all(|((labels, points), (wanted_labels, wanted_points))| {
            labels == wanted_labels
                && points.len() == wanted_points.len()
                && points
                    .iter()
                    .zip(wanted_points)
                    .all(|(point, (time_ms, value))| point.time_ms == *time_ms && close(*value, point.value))
        });
    (!same).then(|| format!("expected {wanted:?}, got {got:?}"))
}

/// The language's own notion of equality: one part in a million for floats. Exact values must be equal.
fn close(wanted: f64, got: Number) -> bool {
    let value = got.to_f64();
    if let Number::Exact(exact) = got {
        return exact == picos(Number::Float(wanted));
    }
    if wanted.is_nan() || value.is_nan() {
        return wanted.is_nan() && value.is_nan();
    }
    if wanted.to_bits() == value.to_bits() || wanted == value {
        return true;
    }
    let difference = (wanted - value).abs();
    if wanted == 0.0 || value == 0.0 {
        return difference < 1e-6 * f64::MIN_POSITIVE;
    }
    difference / (wanted.abs() + value.abs()).min(f64::MAX) < 1e-6
}
