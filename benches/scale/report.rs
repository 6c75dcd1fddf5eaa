//! What was asked for, and numbers in common.

pub(crate) struct Bench {
    only: Vec<String>,
    is_short: bool,
}

impl Bench {
    pub(crate) fn from_arguments() -> Self {
        let (options, only): (Vec<_>, Vec<_>) = std::env::args()
            .skip(1)
            .partition(|argument| argument.starts_with("--"));
        Self {
            only,
            is_short: options.iter().any(|option| option == "--short"),
        }
    }

    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| name.contains(&**only))
    }

    /// How much of it: `full`, or `short` in a quick run.
    pub(crate) fn size(&self, full: usize, short: usize) -> usize {
        if self.is_short { short } else { full }
    }

    /// The median of what `run` returns, over some runs.
    pub(crate) fn median(&self, runs: usize, run: impl FnMut() -> f64) -> f64 {
        let runs = self.size(runs, 1);
        median(std::iter::repeat_with(run).take(runs).collect())
    }
}

pub(crate) fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples[samples.len() / 2]
}

/// The runtime of a client: one thread, so that all that it allocates is counted.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}
