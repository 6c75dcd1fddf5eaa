//! What the command line asks for.

use idpflare_management::layers::BoxError;

use crate::contenders::{BASELINE, NAMES};

const ROUNDS: usize = 7;
const MIN_ROUNDS: usize = 5;

pub(crate) struct Plan {
    /// The contenders, of which one is [`BASELINE`].
    pub(crate) names: Vec<&'static str>,
    pub(crate) rounds: usize,
    /// Few calls, from which nothing can be concluded.
    pub(crate) short: bool,
}

impl Plan {
    pub(crate) fn read(arguments: &[String]) -> Result<Self, BoxError> {
        let mut plan = Self {
            names: Vec::new(),
            rounds: ROUNDS,
            short: false,
        };
        let mut arguments = arguments.iter();
        while let Some(argument) = arguments.next() {
            match &**argument {
                // Cargo says so to every benchmark.
                "--bench" => {}
                "--short" => (plan.short, plan.rounds) = (true, 1),
                "--rounds" => {
                    let rounds = arguments.next().ok_or("--rounds takes a number")?;
                    plan.rounds = rounds.parse()?;
                    if plan.rounds < MIN_ROUNDS {
                        return Err(format!("--rounds takes {MIN_ROUNDS} or more").into());
                    }
                }
                name => plan.names.push(known(name)?),
            }
        }
        if plan.names.is_empty() {
            plan.names = NAMES.into();
        }
        let names = |name: &&str| *name == BASELINE || plan.names.contains(name);
        plan.names = NAMES.into_iter().filter(names).collect();
        Ok(plan)
    }
}

fn known(name: &str) -> Result<&'static str, BoxError> {
    let found = NAMES.into_iter().find(|known| *known == name);
    found.ok_or_else(|| {
        format!(
            "{name} is neither --short, nor --rounds, nor one of {}",
            NAMES.join(", ")
        )
        .into()
    })
}
