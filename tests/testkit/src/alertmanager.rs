//! A real Alertmanager with one webhook receiver, and a listener that keeps what it delivers.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, bail};
use axum::Router;
use axum::extract::State;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::apart;
use crate::http::get;
use crate::service::{AddressSource, Recipe, Service};

/// Notifications in the order they came.
pub type Inbox = Arc<Mutex<Vec<Value>>>;

/// A listener for webhooks. Dropping it closes the port.
#[derive(Debug)]
pub struct Webhook {
    /// Where to post.
    pub url: String,
    inbox: Inbox,
    server: JoinHandle<()>,
}

impl Webhook {
    /// Listens on a free port.
    ///
    /// # Errors
    /// When loopback has none.
    pub async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind(apart::for_a_collector()).await?;
        let url = format!("http://127.0.0.1:{}/", listener.local_addr()?.port());
        let inbox = Inbox::default();
        let router = Router::new().fallback(post(keep)).with_state(inbox.clone());
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { url, inbox, server })
    }

    /// What has come so far.
    #[must_use]
    pub fn received(&self) -> Vec<Value> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a notification for which this holds.
    ///
    /// # Errors
    /// When none comes in time; the error shows what came instead.
    pub async fn wait_for(
        &self,
        deadline: Duration,
        wanted: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        let end = tokio::time::Instant::now() + deadline;
        loop {
            if let Some(found) = self.received().into_iter().find(|notification| wanted(notification)) {
                return Ok(found);
            }
            if tokio::time::Instant::now() > end {
                bail!("no such notification in {deadline:?}; came: {:?}", self.received());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn keep(State(inbox): State<Inbox>, body: String) {
    let notification = serde_json::from_str(&body).unwrap_or(Value::String(body));
    inbox.lock().unwrap_or_else(PoisonError::into_inner).push(notification);
}

/// A running Alertmanager.
#[derive(Debug)]
pub struct Alertmanager {
    /// Its base URL.
    pub url: String,
    /// The process.
    pub service: Service,
}

impl Alertmanager {
    /// Starts Debian's Alertmanager in that folder; it groups nothing and delivers at once to `webhook`.
    ///
    /// # Errors
    /// When it is not installed; the error says how to get it.
    pub async fn start(directory: &Path, webhook: &str) -> anyhow::Result<Self> {
        let config = directory.join("alertmanager.yml");
        std::fs::write(
            &config,
            format!(
                "route: {{receiver: hook, group_by: ['...'], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}\n\
                 receivers: [{{name: hook, webhook_configs: [{{url: '{webhook}', send_resolved: true}}]}}]\n"
            ),
        )?;
        let program = on_path("prometheus-alertmanager")
            .context("prometheus-alertmanager is not in PATH; deploy/setup/prometheus.sh fetches it")?;
        let service = Service::start(Recipe {
            program,
            arguments: vec![
                format!("--config.file={}", config.display()),
                format!("--storage.path={}", directory.join("alertmanager").display()),
                format!("--web.listen-address={}", apart::for_a_collector()),
                "--cluster.listen-address=".to_owned(),
            ],
            environment: Vec::new(),
            ready: ("web", "/-/ready"),
            addresses: AddressSource::Log("Listening on"),
            log: directory.join("alertmanager.log"),
        })
        .await?;
        let url = format!("http://127.0.0.1:{}", service.address("web").port());
        Ok(Self { url, service })
    }

    /// The alerts it holds now.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn alerts(&self) -> anyhow::Result<Vec<Value>> {
        let alerts = get(&format!("{}/api/v2/alerts", self.url)).await?.json()?;
        Ok(alerts.as_array().cloned().unwrap_or_default())
    }
}

/// The program of that name in PATH.
#[must_use]
pub fn on_path(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
}
