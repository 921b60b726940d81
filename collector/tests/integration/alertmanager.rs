//! Firing and resolved alerts through a real Alertmanager, to a webhook behind it.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::http::StatusCode;
use ledgerline_collector::alerting::ReceiverKind;
use ledgerline_collector::alerting::{Labels, fingerprint};
use serde_json::{Value, json};

use crate::world::{DEADLINE, Listener, Received, Running, program, receiver, until};

const RULES: &str = r#"
groups:
- name: budgets
  rules:
  - alert: TeamOverBudget
    expr: spend > 500
    labels: {severity: page}
    annotations: {summary: "{{ $labels.team }} spent {{ $value | printf \"%.2f\" }} USD"}
"#;

/// An Alertmanager of its own, killed with the test.
struct Alertmanager {
    address: String,
    process: tokio::process::Child,
    _directory: tempfile::TempDir,
}

/// The address that an Alertmanager on port 0 took, once its log says it.
async fn address(log: &Path) -> String {
    let reading = async {
        let mut again = tokio::time::interval(Duration::from_millis(20));
        loop {
            again.tick().await;
            let text = std::fs::read_to_string(log).unwrap();
            let line = text.lines().find(|line| line.contains("Listening on"));
            if let Some(address) =
                line.and_then(|line| line.split("address=").nth(1)?.split_whitespace().next())
            {
                return address.to_owned();
            }
        }
    };
    tokio::time::timeout(DEADLINE, reading).await.expect("the Alertmanager does not listen")
}

/// An address that closes every connection until it is told where to pass them on to.
async fn switched() -> (String, Arc<OnceLock<String>>) {
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    let target = Arc::new(OnceLock::<String>::new());
    let to = target.clone();
    tokio::spawn(async move {
        loop {
            let (mut client, _) = socket.accept().await.unwrap();
            let Some(address) = to.get().cloned() else { continue };
            tokio::spawn(async move {
                let mut server = tokio::net::TcpStream::connect(address).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    (url, target)
}

impl Alertmanager {
    async fn start(webhook: &str) -> Self {
        let binary = program(&["prometheus-alertmanager", "alertmanager"], "prometheus-alertmanager");
        let directory = tempfile::tempdir().unwrap();
        let config = directory.path().join("alertmanager.yml");
        let text = json!({
            "route": {"receiver": "hook", "group_by": ["..."], "group_wait": "0s", "group_interval": "1s", "repeat_interval": "1h"},
            "receivers": [{"name": "hook", "webhook_configs": [{"url": webhook, "send_resolved": true}]}],
        });
        std::fs::write(&config, text.to_string()).unwrap();
        let log = directory.path().join("log");
        let process = tokio::process::Command::new(binary)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", directory.path().display()))
            .arg("--web.listen-address=127.0.0.1:0")
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { address: address(&log).await, process, _directory: directory }
    }

    /// What `amtool alert query` says, once it can say anything.
    async fn alerts(&mut self) -> Vec<Value> {
        let url = format!("http://{}", self.address);
        let amtool = program(&["amtool"], "prometheus-alertmanager");
        let asking = async {
            let mut again = tokio::time::interval(Duration::from_millis(100));
            loop {
                again.tick().await;
                assert!(self.process.try_wait().unwrap().is_none(), "the Alertmanager ended early");
                let output = tokio::process::Command::new(&amtool)
                    .args(["alert", "query", "-o", "json", "--alertmanager.url", &url])
                    .output()
                    .await
                    .unwrap();
                let alerts: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_default();
                if output.status.success() && !alerts.is_empty() {
                    return alerts;
                }
            }
        };
        tokio::time::timeout(DEADLINE, asking).await.expect("amtool showed no alert")
    }
}

fn is(status: &'static str) -> impl Fn(&Received) -> bool {
    move |received| received.body["status"] == status
}

fn labels() -> Labels {
    [("alertname", "TeamOverBudget"), ("metric", "spend > 500"), ("severity", "page"), ("team", "search")]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// Scenario: a rule fires, an Alertmanager hears of it, then the rule stops holding.
/// Guarantees: the webhook behind the Alertmanager gets firing with our labels, annotations and link, then resolved.
#[tokio::test]
async fn firing_and_resolved_pass_through_a_real_alertmanager() {
    let mut hook = Listener::start(|_, _| StatusCode::OK).await;
    let mut alertmanager = Alertmanager::start(&hook.url()).await;
    let url = format!("http://{}", alertmanager.address);
    let running = Running::start(RULES, vec![receiver("am", ReceiverKind::Alertmanager, url)]);

    let firing = hook.wait_for("firing webhook", is("firing")).await.body;
    let alert = &firing["alerts"][0];
    assert_eq!(alert["labels"], json!(labels()));
    assert_eq!(alert["annotations"], json!({"summary": "search spent 612.50 USD"}));
    assert_eq!(
        alert["generatorURL"],
        format!(
            "http://ledgerline.example/alerts?alert=TeamOverBudget&fingerprint={:016x}",
            fingerprint(&labels())
        )
    );
    assert_eq!(
        alert["fingerprint"],
        format!("{:016x}", fingerprint(&labels())),
        "ours differs from Alertmanager's"
    );
    let shown = alertmanager.alerts().await;
    assert_eq!(shown[0]["status"]["state"], "active");
    let ends_at: jiff::Timestamp = shown[0]["endsAt"].as_str().unwrap().parse().unwrap();
    let updated_at: jiff::Timestamp = shown[0]["updatedAt"].as_str().unwrap().parse().unwrap();
    // Resend delay is 1 s here, so an alert is to be believed for 4 s after the evaluation that sent it.
    let believed = ends_at.duration_since(updated_at).as_secs_f64();
    assert!((2.0..=4.0).contains(&believed), "{believed}");

    running.turn(false);
    let resolved = hook.wait_for("resolved webhook", is("resolved")).await.body;
    assert_eq!(resolved["alerts"][0]["labels"], json!(labels()));
    assert_eq!(resolved["alerts"][0]["startsAt"], alert["startsAt"]);
    let ended: jiff::Timestamp = resolved["alerts"][0]["endsAt"].as_str().unwrap().parse().unwrap();
    let started: jiff::Timestamp = alert["startsAt"].as_str().unwrap().parse().unwrap();
    assert!(ended > started);
    running.stop().await;
}

/// Scenario: the rule fires while its Alertmanager is down; the Alertmanager comes up later.
/// Guarantees: failed attempts are counted, evaluation goes on meanwhile, and the alert arrives.
#[tokio::test]
async fn an_alertmanager_that_was_down_hears_what_fires() {
    let mut hook = Listener::start(|_, _| StatusCode::OK).await;
    let (url, target) = switched().await;
    let running = Running::start(RULES, vec![receiver("am", ReceiverKind::Alertmanager, url)]);
    until("two failed attempts", || running.failures("am") >= 2).await;
    assert_eq!(running.sent("am"), 0);
    let asked = || running.switch.asked.load(std::sync::atomic::Ordering::SeqCst);
    let before = asked();
    until("evaluations while it is down", || asked() >= before + 3).await;

    let alertmanager = Alertmanager::start(&hook.url()).await;
    target.set(alertmanager.address.clone()).unwrap();
    let firing = hook.wait_for("firing webhook", is("firing")).await.body;
    assert_eq!(firing["alerts"][0]["labels"]["team"], "search");
    until("the delivery to be counted", || running.sent("am") >= 1).await;
    for reason in ["overflow", "expired", "rejected"] {
        assert_eq!(running.dropped("am", reason), 0, "{reason}");
    }
    running.stop().await;
}
