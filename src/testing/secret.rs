//! Numbers that look random, and some that are.

use std::hash::{BuildHasher, RandomState};

/// A bijection that leaves no visible order (the finaliser of SplitMix64): numbers that differ stay
/// different.
pub(super) fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number that nobody can guess who has not seen many of them: good enough for a server on
/// loopback, without a source of randomness among the dependencies.
pub(super) fn random() -> u64 {
    RandomState::new().hash_one(0)
}

/// A secret with this prefix; no two are alike.
pub(super) fn secret(prefix: &str) -> String {
    format!(
        "{prefix}{:016x}{:016x}{:016x}",
        random(),
        random(),
        random()
    )
}
