//! The laws that fuzzing tries for as long as it is given, tried for a moment: on what it starts
//! from, on that with some damage, and on noise.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{RngSeed, TestRunner};

use crate::{errors, headers, ids, replies, seeds};

/// The same each time, unless `PROPTEST_RNG_SEED` says otherwise. `PROPTEST_CASES` asks for more.
const SEED: u64 = 0x1d9f_1a7e;

/// Shown where the test fails: the seed, and what was tried last of the seeds, or the smallest that
/// fails of the others.
fn try_for_a_moment(check: fn(&[u8]), seeds: Vec<Vec<u8>>) {
    for seed in &seeds {
        println!("{}", seed.escape_ascii());
        check(seed);
    }
    let mut config = ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    if matches!(config.rng_seed, RngSeed::Random) {
        config.rng_seed = RngSeed::Fixed(SEED);
    }
    println!("{:?}", config.rng_seed);
    let outcome = TestRunner::new(config).run(&input(seeds), |input| {
        check(&input.0);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

#[derive(Clone)]
struct Input(Vec<u8>);

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

fn input(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Input> {
    let noise = prop::collection::vec(any::<u8>(), 0..512);
    let damage = prop::collection::vec(damage(), 1..6);
    let damaged = (select(seeds), damage).prop_map(|(mut bytes, damage)| {
        for damage in damage {
            damage.inflict(&mut bytes);
        }
        bytes
    });
    prop_oneof![1 => noise, 4 => damaged].prop_map(Input)
}

#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    Cut(Index),
}

/// What means something somewhere.
const TOKENS: &[&str] = &[
    "0",
    "-1",
    "18446744073709551616",
    "1e999",
    "null",
    "[",
    "{",
    "\"",
    "\\",
    "\n",
    "\r\n",
    ", ",
    ";",
    "=",
    "%2e",
    "..",
    "/",
    "\u{202e}",
    "\u{2028}",
    "\\ud800",
    "\"error\":",
    "{}",
];

fn damage() -> impl Strategy<Value = Damage> {
    let token = prop_oneof![
        select(TOKENS).prop_map(|token| token.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 1..8),
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (any::<Index>(), token).prop_map(|(at, token)| Damage::Insert(at, token)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Damage::Remove(at, length)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, length)| Damage::Repeat(at, length)),
        any::<Index>().prop_map(Damage::Cut),
    ]
}

impl Damage {
    fn inflict(self, bytes: &mut Vec<u8>) {
        let place = |at: Index| at.index(bytes.len() + 1);
        match self {
            Self::Replace(at, byte) => {
                let at = place(at);
                if let Some(place) = bytes.get_mut(at) {
                    *place = byte;
                }
            }
            Self::Insert(at, token) => {
                let at = place(at);
                bytes.splice(at..at, token);
            }
            Self::Remove(at, length) => {
                let at = place(at);
                let end = bytes.len().min(at + length);
                bytes.drain(at..end);
            }
            Self::Repeat(at, length) => {
                let at = place(at);
                let end = bytes.len().min(at + length);
                bytes.splice(at..at, bytes[at..end].to_vec());
            }
            Self::Cut(at) => bytes.truncate(place(at)),
        }
    }
}

#[test]
fn each_operation_reads_whatever_arrives_or_says_why_not() {
    try_for_a_moment(replies::check, seeds::replies());
}

#[test]
fn an_error_tells_whatever_arrives_in_a_line() {
    try_for_a_moment(errors::check, seeds::errors());
}

#[test]
fn a_client_comes_back_when_it_is_told_to_and_not_never() {
    try_for_a_moment(headers::check, seeds::headers());
}

#[test]
fn an_id_is_refused_or_nobody_elses_segment() {
    try_for_a_moment(ids::check, seeds::ids());
}
