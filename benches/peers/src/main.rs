//! How this crate's client compares to others, over real HTTP/1.1 on loopback.
//!
//! `cargo bench --manifest-path benches/peers/Cargo.toml`, with `-- NAME…` for those contenders only,
//! `-- --rounds N` for more rounds than 7, and `-- --short` for a run of some seconds, which shows that
//! it runs and nothing else. For each contender and each cell, which is one workload at one
//! concurrency, there is a line
//!
//! ```text
//! peers NAME workload=get|page concurrency=N ratio=R p50_us=N p99_us=N rss_mb=N cpu_us=N
//! ```
//!
//! - `ratio` is the throughput divided by that of `hyper` in the same round and cell, the median over
//!   the rounds. That of `hyper_control`, which is `hyper` once more, shows how far from 1 noise goes.
//! - `p50_us` and `p99_us` are the latencies of all calls of all rounds.
//! - `rss_mb` is the memory that the contender's process has in RAM (MiB) after the calls, with its
//!   connections open; `-` where the system is not Linux.
//! - `cpu_us` is the time that a call takes of the contender's processor, in its process and in the system
//!   for it, the median over the rounds; `-` likewise. Where both work at once, the server holds up
//!   the throughput, but not this.
//!
//! One process serves all the time; each time that a contender runs a cell, it does so in a process of
//! its own, with a new client. Both are this program, started once more. Each has a `current_thread`
//! runtime, so that a client and the server can use one core each. Nothing is pinned, and one
//! contender runs at a time.

mod arguments;
mod cells;
mod children;
mod contenders;
mod replies;
mod report;
mod rounds;
mod sample;
mod server;
mod worker;

use std::process::ExitCode;

use idpflare_management::layers::BoxError;

use arguments::Plan;
use children::{AS_CONTENDER, AS_SERVER};
use sample::Order;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<(), BoxError> {
    match arguments {
        [role] if role == AS_SERVER => server::run(),
        [role, name, origin, workload, concurrency, calls] if role == AS_CONTENDER => {
            let order = Order::read([workload, concurrency, calls])?;
            worker::run(name, origin, &order)
        }
        _ => {
            report::print(&rounds::run(&Plan::read(arguments)?)?);
            Ok(())
        }
    }
}
