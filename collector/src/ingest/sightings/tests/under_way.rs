//! Requests that overlap, fail, or end with their process.

use super::*;

/// All that is known, but not when it was last needed.
fn dump(sightings: &Sightings) -> Vec<String> {
    let index = &sightings.index;
    let mut lines = Vec::new();
    for number in 0..4096 {
        if number >= index.ring.len() as u32 {
            break;
        }
        let node = index.ring.get(number);
        if node.is(Node::REMOVED) {
            continue;
        }
        let flags = [Node::KNOWN, Node::ABOVE_CALL, Node::RESERVED].map(|flag| node.is(flag));
        let call = node.call().map(|slot| {
            let call = index.call(slot);
            let mut listed: Vec<_> = index
                .listed(call.response)
                .map(|slot| (index.call(slot).trace_id, index.call(slot).span_id))
                .collect();
            listed.sort_unstable();
            (call.trace_id, call.span_id, call.flags, listed)
        });
        lines.push(format!("{:x} under {:x} {flags:?} {call:?}", node.key, node.parent));
    }
    lines.sort_unstable();
    lines.push(format!("{} places, reserved {:?}", index.ring.len(), sightings.reserved));
    lines
}

#[test]
fn a_request_that_needs_what_another_has_reserved_waits() {
    let first = [plain(1, 2, 1), sdk(1, 3, 2, "r")];
    for (second, waits) in [
        // The same span, plain or call.
        (plain(1, 2, 1), true),
        (sdk(1, 3, 2, "r"), true),
        // Above, below, beside under a parent that has just become one of a call.
        (framework(1, 1, 0, ""), true),
        (agent(1, 4, 3, ""), true),
        (agent(1, 4, 2, ""), true),
        // The same response.
        (agent(2, 1, 0, "r"), true),
        (agent(2, 1, 0, "s"), false),
        // A plain span of the trace that no call is below.
        (plain(1, 5, 1), false),
        (plain(1, 5, 3), false),
    ] {
        let mut ledger = Ledger::new(BOUNDS);
        let decision = ledger.decide(&first).unwrap();
        let before = dump(ledger.sightings());
        match ledger.decide(&[plain(7, 1, 0), second, framework(8, 1, 0, "t")]) {
            Ok(decision) => {
                assert!(!waits, "{second:?}");
                ledger.sightings().abandon(decision);
            }
            Err(Conflict) => assert!(waits, "{second:?}"),
        }
        assert_eq!(dump(ledger.sightings()), before, "a conflict and an abandoned decision leave no trace");
        ledger.sightings().commit(decision);
        assert!(ledger.decide(&[second]).is_ok(), "{second:?} goes on when the first is committed");
    }
}

#[test]
fn requests_that_fail_again_and_again_take_no_room() {
    let mut ledger = Ledger::new(BOUNDS);
    ledger.send(&[sdk(1, 1, 0, "")]);
    let request: Vec<Sight> = (1..=1500).map(|number| sdk(2, number, number + 1, "")).collect();
    for _ in 0..10 {
        let first = ledger.decide(&request).unwrap();
        assert_eq!(ledger.decide(&request).unwrap_err(), Conflict);
        let second = ledger.decide(&[plain(3, 1, 0)]).unwrap();
        ledger.sightings().abandon(first);
        ledger.sightings().abandon(second);
        assert_eq!(ledger.sightings().index.ring.len(), 1);
    }
    ledger.send(&request);
    assert_eq!(ledger.counting(), [(trace(1), span(1)), (trace(2), span(1))]);
}

#[test]
fn plain_spans_of_one_trace_do_not_wait_for_each_other() {
    let mut ledger = Ledger::new(BOUNDS);
    let first = ledger.decide(&[plain(1, 1, 0), plain(1, 2, 1)]).unwrap();
    let second = ledger.decide(&[plain(1, 3, 2), plain(1, 4, 1)]).unwrap();
    ledger.sightings().abandon(first);
    ledger.sightings().commit(second);
}

#[test]
fn calls_below_one_parent_do_not_wait_once_it_is_known_to_be_above_a_call() {
    let mut ledger = Ledger::new(BOUNDS);
    ledger.send(&[sdk(1, 2, 1, "a")]);
    let first = ledger.decide(&[sdk(1, 3, 1, "b")]).unwrap();
    let second = ledger.decide(&[sdk(1, 4, 1, "c")]).unwrap();
    ledger.sightings().commit(second);
    ledger.sightings().commit(first);
}

#[test]
fn an_abandoned_request_leaves_no_trace_and_may_come_again() {
    let known = [framework(1, 1, 0, "f"), sdk(2, 1, 0, "r"), plain(3, 2, 1), sdk(3, 3, 2, "")];
    // It takes one back by position, one by response id, makes a plain span a call, and fills in a parent.
    let request =
        [sdk(1, 2, 1, "x"), agent(4, 1, 0, "r"), sdk(3, 2, 1, "y"), framework(3, 1, 0, ""), plain(5, 1, 0)];
    let mut ledger = Ledger::new(BOUNDS);
    ledger.send(&known);
    let before = dump(ledger.sightings());
    let decision = ledger.decide(&request).unwrap();
    assert_eq!(decision.corrections.len(), 2);
    assert_ne!(dump(ledger.sightings()), before);
    ledger.sightings().abandon(decision);
    assert_eq!(dump(ledger.sightings()), before);
    ledger.send(&request);
    assert_eq!(ledger.counting(), [(trace(1), span(2)), (trace(3), span(3)), (trace(4), span(1))]);
}

