#![no_main]

#[path = "../../tests/properties/exchange.rs"]
mod exchange;
#[path = "../../tests/support/operations.rs"]
mod operations;
#[path = "../../tests/properties/replies.rs"]
mod replies;
#[path = "../../tests/properties/text.rs"]
mod text;

libfuzzer_sys::fuzz_target!(|data: &[u8]| replies::check(data));
