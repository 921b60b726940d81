//! A seeded generator of expressions by the grammar: valid ones, with operands of the wrong type here and there, and broken texts.

// Two crates compile this file: these tests, and the comparison with promtool.
use super::{ValueType, signatures};

/// xorshift; the same seed gives the same texts.
pub struct Generator {
    state: u64,
    /// One operand in this many has the wrong type.
    wrong: u64,
    /// Whether what Debian's promtool does not know yet is left out.
    old: bool,
}

const OPERATORS: &[&str] =
    &["+", "-", "*", "/", "%", "^", "atan2", "==", "!=", "<", "<=", ">", ">=", "and", "or", "unless"];
const NAMES: &[&str] =
    &["a", "foo_total", "b:c", "sum", "offset", "by", "start", "and", "group", "without", "le"];
const LABELS: &[&str] =
    &["team", "le", "job", "on", "bool", "sum", "offset", "end", "group_left", "and", "a"];
const NUMBERS: &[&str] = &["0", "1", "2.5", ".5", "1e3", "5e-2", "0x1F", "017", "Inf", "NaN", "inf", "3."];
const DURATIONS: &[&str] = &["5m", "1h30m", "90s", "1d", "2w", "1y", "250ms", "1m1ms"];
const STRINGS: &[&str] =
    &["\"x\"", "'x'", "`x`", "\"\"", "\"a|b\"", "\"\\\"\\n\\x41\\101\\u00e9\"", "`a\\d+`", "'it\\'s'"];
/// Functions that Prometheus 3 has behind a feature flag.
const NEW: &[&str] = &[
    "double_exponential_smoothing",
    "end",
    "first_over_time",
    "info",
    "integral",
    "mad_over_time",
    "max_of",
    "min_of",
    "range",
    "sort_by_label",
    "sort_by_label_desc",
    "start",
    "step",
    "ts_of_first_over_time",
    "ts_of_last_over_time",
    "ts_of_max_over_time",
    "ts_of_min_over_time",
];
const AGGREGATIONS: &[&str] = &["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"];

