//! Calls at random, seen by whoever may see them, in any order, in requests that are repeated, late, abandoned, or cut off by the end
//! of the process. The oracle knows which span of a call must count, because it made the call.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::ledger::SEED;
use super::*;

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
    }
}

/// The spans of one tenant, and those that must count.
#[derive(Default)]
struct World {
    spans: u64,
    sights: Vec<Sight>,
    counting: BTreeSet<(TraceId, SpanId)>,
}

impl World {
    fn span(&mut self) -> u64 {
        self.spans += 1;
        self.spans
    }

    fn add(&mut self, sight: Sight) -> u64 {
        self.sights.push(sight);
        u64::from_be_bytes(*sight.span_id.bytes())
    }

    /// Some plain spans below `parent`; the lowest.
    fn descend(&mut self, random: &mut Random, trace: u64, mut parent: u64) -> u64 {
        for _ in 0..random.below(3) {
            let number = self.span();
            parent = self.add(plain(trace, number, parent));
        }
        parent
    }

    fn counts(&mut self, sight: Sight) {
        self.counting.insert((sight.trace_id, sight.span_id));
        self.sights.push(sight);
    }

    /// One call below `parent`, in one of the ways it is seen.
    fn call(&mut self, random: &mut Random, trace: u64, parent: u64, response: &str) {
        let start = -600 + i64::try_from(random.below(500)).unwrap();
        let end = start + 10 + i64::try_from(random.below(60)).unwrap();
        let (outer, inner) = (|sight| at(sight, start, end), |sight| at(sight, start + 1, end - 1));
        let elsewhere = 1000 + self.span();
        let parent = self.descend(random, trace, parent);
        let (first, second, third) = (self.span(), self.span(), self.span());
        match random.below(8) {
            0 => self.counts(outer(sdk(trace, first, parent, ""))),
            1 => {
                let parent = self.add(outer(sdk(trace, first, parent, response)));
                let parent = self.descend(random, trace, parent);
                self.counts(inner(agent(trace, second, parent, response)));
            }
            2 => {
                self.add(outer(sdk(trace, first, parent, response)));
                self.counts(inner(agent(elsewhere, second, 0, response)));
            }
            3 => {
                let parent = self.add(outer(framework(trace, first, parent, "")));
                let parent = self.descend(random, trace, parent);
                self.add(outer(sdk(trace, second, parent, response)));
                self.counts(inner(agent(elsewhere, third, 0, response)));
            }
            4 => {
                let parent = self.add(outer(framework(trace, first, parent, response)));
                let parent = self.descend(random, trace, parent);
                self.counts(inner(sdk(trace, second, parent, response)));
            }
            5 => {
                self.add(outer(sdk(trace, first, parent, response)));
                self.counts(inner(agent(trace, second, parent, response)));
            }
            6 => {
                self.add(counted_by(outer(sdk(trace, first, parent, response)), UsageRank::Sender));
                self.counts(outer(framework(elsewhere, second, 0, response)));
            }
            // The inner span states no id, and the agent is elsewhere.
            _ => {
                let parent = self.add(outer(framework(trace, first, parent, response)));
                self.counts(inner(sdk(trace, second, parent, "")));
                self.add(inner(agent(elsewhere, third, 0, response)));
            }
        }
    }

    /// A call of a mock server or a cache, which gives one id to all.
    fn repeated_id(&mut self, random: &mut Random) {
        let (trace, first, second) = (1000 + self.span(), self.span(), self.span());
        let start = -600 + i64::try_from(random.below(300)).unwrap();
        let end = start + 1 + i64::try_from(random.below(30)).unwrap();
        self.add(at(sdk(trace, first, 0, "mock"), start, end));
        self.counts(at(agent(trace + 100_000, second, 0, "mock"), start, end));
    }

    fn at_random(random: &mut Random) -> Self {
        let mut world = Self::default();
        for trace in 1..=1 + random.below(3) as u64 {
            let root = world.span();
            // A workflow, or a loop over tools that is taken for a call.
            let parent = if random.one_in(2) { plain(trace, root, 0) } else { framework(trace, root, 0, "") };
            world.sights.push(parent);
            for number in 0..1 + random.below(4) {
                world.call(random, trace, root, &format!("response {trace} {number}"));
            }
        }
        for _ in 0..random.below(6) {
            world.repeated_id(random);
        }
        world
    }
}

struct Request {
    tenant: Arc<str>,
    sights: Vec<Sight>,
}

