//! Each rule of the table, by hand; the window; what is under way. `property` has the whole of it at random.

mod ledger;
mod property;
mod size;
mod under_way;

use ledgerline_proto::id::{SpanId, TraceId};

use super::*;
use crate::limits;
use ledger::{Ledger, NOW_NS};

const WINDOW: Duration = limits::SIGHTINGS_WINDOW;
const BOUNDS: Bounds = Bounds { bytes: limits::SIGHTINGS_BYTES_MAX, window: WINDOW };
const SECOND_NS: u64 = 1_000_000_000;

fn trace(number: u64) -> TraceId {
    TraceId::from_bytes(u128::from(number).to_be_bytes()).unwrap()
}

fn span(number: u64) -> SpanId {
    SpanId::from_bytes(number.to_be_bytes()).unwrap()
}

/// Span 0 is no parent.
fn plain(trace_number: u64, number: u64, parent: u64) -> Sight {
    Sight {
        trace_id: trace(trace_number),
        span_id: span(number),
        parent_span_id: SpanId::from_bytes(parent.to_be_bytes()),
        call: None,
    }
}

/// A call that took ten seconds, seen by this observer, with the provider's counts.
fn call(observer: Observer, trace_number: u64, number: u64, parent: u64, response: &str) -> Sight {
    let call = CallSight {
        observer,
        response: ResponseId::of(response),
        usage: UsageRank::Provider,
        start_unix_ns: NOW_NS - 10 * SECOND_NS,
        end_unix_ns: NOW_NS,
    };
    Sight { call: Some(call), ..plain(trace_number, number, parent) }
}

fn agent(trace: u64, number: u64, parent: u64, response: &str) -> Sight {
    call(Observer::Agent, trace, number, parent, response)
}

fn sdk(trace: u64, number: u64, parent: u64, response: &str) -> Sight {
    call(Observer::of_scope("sdk"), trace, number, parent, response)
}

fn framework(trace: u64, number: u64, parent: u64, response: &str) -> Sight {
    call(Observer::of_scope("framework"), trace, number, parent, response)
}

/// The same sight at other seconds, relative to now.
fn at(sight: Sight, start: i64, end: i64) -> Sight {
    let time = |seconds: i64| NOW_NS.checked_add_signed(seconds * SECOND_NS as i64).unwrap();
    let call =
        sight.call.map(|call| CallSight { start_unix_ns: time(start), end_unix_ns: time(end), ..call });
    Sight { call, ..sight }
}

fn counted_by(sight: Sight, usage: UsageRank) -> Sight {
    Sight { call: sight.call.map(|call| CallSight { usage, ..call }), ..sight }
}

/// All orders of these.
fn orders(sights: &[Sight]) -> Vec<Vec<Sight>> {
    let Some((first, rest)) = sights.split_first() else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for order in orders(rest) {
        for place in 0..=order.len() {
            let mut order = order.clone();
            order.insert(place, *first);
            all.push(order);
        }
    }
    all
}

/// Sends the spans in one request, and in a request each in every order: these (trace, span) count in the end.
fn check(sights: &[Sight], counting: &[(u64, u64)]) {
    let expected: Vec<(TraceId, SpanId)> =
        counting.iter().map(|(trace_number, number)| (trace(*trace_number), span(*number))).collect();
    let mut at_once = Ledger::new(BOUNDS);
    at_once.send(sights);
    assert_eq!(at_once.counting(), expected, "at once: {sights:?}");
    assert!(at_once.corrections.is_empty(), "one request corrects nothing of its own");
    for order in orders(sights) {
        let mut ledger = Ledger::new(BOUNDS);
        for sight in &order {
            ledger.send(&[*sight]);
        }
        assert_eq!(ledger.counting(), expected, "one by one: {order:?}");
        ledger.send(&order);
        assert_eq!(ledger.counting(), expected, "and all again: {order:?}");
    }
}

#[test]
fn a_plain_span_never_counts_and_a_lone_call_does() {
    check(&[plain(1, 1, 0), plain(1, 2, 1)], &[]);
    check(&[plain(1, 1, 0), agent(1, 2, 1, "r"), plain(1, 3, 2)], &[(1, 2)]);
    check(&[sdk(1, 1, 0, ""), sdk(1, 2, 0, "")], &[(1, 1), (1, 2)]);
}

