//! Times and allocations.

use std::hint::black_box;
use std::time::{Duration, Instant};

use allocation_counter::measure;

use crate::instructions::Repeat;

/// How long one sample takes: long against the clock, short against interruptions.
const SAMPLE: Duration = Duration::from_millis(2);

pub(crate) struct Bench {
    only: Vec<String>,
    samples: usize,
    counts_instructions: bool,
    repeat: Option<Repeat>,
}

#[derive(Clone, Copy)]
struct Cost {
    nanos: f64,
    allocations: i64,
    bytes: i64,
}

impl Bench {
    pub(crate) fn from_arguments() -> Self {
        let (options, only): (Vec<_>, Vec<_>) = std::env::args()
            .skip(1)
            .partition(|argument| argument.starts_with("--"));
        let has = |name: &str| options.iter().any(|option| option == name);
        Self {
            only,
            samples: if has("--short") { 5 } else { 301 },
            counts_instructions: has("--instructions"),
            repeat: Repeat::asked_for(),
        }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(&**only))
    }

    /// What `run` costs.
    pub(crate) fn case<T>(&mut self, name: &str, mut run: impl FnMut() -> T) {
        if let Some(repeat) = &self.repeat {
            repeat.run(name, || (), run);
        } else if self.wants(name) {
            let iterations = iterations(&mut run);
            let mut nanos: Vec<_> = (0..self.samples)
                .map(|_| sample(iterations, &mut run))
                .collect();
            let (allocations, bytes) = allocations(&mut run);
            self.print(
                name,
                Cost {
                    nanos: median(&mut nanos),
                    allocations,
                    bytes,
                },
            );
        }
    }

    /// What `run` costs more than `base`, sampled in turns, so that what else the machine does meets
    /// both.
    pub(crate) fn excess<T, U>(
        &mut self,
        name: &str,
        mut base: impl FnMut() -> U,
        mut run: impl FnMut() -> T,
    ) {
        if let Some(repeat) = &self.repeat {
            return repeat.run(name, base, run);
        }
        if !self.wants(name) {
            return;
        }
        let iterations = iterations(&mut run);
        let mut nanos: Vec<_> = (0..self.samples)
            .map(|_| sample(iterations, &mut run) - sample(iterations, &mut base))
            .collect();
        let (allocations_of_base, bytes_of_base) = allocations(&mut base);
        let (allocations, bytes) = allocations(&mut run);
        self.print(
            name,
            Cost {
                nanos: median(&mut nanos),
                allocations: allocations - allocations_of_base,
                bytes: bytes - bytes_of_base,
            },
        );
    }

    fn print(&self, name: &str, cost: Cost) {
        let Cost {
            nanos,
            allocations,
            bytes,
        } = cost;
        print!("overhead {name} ns={nanos:.0} allocs={allocations} bytes={bytes}");
        match self.counts_instructions.then(|| Repeat::count(name)) {
            Some(Ok(instructions)) => println!(" instructions={instructions}"),
            Some(Err(error)) => {
                println!();
                eprintln!("instructions of {name}: {error}");
            }
            None => println!(),
        }
    }
}

/// How often `run` fits into a sample.
fn iterations<T>(run: &mut impl FnMut() -> T) -> u32 {
    let mut iterations = 1_u32;
    loop {
        let started = Instant::now();
        for _ in 0..iterations {
            black_box(run());
        }
        let elapsed = started.elapsed();
        if elapsed >= SAMPLE || iterations >= 1 << 24 {
            return iterations;
        }
        iterations *= 2;
    }
}

/// Nanoseconds of one run.
fn sample<T>(iterations: u32, run: &mut impl FnMut() -> T) -> f64 {
    let started = Instant::now();
    for _ in 0..iterations {
        black_box(run());
    }
    started.elapsed().as_nanos() as f64 / f64::from(iterations)
}

fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// Number and bytes of the allocations of one run, the mean over some.
fn allocations<T>(run: &mut impl FnMut() -> T) -> (i64, i64) {
    const RUNS: u32 = 64;
    let counted = measure(|| {
        for _ in 0..RUNS {
            black_box(run());
        }
    });
    let mean = |total: u64| i64::try_from(total / u64::from(RUNS)).unwrap_or(i64::MAX);
    (mean(counted.count_total), mean(counted.bytes_total))
}
