//! The example `axum_admin`, driven over HTTP.

#[path = "../../examples/axum_admin/app/mod.rs"]
mod app;

mod admin;
mod operating;
mod problems;
#[cfg(unix)]
mod program;
mod stopping;
#[path = "../support/mod.rs"]
mod support;
mod users;
