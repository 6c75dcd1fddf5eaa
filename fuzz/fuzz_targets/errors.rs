#![no_main]

#[path = "../../tests/properties/errors.rs"]
mod errors;
#[path = "../../tests/properties/exchange.rs"]
mod exchange;
#[path = "../../tests/support/operations.rs"]
mod operations;
#[path = "../../tests/properties/requests.rs"]
mod requests;
#[path = "../../tests/properties/text.rs"]
mod text;

libfuzzer_sys::fuzz_target!(|data: &[u8]| errors::check(data));
