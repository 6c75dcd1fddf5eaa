//! What each part costs: over a mock transport that answers at once, so without any I/O.
//!
//! `cargo bench --all-features --bench overhead`, with `-- NAME…` for those cases only and
//! `-- --short` for a quick run. Each case is a line
//!
//! ```text
//! overhead NAME ns=N allocs=N bytes=N
//! ```
//!
//! with the median time, the number of allocations and the bytes allocated of one run. For layers and
//! stacks it is the excess over the bare mock, which is measured in turns with them; a call's start, with its
//! record and its deadline, is the client's and no part of either: `call_start` tells what that costs. `--instructions`
//! adds ` instructions=N`, counted by valgrind, where that is installed.

mod codec;
mod instructions;
mod layers;
mod measure;
mod mock;
mod stacks;

use measure::Bench;

fn main() {
    let mut bench = Bench::from_arguments();
    // Timers need a runtime to belong to; none of them fires.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let _entered = runtime.enter();
    codec::run(&mut bench);
    layers::run(&mut bench);
    stacks::run(&mut bench);
}