impl Generator {
    pub fn new(seed: u64, wrong: u64, old: bool) -> Self {
        Self { state: seed.max(1), wrong, old }
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state % u64::try_from(bound).unwrap()).unwrap()
    }

    pub fn pick(&mut self, from: &[&str]) -> String {
        from[self.below(from.len())].to_owned()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// An expression of any type.
    pub fn expression(&mut self) -> String {
        let kind =
            [ValueType::Vector, ValueType::Scalar, ValueType::Vector, ValueType::Vector][self.below(4)];
        self.of(kind, 3)
    }

    /// A text that was an expression before one or two of its parts were taken, doubled or replaced.
    pub fn broken(&mut self) -> String {
        let mut chars: Vec<char> = self.expression().chars().collect();
        for _ in 0..=self.below(2) {
            let at = self.below(chars.len().max(1));
            let noise = [
                '(', ')', '[', ']', '{', '}', ',', '"', '=', '~', '!', '-', '@', ':', '#', ' ', '5', 'm',
                '.', 'x',
            ];
            match self.below(4) {
                0 if !chars.is_empty() => drop(chars.remove(at)),
                1 if !chars.is_empty() => chars.insert(at, chars[at]),
                2 => chars.insert(at, noise[self.below(noise.len())]),
                _ => chars.truncate(at),
            }
        }
        chars.into_iter().collect()
    }

    fn of(&mut self, wanted: ValueType, depth: usize) -> String {
        let any = [ValueType::Scalar, ValueType::Vector, ValueType::Matrix, ValueType::String];
        let wrong = self.wrong > 0 && self.one_in(usize::try_from(self.wrong).unwrap());
        match if wrong { any[self.below(4)] } else { wanted } {
            ValueType::Scalar => self.scalar(depth),
            ValueType::Vector => self.vector(depth),
            ValueType::Matrix => self.matrix(depth),
            ValueType::String => self.pick(STRINGS),
        }
    }

    fn blank(&mut self) -> String {
        self.pick(&["", "", " ", " ", "  ", "\n", " # note\n "])
    }

    fn number(&mut self) -> String {
        if !self.old && self.one_in(4) { self.pick(DURATIONS) } else { self.pick(NUMBERS) }
    }

    fn scalar(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.number();
        }
        match self.below(8) {
            0 => format!("({})", self.of(ValueType::Scalar, depth - 1)),
            1 => format!("{}{}", self.pick(&["-", "+", "- "]), self.of(ValueType::Scalar, depth - 1)),
            2 => {
                let operator = self.pick(&OPERATORS[..13]);
                let compares = OPERATORS[7..13].contains(&operator.as_str());
                let modifier = if compares && !self.one_in(9) { "bool " } else { "" };
                let (left, right) =
                    (self.of(ValueType::Scalar, depth - 1), self.of(ValueType::Scalar, depth - 1));
                format!("{left} {operator} {modifier}{right}")
            }
            3 => self.call(ValueType::Scalar, depth),
            _ => self.number(),
        }
    }

    fn vector(&mut self, depth: usize) -> String {
        if depth == 0 {
            return self.selector();
        }
        match self.below(12) {
            0 => format!("({})", self.of(ValueType::Vector, depth - 1)),
            1 => format!("-{}", self.of(ValueType::Vector, depth - 1)),
            2..=4 => self.binary(depth),
            5 | 6 => self.aggregate(depth),
            7..=9 => self.call(ValueType::Vector, depth),
            _ => {
                let selector = self.selector();
                self.modified(&selector)
            }
        }
    }

    fn binary(&mut self, depth: usize) -> String {
        let operator = self.pick(OPERATORS);
        let set = ["and", "or", "unless"].contains(&operator.as_str());
        let left = self.of(ValueType::Vector, depth - 1);
        let scalar = !set && self.one_in(3);
        let right = self.of(if scalar { ValueType::Scalar } else { ValueType::Vector }, depth - 1);
        let mut modifier = String::new();
        if OPERATORS[7..13].contains(&operator.as_str()) && self.one_in(3) {
            modifier.push_str(" bool");
        }
        if (!scalar && self.one_in(2)) || self.one_in(30) {
            let word = self.pick(&[" on", " ignoring"]);
            modifier.push_str(&format!("{word}{}", self.labels()));
            if (!set && self.one_in(3)) || self.one_in(30) {
                let group = self.pick(&[" group_left", " group_right"]);
                let labels = if self.one_in(2) { self.labels() } else { String::new() };
                modifier.push_str(&format!("{group}{labels}"));
            }
        }
        if !self.old && !scalar && !set && self.one_in(8) {
            modifier.push_str(&self.pick(&[" fill(0)", " fill_left (-1)", " fill_right(2) fill_left(3)"]));
        }
        format!("{left} {operator}{modifier} {right}")
    }

    fn aggregate(&mut self, depth: usize) -> String {
        let over = self.of(ValueType::Vector, depth - 1);
        let (name, arguments) = match self.below(8) {
            0 => (
                self.pick(&["topk", "bottomk", "quantile"]),
                format!("{}, {over}", self.of(ValueType::Scalar, depth - 1)),
            ),
            1 => ("count_values".to_owned(), format!("{}, {over}", self.of(ValueType::String, depth - 1))),
            2 if !self.old => (self.pick(&["limitk", "limit_ratio"]), format!("1, {over}")),
            _ => (self.pick(AGGREGATIONS), over),
        };
        let name = if self.one_in(9) { name.to_uppercase() } else { name };
        let grouping = format!("{}{}", self.pick(&["by", "without", "by "]), self.labels());
        match self.below(3) {
            0 => format!("{name}({arguments})"),
            1 => format!("{name} {grouping} ({arguments})"),
            _ => format!("{name}({arguments}) {grouping}"),
        }
    }

    fn call(&mut self, returns: ValueType, depth: usize) -> String {
        let known = signatures().filter(|f| f.returns == returns && !(self.old && NEW.contains(&f.name)));
        let known: Vec<_> = known
            .filter(|f| !self.old || !f.name.starts_with("histogram_") || f.name == "histogram_quantile")
            .collect();
        let function = known[self.below(known.len())];
        let most = function.most.min(function.least + 9);
        let mut count = function.least + self.below(most - function.least + 1);
        if self.one_in(40) {
            count = self.below(4);
        }
        let mut arguments = Vec::new();
        for at in 0..count {
            let wanted = function.arguments.get(at).or(function.arguments.last()).copied();
            if function.name == "info" && at == 1 {
                arguments.push("{team=\"x\"}".to_owned());
            } else {
                arguments.push(self.of(wanted.unwrap_or(ValueType::Scalar), depth - 1));
            }
        }
        format!("{}({}{})", function.name, self.blank(), arguments.join(", "))
    }

    fn labels(&mut self) -> String {
        let mut labels = Vec::new();
        for _ in 0..self.below(4) {
            labels.push(if !self.old && self.one_in(6) { "\"a.b\"".to_owned() } else { self.pick(LABELS) });
        }
        let comma = if !labels.is_empty() && self.one_in(8) { "," } else { "" };
        format!("({}{comma})", labels.join(", "))
    }

    fn selector(&mut self) -> String {
        let name = self.pick(NAMES);
        let mut matchers = Vec::new();
        for _ in 0..self.below(3) {
            let label = if !self.old && self.one_in(6) { "\"a.b\"".to_owned() } else { self.pick(LABELS) };
            let blank = self.blank();
            matchers.push(format!(
                "{label}{blank}{}{}",
                self.pick(&["=", "!=", "=~", "!~"]),
                self.pick(STRINGS)
            ));
        }
        match self.below(6) {
            0 if !self.old => format!("{{\"my.metric\", {}}}", matchers.join(",")),
            0 | 1 => format!("{{{}}}", matchers.join(", ")),
            2 if matchers.is_empty() => name,
            _ => format!("{name}{}{{{}}}", self.blank(), matchers.join(",")),
        }
    }

    fn duration(&mut self) -> String {
        if self.old || !self.one_in(3) {
            return self.pick(DURATIONS);
        }
        self.pick(&[
            "300",
            "5m+1m*2",
            "-(1m-2m)",
            "step()",
            "range() / 2",
            "min_of(1h, step()*5)",
            "max(5m,1h)",
            "2^3",
            "1h % 7m",
            "(30m)",
            "-step() + 1h",
            "0.5",
        ])
    }

    fn modified(&mut self, selector: &str) -> String {
        let offset = if self.old || !self.one_in(4) {
            format!("{}{}", self.pick(&["", "-"]), self.pick(DURATIONS))
        } else {
            self.pick(&[
                "300",
                "-0.5",
                "+5m",
                "(5m*2)",
                "-(step() + 1m)",
                "step()",
                "-min_of(1m, 2m)",
                "range()",
                "0s",
            ])
        };
        let at = self.pick(&["1609746000", "-1.5", "start()", "end()", "1e3"]);
        let mode =
            if !self.old && self.one_in(6) { self.pick(&[" anchored", " smoothed"]) } else { String::new() };
        match self.below(5) {
            0 => format!("{selector}{mode} offset {offset}"),
            1 => format!("{selector} @ {at}{mode}"),
            2 => format!("{selector} @ {at} offset {offset}"),
            3 => format!("{selector} offset {offset} @ {at}"),
            _ => selector.to_owned(),
        }
    }

    fn matrix(&mut self, depth: usize) -> String {
        let range = if depth == 0 || self.one_in(2) {
            let mode = if !self.old && self.one_in(6) {
                self.pick(&[" anchored", " smoothed"])
            } else {
                String::new()
            };
            format!("{}[{}]{mode}", self.selector(), self.duration())
        } else {
            // Coarse enough for the bound on a subquery's steps, which promtool lacks.
            let step = if self.one_in(2) { self.pick(&["5m", "1h30m", "1d"]) } else { String::new() };
            let operand = self.of(ValueType::Vector, depth - 1);
            format!("{operand}[{}:{step}]", self.duration())
        };
        if self.one_in(3) { self.modified(&range) } else { range }
    }
}
