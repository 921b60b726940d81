//! Where spans, calls and response ids are found. Pure.
//!
//! A span is 24 bytes in one of two rings in the order of arrival and 4 bytes in a table, which finds it by a 64-bit hash of (tenant, trace,
//! span). A call has 64 bytes more, and 4 in a table by response id, whose sights form a list. Neither std's map nor a map of
//! whole entries would do: each keeps a copy of the key and doubles all of it to grow.
//!
//! Two spans with one hash are taken for one: the later is a repeat. Among ten million spans the chance that there is one such
//! pair is 3 in a million. The seed keeps a sender from making pairs.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use foldhash::quality::FixedState;
use hashbrown::HashTable;
use ledgerline_proto::id::{SpanId, TraceId};

use super::sight::{Observer, Sight, UsageRank};

/// What a span costs: its place in the ring, and in a table that has just doubled (5 bytes a bucket, 7 of 16 used).
pub(super) const NODE_BYTES: usize = size_of::<Node>() + TABLE_BYTES;
/// What a call costs beyond its span.
pub(super) const CALL_BYTES: usize = size_of::<Call>() + TABLE_BYTES;
const TABLE_BYTES: usize = 12;

/// Entries are allocated by so many, so that nothing large is ever copied to grow.
const CHUNK: usize = 1024;

/// What is known of a span.
#[derive(Clone, Copy, Debug)]
pub(super) struct Node {
    pub key: u64,
    /// The key of the span above; 0 when none, or not known.
    pub parent: u64,
    /// When it came, or was last needed: seconds since the Unix epoch.
    pub arrived: u32,
    /// Flags in the low bits, above them the call's slot.
    state: u32,
}

impl Node {
    /// It came itself; else a span below it named it as parent.
    pub const KNOWN: u32 = 1;
    /// A call is below it.
    pub const ABOVE_CALL: u32 = 1 << 1;
    /// A decision that is neither committed nor abandoned rests on it.
    pub const RESERVED: u32 = 1 << 2;
    /// It was needed since it took its place in the ring.
    pub const RENEWED: u32 = 1 << 3;
    /// It was taken out; its place remains.
    pub const REMOVED: u32 = 1 << 4;
    const FLAG_BITS: u32 = 5;
    const NO_CALL: u32 = u32::MAX >> Self::FLAG_BITS;

    pub fn new(key: u64, parent: u64, arrived: u32, flags: u32) -> Self {
        Self { key, parent, arrived, state: flags | Self::NO_CALL << Self::FLAG_BITS }
    }

    pub fn is(&self, flag: u32) -> bool {
        self.state & flag != 0
    }

    pub fn set(&mut self, flag: u32) {
        self.state |= flag;
    }

    pub fn clear(&mut self, flag: u32) {
        self.state &= !flag;
    }

    pub fn call(&self) -> Option<u32> {
        let slot = self.state >> Self::FLAG_BITS;
        (slot != Self::NO_CALL).then_some(slot)
    }

    pub fn set_call(&mut self, slot: u32) {
        self.state = self.state & ((1 << Self::FLAG_BITS) - 1) | slot << Self::FLAG_BITS;
    }

    pub fn renew(&mut self, now: u32) {
        if now > self.arrived {
            self.arrived = now;
            self.set(Self::RENEWED);
        }
    }
}

/// What is known of a call.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    pub trace_id: TraceId,
    pub span_id: SpanId,
    start: u64,
    pub end: u64,
    /// The key of its response id; 0 when it has none.
    pub response: u64,
    /// The next sight with this response id, or the next free slot.
    next: u32,
    /// 0 for the agent.
    pub observer: u32,
    pub usage: UsageRank,
    pub flags: u8,
}

impl Call {
    /// It is booked.
    pub const COUNTS: u8 = 1;
    /// A call is below it.
    pub const WRAPPER: u8 = 1 << 1;
    /// It is in the list of its response id.
    pub const LISTED: u8 = 1 << 2;
    /// It came with the request that is being decided.
    pub const NEW: u8 = 1 << 3;

