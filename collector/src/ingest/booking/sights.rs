//! Between rows and sights: what of a span, just come or stored, tells which spans are counted. Pure.

use ledgerline_proto::UsageSource;
use ledgerline_store::corrections::Reason;
use ledgerline_store::ledger::{Action, Change, StoredSight};
use ledgerline_store::spans::{Role, SpanRow};

use super::super::sightings::{
    CallSight, Cause, Change as Sign, Correction, Observer, ResponseId, Sight, UsageRank, Verdict,
};

pub(super) fn sight(row: &SpanRow) -> Sight {
    let call = &row.record.call;
    let usage = call.usage.as_ref().map(|usage| usage.source);
    let facts = || CallSight {
        observer: Observer::of_scope(&row.record.observer),
        response: ResponseId::of(&call.response_id),
        usage: rank(usage),
        start_unix_ns: call.start_unix_ns,
        // As it is stored, so that it is the same after a restart.
        end_unix_ns: call.end_unix_ns / 1_000 * 1_000,
    };
    Sight {
        trace_id: call.trace_id,
        span_id: call.span_id,
        parent_span_id: call.parent_span_id,
        call: call.operation.is_call().then(facts),
    }
}

pub(super) fn sight_of_stored(stored: &StoredSight) -> Sight {
    let facts = || CallSight {
        observer: Observer::of_scope(&stored.observer),
        response: ResponseId::of(&stored.response_id),
        usage: rank(UsageSource::from_name(&stored.usage_source)),
        start_unix_ns: stored.start_unix_ns,
        end_unix_ns: stored.end_unix_ns,
    };
    Sight {
        trace_id: stored.trace_id,
        span_id: stored.span_id,
        parent_span_id: stored.parent_span_id,
        call: stored.is_call.then(facts),
    }
}

const fn rank(source: Option<UsageSource>) -> UsageRank {
    match source {
        None => UsageRank::Missing,
        Some(UsageSource::Estimated) => UsageRank::Estimated,
        Some(UsageSource::Sender) => UsageRank::Sender,
        Some(UsageSource::Counted) => UsageRank::Counted,
        Some(UsageSource::Drained) => UsageRank::Drained,
        Some(UsageSource::Provider) => UsageRank::Provider,
    }
}

pub(super) fn change(correction: &Correction) -> Change {
    let reason = match correction.cause {
        Cause::Repeat => Reason::Repeat,
        Cause::Wrapper => Reason::Wrapper,
    };
    Change {
        trace_id: correction.trace_id,
        span_id: correction.span_id,
        end_unix_ns: correction.end_unix_ns,
        action: match correction.change {
            Sign::TakeBack => Action::TakeBack(reason),
            Sign::Count => Action::Book(reason),
        },
    }
}

/// What turns the booking of a row that is stored with this role into that verdict, and why; `None` where it is that already.
pub(super) const fn difference(stored: Role, verdict: Verdict) -> Option<(Sign, Cause)> {
    match (stored, verdict) {
        (Role::Wrapper, Verdict::Counts) => Some((Sign::Count, Cause::Wrapper)),
        (Role::Repeat, Verdict::Counts) => Some((Sign::Count, Cause::Repeat)),
        (Role::Counts, Verdict::Wrapper) => Some((Sign::TakeBack, Cause::Wrapper)),
        (Role::Counts, Verdict::Repeat) => Some((Sign::TakeBack, Cause::Repeat)),
        _ => None,
    }
}
