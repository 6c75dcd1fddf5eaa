//! The process in which one contender runs one cell. The first calls, which open the connections, do
//! not count.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use idpflare_management::layers::BoxError;
use tokio::task::JoinSet;

use crate::cells::{Cell, Workload};
use crate::contenders::{Contender, HyperRaw, KubeStack, Ours, ReqwestBare, TowerStack};
use crate::sample::{Order, Sample};

/// How long a cell may take, so that a server that is gone does not hold anything up.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) fn run(name: &str, origin: &str, order: &Order) -> Result<(), BoxError> {
    let measuring = async {
        match name {
            "ours" => measure::<Ours>(origin, order).await,
            "hyper" | "hyper_control" => measure::<HyperRaw>(origin, order).await,
            "tower" => measure::<TowerStack>(origin, order).await,
            "reqwest" => measure::<ReqwestBare>(origin, order).await,
            "kube" => measure::<KubeStack>(origin, order).await,
            _ => Err(format!("there is no contender {name}").into()),
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    end_after(LIMIT);
    let sample = runtime.block_on(measuring)?;
    Ok(writeln!(std::io::stdout(), "{sample}")?)
}

/// A timer of the runtime's would make each wait for a reply dearer, also for contenders that have
/// none of their own.
fn end_after(limit: Duration) {
    std::thread::spawn(move || {
        std::thread::sleep(limit);
        eprintln!("peers: the calls have not ended after {limit:?}");
        std::process::exit(1);
    });
}

async fn measure<C: Contender>(origin: &str, order: &Order) -> Result<Sample, BoxError> {
    let &Order { cell, calls } = order;
    let Cell {
        workload,
        concurrency,
    } = cell;
    let client = C::new(origin)?;
    let first = (calls / 10).max(4 * concurrency);
    drive(&client, workload, concurrency, first).await?;
    let (started, cpu) = (Instant::now(), cpu_nanos());
    let nanos = drive(&client, workload, concurrency, calls).await?;
    Ok(Sample {
        elapsed: started.elapsed(),
        cpu: cpu_nanos().and_then(|now| now.checked_sub(cpu?)),
        rss_kib: rss_kib(),
        nanos,
    })
}

/// Has tasks call until there were so many calls, and tells how long each call took.
async fn drive<C: Contender>(
    client: &C,
    workload: Workload,
    concurrency: usize,
    calls: usize,
) -> Result<Vec<u64>, BoxError> {
    let left = Arc::new(AtomicUsize::new(calls));
    let mut tasks = JoinSet::new();
    for _ in 0..concurrency {
        let (client, left) = (client.clone(), Arc::clone(&left));
        tasks.spawn(async move {
            let mut nanos = Vec::new();
            while take(&left) {
                let started = Instant::now();
                workload.call(&client).await?;
                nanos.push(u64::try_from(started.elapsed().as_nanos())?);
            }
            Ok::<_, BoxError>(nanos)
        });
    }
    let mut all = Vec::with_capacity(calls);
    while let Some(ended) = tasks.join_next().await {
        all.extend(ended??);
    }
    Ok(all)
}

fn take(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
        left.checked_sub(1)
    })
    .is_ok()
}

/// For how long this thread, which does all of the work, has been on a processor, where the system
/// tells.
fn cpu_nanos() -> Option<u64> {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    spent.split(' ').next()?.parse().ok()
}

/// The memory that this process has in RAM, where the system tells.
fn rss_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}