    pub fn of(sight: &Sight, tenant: u64, flags: u8) -> Option<Self> {
        let call = sight.call?;
        let is_start = call.start_unix_ns != 0 && call.start_unix_ns <= call.end_unix_ns;
        Some(Self {
            trace_id: sight.trace_id,
            span_id: sight.span_id,
            start: if is_start { call.start_unix_ns } else { call.end_unix_ns },
            end: call.end_unix_ns,
            response: call.response.map_or(0, |response| response.key(tenant)),
            next: NONE,
            observer: match call.observer {
                Observer::Agent => 0,
                Observer::Scope(scope) => scope.max(1),
            },
            usage: call.usage,
            flags,
        })
    }

    pub fn is(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub fn is_wrapper(&self) -> bool {
        self.is(Self::WRAPPER)
    }

    pub fn is_agents(&self) -> bool {
        self.observer == 0
    }

    pub fn start(&self) -> u64 {
        self.start
    }
}

const NONE: u32 = u32::MAX;

/// Nodes in the order of arrival, in two rings: all that come are in the first; what leaves it early and is worth more than what comes
/// moves to the second.
#[derive(Default)]
pub(super) struct Rings {
    recent: Ring,
    kept: Ring,
}

/// Of numbers in [`Rings::kept`].
const KEPT: u32 = 1 << 31;

impl Rings {
    pub fn push(&mut self, node: Node) -> u32 {
        self.recent.push(node)
    }

    pub fn get(&self, number: u32) -> &Node {
        let ring = if number & KEPT == 0 { &self.recent } else { &self.kept };
        ring.get(number & !KEPT)
    }

    pub fn get_mut(&mut self, number: u32) -> &mut Node {
        let ring = if number & KEPT == 0 { &mut self.recent } else { &mut self.kept };
        ring.get_mut(number & !KEPT)
    }

    fn ring(&mut self, which: Which) -> (&mut Ring, u32) {
        match which {
            Which::Recent => (&mut self.recent, 0),
            Which::Kept => (&mut self.kept, KEPT),
        }
    }

    pub fn front(&self, which: Which) -> Option<(u32, Node)> {
        match which {
            Which::Recent => self.recent.front(),
            Which::Kept => self.kept.front().map(|(number, node)| (number | KEPT, node)),
        }
    }

    pub fn pop_front(&mut self, which: Which) {
        self.ring(which).0.pop_front();
    }

    pub fn len(&self) -> usize {
        self.recent.len() + self.kept.len()
    }

    pub fn kept(&self) -> usize {
        self.kept.len()
    }
}

/// One of the two rings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Where all come.
    Recent,
    /// Where what is worth keeping stays.
    Kept,
}

/// Nodes in order. A place keeps its number until it leaves at the front.
#[derive(Default)]
struct Ring {
    chunks: VecDeque<Vec<Node>>,
    /// The number of the first chunk's first place. Numbers wrap, below [`KEPT`].
    base: u32,
    /// Places of the first chunk that have left.
    left: usize,
}