#[test]
fn only_the_lowest_calls_of_a_trace_count_in_every_order() {
    check(&[framework(1, 1, 0, ""), sdk(1, 2, 1, "r"), agent(1, 3, 2, "r")], &[(1, 3)]);
    check(&[framework(1, 1, 0, ""), plain(1, 2, 1), plain(1, 3, 2), sdk(1, 4, 3, "")], &[(1, 4)]);
    check(&[framework(1, 1, 0, ""), sdk(1, 2, 1, "a"), sdk(1, 3, 1, "b")], &[(1, 2), (1, 3)]);
    // A tool between two calls of a loop; the outer call has the id of the last.
    check(&[sdk(1, 1, 0, "b"), agent(1, 2, 1, "a"), plain(1, 3, 1), agent(1, 4, 3, "b")], &[(1, 2), (1, 4)]);
}

#[test]
fn a_call_whose_parents_are_missing_counts_until_they_come() {
    let mut ledger = Ledger::new(BOUNDS);
    assert_eq!(ledger.send(&[framework(1, 1, 0, "")]), [Verdict::Counts]);
    assert_eq!(ledger.send(&[sdk(1, 4, 3, "")]), [Verdict::Counts]);
    assert_eq!(ledger.send(&[plain(1, 2, 1)]), [Verdict::Plain]);
    assert!(ledger.corrections.is_empty());
    ledger.send(&[plain(1, 3, 2)]);
    let [(_, correction)] = ledger.corrections.as_slice() else { panic!("one correction") };
    let taken_back = Correction {
        trace_id: trace(1),
        span_id: span(1),
        end_unix_ns: NOW_NS,
        change: Change::TakeBack,
        cause: Cause::Wrapper,
    };
    assert_eq!(*correction, taken_back);
    assert_eq!(ledger.counting(), [(trace(1), span(4))]);
}

#[test]
fn the_same_span_again_is_a_repeat_and_says_so_each_time() {
    let mut ledger = Ledger::new(BOUNDS);
    let request = [framework(1, 1, 0, ""), plain(1, 2, 1), agent(1, 3, 2, "r")];
    assert_eq!(ledger.send(&request), [Verdict::Wrapper, Verdict::Plain, Verdict::Counts]);
    for _ in 0..3 {
        assert_eq!(ledger.send(&request), [Verdict::Again, Verdict::Plain, Verdict::Again]);
    }
    assert_eq!(ledger.send(&[sdk(2, 1, 0, ""), sdk(2, 1, 0, "")]), [Verdict::Counts, Verdict::Again]);
    assert!(ledger.corrections.is_empty());
}

#[test]
fn a_span_that_was_plain_at_first_and_is_a_call_later_is_that_call() {
    check(&[plain(1, 1, 0), sdk(1, 1, 0, "r")], &[(1, 1)]);
    check(&[framework(1, 1, 0, ""), plain(1, 2, 1), sdk(1, 2, 1, "r")], &[(1, 2)]);
}

#[test]
fn tenants_have_nothing_in_common() {
    let mut ledger = Ledger::new(BOUNDS);
    for tenant in ["a", "b"] {
        ledger.tenant = tenant.into();
        assert_eq!(ledger.send(&[agent(1, 1, 0, "r")]), [Verdict::Counts], "{tenant}");
    }
    ledger.tenant = "c".into();
    assert_eq!(ledger.send(&[sdk(2, 1, 0, "r")]), [Verdict::Counts]);
}

#[test]
fn one_response_seen_by_two_is_one_call_and_the_agents_counts() {
    check(&[sdk(1, 1, 0, "r"), agent(2, 1, 0, "r")], &[(2, 1)]);
    // Beside each other in one trace.
    check(&[plain(1, 1, 0), sdk(1, 2, 1, "r"), agent(1, 3, 1, "r")], &[(1, 3)]);
    // The agent's counts, also when another's are better.
    check(&[sdk(1, 1, 0, "r"), counted_by(agent(2, 1, 0, "r"), UsageRank::Estimated)], &[(2, 1)]);
    check(&[sdk(1, 1, 0, "r"), framework(3, 1, 0, "r"), agent(2, 1, 0, "r")], &[(2, 1)]);
    // An empty id is none.
    check(&[sdk(1, 1, 0, ""), agent(2, 1, 0, "")], &[(1, 1), (2, 1)]);
    check(&[sdk(1, 1, 0, "r"), agent(2, 1, 0, "s")], &[(1, 1), (2, 1)]);
}

