//! What the alerting tests share: a query source with a switch, a listener that keeps what it is sent, and a running
//! `Alerting`. Waiting is always for a fact, with a deadline.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode, Uri};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use ledgerline_collector::access::Principal;
use ledgerline_collector::alerting::{Alerting, AlertingConfig, Forgetful, InstantQuery, Sample, UnixMs};
use ledgerline_collector::alerting::{ReceiverConfig, ReceiverKind};
use ledgerline_collector::metrics::Metrics;
use ledgerline_process::clock::SystemClock;
use ledgerline_process::config::Problems;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub const DEADLINE: Duration = Duration::from_secs(30);

/// One series while it is switched on.
#[derive(Default)]
pub struct Switch {
    pub on: AtomicBool,
    pub asked: AtomicU64,
}

impl InstantQuery for Switch {
    fn query<'a>(&'a self, expr: &'a str, _at: UnixMs) -> BoxFuture<'a, Result<Vec<Sample>, String>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let labels =
            [("team".to_owned(), "search".to_owned()), ("metric".to_owned(), expr.to_owned())].into();
        let samples =
            if self.on.load(Ordering::SeqCst) { vec![Sample { labels, value: 612.5 }] } else { vec![] };
        async move { Ok(samples) }.boxed()
    }
}

/// One request as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
}

/// A local HTTP server that keeps every request.
pub struct Listener {
    pub address: SocketAddr,
    pub requests: mpsc::Receiver<Received>,
}

impl Listener {
    /// `answer` decides from the request and its number, from 0.
    pub async fn start(answer: impl Fn(&Received, u64) -> StatusCode + Send + Sync + 'static) -> Self {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (keep, requests) = mpsc::channel(1000);
        let (answer, count) = (Arc::new(answer), Arc::new(AtomicU64::new(0)));
        let app = Router::new().fallback(move |uri: Uri, headers: HeaderMap, body: Bytes| {
            let (keep, answer, count) = (keep.clone(), answer.clone(), count.clone());
            async move {
                let body = serde_json::from_slice(&body).unwrap();
                let received = Received { path: uri.path().to_owned(), headers, body };
                let status = answer(&received, count.fetch_add(1, Ordering::SeqCst));
                keep.send(received).await.unwrap();
                status
            }
        });
        tokio::spawn(async move { axum::serve(socket, app).await });
        Self { address, requests }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next request that `wanted` accepts; others are passed over.
    pub async fn wait_for(&mut self, what: &str, wanted: impl Fn(&Received) -> bool) -> Received {
        let search = async {
            loop {
                let received = self.requests.recv().await.expect("the listener ended");
                if wanted(&received) {
                    return received;
                }
            }
        };
        tokio::time::timeout(DEADLINE, search)
            .await
            .unwrap_or_else(|_| panic!("no {what} within {DEADLINE:?}"))
    }
}

/// Waits until `holds`, looking every 20 ms.
pub async fn until(what: &str, holds: impl Fn() -> bool) {
    let mut look = tokio::time::interval(Duration::from_millis(20));
    let looking = async {
        while !holds() {
            look.tick().await;
        }
    };
    tokio::time::timeout(DEADLINE, looking)
        .await
        .unwrap_or_else(|_| panic!("{what} not within {DEADLINE:?}"));
}

pub fn receiver(name: &str, kind: ReceiverKind, url: String) -> ReceiverConfig {
    ReceiverConfig {
        name: name.to_owned(),
        kind: kind.into(),
        url,
        authorization: None,
        timeout_ms: Some(2_000),
    }
}

/// A running `Alerting` with an evaluation every 200 ms.
pub struct Running {
    pub switch: Arc<Switch>,
    pub metrics: Metrics,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Running {
    pub fn start(rules: &str, receivers: Vec<ReceiverConfig>) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rules.yaml");
        std::fs::write(&path, rules).unwrap();
        let config = AlertingConfig {
            rule_files: vec![path],
            evaluation_interval_ms: 200,
            query_offset_ms: 0,
            resend_delay_ms: 1_000,
            external_url: "http://ledgerline.example".to_owned(),
            receivers,
            ..AlertingConfig::default()
        };
        let mut problems = Problems::default();
        let settings = config.resolve(&|_| Ok(()), None, &mut problems);
        let settings = problems.into_result(settings).unwrap();
        let switch = Arc::new(Switch::default());
        switch.on.store(true, Ordering::SeqCst);
        let metrics = Metrics::default();
        let alerting = Alerting::new(
            settings,
            Principal::of("acme"),
            switch.clone(),
            Arc::new(Forgetful),
            Arc::new(SystemClock),
            metrics.clone(),
        )
        .unwrap();
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(alerting.run(shutdown.clone()));
        Self { switch, metrics, shutdown, task, _directory: directory }
    }

    pub fn turn(&self, on: bool) {
        self.switch.on.store(on, Ordering::SeqCst);
    }

    pub fn failures(&self, receiver: &str) -> u64 {
        self.metrics.delivery_failures.of([receiver.to_owned()]).get()
    }

    /// Whether the last attempt failed and is repeated.
    pub fn is_failing(&self, receiver: &str) -> bool {
        self.metrics.delivery_failing.of([receiver.to_owned()]).get() != 0
    }

    pub fn sent(&self, receiver: &str) -> u64 {
        self.metrics.notifications_sent.of([receiver.to_owned()]).get()
    }

    pub fn dropped(&self, receiver: &str, reason: &str) -> u64 {
        self.metrics.notifications_dropped.of([receiver.to_owned(), reason.to_owned()]).get()
    }

    pub async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(DEADLINE, self.task).await.expect("alerting did not stop").unwrap();
    }
}

/// The first of these programs that exists, or the way to get it.
pub fn program(names: &[&str], package: &str) -> String {
    let path = std::env::var("PATH").unwrap_or_default();
    let found =
        names.iter().find(|name| path.split(':').any(|folder| Path::new(folder).join(name).is_file()));
    found.map_or_else(
        || panic!("{} is not installed; on Debian: apt-get install {package}", names[0]),
        |name| (*name).to_owned(),
    )
}