/// What was taken back by response id is reserved by that id, and not by its span.
#[test]
fn a_call_that_another_request_takes_back_cannot_become_a_wrapper_meanwhile() {
    let mut ledger = Ledger::new(BOUNDS);
    ledger.send(&[framework(1, 1, 0, "r")]);
    let first = ledger.decide(&[agent(2, 1, 0, "r")]).unwrap();
    assert_eq!(ledger.decide(&[sdk(1, 2, 1, "")]).unwrap_err(), Conflict);
    ledger.sightings().abandon(first);
    ledger.send(&[sdk(1, 2, 1, "")]);
    assert_eq!(ledger.counting(), [(trace(1), span(2))]);
}

#[test]
fn what_is_reserved_is_not_forgotten() {
    let is_known = |ledger: &mut Ledger, sight: &Sight| {
        let index = &ledger.sightings().index;
        index.find(index.key(index.tenant("acme"), sight.trace_id, sight.span_id)).is_some()
    };
    let (known, under_way, parent) = (agent(1, 1, 0, "r"), sdk(2, 1, 7, "r"), plain(2, 7, 0));
    let mut ledger = Ledger::new(Bounds { bytes: 200, window: WINDOW });
    ledger.send(&[known]);
    let decision = ledger.decide(&[under_way]).unwrap();
    for number in 3..9 {
        ledger.send(&[sdk(number, 1, 0, "")]);
        ledger.now_ns += 10_000 * SECOND_NS;
    }
    // By its response id, as a span, and as the parent of one.
    for sight in [&known, &under_way, &parent] {
        assert!(is_known(&mut ledger, sight), "{sight:?}");
    }
    ledger.sightings().commit(decision);
    ledger.send(&[]);
    for sight in [&known, &under_way, &parent] {
        assert!(!is_known(&mut ledger, sight), "{sight:?}");
    }
    // The other way round: the span under way is the oldest.
    let under_way = sdk(8, 1, 0, "");
    let decision = ledger.decide(&[under_way]).unwrap();
    ledger.now_ns += 10_000 * SECOND_NS;
    ledger.send(&[sdk(9, 1, 0, "")]);
    assert!(is_known(&mut ledger, &under_way));
    ledger.sightings().abandon(decision);
    assert!(!is_known(&mut ledger, &under_way));
}

#[test]
fn a_restart_books_what_was_not_booked() {
    let mut ledger = Ledger::new(BOUNDS);
    ledger.send(&[framework(1, 1, 0, ""), sdk(2, 1, 0, "r")]);
    let request = [sdk(1, 2, 1, ""), agent(3, 1, 0, "r")];
    let decision = ledger.decide(&request).unwrap();
    ledger.store(&request, &decision);
    assert_eq!(ledger.counting().len(), 4, "stored, and no correction booked");
    ledger.restart();
    let counting = [(trace(1), span(2)), (trace(3), span(1))];
    assert_eq!(ledger.counting(), counting);
    assert_eq!(ledger.corrections.len(), 2);
    ledger.restart();
    assert_eq!(ledger.corrections.len(), 2, "once");
    // One of two was booked.
    ledger.corrections.pop();
    ledger.restart();
    assert_eq!(ledger.counting(), counting);
    assert_eq!(ledger.corrections.len(), 2);
}

#[test]
fn a_call_whose_match_is_older_than_the_window_stays_uncounted_after_a_restart() {
    let mut ledger = Ledger::new(BOUNDS);
    ledger.send(&[agent(1, 1, 0, "r"), framework(4, 2, 1, "")]);
    ledger.now_ns += 3600 * SECOND_NS;
    assert_eq!(ledger.send(&[sdk(2, 1, 0, "r"), framework(3, 1, 0, "r")]), [Verdict::Repeat; 2]);
    assert_eq!(ledger.send(&[framework(4, 1, 0, "")]), [Verdict::Wrapper]);
    ledger.now_ns += 3601 * SECOND_NS;
    ledger.restart();
    assert_eq!(ledger.counting(), [(trace(1), span(1)), (trace(4), span(2))]);
    // Nor later, when another call has its id.
    ledger.send(&[at(sdk(5, 1, 0, "r"), -9000, -8000)]);
    assert_eq!(ledger.counting(), [(trace(1), span(1)), (trace(4), span(2)), (trace(5), span(1))]);
}

/// Two calls with one id, of which the second was taken for the first until an earlier sight came.
#[test]
fn a_restart_counts_again_what_was_wrongly_taken_for_a_repeat() {
    let mut ledger = Ledger::new(BOUNDS);
    ledger.send(&[at(sdk(1, 1, 0, "mock"), -20, -10), at(framework(2, 1, 0, "mock"), -19, -9)]);
    assert_eq!(ledger.counting(), [(trace(2), span(1))]);
    let request = [at(sdk(3, 1, 0, "mock"), -25, -11)];
    let decision = ledger.decide(&request).unwrap();
    assert_eq!(decision.verdicts, [Verdict::Repeat]);
    assert_eq!(decision.corrections[0].change, Change::Count);
    ledger.store(&request, &decision);
    ledger.restart();
    assert_eq!(ledger.counting(), [(trace(1), span(1)), (trace(2), span(1))]);
}

#[test]
fn after_a_restart_the_oldest_is_forgotten_first() {
    let mut ledger = Ledger::new(BOUNDS);
    ledger.send(&[sdk(1, 1, 0, "")]);
    ledger.now_ns += 3600 * SECOND_NS;
    ledger.send(&[sdk(2, 1, 0, "")]);
    ledger.restart();
    ledger.now_ns += 3601 * SECOND_NS;
    assert_eq!(ledger.send(&[sdk(2, 1, 0, "")]), [Verdict::Again]);
    assert_eq!(ledger.send(&[sdk(1, 1, 0, "")]), [Verdict::Counts]);
}
