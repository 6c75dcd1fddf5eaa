//! What becomes of it where there is much of it: callers, waiters, rows and pages.
//!
//! `cargo bench --all-features --bench scale`, with `-- NAME…` for those cases only and `-- --short`
//! for a quick run, which is over in seconds and whose numbers say little. Each case is a line
//!
//! ```text
//! scale NAME key=value …
//! ```
//!
//! | case | what is told |
//! |---|---|
//! | `callers_h1_N`, `callers_h2_N` | calls per second of so many callers of one client |
//! | `cold_h1_N`, `cold_h2_N` | how a client that has no connection yet takes so many calls at once |
//! | `limiter_paused_N`, `limiter_rate_N`, `limiter_client_N` | what each of so many waiters at one rate limiter costs |
//! | `pager_rows_C` | a million rows, with up to so many pages on their way |
//! | `fan_out_C` | pages that take 20 ms each, with up to so many on their way |
//!
//! Bytes are those on the heap, counted exactly: clients run on one thread. The server that callers
//! talk to is a process of its own, which takes none of their time or memory as long as there are two
//! cores.
//!
//! - `heap_peak` is the most that there was at once since the client was made, `heap_settled` what
//!   there is after the last call, while the client is kept, with its connections.
//! - `bytes_per_caller` is the most that calls took at once, apart from the client and its
//!   connections, for each caller. `bytes_per_waiter` is what there is while all wait, with the task
//!   of each.
//! - `wakes_per_permit` is how often tasks are woken for each permit, from first to last. Behind a
//!   pause it is once: by the one before. At a rate it is twice: by the one before, to look when the
//!   next permit comes, and then for that.
//! - `ratio` is the rate of the pager to that of `serde_json::from_slice` over the same bytes, which
//!   are decoded in turns.
//!
//! A client that may use HTTP/2 needs one connection. With HTTP/1.1 there are as many as calls under
//! way, so that tens of thousands of callers want a limit: here it is tower's `ConcurrencyLimit`, at
//! 256, and no limit on open files is met. Callers that find no connection make one each, whichever
//! the protocol: `connections` tells how many the server has seen.

mod callers;
mod fan_out;
mod heap;
mod limiter;
mod pager;
mod pages;
mod report;
mod server;

use report::Bench;

fn main() {
    if server::is_asked_for() {
        return server::run();
    }
    let bench = Bench::from_arguments();
    callers::run(&bench);
    limiter::run(&bench);
    pager::run(&bench);
    fan_out::run(&bench);
}