/// The spans of all tenants in requests, some of which are sent again.
fn requests(random: &mut Random, worlds: &BTreeMap<Arc<str>, World>) -> VecDeque<Request> {
    let mut requests = Vec::new();
    for (tenant, world) in worlds {
        let mut sights = world.sights.clone();
        for _ in 0..random.below(5) {
            sights.push(sights[random.below(sights.len())]);
        }
        random.shuffle(&mut sights);
        let mut rest = sights.as_slice();
        while !rest.is_empty() {
            let (first, others) = rest.split_at(1 + random.below(rest.len().min(9)));
            for _ in 0..if random.one_in(5) { 2 } else { 1 } {
                requests.push(Request { tenant: Arc::clone(tenant), sights: first.to_vec() });
            }
            rest = others;
        }
    }
    random.shuffle(&mut requests);
    requests.into()
}

struct Simulation {
    ledger: Ledger,
    waiting: VecDeque<Request>,
    under_way: Vec<(Request, Decision)>,
    conflicts: usize,
}

impl Simulation {
    fn step(&mut self, random: &mut Random) {
        match random.below(20) {
            0 => self.crash(random),
            1..=2 => {
                if let Some((request, decision)) = self.take(random) {
                    self.ledger.sightings().abandon(decision);
                    self.waiting.push_back(request);
                }
            }
            3..=10 => {
                if let Some((request, decision)) = self.take(random) {
                    self.ledger.tenant = request.tenant;
                    self.ledger.store(&request.sights, &decision);
                    self.ledger.book(&decision);
                    self.ledger.sightings().commit(decision);
                }
            }
            _ => {
                let Some(request) = self.waiting.pop_front() else { return };
                self.ledger.tenant = Arc::clone(&request.tenant);
                match self.ledger.decide(&request.sights) {
                    Ok(decision) => self.under_way.push((request, decision)),
                    Err(Conflict) => {
                        self.conflicts += 1;
                        self.waiting.push_back(request);
                    }
                }
            }
        }
    }

    fn take(&mut self, random: &mut Random) -> Option<(Request, Decision)> {
        let count = self.under_way.len();
        (count > 0).then(|| self.under_way.swap_remove(random.below(count)))
    }

    /// Of each request under way nothing is stored, or its spans, or its spans and some of its corrections. Its sender has
    /// no answer and sends it again.
    fn crash(&mut self, random: &mut Random) {
        while let Some((request, mut decision)) = self.take(random) {
            if random.one_in(2) {
                self.ledger.tenant = Arc::clone(&request.tenant);
                self.ledger.store(&request.sights, &decision);
                let booked = random.below(decision.corrections.len() + 1);
                decision.corrections.truncate(booked);
                self.ledger.book(&decision);
            }
            self.waiting.push_back(request);
        }
        // In any order.
        let mut rows = std::mem::take(&mut self.ledger.rows);
        random.shuffle(&mut rows);
        self.ledger.rows = rows;
        self.ledger.restart();
    }
}

#[test]
fn at_the_end_every_call_counts_once_with_its_best_sight() {
    let (mut conflicts, mut corrections, mut taken_twice) = (0, 0, 0);
    for seed in 0..2_000 {
        let mut random = Random(seed);
        let worlds: BTreeMap<Arc<str>, World> =
            ["acme", "zeta"].map(|tenant| (tenant.into(), World::at_random(&mut random))).into();
        let waiting = requests(&mut random, &worlds);
        let step_ns = 3600 * SECOND_NS / (3 * waiting.len() as u64);
        let ledger = Ledger::new(BOUNDS);
        let mut simulation = Simulation { ledger, waiting, under_way: Vec::new(), conflicts: 0 };
        while !simulation.waiting.is_empty() || !simulation.under_way.is_empty() {
            simulation.step(&mut random);
            if simulation.ledger.now_ns < NOW_NS + 3600 * SECOND_NS {
                simulation.ledger.now_ns += step_ns;
            }
        }
        let expected: BTreeMap<_, _> = worlds
            .iter()
            .flat_map(|(tenant, world)| {
                world.counting.iter().map(|(trace, span)| ((Arc::clone(tenant), *trace, *span), 1))
            })
            .collect();
        let books = simulation.ledger.books();
        assert_eq!(books, expected, "seed {seed}");
        conflicts += simulation.conflicts;
        corrections += simulation.ledger.corrections.len();
        taken_twice +=
            simulation.ledger.corrections.iter().filter(|(_, it)| it.change == Change::Count).count();
    }
    assert!(conflicts > 1_000 && corrections > 10_000, "{conflicts} conflicts, {corrections} corrections");
    assert!(taken_twice > 0, "no call was ever counted again");
}

