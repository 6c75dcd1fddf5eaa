//! What the processes tell each other: orders as arguments, samples as a line of text.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use idpflare_management::layers::BoxError;

use crate::cells::Cell;

/// A cell to run, and the number of calls that count.
pub(crate) struct Order {
    pub(crate) cell: Cell,
    pub(crate) calls: usize,
}

impl Order {
    pub(crate) fn arguments(&self) -> [String; 3] {
        let Cell {
            workload,
            concurrency,
        } = self.cell;
        [
            workload.to_string(),
            concurrency.to_string(),
            self.calls.to_string(),
        ]
    }

    pub(crate) fn read([workload, concurrency, calls]: [&str; 3]) -> Result<Self, BoxError> {
        Ok(Self {
            cell: Cell {
                workload: workload.parse()?,
                concurrency: concurrency.parse()?,
            },
            calls: calls.parse()?,
        })
    }
}

/// One contender's run of a cell.
pub(crate) struct Sample {
    pub(crate) elapsed: Duration,
    /// What its process spent on a processor, in nanoseconds; `None` where the system does not tell.
    pub(crate) cpu: Option<u64>,
    /// `None` where the system does not tell.
    pub(crate) rss_kib: Option<u64>,
    /// How long each call took.
    pub(crate) nanos: Vec<u64>,
}

impl Sample {
    /// Calls a second.
    pub(crate) fn throughput(&self) -> f64 {
        self.nanos.len() as f64 / self.elapsed.as_secs_f64()
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.elapsed.as_nanos())?;
        for known in [self.cpu, self.rss_kib] {
            match known {
                Some(known) => write!(f, " {known}")?,
                None => f.write_str(" -")?,
            }
        }
        self.nanos
            .iter()
            .try_for_each(|nanos| write!(f, " {nanos}"))
    }
}

impl FromStr for Sample {
    type Err = BoxError;

    fn from_str(line: &str) -> Result<Self, BoxError> {
        let mut words = line.trim_end().split(' ');
        let mut next = || words.next().ok_or("the line is too short");
        Ok(Self {
            elapsed: Duration::from_nanos(next()?.parse()?),
            cpu: known(next()?)?,
            rss_kib: known(next()?)?,
            nanos: words.map(str::parse).collect::<Result<_, _>>()?,
        })
    }
}

fn known(word: &str) -> Result<Option<u64>, BoxError> {
    Ok(match word {
        "-" => None,
        known => Some(known.parse()?),
    })
}
