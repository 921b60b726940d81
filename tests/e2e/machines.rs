//! Agent and collector on two machines: network namespaces of the kernel, joined by virtual cables, with TLS and a token.
//!
//! Needs `ip` of iproute2 and the right to make namespaces; without them the tests fail and say so.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use ledgerline_mock_provider::{MockOptions, MockProvider};
use ledgerline_testkit::clients::{Case, Client, run_clients};
use ledgerline_testkit::http::get;
use ledgerline_testkit::network::{Authority, Network};
use ledgerline_testkit::service::{AddressSource, Recipe, Service, binary};
use serde_json::Value;
use tokio::time::Instant;

const TOKEN: &str = "the-token-of-payments";
const PATIENCE: Duration = Duration::from_secs(60);

const RULES: &str = "groups: [{name: spend, interval: 1s, rules: [{alert: Spent, expr: 'sum by (team) \
                     (increase(llm_calls_total[5m])) > 0'}]}]";

/// A collector on its machine, ready to serve.
struct Collector {
    service: Service,
    url: String,
    ca: PathBuf,
}

impl Collector {
    async fn start(network: &Network, authority: &Authority, directory: &Path) -> Self {
        authority.certify(directory, 2099);
        let ca = authority.write(directory);
        let path = |name: &str| directory.join(name).display().to_string();
        std::fs::write(path("token"), TOKEN).unwrap();
        std::fs::write(path("rules.yaml"), RULES).unwrap();
        let yaml = format!(
            "listen: {{grpc: '0.0.0.0:4317', http: '0.0.0.0:4318', api: '0.0.0.0:4319', tls: {{cert_file: {}, key_file: {}}}}}\n\
             tenant: payments\nauth: {{tokens: [{{token: {{file: {}}}, tenant: payments}}]}}\n\
             storage: {{data_dir: {}, engine: {{binary: {}}}}}\n\
             alerting: {{rule_files: [{}], query_offset_ms: 0}}\n",
            path("server.pem"),
            path("server.key"),
            path("token"),
            path("data"),
            binary("ledgerline-engine").unwrap().display(),
            path("rules.yaml"),
        );
        let recipe = recipe(
            &network.collector,
            "ledgerline-collector",
            directory,
            &yaml,
            SocketAddr::from((network.collector(), 4319)),
        );
        let mut service = Service::stopped(recipe);
        service.spawn().unwrap();
        let url = format!("https://{}:4319", network.collector());
        let collector = Self { service, url, ca };
        let deadline = Instant::now() + PATIENCE;
        while !collector.curl("/ready", &["--fail"]).starts_with("ready") {
            assert!(
                Instant::now() < deadline,
                "{}\n{}",
                collector.curl("/ready", &[]),
                collector.service.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        collector
    }

    /// What an ordinary client that trusts the authority gets.
    fn curl(&self, path: &str, options: &[&str]) -> String {
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--max-time", "20", "--noproxy", "*", "--cacert"])
            .arg(&self.ca)
            .args(options)
            .arg(format!("{}{path}", self.url))
            .output()
            .unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    fn ask(&self, path: &str) -> Value {
        let text = self.curl(path, &["--header", &format!("authorization: Bearer {TOKEN}")]);
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{path}: {text}"))
    }

    /// Waits until this many calls are in the record.
    async fn records(&self, calls: u64) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask("/prometheus/api/v1/query?query=sum(increase(llm_calls_total%5B1h%5D))");
            let found = answer["data"]["result"][0]["value"][1].as_str().unwrap_or("0").to_owned();
            if found == calls.to_string() {
                return;
            }
            assert!(Instant::now() < deadline, "{found} of {calls}: {answer}\n{}", self.service.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn recipe(namespace: &str, program: &str, directory: &Path, yaml: &str, admin: SocketAddr) -> Recipe {
    let config = directory.join(format!("{program}.yaml"));
    std::fs::write(&config, yaml).unwrap();
    let program_path = binary(program).unwrap().display().to_string();
    let config = config.display().to_string();
    Recipe {
        program: "ip".into(),
        arguments: ["netns", "exec", namespace, &program_path, "--config", &config]
            .map(str::to_owned)
            .to_vec(),
        environment: Vec::new(),
        ready: ("admin", "/ready"),
        addresses: AddressSource::Known(admin),
        log: directory.join(format!("{program}.log")),
    }
}

/// An agent on its machine, with this token file and authority.
async fn agent(
    network: &Network,
    provider: &MockProvider,
    directory: &Path,
    token: &Path,
    ca: &Path,
) -> Service {
    let upstream = format!("http://{}:{}", network.here(), provider.url.rsplit(':').next().unwrap());
    let yaml = format!(
        "listen: 0.0.0.0:4100\nallow_remote: true\nadmin: {{listen: '0.0.0.0:4101'}}\nupstreams:\n\
         - {{name: openai, prefix: /openai, url: '{upstream}', dialect: openai}}\n\
         - {{name: anthropic, prefix: /anthropic, url: '{upstream}', dialect: anthropic}}\n\
         export: {{collector: 'https://{}:4317', token: {{file: {}}}, ca_file: {}, flush_timeout_seconds: 0}}\n",
        network.collector_from_agent(),
        token.display(),
        ca.display(),
    );
    let ready = SocketAddr::from((network.agent(), 4101));
    Service::start(recipe(&network.agent, "ledgerline-agent", directory, &yaml, ready)).await.unwrap()
}

async fn provider(network: &Network) -> MockProvider {
    let listen = SocketAddr::from((network.here(), 0));
    MockProvider::start(MockOptions { listen, ..MockOptions::default() }).await.unwrap()
}

async fn call(network: &Network, client: Client, scenarios: &[&str]) {
    let prefix = if client == Client::Anthropic { "anthropic" } else { "openai" };
    let base = format!("http://{}:4100/{prefix}", network.agent());
    let case = |scenario: &&str| {
        let headers = [("x-ledgerline-team".to_owned(), "search".to_owned())].into();
        Case { scenario: (*scenario).to_owned(), headers, ..Case::default() }
    };
    let cases: Vec<_> = scenarios.iter().map(case).collect();
    run_clients(client, &base, 4, &cases, PATIENCE).await.unwrap();
}

/// Scenario: service and agent on one machine, the collector on another, TLS and a token between them; calls of the real
/// SDKs, plain and with cache and tools; then a dashboard asks over TLS, with the token and without.
/// Guarantees: every call is in the record once, its rule fires, and without the token nobody reads anything.
#[tokio::test(flavor = "multi_thread")]
async fn calls_on_one_machine_are_recorded_and_alerted_on_another() {
    let directory = tempfile::tempdir().unwrap();
    let network = Network::join();
    let authority = Authority::new(&network);
    let provider = provider(&network).await;
    let collector = Collector::start(&network, &authority, directory.path()).await;
    let token = directory.path().join("token");
    let _agent = agent(&network, &provider, directory.path(), &token, &collector.ca).await;
    call(&network, Client::OpenAi, &["plain", "cached", "tool_call"]).await;
    call(&network, Client::Anthropic, &["plain", "reasoning"]).await;
    collector.records(5).await;
    let by_provider = collector
        .ask("/prometheus/api/v1/query?query=sum%20by%20(provider)(increase(llm_calls_total%5B1h%5D))");
    let mut providers: Vec<_> = by_provider["data"]["result"]
        .as_array()
        .unwrap()
        .iter()
        .map(|series| (series["metric"]["provider"].as_str().unwrap(), series["value"][1].as_str().unwrap()))
        .collect();
    providers.sort_unstable();
    assert_eq!(providers, [("anthropic", "2"), ("openai", "3")]);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let alerts = collector.ask("/prometheus/api/v1/alerts");
        let fires = alerts["data"]["alerts"].as_array().unwrap().iter().any(|alert| {
            alert["state"] == "firing"
                && alert["labels"]["alertname"] == "Spent"
                && alert["labels"]["team"] == "search"
        });
        if fires {
            break;
        }
        assert!(Instant::now() < deadline, "{alerts}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (option, value) in
        [("--header", "x-no: token"), ("--header", "authorization: Bearer the-token-of-nobody")]
    {
        let refused =
            collector.curl("/prometheus/api/v1/labels", &[option, value, "--write-out", "%{http_code}"]);
        assert!(refused.ends_with("401"), "{refused}");
    }
}

/// The lines of the agent's log that say that the collector takes nothing.
fn complaints(agent: &Service) -> Vec<String> {
    let log = agent.log();
    log.lines()
        .filter(|line| line.contains("the collector does not take requests"))
        .map(str::to_owned)
        .collect()
}

/// Waits until the agent has tried this often in vain, and checks that it said so in one line that holds `advice`.
async fn complains_once(network: &Network, agent: &Service, before: usize, advice: &str) {
    let deadline = Instant::now() + PATIENCE;
    let url = format!("http://{}:4101/metrics", network.agent());
    let metric = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.trim().parse::<u64>().unwrap()
    };
    loop {
        let text = get(&url).await.unwrap().text();
        let waiting = metric(&text, "ledgerline_agent_calls_waiting ");
        if metric(&text, "ledgerline_agent_export_requests_total{result=\"retried\"} ") >= 4 {
            assert_eq!(waiting, 1, "the call waits");
            break;
        }
        assert!(Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let lines = complaints(agent);
    assert_eq!(lines.len(), before + 1, "{lines:#?}");
    assert!(lines[before].contains(advice), "{}", lines[before]);
}

/// Scenario: the agent has a wrong token, then an authority that did not issue the collector's certificate, then the
/// collector's certificate has expired; each time a call is made, and the first and the last fault are mended while
/// both processes run.
/// Guarantees: each fault is one line that says what to do; the call waits and is recorded once the fault is mended.
#[tokio::test(flavor = "multi_thread")]
async fn each_fault_between_the_machines_is_one_line_and_calls_wait() {
    let directory = tempfile::tempdir().unwrap();
    let network = Network::join();
    let authority = Authority::new(&network);
    let provider = provider(&network).await;
    let collector = Collector::start(&network, &authority, directory.path()).await;
    let token = directory.path().join("agent-token");

    std::fs::write(&token, "the-token-of-nobody").unwrap();
    let mut running = agent(&network, &provider, directory.path(), &token, &collector.ca).await;
    call(&network, Client::OpenAi, &["plain"]).await;
    complains_once(&network, &running, 0, "the collector refuses our token").await;
    std::fs::write(&token, TOKEN).unwrap();
    collector.records(1).await;
    running.terminate().await.unwrap();

    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = Authority::new(&network).write(elsewhere.path());
    let mut running = agent(&network, &provider, directory.path(), &token, &stranger).await;
    call(&network, Client::OpenAi, &["plain"]).await;
    complains_once(&network, &running, 1, "an authority that is not trusted here").await;
    running.kill();

    authority.certify(directory.path(), 2021);
    let deadline = Instant::now() + PATIENCE;
    while !collector.curl("/health", &[]).contains("expired") {
        assert!(Instant::now() < deadline, "the expired certificate is not shown");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let running = agent(&network, &provider, directory.path(), &token, &collector.ca).await;
    call(&network, Client::OpenAi, &["plain"]).await;
    complains_once(&network, &running, 2, "has expired or is not valid yet").await;
    authority.certify(directory.path(), 2099);
    while collector.curl("/health", &[]) != "ok\n" {
        assert!(Instant::now() < deadline, "the renewed certificate is not shown");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    collector.records(2).await;
    assert!(!running.log().contains(TOKEN) && !collector.service.log().contains(TOKEN));
}