impl Ring {
    pub fn push(&mut self, node: Node) -> u32 {
        if self.chunks.back().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push_back(Vec::with_capacity(CHUNK));
        }
        let place = self.chunks.len() * CHUNK - CHUNK;
        let Some(chunk) = self.chunks.back_mut() else { return self.base };
        let place = place + chunk.len();
        chunk.push(node);
        self.number(place)
    }

    fn number(&self, place: usize) -> u32 {
        self.base.wrapping_add(place as u32) & !KEPT
    }

    fn place(&self, number: u32) -> (usize, usize) {
        let place = (number.wrapping_sub(self.base) & !KEPT) as usize;
        (place / CHUNK, place % CHUNK)
    }

    pub fn get(&self, number: u32) -> &Node {
        let (chunk, place) = self.place(number);
        &self.chunks[chunk][place]
    }

    pub fn get_mut(&mut self, number: u32) -> &mut Node {
        let (chunk, place) = self.place(number);
        &mut self.chunks[chunk][place]
    }

    pub fn front(&self) -> Option<(u32, Node)> {
        let node = self.chunks.front()?.get(self.left)?;
        Some((self.number(self.left), *node))
    }

    pub fn pop_front(&mut self) {
        if self.front().is_none() {
            return;
        }
        self.left += 1;
        if self.left == CHUNK {
            self.chunks.pop_front();
            self.base = self.number(CHUNK);
            self.left = 0;
        }
    }

    /// Gives the places at the back that were taken out to the next that come, so that requests that fail again and again take no room.
    fn trim_back(&mut self) {
        while self.len() > 0
            && let Some(chunk) = self.chunks.back_mut()
            && chunk.pop_if(|node| node.is(Node::REMOVED)).is_some()
        {
            if chunk.is_empty() && self.chunks.len() > 1 {
                self.chunks.pop_back();
            }
        }
    }

    pub fn len(&self) -> usize {
        let last = self.chunks.back().map_or(0, Vec::len);
        self.chunks.len().saturating_sub(1) * CHUNK + last - self.left
    }
}

/// The calls, each in a slot that it keeps.
#[derive(Default)]
struct Calls {
    chunks: Vec<Vec<Call>>,
    free: Option<u32>,
    len: usize,
}

impl Calls {
    fn insert(&mut self, call: Call) -> u32 {
        self.len += 1;
        if let Some(slot) = self.free {
            let next = self.get(slot).next;
            self.free = (next != NONE).then_some(next);
            *self.get_mut(slot) = call;
            return slot;
        }
        if self.chunks.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.chunks.len() - 1) * CHUNK;
        let Some(chunk) = self.chunks.last_mut() else { return NONE };
        chunk.push(call);
        (before + chunk.len() - 1) as u32
    }

    fn remove(&mut self, slot: u32) {
        self.len -= 1;
        self.get_mut(slot).next = self.free.unwrap_or(NONE);
        self.free = Some(slot);
    }

    fn get(&self, slot: u32) -> &Call {
        &self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    fn get_mut(&mut self, slot: u32) -> &mut Call {
        &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }
}

/// All of it.
pub(super) struct Index {
    pub ring: Rings,
    nodes: HashTable<u32>,
    calls: Calls,
    /// The first call of each list.
    responses: HashTable<u32>,
    hasher: FixedState,
}

impl Index {
    pub fn new(seed: u64) -> Self {
        Self {
            ring: Rings::default(),
            nodes: HashTable::new(),
            calls: Calls::default(),
            responses: HashTable::new(),
            hasher: FixedState::with_seed(seed),
        }
    }

    pub fn tenant(&self, name: &str) -> u64 {
        self.hasher.hash_one(name)
    }

    /// Never 0.
    pub fn key(&self, tenant: u64, trace_id: TraceId, span_id: SpanId) -> u64 {
        let (trace, span) = (u128::from_be_bytes(*trace_id.bytes()), u64::from_be_bytes(*span_id.bytes()));
        self.hasher.hash_one((tenant, trace, span)).max(1)
    }

    pub fn find(&self, key: u64) -> Option<u32> {
        self.nodes.find(key, |number| self.ring.get(*number).key == key).copied()
    }

    /// There must be none of that key.
    pub fn insert(&mut self, node: Node) -> u32 {
        let number = self.ring.push(node);
        let Self { ring, nodes, .. } = self;
        nodes.insert_unique(node.key, number, |number| ring.get(*number).key);
        number
    }

    /// Takes a node out, and its call. Its place in its ring remains until it leaves at the front or the back.
    pub fn remove(&mut self, number: u32) {
        let node = *self.ring.get(number);
        if let Ok(entry) = self.nodes.find_entry(node.key, |other| *other == number) {
            entry.remove();
        }
        if let Some(slot) = node.call() {
            self.remove_call(slot);
        }
        self.ring.get_mut(number).set(Node::REMOVED);
        let ring = if number & KEPT == 0 { Which::Recent } else { Which::Kept };
        self.ring.ring(ring).0.trim_back();
    }

