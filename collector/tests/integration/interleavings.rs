//! One call, once, at random: calls that are seen by agents, client libraries and frameworks, whose spans come in any order, late, again
//! and in other company, while collector and engine are stopped and killed. The oracle knows which span of a call is billed, because it
//! made the call.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use ledgerline_process::clock::ManualClock;
use ledgerline_process::{Clock, SystemClock};
use ledgerline_proto::otlp::{ExportTraceServiceRequest, export_request};
use ledgerline_proto::{Call, Quantities, TraceId, Unit, Usage, UsageSource};
use ledgerline_store::Store;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use crate::engine::{self, ask};
use crate::ingest::{Collector, kill_engine, try_post};
use crate::sights::{gpt, plain, seen_by, span_id, together, usd};

const SECOND_NS: u64 = 1_000_000_000;

/// SplitMix64: the same numbers from the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// What must be billed, and the spans that tell of it, each a request.
#[derive(Default)]
struct World {
    spans: Vec<ExportTraceServiceRequest>,
    /// Trace and span in hexadecimal.
    billed: BTreeSet<(String, String)>,
    picos: i128,
    tokens: u64,
}

impl World {
    /// The span that is billed.
    fn bill(&mut self, call: &Call, picos: i128, request: ExportTraceServiceRequest) {
        self.billed.insert((call.trace_id.to_string(), call.span_id.to_string()));
        self.picos += picos;
        let own = &call.usage.as_ref().unwrap().own;
        self.tokens += own.get(Unit::InputUncached) + own.get(Unit::OutputText);
        self.spans.push(request);
    }

    /// One call, or two below one framework's, in one of the ways they are seen. Trace 1 is the application's; the agent is in trace 2
    /// where the client passes no context on.
    fn add(&mut self, number: u64, end_unix_ns: u64, chance: &mut Chance) {
        let (base, picos) = gpt(number, end_unix_ns);
        let at = |role: u64, parent: Option<u64>, trace: u128| Call {
            trace_id: TraceId::from_bytes(((u128::from(number + 1) << 8 | trace) << 8).to_be_bytes())
                .unwrap(),
            span_id: span_id(number, role),
            parent_span_id: parent.map(|role| span_id(number, role)),
            ..base.clone()
        };
        let unnamed = |call: Call| Call { response_id: String::new(), ..call };
        // A guess of the framework's own, which must not be billed where there is better.
        let guessed = |call: Call| {
            let guess = Quantities::from_pairs(&[(Unit::InputUncached, 99_999), (Unit::OutputText, 7_777)]);
            Call { usage: Some(Usage::of(guess, UsageSource::Sender)), ..call }
        };
        let agents = |call: &Call| export_request(std::slice::from_ref(call));
        let (above, between, inner) = (at(0, None, 1), at(1, Some(0), 1), at(2, Some(1), 1));
        let (below, elsewhere) = (at(3, Some(2), 1), at(3, None, 2));
        match chance.below(8) {
            0 => self.bill(&elsewhere, picos, agents(&elsewhere)),
            1 => {
                self.spans.push(seen_by("openai", &at(2, None, 1)));
                self.bill(&elsewhere, picos, agents(&elsewhere));
            }
            2 => {
                self.spans.push(seen_by("openai", &guessed(at(2, None, 1))));
                self.bill(&below, picos, agents(&below));
            }
            3 => {
                self.spans.extend([seen_by("langchain", &unnamed(above)), plain(&between)]);
                self.bill(&inner, picos, seen_by("openai", &inner));
            }
            4 => {
                let wrappers = [seen_by("langchain", &unnamed(guessed(above))), seen_by("openai", &inner)];
                self.spans.extend(wrappers);
                self.spans.push(plain(&between));
                self.bill(&below, picos, agents(&below));
            }
            5 => {
                let others = [seen_by("langchain", &above), plain(&between), seen_by("openai", &inner)];
                self.spans.extend(others);
                self.bill(&elsewhere, picos, agents(&elsewhere));
            }
            // A wrapper of wrappers, and an instrumentation in a trace of its own beside the one below.
            6 => {
                let wrappers = [above, between].map(|call| seen_by("langgraph", &unnamed(call)));
                self.spans.extend(wrappers);
                self.spans.push(seen_by(
                    "openai",
                    &Call { start_unix_ns: base.start_unix_ns + 1_000_000, ..inner.clone() },
                ));
                self.spans.push(seen_by("litellm", &at(4, None, 3)));
                self.bill(&elsewhere, picos, agents(&elsewhere));
            }
            // Two calls below one.
            _ => {
                let (other, other_picos) = gpt(number + 5_000, end_unix_ns);
                let second = Call {
                    trace_id: above.trace_id,
                    span_id: span_id(number, 5),
                    parent_span_id: Some(span_id(number, 0)),
                    ..other
                };
                self.spans.extend([seen_by("langchain", &unnamed(guessed(above))), plain(&between)]);
                self.spans.push(seen_by("openai", &inner));
                self.bill(&elsewhere, picos, agents(&elsewhere));
                self.bill(&second, other_picos, seen_by("openai", &second));
            }
        }
    }

