//! What becomes of connections that die without a word.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ledgerline_agent::app::{Parts, RelayLimits};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::protocols::{Feed, http2_upstream};
use crate::support::*;

/// A network that can lose what is under way: no FIN, no RST, as when a NAT forgets a connection.
struct Network {
    address: SocketAddr,
    lost: Arc<Mutex<CancellationToken>>,
    /// One message for each lost connection that its client gave up.
    given_up: mpsc::Receiver<()>,
}

impl Network {
    async fn to(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let lost = Arc::new(Mutex::new(CancellationToken::new()));
        let current = lost.clone();
        let (give_up, given_up) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let lost = current.lock().unwrap().clone();
                let give_up = give_up.clone();
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => return,
                        () = lost.cancelled() => {}
                    }
                    let mut swallowed = Vec::new();
                    let _how = near.read_to_end(&mut swallowed).await;
                    give_up.send(()).await.unwrap();
                });
            }
        });
        Self { address, lost, given_up }
    }

    /// Loses all connections that stand now; new ones work.
    fn lose_connections(&self) {
        std::mem::take(&mut *self.lost.lock().unwrap()).cancel();
    }
}

async fn agent_behind(network: &Network) -> Agent {
    let ping = Duration::from_millis(100);
    let limits = RelayLimits { ping_interval: ping, ping_timeout: ping, ..RelayLimits::PRODUCT };
    let yaml = openai(network.address, ", http_version: http2", dead_address().await);
    Agent::configured(&yaml, Parts { limits, ..Parts::default() }).await
}

/// One call from end to end; the upstream must see it.
async fn call(agent: &Agent, requests: &mut mpsc::Receiver<(http::request::Parts, bytes::Bytes, Feed)>) {
    let answered = agent.call(post("/openai/v1/x", "", "{}"));
    let answer =
        within(async { tokio::join!(answered, async { drop(requests.recv().await.unwrap()) }) }).await.0;
    assert!(answer.head.starts_with("HTTP/1.1 200 "), "{}", answer.head);
}

/// Scenario: the network loses the HTTP/2 connection that all calls share, while one of them waits for its answer.
/// Guarantees: that call is broken off, and the next one gets a connection that works.
#[tokio::test]
async fn a_call_on_a_lost_http2_connection_is_broken_off_and_the_next_one_works() {
    let (upstream, mut requests) = http2_upstream().await;
    let network = Network::to(upstream).await;
    let agent = agent_behind(&network).await;
    call(&agent, &mut requests).await;
    network.lose_connections();
    let answer = agent.call(post("/openai/v1/x", "", "{}")).await;
    assert!(answer.head.starts_with("HTTP/1.1 502 "), "{}", answer.head);
    assert_eq!(answer.header("x-ledgerline-error"), ["upstream_reset"]);
    call(&agent, &mut requests).await;
    agent.shutdown.cancel();
}

/// Scenario: the same while no call runs.
/// Guarantees: the loss is found before the next call, which does not notice.
#[tokio::test]
async fn a_lost_http2_connection_is_found_while_it_is_idle() {
    let (upstream, mut requests) = http2_upstream().await;
    let mut network = Network::to(upstream).await;
    let agent = agent_behind(&network).await;
    call(&agent, &mut requests).await;
    network.lose_connections();
    within(network.given_up.recv()).await.unwrap();
    call(&agent, &mut requests).await;
    agent.shutdown.cancel();
}
