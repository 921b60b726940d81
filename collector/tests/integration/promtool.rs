//! Prometheus' own rule tester as the judge of our rule engine: the default pack, and random histories evaluated by both.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ledgerline_collector::alerting::{
    AlertRule, Answers, Defaults, Group, Phase, RuleState, Sample, UnixMs, load_rules, step,
};
use ledgerline_process::config::Problems;
use serde_json::{Value, json};

use crate::world::program;

fn pack() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../alerts")
}

fn load(path: PathBuf) -> Vec<Group> {
    let minute = Duration::from_secs(60);
    let defaults = Defaults { interval: minute, query_offset: Duration::ZERO, accept: &|_| Ok(()) };
    let mut problems = Problems::default();
    let groups = load_rules(&[path], defaults, &mut problems);
    problems.into_result(Some(groups)).unwrap()
}

#[track_caller]
fn promtool(arguments: &[&str], folder: &Path) {
    let promtool = program(&["promtool"], "prometheus");
    let output = Command::new(promtool).args(arguments).current_dir(folder).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "promtool {arguments:?}:\n{}", String::from_utf8_lossy(&text));
}

#[test]
fn the_default_pack_passes_its_tests_in_prometheus_and_loads_here() {
    let mut tests: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(pack()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with("_test.yaml") {
            tests.push(name);
        }
    }
    tests.sort();
    let groups = load(pack());
    let mut tested: Vec<String> = tests.iter().map(|name| name.replace("_test.yaml", ".yaml")).collect();
    let mut loaded: Vec<String> = groups
        .iter()
        .map(|group| Path::new(&group.file).file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    loaded.dedup();
    tested.sort();
    assert_eq!(tested, loaded, "each rule file has a test");
    let mut arguments = vec!["test", "rules"];
    arguments.extend(tests.iter().map(String::as_str));
    promtool(&arguments, &pack());
    promtool(&["test", "rules", "health_test.yaml"], &pack().join("prometheus"));
}

/// A small generator with a fixed seed, so that a failure repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

const MINUTES: usize = 60;
const TEAMS: [&str; 2] = ["a", "b"];

/// What the expression `m > 5` returns at each minute for each team; `None` where there is no sample or it is too small.
type History = Vec<[Option<f64>; 2]>;

/// Both engines evaluate `rules` over `histories`, one history for each rule; promtool must find firing what fires here.
fn compare(rules: &[Value], series: &[Value], histories: &[History]) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("rules.yaml");
    let groups = json!({"groups": [{"name": "g", "rules": rules}]});
    std::fs::write(&file, groups.to_string()).unwrap();
    let groups = load(file);
    let mut tests = Vec::new();
    for (rule, history) in groups[0].rules.iter().zip(histories) {
        for (minute, alerts) in firing(rule, history).into_iter().enumerate() {
            tests.push(
                json!({"eval_time": format!("{minute}m"), "alertname": rule.name, "exp_alerts": alerts}),
            );
        }
    }
    let firing: usize = tests.iter().map(|test| test["exp_alerts"].as_array().unwrap().len()).sum();
    assert!(firing > tests.len() / 4, "too few of the cases fire to prove anything: {firing}");
    let test = json!({
        "rule_files": ["rules.yaml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "alert_rule_test": tests}],
    });
    std::fs::write(directory.path().join("test.yaml"), test.to_string()).unwrap();
    promtool(&["test", "rules", "test.yaml"], directory.path());
}

/// For each minute what fires, in promtool's words.
fn firing(rule: &AlertRule, history: &History) -> Vec<Vec<Value>> {
    let mut state = RuleState::default();
    let mut firing = Vec::new();
    for (minute, values) in history.iter().enumerate() {
        let at = UnixMs(i64::try_from(minute).unwrap() * 60_000);
        let samples: Vec<Sample> = TEAMS
            .iter()
            .zip(values)
            .filter_map(|(team, value)| {
                let metric = format!("m{}", rule.name);
                let labels = [("__name__".into(), metric), ("team".into(), (*team).to_owned())].into();
                value.map(|value| Sample { labels, value })
            })
            .collect();
        state = step(rule, None, &state, at, &samples, &Answers::new()).unwrap().0;
        let alerts = state.alerts.values().filter(|alert| matches!(alert.phase, Phase::Firing { .. }));
        firing.push(
            alerts
                .map(|alert| json!({"exp_labels": alert.labels, "exp_annotations": alert.annotations}))
                .collect(),
        );
    }
    firing
}

/// One series in promtool's notation: `stale` ends a series at once, as an absent sample does here.
fn series(metric: &str, team: &str, values: impl Iterator<Item = String>) -> Value {
    let values: Vec<String> = values.collect();
    json!({"series": format!("{metric}{{team=\"{team}\"}}"), "values": values.join(" ")})
}

#[test]
fn random_histories_fire_and_resolve_as_in_prometheus() {
    let mut random = Random(0x5eed_0001);
    let (mut rules, mut inputs, mut histories) = (Vec::new(), Vec::new(), Vec::new());
    for number in 0..40 {
        let name = format!("R{number}");
        let hold = [0, 0, 1, 2, 5][usize::try_from(random.below(5)).unwrap()];
        let keep = [0, 0, 1, 3, 7][usize::try_from(random.below(5)).unwrap()];
        rules.push(json!({
            "alert": name, "expr": format!("m{name} > 5"), "for": format!("{hold}m"), "keep_firing_for": format!("{keep}m"),
            "labels": {"severity": "page", "squad": "{{ $labels.team | toUpper }}"},
            "annotations": {"text": "{{ $labels.team }} at {{ $value }}"},
        }));
        let mut history: History = vec![[None, None]; MINUTES];
        for (column, team) in TEAMS.iter().enumerate() {
            let change = 2 + random.below(5);
            let mut kind = 0;
            let values = history.iter_mut().map(|row| {
                if random.below(change) == 0 {
                    kind = random.below(4);
                }
                match kind {
                    0 => "1".to_owned(),
                    1 => "stale".to_owned(),
                    _ => {
                        let value = 6 + random.below(100);
                        row[column] = Some(f64::from(u32::try_from(value).unwrap()));
                        value.to_string()
                    }
                }
            });
            inputs.push(series(&format!("m{name}"), team, values));
        }
        histories.push(history);
    }
    compare(&rules, &inputs, &histories);
}

#[test]
fn templates_render_as_in_prometheus() {
    let templates = [
        "{{ $value }}|{{ .Value }}|{{ $labels }}|{{ $labels.team }}|{{ .Labels.missing }}|{{ $externalLabels.x }}",
        "{{ $value | humanize }}|{{ $value | humanize1024 }}|{{ $value | humanizeDuration }}|{{ $value | humanizePercentage }}",
        "{{ printf \"%.2f|%f|%e|%g|%v|%.3g|%.0f|%%|%.2e|%.20g\" $value $value $value $value $value $value $value $value $value }}",
        "{{ printf \"%+.1f|% .1f|%012.3f|%-12.1f|%12.1e|%8g\" $value $value $value $value $value $value }}x",
        "{{ printf \"%s|%q|%5s|%-5s|%.1s|%v\" $labels.team $labels.team $labels.team $labels.team \"xyz\" $labels.team }}",
        "{{ \"one two-three_four\" | title }}|{{ $labels.team | toUpper | toLower }}|{{ toUpper `raw \\` }}|{{ \"a\\\"b\\t\" }}",
        "a {{- $value -}} b {{- \" c\" }} {{ ($value | humanize) | toUpper }} { } }}",
    ];
    let annotations: serde_json::Map<String, Value> =
        templates.iter().enumerate().map(|(number, text)| (format!("t{number}"), json!(text))).collect();
    let rule = json!({"alert": "T", "expr": "mT != 0.5", "annotations": annotations});
    let mut random = Random(0x5eed_0002);
    let mut history: History = vec![[None, None]; MINUTES];
    // Beyond 2^63 Prometheus' humanizeDuration overflows; ours does not, so such values are left out.
    let special = [
        0.0,
        1.0,
        -1.0,
        1e6,
        999_999.0,
        1_234_567.5,
        1e18,
        1e-5,
        0.000_123_456,
        59.96,
        3600.0,
        90_061.5,
        -0.0,
        0.1,
        1.005,
        2.5,
        12_345.0,
        12_355.0,
        99_999.0,
        0.000_012_34,
        -42.4242,
        1.5e-4,
        1e-7,
    ];
    let mut inputs = Vec::new();
    for (column, team) in TEAMS.iter().enumerate() {
        let values = history.iter_mut().enumerate().map(|(minute, row)| {
            let digits = f64::from(u32::try_from(random.below(1_000_000)).unwrap());
            let scale = 10f64.powi(i32::try_from(random.below(24)).unwrap() - 14);
            let value = special.get(minute).copied().unwrap_or(digits * scale);
            row[column] = Some(value);
            value.to_string()
        });
        inputs.push(series("mT", team, values));
    }
    compare(&[rule], &inputs, &[history]);
}
