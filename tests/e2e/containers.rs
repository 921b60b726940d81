//! What the images carry, as far as it can be checked without a container engine.

use std::path::Path;
use std::process::Command;

use ledgerline_testkit::service::binary;
use yaml_serde::Value;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join("deploy/docker").join(name)).unwrap()
}

/// Scenario: the configurations that the images carry, with the token that compose.yaml passes.
/// Guarantees: both are valid.
#[test]
fn the_configurations_in_the_images_are_valid() {
    let directory = tempfile::tempdir().unwrap();
    let alerts = root().join("alerts").canonicalize().unwrap();
    let engine = binary("ledgerline-engine").unwrap();
    for (program, name) in [("ledgerline-agent", "agent.yaml"), ("ledgerline-collector", "collector.yaml")] {
        let yaml = read(name).replace("/etc/ledgerline/alerts", &alerts.display().to_string()).replace(
            "/var/lib/ledgerline",
            &format!("{}\n  engine: {{binary: {}}}", directory.path().display(), engine.display()),
        );
        let path = directory.path().join(name);
        std::fs::write(&path, yaml).unwrap();
        let mut command = Command::new(binary(program).unwrap());
        command
            .arg("check-config")
            .arg("--config")
            .arg(&path)
            .env("LEDGERLINE_TOKEN", "0123456789abcdef01234567");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Guarantees: compose.yaml builds files that are there, waits for the collector's health, gives both the same token, and
/// the agent's address of the collector is the collector's service and port.
#[test]
fn the_services_of_compose_reach_each_other() {
    let compose: Value = yaml_serde::from_str(&read("compose.yaml")).unwrap();
    let services = &compose["services"];
    for service in ["agent", "collector"] {
        let dockerfile = services[service]["build"]["dockerfile"].as_str().unwrap();
        let text = std::fs::read_to_string(root().join(dockerfile)).unwrap();
        assert!(text.contains("HEALTHCHECK ") && text.contains("--mount=type=cache"), "{dockerfile}");
        for copied in text
            .lines()
            .filter_map(|line| line.strip_prefix("COPY "))
            .filter(|line| !line.starts_with("--from"))
        {
            let source = copied.split(' ').next().unwrap();
            assert!(root().join(source).exists(), "{dockerfile} copies {source}");
        }
        assert!(services[service]["environment"]["LEDGERLINE_TOKEN"].is_string(), "{service}");
    }
    assert_eq!(services["agent"]["depends_on"]["collector"]["condition"].as_str(), Some("service_healthy"));
    let agent: Value = yaml_serde::from_str(&read("agent.yaml")).unwrap();
    let collector: Value = yaml_serde::from_str(&read("collector.yaml")).unwrap();
    assert_eq!(agent["export"]["collector"].as_str(), Some("http://collector:4317"));
    assert_eq!(collector["listen"]["grpc"].as_str(), Some("0.0.0.0:4317"));
    assert_eq!(agent["export"]["token"], collector["auth"]["tokens"][0]["token"]);
}
