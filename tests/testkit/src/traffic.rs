//! A traffic generator: several services, teams, features, users and models of both providers, for a while, at a rate,
//! with a number of long streams open all the time. Open loop: a slow answer never slows the next call down. What is
//! called depends on the seed alone, and every answer is compared with what the provider says it wrote. Used by the
//! demo and by the load test, so it must stay cheap: no JSON is parsed and no body is kept.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use http::Uri;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod call;
mod cast;
mod report;
#[cfg(test)]
mod tests;

pub use call::{End, Outcome, Verdict};
pub use cast::{Draft, Identity, Pace, paced};
pub use report::{Percentiles, Report};

use ledgerline_mock_provider::Ledger;
use ledgerline_mock_provider::text::Chance;

/// What to play. Two runs of one plan make the same calls in the same order.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Chooses everything.
    pub seed: u64,
    /// No call begins after this.
    pub duration: Duration,
    /// No more paced calls than this.
    pub calls_max: u64,
    /// Mean rate of the paced calls; arrivals are a Poisson process.
    pub rate_per_s: f64,
    /// Streams that are kept open beside the paced calls; one that ends is replaced.
    pub long_streams: usize,
    /// How long each of those takes.
    pub long_stream_duration: Duration,
    /// Paced calls that stream, of 1,000.
    pub stream_per_mille: u32,
    /// Paced calls whose prompt is read from the cache, of 1,000.
    pub cached_per_mille: u32,
    /// Paced calls that the provider refuses or breaks, of 1,000.
    pub error_per_mille: u32,
    /// Paced streams that the client leaves early, of 1,000.
    pub abort_per_mille: u32,
    /// Between the chunks of a paced stream.
    pub gap: Duration,
    /// Paced calls that may run at a time; beyond, they are counted as skipped and not made.
    pub in_flight_max: usize,
    /// A call that takes longer is given up and counted as a client error.
    pub call_timeout: Duration,
    /// HTTP/2 with prior knowledge instead of HTTP/1.1.
    pub protocol: Protocol,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            duration: Duration::from_secs(60),
            calls_max: u64::MAX,
            rate_per_s: 20.0,
            long_streams: 5,
            long_stream_duration: Duration::from_secs(8),
            stream_per_mille: 600,
            cached_per_mille: 250,
            error_per_mille: 40,
            abort_per_mille: 30,
            gap: Duration::from_millis(15),
            in_flight_max: 2_000,
            call_timeout: Duration::from_secs(60),
            protocol: Protocol::Http1,
        }
    }
}

/// How the generator speaks to its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 with a pool of kept-alive connections.
    Http1,
    /// HTTP/2 with prior knowledge, one connection per target.
    Http2,
}

/// Where the calls go: base URLs without `/v1`, of the agent or of the provider itself.
#[derive(Clone, Debug)]
pub struct Targets {
    /// Gets `/v1/chat/completions`.
    pub openai: Uri,
    /// Gets `/v1/messages`.
    pub anthropic: Uri,
}

impl Targets {
    /// Both APIs at one base URL.
    pub fn both(url: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("not a base URL: {url}"))?;
        Ok(Self { openai: uri.clone(), anthropic: uri })
    }
}

/// Plays the plan until its duration is over or `stop` is cancelled, and waits for the calls that still run (unless
/// stopped: then they are cut). `oracle` is the ledger of an in-process provider; without it nothing is compared.
/// `on_outcome` is called once per call, from one task.
pub async fn run(
    plan: &Plan,
    targets: &Targets,
    oracle: Option<Arc<Ledger>>,
    stop: CancellationToken,
    mut on_outcome: impl FnMut(&Outcome) + Send,
) -> Report {
    assert!(plan.rate_per_s > 0.0, "a plan needs a rate; for long streams alone set calls_max to 0");
    let mut player = Player {
        plan,
        caller: call::Caller::new(plan, targets, oracle),
        running: JoinSet::new(),
        report: Report::default(),
        paced_running: 0,
        long_started: 0,
    };
    let started = Instant::now();
    let end = started + plan.duration;
    let mut arrivals = Chance::new(plan.seed ^ 0xA221_7AC5);
    let mut next = started;
    let mut paced = 0;
    for _ in 0..plan.long_streams {
        player.start_long();
    }
    while paced < plan.calls_max {
        next += Duration::from_secs_f64(-(1.0 - arrivals.unit()).ln() / plan.rate_per_s);
        if next >= end || !player.wait_until(next, end, &stop, &mut on_outcome).await {
            break;
        }
        player.start_paced(paced);
        paced += 1;
    }
    if plan.calls_max == 0 {
        player.wait_until(end, end, &stop, &mut on_outcome).await;
    }
    player.finish(&stop, &mut on_outcome).await;
    player.report.wall = started.elapsed();
    player.report
}

struct Player<'a> {
    plan: &'a Plan,
    caller: Arc<call::Caller>,
    running: JoinSet<Outcome>,
    report: Report,
    paced_running: usize,
    long_started: u64,
}

impl Player<'_> {
    fn start_paced(&mut self, index: u64) {
        if self.paced_running >= self.plan.in_flight_max {
            self.report.skipped += 1;
            return;
        }
        self.paced_running += 1;
        self.start(cast::paced(self.plan, index));
    }

    fn start_long(&mut self) {
        let draft = cast::long(self.plan, self.long_started);
        self.long_started += 1;
        self.start(draft);
    }

    fn start(&mut self, draft: Draft) {
        let caller = Arc::clone(&self.caller);
        self.report.started += 1;
        self.running.spawn(async move { caller.call(draft).await });
    }

    /// Takes outcomes until `when`; false once `stop` is cancelled. Long streams that ended before `end` are replaced.
    async fn wait_until(
        &mut self,
        when: Instant,
        end: Instant,
        stop: &CancellationToken,
        on_outcome: &mut impl FnMut(&Outcome),
    ) -> bool {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return false,
                () = tokio::time::sleep_until(when) => return true,
                Some(joined) = self.running.join_next() => {
                    let pace = self.take(joined, on_outcome);
                    if pace == Pace::Long && Instant::now() < end {
                        self.start_long();
                    }
                }
            }
        }
    }

    async fn finish(&mut self, stop: &CancellationToken, on_outcome: &mut impl FnMut(&Outcome)) {
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    self.report.cut_by_stop += self.running.len() as u64;
                    self.running.shutdown().await;
                    return;
                }
                joined = self.running.join_next() => match joined {
                    Some(joined) => {
                        self.take(joined, on_outcome);
                    }
                    None => return,
                },
            }
        }
    }

    fn take(
        &mut self,
        joined: Result<Outcome, tokio::task::JoinError>,
        on_outcome: &mut impl FnMut(&Outcome),
    ) -> Pace {
        let outcome = joined.expect("a call does not panic");
        if outcome.draft.pace == Pace::Paced {
            self.paced_running -= 1;
        }
        self.report.add(&outcome);
        on_outcome(&outcome);
        outcome.draft.pace
    }
}
