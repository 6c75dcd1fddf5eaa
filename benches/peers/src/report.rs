//! A line for each contender and cell.

use std::fmt;

use crate::cells::CELLS;
use crate::contenders::BASELINE;
use crate::rounds::Series;

struct Line<'a> {
    series: &'a Series,
    ratio: f64,
    p50_us: f64,
    p99_us: f64,
    cpu_us: Option<f64>,
    rss_mib: Option<f64>,
}

/// Prints what came out of it, in the order of `all`, which holds all contenders of a cell together.
pub(crate) fn print(all: &[Series]) {
    for of_cell in all.chunks(all.len() / CELLS.len()) {
        let Some(baseline) = of_cell.iter().find(|series| series.name == BASELINE) else {
            continue;
        };
        for series in of_cell {
            println!("{}", Line::new(series, baseline));
        }
    }
}

impl<'a> Line<'a> {
    fn new(series: &'a Series, baseline: &Series) -> Self {
        let rounds = series.samples.iter().zip(&baseline.samples);
        let ratios = rounds.map(|(sample, baseline)| sample.throughput() / baseline.throughput());
        let mut nanos: Vec<_> = series
            .samples
            .iter()
            .flat_map(|sample| sample.nanos.iter().copied())
            .collect();
        nanos.sort_unstable();
        let cpu = series.samples.iter().filter_map(|sample| {
            let calls = sample.nanos.len() as f64;
            sample.cpu.map(|nanos| nanos as f64 / calls / 1_000.0)
        });
        let rss = series.samples.iter().filter_map(|sample| sample.rss_kib);
        Self {
            series,
            ratio: median(ratios).unwrap_or(f64::NAN),
            p50_us: quantile(&nanos, 50),
            p99_us: quantile(&nanos, 99),
            cpu_us: median(cpu),
            rss_mib: median(rss.map(|kib| kib as f64 / 1024.0)),
        }
    }
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            series,
            ratio,
            p50_us,
            p99_us,
            cpu_us,
            rss_mib,
        } = self;
        write!(
            f,
            "peers {} {} ratio={ratio:.3} p50_us={p50_us:.0} p99_us={p99_us:.0}",
            series.name, series.cell
        )?;
        for (name, known) in [("rss_mb", rss_mib), ("cpu_us", cpu_us)] {
            match known {
                Some(known) => write!(f, " {name}={known:.1}")?,
                None => write!(f, " {name}=-")?,
            }
        }
        Ok(())
    }
}

/// Of an even number, the mean of the two in the middle.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    let lower = *values.get(values.len().checked_sub(1)? / 2)?;
    let upper = *values.get(values.len() / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// Microseconds, of sorted nanoseconds: what so many in a hundred are no longer than.
fn quantile(sorted: &[u64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    let nanos = sorted.get(rank.saturating_sub(1));
    nanos.map_or(f64::NAN, |&nanos| nanos as f64 / 1_000.0)
}
