//! No secret appears in `Debug` or `Display`, in an error chain, a span, a log or a panic: all that
//! can be heard while every operation succeeds and fails in every way is searched for all secrets
//! that were used, and for parts of them, however they may be written.

#[path = "../support/mod.rs"]
mod support;

mod api_values;
mod arriving;
mod control;
mod credentials;
mod faults;
mod import_values;
mod jobs;
mod layer_values;
mod operations;
mod panics;
mod quotas;
mod replies;
mod search;
mod secrets;
mod sites;
mod tour;
mod transport;
mod values;
mod witness;
mod writing;