    /// Moves the front of one ring to the back of a ring.
    pub fn move_front(&mut self, from: Which, to: Which) {
        let Some((number, node)) = self.ring.front(from) else { return };
        let (ring, mark) = self.ring.ring(to);
        let moved = ring.push(node) | mark;
        if let Some(entry) = self.nodes.find_mut(node.key, |other| *other == number) {
            *entry = moved;
        }
        self.ring.pop_front(from);
    }

    pub fn call(&self, slot: u32) -> &Call {
        self.calls.get(slot)
    }

    pub fn call_mut(&mut self, slot: u32) -> &mut Call {
        self.calls.get_mut(slot)
    }

    pub fn insert_call(&mut self, call: Call) -> u32 {
        self.calls.insert(call)
    }

    pub fn remove_call(&mut self, slot: u32) {
        self.unlist(slot);
        self.calls.remove(slot);
    }

    /// The sights of a response id, in no order.
    pub fn listed(&self, response: u64) -> impl Iterator<Item = u32> {
        let first = self.responses.find(response, |slot| self.call(*slot).response == response);
        std::iter::successors(first.copied(), |slot| {
            let next = self.call(*slot).next;
            (next != NONE).then_some(next)
        })
    }

    /// Adds a call to the list of its response id.
    pub fn list(&mut self, slot: u32) {
        let Self { responses, calls, .. } = self;
        let response = calls.get(slot).response;
        let mut next = NONE;
        match responses.find_mut(response, |first| calls.get(*first).response == response) {
            Some(first) => next = std::mem::replace(first, slot),
            None => {
                responses.insert_unique(response, slot, |slot| calls.get(*slot).response);
            }
        }
        let call = calls.get_mut(slot);
        call.next = next;
        call.flags |= Call::LISTED;
    }

    pub fn unlist(&mut self, slot: u32) {
        let call = *self.call(slot);
        if !call.is(Call::LISTED) {
            return;
        }
        let before = self.listed(call.response).find(|before| self.call(*before).next == slot);
        let Self { responses, calls, .. } = self;
        if let Some(before) = before {
            calls.get_mut(before).next = call.next;
        } else if let Ok(mut entry) = responses.find_entry(call.response, |first| *first == slot) {
            if call.next == NONE {
                entry.remove();
            } else {
                *entry.get_mut() = call.next;
            }
        }
        let call = calls.get_mut(slot);
        call.next = NONE;
        call.flags &= !Call::LISTED;
    }

    /// What its entries cost when they are as dear as they get. What is allocated is less, but for six chunks.
    pub fn charge(&self) -> usize {
        self.ring.len() * NODE_BYTES + self.calls.len * CALL_BYTES
    }

    /// At most so much of it is in the ring of what is kept.
    pub fn charge_of_kept(&self) -> usize {
        let kept = self.ring.kept();
        kept * NODE_BYTES + kept.min(self.calls.len) * CALL_BYTES
    }

    /// Bytes that are allocated.
    pub fn allocated(&self) -> usize {
        let tables = self.nodes.allocation_size() + self.responses.allocation_size();
        let chunks = self.ring.recent.chunks.len() + self.ring.kept.chunks.len();
        tables + chunks * CHUNK * size_of::<Node>() + self.calls.chunks.len() * CHUNK * size_of::<Call>()
    }

    /// Puts all into the order of arrival. Nothing is kept apart yet.
    pub fn sort(&mut self) {
        let mut nodes: Vec<Node> = Vec::with_capacity(self.ring.len());
        while let Some((_, node)) = self.ring.front(Which::Recent) {
            self.ring.pop_front(Which::Recent);
            nodes.push(node);
        }
        nodes.retain(|node| !node.is(Node::REMOVED));
        nodes.sort_by_key(|node| node.arrived);
        self.nodes.clear();
        for node in nodes {
            self.insert(node);
        }
    }
}
