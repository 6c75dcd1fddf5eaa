//! What four processes may do together, on the server's clock, which is also theirs: they are on the
//! same machine.

use std::time::Duration;

use crate::fleet::{Fleet, Told};
use crate::server::Server;
use crate::worker::Task;

pub(crate) const PROCESSES: usize = 4;

/// To call until it is enough: the test may see it late, on a machine that is busy.
pub(crate) fn task(server: &Server, quota: &str) -> Task {
    Task {
        url: server.url(),
        quota: quota.to_owned(),
        calls_per_second: 20_000,
        burst: 800,
        lease: 100,
        calls: None,
        callers: 50,
        timeout: Duration::from_millis(250),
    }
}

/// An interval in nanoseconds.
fn interval(task: &Task) -> i128 {
    i128::try_from(task.rate().interval().as_nanos()).expect("fits")
}

/// That any window `w` holds at most `burst + w / interval` of these times, which are the latest that
/// each can have been, with the earliest.
fn assert_law(mut times: Vec<(i128, i128)>, burst: u64, interval: i128) {
    times.sort_by_key(|(_, latest)| *latest);
    // The earliest that any from there on can have been.
    let mut earliest = i128::MAX;
    let mut from: Vec<_> = times
        .iter()
        .rev()
        .map(|(time, _)| {
            earliest = earliest.min(*time);
            earliest
        })
        .collect();
    from.reverse();
    // count - burst <= window / interval, for all windows that begin at one and end at another.
    let mut least = i128::MAX;
    for (index, (from, (_, to))) in from.iter().zip(&times).enumerate() {
        let index = i128::try_from(index).expect("fits");
        least = least.min(index * interval - from);
        let excess = (index + 1 - i128::from(burst)) * interval - to - least;
        assert!(
            excess <= 0,
            "{} permits too many",
            excess.unsigned_abs().div_ceil(interval.unsigned_abs())
        );
    }
}

/// That the law holds for the calls, with so many more than the burst.
pub(crate) fn assert_law_of_calls(task: &Task, told: &[Told], more: u64) {
    let calls = told.iter().flat_map(|told| &told.calls);
    let calls = calls.map(|(before, after)| (i128::from(*before), i128::from(*after)));
    assert_law(
        calls.collect(),
        u64::from(task.burst) + more,
        interval(task),
    );
}

/// That the law holds for the times for which permits were granted, with the part of the burst that is
/// not for lateness.
pub(crate) fn assert_law_of_permits(task: &Task, told: &[Told]) {
    let permits = told
        .iter()
        .flat_map(|told| &told.leases)
        .flat_map(|(_, permits)| permits);
    let permits = permits.map(|micros| i128::from(*micros) * 1000);
    let burst = task.burst - task.burst / 2;
    assert_law(
        permits.map(|time| (time, time)).collect(),
        burst.into(),
        interval(task),
    );
}

pub(crate) fn four_processes_keep_one_law() {
    let server = Server::start();
    let task = Task {
        calls: Some(100_000 / PROCESSES as u64),
        ..task(&server, "law")
    };
    let mut fleet = Fleet::start(&task, PROCESSES);
    fleet.listen_until(|told| told.iter().all(|told| told.has_ended));
    let calls: usize = fleet.told.iter().map(|told| told.calls.len()).sum();
    assert_eq!(calls, 100_000);
    assert_law_of_permits(&task, &fleet.told);
    assert_law_of_calls(&task, &fleet.told, 0);

    // Who asks is served after what was granted before, which is no further ahead than the horizon, and
    // one lease for each process.
    let intervals = i128::from(task.lease) * PROCESSES as i128;
    let bound = 1_000_000_000 + intervals * interval(&task);
    for (now, permits) in fleet.told.iter().flat_map(|told| &told.leases) {
        // Who asks whether it is there is granted nothing.
        let Some(first) = permits.first() else {
            continue;
        };
        let waits = (i128::from(*first) - i128::from(*now)) * 1000;
        assert!(waits <= bound, "{waits} ns");
    }
    let leases: usize = fleet.told.iter().map(|told| told.leases.len()).sum();
    let granted: u64 = fleet.told.iter().map(Told::granted).sum();
    println!("100000 calls took {granted} permits in {leases} leases");
}

pub(crate) fn a_killed_process_loses_at_most_one_lease() {
    let server = Server::start();
    // With a burst of hours, so that no permit lapses however slow this machine is, nor is an answer given
    // up: what is missing then was lost with the process.
    let task = Task {
        burst: 400_000_000,
        timeout: Duration::from_secs(3600),
        ..task(&server, "killed")
    };
    let mut fleet = Fleet::start(&task, PROCESSES);
    fleet.listen_until(|told| told[0].calls.len() >= 2000);
    fleet.kill(0);
    fleet.finish();
    assert!(fleet.told.iter().all(|told| told.lapsed == 0));

    let granted = server.field(task.key().as_str(), "granted");
    let others: u64 = fleet.told[1..].iter().map(Told::granted).sum();
    let killed = &fleet.told[0];
    let used = killed.calls.len() as u64;
    // It may have been killed after a call, before it could tell of it; one runs at a time.
    let lost = granted - i64::try_from(others + used).expect("fits");
    assert!(
        lost <= i64::from(task.lease) + 1,
        "{lost} permits were lost"
    );
    println!("{lost} of {granted} permits were lost with the process");
}
