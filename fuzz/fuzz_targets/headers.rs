#![no_main]

#[path = "../../tests/properties/exchange.rs"]
mod exchange;
#[path = "../../tests/properties/headers.rs"]
mod headers;

libfuzzer_sys::fuzz_target!(|data: &[u8]| headers::check(data));
