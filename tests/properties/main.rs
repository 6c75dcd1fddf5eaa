//! Laws of encoding and decoding, tried on random input. Fuzzing shares those that hold for any bytes:
//! `errors`, `headers`, `ids` and `replies`.
//!
//! proptest prints the input of a failure.

#[path = "../support/mod.rs"]
mod support;

mod bounded;
mod encoding;
mod errors;
mod exchange;
mod headers;
mod holes;
mod hostile_ids;
mod ids;
mod replies;
mod requests;
mod seeds;
mod text;

use support::operations;

/// Not a test of anything: fuzzing begins with what this writes.
#[test]
fn seeds_are_written_where_they_are_asked_for() {
    if let Some(folder) = std::env::var_os("IDPFLARE_FUZZ_CORPUS") {
        seeds::write(folder.as_ref()).expect("written");
    }
}