    /// Bodies in random order, of one to four spans, as a collector in front of ours forwards them; one span in five is in two bodies, and
    /// one body in four comes twice.
    fn bodies(&self, chance: &mut Chance) -> Vec<Bytes> {
        let mut waiting = self.spans.clone();
        waiting.extend(self.spans.iter().filter(|_| chance.below(5) == 0).cloned());
        let mut bodies = Vec::new();
        while !waiting.is_empty() {
            let size = (1 + chance.below(4)).min(waiting.len() as u64);
            let request: Vec<_> = (0..size)
                .map(|_| waiting.swap_remove(usize::try_from(chance.below(waiting.len() as u64)).unwrap()))
                .collect();
            let body = Bytes::from(together(&request));
            bodies.extend(std::iter::repeat_n(body, if chance.below(4) == 0 { 2 } else { 1 }));
        }
        for place in (1..bodies.len()).rev() {
            bodies.swap(place, usize::try_from(chance.below(place as u64 + 1)).unwrap());
        }
        bodies
    }
}

/// A collector with an engine, on a runtime of its own, so that it can end without being told.
pub struct Mortal {
    storage: String,
    /// Other sections of its configuration.
    more: String,
    clock: Arc<ManualClock>,
    running: Option<(Runtime, Collector)>,
    address: watch::Sender<Option<std::net::SocketAddr>>,
}

impl Mortal {
    async fn on(directory: &Path, clock: Arc<ManualClock>) -> Self {
        Self::with(directory, clock, String::new()).await
    }

    pub async fn with(directory: &Path, clock: Arc<ManualClock>, more: String) -> Self {
        let storage = format!(
            "{{url: embedded, data_dir: {}, engine: {{binary: {}}}}}",
            directory.display(),
            engine::binary().display()
        );
        let mut mortal = Self { storage, more, clock, running: None, address: watch::Sender::new(None) };
        mortal.start().await;
        mortal
    }