#[test]
fn without_the_agent_the_better_counts_win_and_then_the_inner_sight() {
    let ranks = [
        UsageRank::Missing,
        UsageRank::Estimated,
        UsageRank::Sender,
        UsageRank::Counted,
        UsageRank::Drained,
        UsageRank::Provider,
    ];
    for pair in ranks.windows(2) {
        let (worse, better) = (counted_by(sdk(1, 1, 0, "r"), pair[0]), framework(2, 1, 0, "r"));
        check(&[worse, counted_by(better, pair[1])], &[(2, 1)]);
    }
    check(&[at(sdk(1, 1, 0, "r"), -9, 0), at(framework(2, 1, 0, "r"), -10, 0)], &[(1, 1)]);
    check(&[at(sdk(1, 1, 0, "r"), -10, 0), at(framework(2, 1, 0, "r"), -9, 0)], &[(2, 1)]);
}

#[test]
fn a_wrapper_of_a_call_that_is_seen_elsewhere_does_not_count() {
    let chain = [framework(1, 1, 0, ""), sdk(1, 2, 1, "r"), agent(2, 1, 0, "r")];
    check(&chain, &[(2, 1)]);
    // The wrapper has the id, too.
    check(&[framework(1, 1, 0, "r"), sdk(1, 2, 1, "r"), agent(2, 1, 0, "r")], &[(2, 1)]);
}

#[test]
fn a_call_that_is_the_same_as_a_wrapper_is_billed_with_what_is_below() {
    // The inner span states no id.
    check(&[framework(1, 1, 0, "r"), sdk(1, 2, 1, ""), agent(2, 1, 0, "r")], &[(1, 2)]);
    // A model server that continues the agent's trace.
    check(&[sdk(1, 1, 0, "r"), agent(2, 1, 0, "r"), framework(2, 2, 1, "own")], &[(2, 2)]);
}

#[test]
fn one_observer_with_one_id_sees_as_many_calls_as_it_says() {
    check(&[sdk(1, 1, 0, "mock"), sdk(2, 1, 0, "mock"), sdk(1, 2, 0, "mock")], &[(1, 1), (1, 2), (2, 1)]);
    check(&[agent(1, 1, 0, "mock"), agent(2, 1, 0, "mock"), sdk(3, 1, 0, "mock")], &[(1, 1), (2, 1)]);
    let one_more = [agent(1, 1, 0, "mock"), sdk(2, 1, 0, "mock"), sdk(3, 1, 0, "mock")];
    for order in orders(&one_more) {
        let mut ledger = Ledger::new(BOUNDS);
        order.iter().for_each(|sight| {
            ledger.send(&[*sight]);
        });
        assert_eq!(ledger.counting().len(), 2);
        assert_eq!(ledger.counting()[0], (trace(1), span(1)));
    }
}

#[test]
fn times_must_overlap_within_two_seconds() {
    let seen = at(agent(1, 1, 0, "r"), -100, -90);
    check(&[seen, at(sdk(2, 1, 0, "r"), -88, -80)], &[(1, 1)]);
    check(&[seen, at(sdk(2, 1, 0, "r"), -87, -80)], &[(1, 1), (2, 1)]);
    check(&[seen, at(sdk(2, 1, 0, "r"), -110, -102)], &[(1, 1)]);
    check(&[seen, at(sdk(2, 1, 0, "r"), -110, -103)], &[(1, 1), (2, 1)]);
    // Without a start it is its end.
    let mut unset = at(sdk(2, 1, 0, "r"), -110, -80);
    unset.call.as_mut().unwrap().start_unix_ns = 0;
    check(&[seen, unset], &[(1, 1), (2, 1)]);
}

