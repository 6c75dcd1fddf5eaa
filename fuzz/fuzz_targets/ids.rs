#![no_main]

#[path = "../../tests/properties/ids.rs"]
mod ids;
#[path = "../../tests/support/operations.rs"]
mod operations;
#[path = "../../tests/properties/requests.rs"]
mod requests;

libfuzzer_sys::fuzz_target!(|data: &[u8]| ids::check(data));