    /// Starts it; of one that was killed the data may not be free at once.
    pub async fn start(&mut self) {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        loop {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let (storage, more) = (self.storage.clone(), self.more.clone());
            let clock = Arc::clone(&self.clock) as Arc<dyn Clock>;
            let starting = async move { Collector::start_at(&storage, &more, clock).await };
            match runtime.spawn(starting).await.unwrap() {
                Ok(collector) => {
                    self.address.send_replace(Some(collector.addresses.http));
                    self.running = Some((runtime, collector));
                    return;
                }
                Err(error) => {
                    runtime.shutdown_background();
                    assert!(tokio::time::Instant::now() < deadline, "it does not start again: {error:?}");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    pub async fn stop(&mut self) {
        self.address.send_replace(None);
        let (runtime, collector) = self.running.take().unwrap();
        runtime.spawn(collector.stop()).await.unwrap();
        runtime.shutdown_background();
    }

    /// All its tasks end where they are, and its engine by signal 9.
    pub fn kill(&mut self) {
        self.address.send_replace(None);
        let (runtime, _) = self.running.take().unwrap();
        runtime.shutdown_background();
    }

    pub fn collector(&self) -> &Collector {
        &self.running.as_ref().unwrap().1
    }

    pub fn store(&self) -> &Store {
        &self.collector().storage
    }
}

/// Sends bodies until none is left, each until it is taken; the clock goes on with each.
async fn send_all(
    bodies: Arc<Mutex<Vec<Bytes>>>,
    mut address: watch::Receiver<Option<std::net::SocketAddr>>,
    taken: Arc<AtomicU64>,
    clock: Arc<ManualClock>,
    step_ns: u64,
) {
    loop {
        let Some(body) = bodies.lock().unwrap().pop() else { return };
        clock.set(clock.now_unix_ns() + step_ns);
        loop {
            let there = *address.wait_for(Option::is_some).await.unwrap();
            match try_post(there.unwrap(), body.clone()).await {
                Some(200) => break,
                // Nobody there, or cut off, or told to repeat.
                None | Some(503) => tokio::time::sleep(Duration::from_millis(20)).await,
                Some(status) => panic!("refused with {status}"),
            }
        }
        taken.fetch_add(1, Ordering::SeqCst);
    }
}

/// What is booked, in several ways that must agree: calls, and cost in US dollars.
const BOOKS: [(&str, &str); 5] = [
    (
        "spans and corrections",
        "SELECT toString((SELECT sum(is_call) FROM spans) + (SELECT sum(sign) FROM corrections)), \
         toString(ifNull((SELECT sum(cost) FROM spans WHERE is_call = 1), 0) + ifNull((SELECT sum(sign * cost) FROM corrections), 0))",
    ),
    (
        "the record",
        "SELECT toString(sum(calls)), (SELECT toString(sum(amount)) FROM spend_record) FROM calls_record",
    ),
    (
        "minutes",
        "SELECT toString(sum(calls)), (SELECT toString(sum(amount)) FROM spend_minute) FROM calls_minute",
    ),
    (
        "quarters",
        "SELECT toString(sum(calls)), (SELECT toString(sum(amount)) FROM spend_quarter) FROM calls_quarter",
    ),
    ("days", "SELECT toString(sum(calls)), (SELECT toString(sum(amount)) FROM spend_day) FROM calls_day"),
];

/// Each span that is on the books, and how often, beside those that are not.
const BOOKED: &str = "SELECT lower(hex(trace_id)), lower(hex(span_id)), toString(sum(times)) FROM \
    (SELECT trace_id, span_id, toInt64(is_call) AS times FROM spans UNION ALL SELECT trace_id, span_id, toInt64(sign) FROM corrections) \
    GROUP BY trace_id, span_id HAVING sum(times) != 0";

impl World {
    async fn check(&self, collector: &Collector, at_s: u64) {
        let expected = format!("{}\t{}", self.billed.len(), usd(self.picos));
        let booked = ask(&collector.storage, BOOKED).await;
        let booked: BTreeSet<(String, String)> = booked
            .lines()
            .map(|line| {
                let fields: Vec<&str> = line.split('\t').collect();
                assert_eq!(fields[2], "1", "how often {line} is on the books");
                (fields[0].to_owned(), fields[1].to_owned())
            })
            .collect();
        let wrong: Vec<_> = booked.symmetric_difference(&self.billed).collect();
        assert!(wrong.is_empty(), "billed and should not be, or not billed and should be: {wrong:?}");
        for (name, books) in BOOKS {
            assert_eq!(ask(&collector.storage, books).await, expected, "{name}");
        }
        let corrections = ask(&collector.storage, "SELECT toString(sum(sign)) FROM corrections").await;
        for (query, expected) in [
            ("sum(increase(llm_calls_total[3h]))", self.billed.len().to_string()),
            ("sum(increase(llm_cost_usd_total[3h]))", usd(self.picos)),
            ("sum(increase(llm_tokens_total[3h]))", self.tokens.to_string()),
            ("sum(increase(llm_corrections_total[3h]))", corrections),
        ] {
            assert_eq!(collector.query(query, at_s).await, expected, "{query}");
        }
    }
}

/// Scenario: calls are seen by agent, instrumentations and frameworks; their spans come in random order from six senders at once, alone or
/// with others, some twice, up to an hour late, while in turn the engine is killed, the collector stopped, and both killed.
/// `LEDGERLINE_SIGHTS` says how many calls (40; `make sights` has 1,000), `LEDGERLINE_SEED` which.
/// Guarantees: each is billed once, with the span that tells most of it: in spans and corrections, in every rollup, in PromQL, 0 apart; and
/// the next start finds nothing to correct.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_call_is_billed_once_whoever_saw_it() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect(name))
    };
    let (calls, seed) = (number("LEDGERLINE_SIGHTS", 40), number("LEDGERLINE_SEED", 11));
    let mut chance = Chance(seed);
    let begun = SystemClock.now_unix_ns() - 4_000 * SECOND_NS;
    let mut world = World::default();
    for number in 0..calls {
        world.add(number, begun - chance.below(600) * SECOND_NS, &mut chance);
    }
    let bodies = world.bodies(&mut chance);
    let all = bodies.len() as u64;
    let directory = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(begun));
    let mut mortal = Mortal::on(directory.path(), Arc::clone(&clock)).await;
    let taken = Arc::new(AtomicU64::new(0));
    let bodies = Arc::new(Mutex::new(bodies));
    let senders: Vec<_> = (0..6)
        .map(|_| {
            let address = mortal.address.subscribe();
            let (bodies, taken, clock) = (Arc::clone(&bodies), Arc::clone(&taken), Arc::clone(&clock));
            tokio::spawn(send_all(bodies, address, taken, clock, 3_600 * SECOND_NS / all))
        })
        .collect();
    let ends = (all / 60).max(6);
    for end in 1..=ends {
        while taken.load(Ordering::SeqCst) < end * all / (ends + 1) {
            assert!(
                !senders.iter().all(|sender| sender.is_finished()),
                "seed {seed}: the senders have ended early"
            );
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        match end % 3 {
            0 => mortal.stop().await,
            1 => {
                assert_eq!(kill_engine(directory.path()), 1);
                continue;
            }
            _ => mortal.kill(),
        }
        mortal.start().await;
    }
    for sender in senders {
        sender.await.unwrap();
    }
    let at_s = begun / SECOND_NS + 1;
    println!("seed {seed}: {calls} calls, {} spans, {all} requests, {ends} ends", world.spans.len());
    world.check(mortal.collector(), at_s).await;
    let corrections = "SELECT count(), countIf(sign = -1) > 0, countIf(cost IS NULL) FROM corrections";
    let before = ask(mortal.store(), corrections).await;
    assert!(before.ends_with("\t1\t0"), "{before}");
    mortal.stop().await;
    mortal.start().await;
    world.check(mortal.collector(), at_s).await;
    assert_eq!(ask(mortal.store(), corrections).await, before, "a start has nothing to correct");
    mortal.stop().await;
}