/// By starts, the long call of the agent would take the first of the two others and leave the second alone.
#[test]
fn repeated_ids_are_matched_in_the_order_of_their_ends() {
    let sights = [
        at(agent(1, 1, 0, "mock"), -30, 0),
        at(agent(2, 1, 0, "mock"), -20, -15),
        at(sdk(3, 1, 0, "mock"), -18, -16),
        at(sdk(4, 1, 0, "mock"), -5, -1),
    ];
    check(&sights, &[(1, 1), (2, 1)]);
}

#[test]
fn parents_in_a_circle_lose_no_call() {
    check(&[sdk(1, 1, 1, "")], &[(1, 1)]);
    for sights in [
        vec![sdk(1, 1, 2, ""), plain(1, 2, 1)],
        vec![sdk(1, 1, 2, ""), plain(1, 2, 3), plain(1, 3, 1)],
        vec![sdk(1, 1, 2, ""), sdk(1, 2, 3, ""), plain(1, 3, 1)],
    ] {
        for order in orders(&sights) {
            let mut ledger = Ledger::new(BOUNDS);
            ledger.send(&order);
            assert_eq!(ledger.counting().len(), 1, "{order:?}");
        }
    }
}

#[test]
fn a_span_is_known_for_the_window_and_then_forgotten() {
    let mut ledger = Ledger::new(BOUNDS);
    ledger.send(&[sdk(1, 2, 1, "r")]);
    ledger.now_ns += 7200 * SECOND_NS;
    assert_eq!(ledger.send(&[sdk(1, 2, 1, "r"), framework(1, 1, 0, "")]), [Verdict::Again, Verdict::Wrapper]);
    ledger.now_ns += SECOND_NS;
    assert_eq!(ledger.send(&[sdk(1, 2, 1, "r")]), [Verdict::Counts]);
    assert_eq!(ledger.sightings().forgotten(), Forgotten::default(), "in time is not early");
}

#[test]
fn a_parent_is_known_while_calls_come_below_it() {
    let mut ledger = Ledger::new(BOUNDS);
    ledger.send(&[plain(1, 2, 1), sdk(1, 3, 2, "")]);
    for number in 4..40 {
        ledger.now_ns += 1800 * SECOND_NS;
        assert_eq!(ledger.send(&[sdk(1, number, 2, "")]), [Verdict::Counts]);
    }
    assert!(
        ledger.sightings().index.ring.len() < 12,
        "and what is older than the window is forgotten meanwhile"
    );
    assert_eq!(ledger.send(&[framework(1, 1, 0, "")]), [Verdict::Wrapper], "18 hours after the first call");
}

#[test]
fn what_was_taken_back_does_not_come_back_when_its_match_is_forgotten() {
    let mut ledger = Ledger::new(BOUNDS);
    ledger.send(&[agent(1, 1, 0, "r")]);
    ledger.now_ns += 3600 * SECOND_NS;
    assert_eq!(ledger.send(&[sdk(2, 2, 1, "r")]), [Verdict::Repeat]);
    ledger.now_ns += 3700 * SECOND_NS;
    ledger.send(&[plain(9, 1, 0)]);
    // It is looked at again, for a call of its id and for a wrapper, and stays what it is.
    ledger.send(&[at(framework(3, 1, 0, "r"), -9000, -8000), framework(2, 1, 0, "")]);
    let counting = [(trace(1), span(1)), (trace(3), span(1))];
    assert_eq!(ledger.counting(), counting);
    ledger.restart();
    assert_eq!(ledger.counting(), counting, "nor after a restart");
}

#[test]
fn the_bound_of_memory_forgets_the_oldest_and_counts_them() {
    let bytes = 100 * (index::NODE_BYTES + index::CALL_BYTES);
    let mut ledger = Ledger::new(Bounds { bytes, window: WINDOW });
    for number in 1..=150 {
        ledger.send(&[sdk(number, 1, 0, "")]);
    }
    assert_eq!(ledger.sightings().forgotten(), Forgotten { calls: 50, ..Forgotten::default() });
    assert_eq!(ledger.send(&[sdk(51, 1, 0, "")]), [Verdict::Again]);
    assert_eq!(ledger.send(&[sdk(50, 1, 0, "")]), [Verdict::Counts]);
}

