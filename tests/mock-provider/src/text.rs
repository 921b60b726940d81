//! Pure. Chance and words: a seed from bytes, a small generator, and text that looks like an answer and always holds
//! code points of two, three and four bytes. Not for statistics and not for secrets.

use sha2::{Digest, Sha256};

/// SplitMix64 (Steele, Lea, Flood 2014): the same seed gives the same sequence on every machine.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// A generator for this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number in `0..bound`; the bias of the remainder is below 2^-40 for the bounds used here.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next_u64() % bound.max(1)
    }

    /// True in `per_mille` of 1,000 cases.
    pub fn per_mille(&mut self, per_mille: u32) -> bool {
        self.below(1_000) < u64::from(per_mille)
    }

    /// One of the items.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    /// A number in [0, 1).
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// `length` characters of the alphabet.
    pub fn letters(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(self.pick(alphabet))).collect()
    }
}

/// The alphabet of ids and of the padding that both APIs send.
pub const BASE62: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// The alphabet of hexadecimal request ids.
pub const HEX: &[u8] = b"0123456789abcdef";

/// A seed from the parts of a request; the length of each part is hashed with it.
pub fn seed_of(parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let digest = hash.finalize();
    u64::from_le_bytes(digest[..8].try_into().expect("a digest has eight bytes"))
}

const WORDS: &[&str] = &[
    "the",
    "invoice",
    "was",
    "matched",
    "with",
    "an",
    "open",
    "order",
    "and",
    "posted",
    "to",
    "ledger",
    "before",
    "noon",
    "a",
    "caf\u{e9}",
    "na\u{ef}ve",
    "\u{20ac}1,250.00",
    "\u{65e5}\u{672c}",
    "\u{1f4c8}",
    "margin",
    "\"quoted\"",
    "path\\to",
    "line\nbreak",
    "tab\there",
    "\u{2014}",
    "total",
    "of",
    "seven",
    "accounts",
    "remains",
];

/// `count` pieces of text as a model streams them: each but the first begins with a space.
pub fn pieces(chance: &mut Chance, count: usize) -> Vec<String> {
    (0..count)
        .map(|index| {
            // Every eighth piece is beyond ASCII, so no answer is free of multi-byte code points.
            let word = if index % 8 == 3 { WORDS[15 + (index / 8) % 5] } else { chance.pick(WORDS) };
            if index == 0 { word.to_owned() } else { format!(" {word}") }
        })
        .collect()
}

/// ASCII filler of exactly `length` bytes that needs no escape in JSON.
pub fn filler(length: usize) -> String {
    const LINE: &str = "ledger lines run on without an end and without a break; ";
    LINE.repeat(length / LINE.len() + 1)[..length].to_owned()
}
