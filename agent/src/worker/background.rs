//! Calls that go on after their response: the provider works in the background. Pure.
//!
//! A call is kept here from the response that says so until a poll shows its end; then it is recorded, once, with
//! what the poll read. One that nobody asks for any more is recorded without usage, which is missing and never zero.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::assemble::{CallFacts, RelayEnd};

/// Polls that are kept for a call that is not known yet.
const EARLY_POLLS_MAX: usize = 64;

pub struct Waiting {
    pub facts: CallFacts,
    pub end: RelayEnd,
}

/// The provider, whose ids are its own, and the id of the response.
type Key = (Arc<str>, String);

#[derive(Default)]
pub struct BackgroundCalls {
    calls: HashMap<Key, Waiting>,
    /// By age; some were recorded meanwhile.
    by_age: VecDeque<(u64, Key)>,
    /// The newest polls that saw an end and no call: they may be quicker than the news that the client left its stream.
    early_polls: VecDeque<(Key, CallFacts)>,
    calls_max: usize,
    age_max_ns: u64,
}

impl BackgroundCalls {
    pub fn new(calls_max: usize, age_max_ns: u64) -> Self {
        Self { calls_max, age_max_ns, ..Self::default() }
    }

    pub fn len(&self) -> usize {
        self.calls.len()
    }

    /// Keeps a call, unless its end was seen already: then that is what comes back.
    pub fn insert(&mut self, facts: CallFacts, end: RelayEnd) -> Option<CallFacts> {
        let key = key(&facts);
        if let Some(at) = self.early_polls.iter().position(|(early, _)| *early == key) {
            return self.early_polls.remove(at).map(|(_, poll)| completed(facts, poll));
        }
        if self.by_age.len() > 2 * self.calls_max {
            self.by_age.retain(|(_, key)| self.calls.contains_key(key));
        }
        self.by_age.push_back((end.at_unix_ns, key.clone()));
        self.calls.insert(key, Waiting { facts, end });
        None
    }

    /// The call that this poll is about, with what the poll read; `None` when there is none or it still runs.
    pub fn complete(&mut self, poll: CallFacts) -> Option<CallFacts> {
        if poll.response.is_running || poll.response.response_id.is_empty() {
            return None;
        }
        let key = key(&poll);
        if let Some(Waiting { facts, .. }) = self.calls.remove(&key) {
            return Some(completed(facts, poll));
        }
        if self.early_polls.len() >= EARLY_POLLS_MAX {
            self.early_polls.pop_front();
        }
        self.early_polls.push_back((key, poll));
        None
    }

    /// The oldest call, if it has waited too long at that time or there are too many.
    pub fn expired(&mut self, now_unix_ns: u64) -> Option<Waiting> {
        while let Some((since, key)) = self.by_age.front() {
            let is_due = now_unix_ns.saturating_sub(*since) > self.age_max_ns;
            let is_recorded = !self.calls.contains_key(key);
            if !is_due && !is_recorded && self.calls.len() <= self.calls_max {
                return None;
            }
            let key = self.by_age.pop_front()?.1;
            if let Some(waiting) = self.calls.remove(&key) {
                return Some(waiting);
            }
        }
        None
    }
}

/// The call with what its poll read. What was made for nobody to see cannot be estimated.
fn completed(mut facts: CallFacts, poll: CallFacts) -> CallFacts {
    facts.response_is_whole = poll.response_is_whole && poll.response.usage_is_final;
    facts.response = poll.response;
    facts.response_texts = poll.response_texts;
    facts
}

fn key(facts: &CallFacts) -> Key {
    (facts.start.provider.clone(), facts.response.response_id.clone())
}
