//! What the layers promise, seen from outside: by what goes in, what comes out, and when.

mod attempt_timeout;
mod auth;
mod backoff;
mod budget;
mod collect;
mod contract;
mod credential;
mod deadline;
mod delivery;
mod held;
mod metrics;
#[cfg(feature = "opentelemetry")]
mod open_telemetry;
mod provider;
mod quota;
mod rate_limit;
mod retry;
mod retry_call;
mod retry_table;
mod shown;
mod spans;
mod support;
