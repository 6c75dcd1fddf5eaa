//! The service, apart from the process that it runs in.

mod changes;
mod client;
mod errors;
mod health;
pub(crate) mod metrics;
mod offboard;
mod problem;
mod routes;
mod serve;
mod users;

pub(crate) use client::instrumented;
pub(crate) use routes::router;
pub(crate) use serve::{Stopped, serve};
