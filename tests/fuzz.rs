//! The fuzz targets as an ordinary test: the committed corpus and a few thousand mutations of it, the same on every
//! machine. `make fuzz` looks further.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "a test says what broke where it broke"
)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use ledgerline_mock_provider::text::Chance;

#[path = "fuzz/targets.rs"]
mod targets;

/// Mutations of the whole corpus of a target.
const MUTATIONS: u64 = 4_000;
/// Mutated inputs are at most this long: many short ones find more than a few long ones.
const INPUT_BYTES_MAX: usize = 4 << 10;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<_> = files.iter().map(|path| std::fs::read(path).unwrap()).collect();
    assert!(seeds.len() >= 3, "{}: {} seeds", folder.display(), seeds.len());
    seeds
}

/// One to four changes: a byte, a bit, a stretch that is gone, doubled, or taken from another seed.
fn mutated(seeds: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let pick = |chance: &mut Chance| &seeds[chance.below(seeds.len() as u64) as usize];
    let mut input = pick(chance).clone();
    input.truncate(INPUT_BYTES_MAX);
    for _ in 0..=chance.below(4) {
        let at = chance.below(input.len() as u64 + 1) as usize;
        let end = (at + 1 + chance.below(16) as usize).min(input.len());
        match chance.below(6) {
            0 => input.insert(at, chance.next_u64() as u8),
            1 if at < input.len() => input[at] ^= 1 << chance.below(8),
            2 if at < end => drop(input.drain(at..end)),
            3 if at < end => {
                let stretch = input[at..end].to_vec();
                input.splice(at..at, stretch);
            }
            4 => input.truncate(at),
            _ => {
                let other = pick(chance);
                let from = chance.below(other.len() as u64 + 1) as usize;
                let to = (from + chance.below(64) as usize).min(other.len());
                input.splice(at..at, other[from..to].iter().copied());
            }
        }
    }
    input
}

fn replay(name: &str) {
    let (_, target) = targets::TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    let seeds = corpus(name);
    let mut chance = Chance::new(0x001E_D6E2_u64);
    let mutations = (0..MUTATIONS).map(|_| mutated(&seeds, &mut chance));
    for input in seeds.iter().cloned().chain(mutations) {
        if catch_unwind(AssertUnwindSafe(|| target(&input))).is_err() {
            panic!("{name} fails at {:?}", String::from_utf8_lossy(&input));
        }
    }
}

#[test]
fn promql_is_parsed_or_refused_and_printed_as_it_was_read() {
    replay("promql_parse");
}

#[test]
fn otlp_is_decoded_or_refused() {
    replay("otlp_decode");
}

#[test]
fn responses_are_read_the_same_however_they_are_cut() {
    replay("dialect_read");
}

#[test]
fn json_is_tokenized_as_others_read_it_however_it_is_cut() {
    replay("json_tokenize");
}

#[test]
fn usage_is_asked_for_in_what_stays_json_and_taken_out_wherever_it_is_cut() {
    replay("usage_injection");
}

#[test]
fn templates_are_expanded_or_refused() {
    replay("alert_template");
}

#[test]
fn configurations_are_read_or_refused() {
    replay("configuration");
}
