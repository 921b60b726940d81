//! What a span costs in memory and time.

use std::hint::black_box;
use std::time::Instant;

use super::*;

/// Traces of ten spans, children first as SDKs send them: a root, eight plain spans, and one more that is a call or not.
fn traces(count: u64, is_call: bool) -> Vec<Sight> {
    let mut sights = Vec::new();
    for number in 1..=count {
        let last = sdk(number, 10, 5, &format!("response {number}"));
        sights.push(if is_call { last } else { Sight { call: None, ..last } });
        sights.extend((2..=9).rev().map(|span| plain(number, span, span / 2)));
        sights.push(plain(number, 1, 0));
    }
    sights
}

fn filled(sights: &[Sight]) -> Sightings {
    let mut sightings = Sightings::new(BOUNDS, 1);
    for request in sights.chunks(500) {
        let decision = sightings.decide("acme", request, NOW_NS).unwrap();
        sightings.commit(decision);
    }
    sightings
}

#[test]
fn entries_are_as_small_as_the_bound_says() {
    assert_eq!((size_of::<Node>(), size_of::<Call>()), (24, 64));
    assert_eq!((index::NODE_BYTES, index::CALL_BYTES), (36, 76));
    let chunks = 6 * 1024 * 64;
    for count in [100, 1_000, 4_600, 9_200, 20_000] {
        for is_call in [false, true] {
            let sightings = filled(&traces(count, is_call));
            assert!(
                sightings.bytes() <= sightings.index.charge() + chunks,
                "{count} traces, calls: {is_call}: {} > {}",
                sightings.bytes(),
                sightings.index.charge(),
            );
        }
    }
}

/// Run with `cargo test --release -p ledgerline-collector --lib sightings -- --ignored --nocapture`.
#[test]
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
#[ignore = "prints nanoseconds and bytes a span"]
fn the_price_of_a_span() {
    for (name, is_call) in [("no call", false), ("1 call", true)] {
        let sights = traces(100_000, is_call);
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..7 {
            let start = Instant::now();
            let sightings = black_box(filled(black_box(&sights)));
            times.push(start.elapsed());
            bytes = sightings.bytes();
            assert_eq!(sightings.forgotten(), Forgotten::default());
        }
        times.sort_unstable();
        let (spans, median) = (sights.len() as u128, times[times.len() / 2]);
        println!(
            "traces of 10 spans with {name}: {} ns a span, {} bytes a span ({spans} spans)",
            median.as_nanos() / spans,
            bytes as u128 / spans,
        );
    }
}

/// How far back a call is known when spans come at a rate for ever, and what a span costs then. Run likewise.
#[test]
#[expect(clippy::disallowed_methods, reason = "it measures real time")]
#[ignore = "prints seconds and nanoseconds"]
fn the_window_at_a_rate() {
    const SPANS: u64 = 30_000_000;
    for (name, calls_of_ten) in
        [("each span a call", 10), ("one span of ten a call", 1), ("one span of a hundred a call", 0)]
    {
        let mut sightings = Sightings::new(BOUNDS, 1);
        let mut request = Vec::new();
        // A call below three others, the last of them the root; or calls alone.
        let parent = |place: u64| match place {
            _ if calls_of_ten == 10 => 0,
            1..=3 => 11 + place,
            4 => 0,
            _ => 13,
        };
        let start = Instant::now();
        for number in 1..=SPANS / 10 {
            let is_call =
                |place: u64| place <= calls_of_ten || calls_of_ten == 0 && number % 10 == 0 && place == 1;
            request.extend((1..=10).map(|place| {
                let sight = sdk(number, 10 + place, parent(place), &format!("{number} {place}"));
                if is_call(place) { sight } else { Sight { call: None, ..sight } }
            }));
            if number % 50 == 0 {
                let decision = sightings.decide("acme", &request, NOW_NS).unwrap();
                sightings.commit(decision);
                request.clear();
            }
        }
        let nanoseconds = start.elapsed().as_nanos() / u128::from(SPANS);
        let known = (1..=SPANS / 10).rev().take_while(|number| {
            let last = sdk(*number - *number % 10, 11, 2, "");
            let index = &sightings.index;
            index.find(index.key(index.tenant("acme"), last.trace_id, last.span_id)).is_some()
        });
        let spans = known.count() as u64 * 10;
        let seconds = [100, 1_000, 10_000, 60_000].map(|rate| format!("{} s at {rate}/s", spans / rate));
        println!(
            "{name}: calls among the last {spans} spans: {}; {nanoseconds} ns a span",
            seconds.join(", ")
        );
    }
}