/// Spans that make no sense: any parents that form a tree, any ids, any times.
fn nonsense(random: &mut Random) -> Vec<Sight> {
    let observers = [Observer::Agent, Observer::of_scope("sdk"), Observer::of_scope("framework")];
    let mut sights = Vec::new();
    for number in 1..=3 + random.below(12) as u64 {
        let trace = 1 + random.below(3) as u64;
        let parent = random.below(number as usize) as u64;
        let sight = if random.one_in(4) {
            plain(trace, number, parent)
        } else {
            let response = ["", "a", "b"][random.below(3)];
            let start = -i64::try_from(random.below(30)).unwrap();
            let end = start + i64::try_from(random.below(12)).unwrap();
            at(call(observers[random.below(3)], trace, number, parent, response), start, end)
        };
        sights.push(sight);
    }
    sights
}

/// Whether a call is below this one, by looking at everything.
fn is_wrapper(sight: &Sight, sights: &[Sight]) -> bool {
    let is_below = |other: &Sight| {
        let mut above = other.parent_span_id;
        while let Some(id) = above {
            if id == sight.span_id {
                return true;
            }
            let parent = sights.iter().find(|it| it.trace_id == other.trace_id && it.span_id == id);
            above = parent.and_then(|parent| parent.parent_span_id);
        }
        false
    };
    sights.iter().any(|other| other.trace_id == sight.trace_id && other.call.is_some() && is_below(other))
}

#[test]
fn the_order_of_arrival_changes_nothing_even_of_nonsense() {
    for seed in 0..5_000 {
        let mut random = Random(seed);
        let mut sights = nonsense(&mut random);
        let mut at_once = Ledger::new(BOUNDS);
        at_once.send(&sights);
        let counting: BTreeSet<_> = at_once.counting().into_iter().collect();
        for _ in 0..3 {
            random.shuffle(&mut sights);
            let mut ledger = Ledger::new(BOUNDS);
            let mut rest = sights.as_slice();
            while !rest.is_empty() {
                let (first, others) = rest.split_at(1 + random.below(rest.len()));
                ledger.send(first);
                if random.one_in(4) {
                    ledger.restart();
                }
                rest = others;
            }
            assert_eq!(
                ledger.counting().into_iter().collect::<BTreeSet<_>>(),
                counting,
                "seed {seed}: {sights:?}"
            );
        }
        for sight in &sights {
            let Some(call) = sight.call else { continue };
            let counts = counting.contains(&(sight.trace_id, sight.span_id));
            let wrapper = is_wrapper(sight, &sights);
            assert!(!(counts && wrapper), "seed {seed}: {sight:?} wraps a call and counts");
            let is_seen_by_another = sights.iter().filter_map(|other| other.call).any(|other| {
                call.response.is_some() && other.response == call.response && other.observer != call.observer
            });
            assert!(counts || wrapper || is_seen_by_another, "seed {seed}: {sight:?} is lost");
        }
    }
}

#[test]
fn a_restart_makes_the_same_state() {
    for seed in 0..300 {
        let mut random = Random(seed);
        let sights = nonsense(&mut random);
        let mut ledger = Ledger::new(BOUNDS);
        for sight in &sights {
            ledger.send(&[*sight]);
        }
        let known = |sightings: &Sightings| -> BTreeSet<_> {
            (0..sightings.index.ring.len() as u32)
                .map(|number| {
                    let node = sightings.index.ring.get(number);
                    let call = node.call().map(|slot| sightings.index.call(slot).flags);
                    (node.key, node.parent, node.is(Node::KNOWN), node.is(Node::ABOVE_CALL), call)
                })
                .collect()
        };
        let before = known(ledger.sightings());
        let corrections = ledger.corrections.len();
        // The oldest rows first is another order than the ledger's own.
        ledger.rows.reverse();
        let mut restore = Restore::new(BOUNDS, SEED);
        let books = ledger.books();
        let mut read = BTreeSet::new();
        for row in &ledger.rows {
            let key = (Arc::clone(&row.tenant), row.sight.trace_id, row.sight.span_id);
            let booked =
                if read.insert(key.clone()) { books.get(&key).copied().unwrap_or_default() } else { 0 };
            restore.row(&row.tenant, &row.sight, row.arrived_ns, (booked, 0));
        }
        let (mut restored, missing) = restore.finish(ledger.now_ns);
        assert_eq!(missing, [], "seed {seed}: {corrections} corrections were booked");
        assert_eq!(known(&mut restored), before, "seed {seed}");
    }
}
