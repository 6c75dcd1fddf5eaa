//! Instructions, as valgrind counts them: the same number on each run, whatever else the machine does.

use std::error::Error;
use std::hint::black_box;
use std::process::Command;

/// What the start of the program takes is in both counts.
const FEW: u32 = 200;
const MANY: u32 = 1200;

const ARGUMENT: &str = "--repeat=";

/// A run of this program within valgrind: one case, so often.
pub(crate) struct Repeat {
    name: String,
    of: Of,
    runs: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Base,
    Run,
}

impl Repeat {
    pub(crate) fn asked_for() -> Option<Self> {
        let asked = std::env::args().find_map(|argument| {
            let asked = argument.strip_prefix(ARGUMENT)?;
            Some(asked.to_owned())
        })?;
        let mut parts = asked.split(',');
        let (of, runs, name) = (parts.next()?, parts.next()?, parts.next()?);
        Some(Self {
            name: name.to_owned(),
            of: if of == "base" { Of::Base } else { Of::Run },
            runs: runs.parse().ok()?,
        })
    }

    pub(crate) fn run<T, U>(
        &self,
        name: &str,
        mut base: impl FnMut() -> U,
        mut run: impl FnMut() -> T,
    ) {
        if name != self.name {
            return;
        }
        for _ in 0..self.runs {
            match self.of {
                Of::Base => drop(black_box(base())),
                Of::Run => drop(black_box(run())),
            }
        }
    }

    /// How many instructions the case `name` executes more than its base.
    pub(crate) fn count(name: &str) -> Result<u64, Box<dyn Error>> {
        let of = |of| -> Result<u64, Box<dyn Error>> {
            let more = within_valgrind(of, MANY, name)?;
            let fewer = within_valgrind(of, FEW, name)?;
            Ok(more.saturating_sub(fewer) / u64::from(MANY - FEW))
        };
        Ok(of("run")?.saturating_sub(of("base")?))
    }
}

fn within_valgrind(of: &str, runs: u32, name: &str) -> Result<u64, Box<dyn Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe()?)
        .arg(format!("{ARGUMENT}{of},{runs},{name}"))
        .output()
        .map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let count = said
        .lines()
        .find_map(|line| line.split_once("Collected :"))
        .ok_or_else(|| format!("valgrind said {said}"))?;
    Ok(count.1.trim().parse()?)
}
