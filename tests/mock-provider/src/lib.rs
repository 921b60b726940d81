//! A mock LLM provider that is faithful to the wire: the paths, headers, field order, spacing and chunking of the
//! OpenAI (Chat Completions and Responses) and Anthropic APIs, over HTTP/1.1 and cleartext HTTP/2, plus every way in which providers misbehave.
//! It is also the oracle: for each call it keeps what it received, what it wrote, when, and the true usage. Answers
//! derive from the request alone, so two runs of a test see the same bytes. It must never parse its own output to
//! learn the truth, and never share code with the agent.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a mock that cannot go on must stop the test loudly, at the line where it happened"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use recorded::Recordings;

mod answer;
mod anthropic;
mod body;
mod failure;
mod headers;
mod json;
mod ledger;
mod models;
mod openai;
mod recorded;
mod request;
mod responses;
mod scenario;
mod server;
mod stored;
#[cfg(test)]
mod tests;
pub mod text;
mod wire;

pub use answer::TokenUsage;
pub use ledger::{Ledger, Recording, ServedCall, ServedChunk, ServedEnd, hexadecimal};
pub use recorded::{HEADER as RECORDED_HEADER, Recorded};
pub use request::Api;
pub use scenario::{Expectation, SCENARIOS, Scenario};
pub use wire::Step;

/// How to start a [`MockProvider`]. The default listens on a free loopback port and records everything.
#[derive(Clone, Debug)]
pub struct MockOptions {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// How much of each call the oracle keeps.
    pub recording: Recording,
}

impl Default for MockOptions {
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), recording: Recording::Full }
    }
}

impl MockOptions {
    /// For load: hashes, usage and identity headers of the newest `calls_max` calls; chunk bytes are kept only for
    /// calls that did not end well, because their prefix still has to be compared.
    pub fn for_load(calls_max: usize) -> Self {
        Self { recording: Recording::Hashes { calls_max }, ..Self::default() }
    }
}

/// A running provider. Dropping it closes the port and cuts every connection.
#[derive(Debug)]
pub struct MockProvider {
    /// Base URL without a trailing slash, for example `http://127.0.0.1:40123`. The OpenAI client wants `/v1` behind
    /// it, the Anthropic client does not.
    pub url: String,
    /// The address the port was bound to.
    pub address: SocketAddr,
    ledger: Arc<Ledger>,
    recordings: Arc<Recordings>,
    stop: CancellationToken,
    accept: Option<JoinHandle<()>>,
}

impl MockProvider {
    /// Binds and serves. Fails only if the address cannot be bound.
    pub async fn start(options: MockOptions) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(options.listen)
            .await
            .with_context(|| format!("mock provider: cannot listen on {}", options.listen))?;
        let address = listener.local_addr()?;
        let ledger = Arc::new(Ledger::new(options.recording));
        let recordings = Arc::new(Recordings::default());
        let stop = CancellationToken::new();
        let serving = server::accept(listener, Arc::clone(&ledger), Arc::clone(&recordings), stop.clone());
        let accept = Some(tokio::spawn(serving));
        Ok(Self { url: format!("http://{address}"), address, ledger, recordings, stop, accept })
    }

    /// What requests with this name in the header [`RECORDED_HEADER`] are answered from now on, on any path.
    pub fn record(&self, name: &str, answer: Recorded) {
        self.recordings.set(name, answer);
    }

    /// Every call recorded so far in order of arrival, those still running included.
    pub fn calls(&self) -> Vec<ServedCall> {
        self.ledger.calls()
    }

    /// The call with this response id, `x-request-id`/`request-id` or `x-mock-call-id`.
    pub fn call(&self, id: &str) -> Option<ServedCall> {
        self.ledger.call(id)
    }

    /// Forgets all recorded calls. Ids stay unique: the counters behind them are kept.
    pub fn clear(&self) {
        self.ledger.clear();
    }

    /// The oracle itself, for code that outlives a borrow of the provider.
    pub fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger)
    }

    /// Waits until `count` recorded calls have ended, in whatever way, and returns all calls.
    pub async fn wait_ended(&self, count: usize, deadline: Duration) -> anyhow::Result<Vec<ServedCall>> {
        self.ledger.wait_ended(count, deadline).await
    }

    /// Closes the port, cuts every connection and waits until both are done.
    pub async fn stop(mut self) {
        self.stop.cancel();
        if let Some(accept) = self.accept.take() {
            accept.await.expect("the accept loop does not panic");
        }
    }
}

impl Drop for MockProvider {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