#[test]
fn spans_that_are_no_calls_are_forgotten_first() {
    let bytes = 100 * (index::NODE_BYTES + index::CALL_BYTES);
    let mut ledger = Ledger::new(Bounds { bytes, window: WINDOW });
    let calls: Vec<Sight> =
        (1..=40).flat_map(|number| [plain(number, 2, 1), sdk(number, 3, 2, "")]).collect();
    ledger.send(&calls);
    for number in 1..=1_000 {
        ledger.send(&[plain(99, number + 1, number), plain(98, number + 1, number)]);
    }
    let Forgotten { calls: lost, spans, unmatched } = ledger.sightings().forgotten();
    assert!(lost == 0 && unmatched == 0 && spans > 1_700, "{lost} calls, {spans} spans");
    assert!(ledger.sightings().index.charge() <= bytes);
    // The calls are known, and so is what is above them.
    for number in 1..=40 {
        assert_eq!(
            ledger.send(&[sdk(number, 3, 2, ""), framework(number, 1, 0, "")]),
            [Verdict::Again, Verdict::Wrapper]
        );
    }
    // A root without a parent links nothing and takes no room.
    let before = ledger.sightings().index.ring.len();
    ledger.send(&[plain(97, 1, 0)]);
    assert_eq!(ledger.sightings().index.ring.len(), before);
}

#[test]
fn a_trace_that_is_open_is_whole_while_calls_fill_the_memory() {
    let bytes = 1_000 * (index::NODE_BYTES + index::CALL_BYTES);
    let mut ledger = Ledger::new(Bounds { bytes, window: WINDOW });
    for number in 10..=5_000 {
        if number % 200 == 0 {
            ledger.send(&[plain(number, 2, 1)]);
        }
        ledger.send(&[sdk(100_000 + number, 1, 0, "")]);
        if number % 200 == 150 && number > 200 {
            let open = number - 150;
            assert_eq!(ledger.send(&[sdk(open, 3, 2, "")]), [Verdict::Counts]);
            assert_eq!(ledger.send(&[framework(open, 1, 0, "")]), [Verdict::Wrapper], "{number}");
        }
    }
    let forgotten = ledger.sightings().forgotten();
    assert!(forgotten.calls > 3_000, "{forgotten:?}");
}

/// Two calls with one id. The match of the first is forgotten with it, and so is its wrapper as a bearer of the id: the wrapper
/// must not be taken for the second call.
#[test]
fn the_wrapper_of_a_call_that_is_settled_is_not_matched_to_another() {
    let mut ledger = Ledger::new(BOUNDS);
    ledger.send(&[agent(1, 1, 0, "cached")]);
    ledger.now_ns += 3600 * SECOND_NS;
    ledger.send(&[framework(2, 1, 0, "cached"), sdk(2, 2, 1, "cached"), agent(5, 1, 0, "cached")]);
    ledger.now_ns += 3601 * SECOND_NS;
    ledger.send(&[]);
    ledger.send(&[at(sdk(9, 1, 0, "cached"), -9000, -8000)]);
    assert_eq!(ledger.counting(), [1, 5, 9].map(|number| (trace(number), span(1))));
}

/// A cached answer, seen by the agent and by the client library every second: each pair stays one call.
#[test]
fn an_id_that_is_given_for_ever_is_matched_among_its_latest_sights() {
    let mut ledger = Ledger::new(BOUNDS);
    for number in 1..=1000 {
        let time = i64::try_from(number).unwrap();
        let seen = at(agent(number, 1, 0, "cached"), time, time);
        let repeat = at(sdk(10_000 + number, 1, 0, "cached"), time, time);
        let (first, second) = if number % 2 == 0 { (seen, repeat) } else { (repeat, seen) };
        ledger.send(&[first]);
        ledger.send(&[second]);
    }
    let expected: Vec<_> = (1..=1000).map(|number| (trace(number), span(1))).collect();
    assert_eq!(ledger.counting(), expected);
    assert!(ledger.sightings().forgotten().unmatched > 0);
    // The first rows that are read fill the list with sights of the client library whose matches find no room.
    ledger.rows.sort_by_key(|row| {
        let number = u128::from_be_bytes(*row.sight.trace_id.bytes());
        number <= 56 || (10_001..=10_200).contains(&number)
    });
    ledger.restart();
    assert_eq!(ledger.counting(), expected);
}
