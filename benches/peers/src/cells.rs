//! What is measured: one kind of call, by so many callers at once.

use std::fmt;
use std::str::FromStr;

use idpflare_management::layers::BoxError;

use crate::contenders::Contender;
use crate::replies::{ROWS, USER_ID};

#[derive(Clone, Copy)]
pub(crate) enum Workload {
    /// One user.
    Get,
    /// A page of [`ROWS`] users.
    Page,
}

impl Workload {
    /// One call, and a look at whether it brought what it is to bring.
    pub(crate) async fn call<C: Contender>(self, client: &C) -> Result<(), BoxError> {
        let brought = match self {
            Self::Get => client.get(USER_ID).await?.id.as_str() == USER_ID,
            Self::Page => client.page(ROWS).await?.users.len() == ROWS,
        };
        if brought {
            Ok(())
        } else {
            Err("the reply is not what the server sends".into())
        }
    }
}

impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Get => "get",
            Self::Page => "page",
        })
    }
}

impl FromStr for Workload {
    type Err = BoxError;

    fn from_str(text: &str) -> Result<Self, BoxError> {
        match text {
            "get" => Ok(Self::Get),
            "page" => Ok(Self::Page),
            _ => Err(format!("there is no workload {text}").into()),
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) workload: Workload,
    /// How many tasks call, each one call after the other.
    pub(crate) concurrency: usize,
}

pub(crate) const CELLS: [Cell; 6] = [
    cell(Workload::Get, 1),
    cell(Workload::Get, 32),
    cell(Workload::Get, 256),
    cell(Workload::Page, 1),
    cell(Workload::Page, 32),
    cell(Workload::Page, 256),
];

const fn cell(workload: Workload, concurrency: usize) -> Cell {
    Cell {
        workload,
        concurrency,
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "workload={} concurrency={}",
            self.workload, self.concurrency
        )
    }
}
