//! The contenders' turns: in each round all of them run each cell, one right after the other.

use idpflare_management::layers::BoxError;

use crate::arguments::Plan;
use crate::cells::{CELLS, Cell, Workload};
use crate::children::{self, Server};
use crate::sample::{Order, Sample};

/// The samples of one contender in one cell, one of each round.
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) cell: Cell,
    pub(crate) samples: Vec<Sample>,
}

pub(crate) fn run(plan: &Plan) -> Result<Vec<Series>, BoxError> {
    let server = Server::start()?;
    let mut all: Vec<_> = CELLS
        .into_iter()
        .flat_map(|cell| {
            plan.names.iter().map(move |&name| Series {
                name,
                cell,
                samples: Vec::new(),
            })
        })
        .collect();
    let count = plan.names.len();
    for round in 0..plan.rounds {
        for of_cell in all.chunks_mut(count) {
            // Who goes first meets another state of the machine than who goes last.
            for turn in 0..count {
                let at = (round + turn) % count;
                let series = &mut of_cell[at];
                let order = Order {
                    cell: series.cell,
                    calls: calls(plan, series.cell.workload),
                };
                series
                    .samples
                    .push(children::run(series.name, &server, &order)?);
            }
        }
    }
    Ok(all)
}

/// How many calls count in one turn: some tenths of a second.
fn calls(plan: &Plan, workload: Workload) -> usize {
    match (workload, plan.short) {
        (Workload::Get, false) => 8_000,
        (Workload::Page, false) => 1_500,
        (Workload::Get, true) => 512,
        (Workload::Page, true) => 256,
    }
}
