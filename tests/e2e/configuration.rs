//! A mistake in a configuration is found before a port opens, with a text that says what to do.

use std::path::Path;
use std::process::{Command, Output};

use ledgerline_testkit::service::binary;

fn check(program: &str, directory: &Path, yaml: &str) -> (bool, String) {
    let path = directory.join("config.yaml");
    std::fs::write(&path, yaml).unwrap();
    run(program, &["check-config", "--config", path.to_str().unwrap()])
}

fn run(program: &str, arguments: &[&str]) -> (bool, String) {
    let Output { status, stdout, stderr } =
        Command::new(binary(program).unwrap()).args(arguments).output().unwrap();
    (status.success(), String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

/// Scenario: configurations with several mistakes each: unknown keys, wrong values, ports for everybody, missing files.
/// Guarantees: `check-config` fails and names every one of them with its path.
#[test]
fn every_mistake_is_named_at_once() {
    let directory = tempfile::tempdir().unwrap();
    for (program, yaml, expected) in [
        (
            "ledgerline-agent",
            "upstream: []\nupstreams: [{name: a, prefix: no-slash, url: 'ftp://x', dialect: openai}]\n",
            vec!["upstream:", "upstreams[0].prefix", "upstreams[0].url"],
        ),
        ("ledgerline-agent", "upstreams: []\n", vec!["upstreams"]),
        (
            "ledgerline-agent",
            "listen: 0.0.0.0:4100\nupstreams: [{name: a, prefix: /a, url: 'http://x'}]\n",
            vec!["listen"],
        ),
        (
            "ledgerline-collector",
            "storge: {}\nstorage: {url: 'nonsense'}\nlog: {level: loud=very}\n",
            vec!["storge", "storage.url", "log.level"],
        ),
        ("ledgerline-collector", "listen: {api: '0.0.0.0:4319'}\n", vec!["listen.api", "auth"]),
        (
            "ledgerline-collector",
            "pricing: {overrides: [/nowhere/prices.yaml]}\n",
            vec!["/nowhere/prices.yaml"],
        ),
        (
            "ledgerline-collector",
            "alerting: {rule_files: [/nowhere/rules.yaml]}\n",
            vec!["/nowhere/rules.yaml"],
        ),
        (
            "ledgerline-collector",
            "storge: {}\nlog: {format: xml}\nalerting: {receivers: [{name: a, kind: pager, url: 'ftp://x'}]}\n",
            vec!["storge", "log.format", "alerting.receivers[0].kind", "alerting.receivers[0].url"],
        ),
        ("ledgerline-collector", "listen: [\n", vec!["config.yaml", "line", "mend it and check again"]),
    ] {
        let (accepted, text) = check(program, directory.path(), yaml);
        assert!(!accepted, "{program} accepted {yaml}");
        for part in expected {
            assert!(text.contains(part), "{program} with {yaml} does not name {part}: {text}");
        }
        assert!(!text.contains("panicked"), "{text}");
    }
}

/// Scenario: a program that is started without a configuration, and one whose command line is wrong behind `--config`.
/// Guarantees: the error names the option and the example; nobody is told that an option must be there which need not be.
#[test]
fn who_names_no_configuration_is_told_how() {
    let (accepted, text) =
        run("ledgerline-collector", &["export", "--month", "2026-11", "--config", "/nowhere"]);
    assert!(!accepted && text.contains("cannot read the configuration /nowhere"), "{text}");
    assert!(text.contains("--config FILE") && text.contains("ledgerline-collector.example.yaml"), "{text}");
    let (accepted, text) =
        run("ledgerline-collector", &["budgets", "status", "--config", "/nowhere", "--jsn"]);
    assert!(!accepted && text.contains("'--jsn'") && !text.contains("--config"), "{text}");
}

/// Scenario: rule files that Prometheus refuses, and one with an expression beyond our first slice.
/// Guarantees: `check-config` names file, group and rule, and what is wrong.
#[test]
fn a_broken_rule_file_is_refused_with_its_place() {
    let directory = tempfile::tempdir().unwrap();
    for (rules, expected) in [
        ("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: 'sum('\n", vec!["rules.yaml", "A"]),
        (
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n    fro: 5m\n",
            vec!["rules.yaml", "fro"],
        ),
        (
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up\n    for: soon\n",
            vec!["rules.yaml", "soon"],
        ),
        ("groups: {", vec!["rules.yaml"]),
        (
            "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: histogram_avg(up)\n",
            vec!["rules.yaml", "histogram_avg"],
        ),
    ] {
        std::fs::write(directory.path().join("rules.yaml"), rules).unwrap();
        let yaml =
            format!("alerting: {{rule_files: ['{}']}}\n", directory.path().join("rules.yaml").display());
        let (accepted, text) = check("ledgerline-collector", directory.path(), &yaml);
        assert!(!accepted, "accepted {rules}");
        for part in expected {
            assert!(text.contains(part), "{rules}: {part} is not in {text}");
        }
    }
}

/// Scenario: an override for a model that no price file knows, one for a provider that none names, and a good one.
/// Guarantees: `check-config` accepts the file and says so of the two; of the good one it says nothing.
#[test]
fn overrides_that_are_probably_not_meant_are_accepted_and_named() {
    let directory = tempfile::tempdir().unwrap();
    let price = "per_million: {output_text: '1'}";
    let file = |name: &str, provider: &str, models: &str| {
        let path = directory.path().join(name);
        let text =
            format!("provider: {provider}\nsource: contract\nread_on: '2026-11-20'\nmodels: {models}\n");
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let openai = file("openai.yaml", "openai", &format!("{{gpt-40: {{{price}}}, gpt-4o: {{{price}}}}}"));
    let grok = file("grok.yaml", "grok", &format!("{{grok-4: {{{price}}}}}"));
    let yaml = format!(
        "storage: {{url: 'http://127.0.0.1:8123'}}\npricing: {{overrides: ['{openai}', '{grok}']}}\n"
    );
    let (accepted, text) = check("ledgerline-collector", directory.path(), &yaml);
    assert!(accepted && text.contains("the configuration is valid"), "{text}");
    let warnings: Vec<&str> = text.lines().filter(|line| line.contains(": warning: ")).collect();
    assert_eq!(warnings.len(), 2, "{text}");
    assert!(warnings[0].contains("provider grok: no published price file names it; known are"), "{text}");
    assert!(warnings[1].contains("openai/gpt-40: matches no model of the published price files"), "{text}");
}

/// Scenario: the shipped examples, and the help of each program. (Those of the documentation: `docs.rs`.)
/// Guarantees: they are accepted as they stand; help names every command.
#[test]
fn what_we_ship_is_accepted() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    for (program, example) in [
        ("ledgerline-agent", "agent/ledgerline-agent.example.yaml"),
        ("ledgerline-collector", "collector/ledgerline-collector.example.yaml"),
    ] {
        let (accepted, text) =
            run(program, &["check-config", "--config", root.join(example).to_str().unwrap()]);
        assert!(accepted, "{example}: {text}");
        let (accepted, help) = run(program, &["--help"]);
        assert!(accepted && help.contains("check-config") && help.contains("--config"), "{help}");
    }
}
