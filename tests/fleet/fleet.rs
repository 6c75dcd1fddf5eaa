//! Worker processes, and what they have told.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::worker::{Report, Task};

/// How long a worker may say nothing before the test gives it up. Nothing is measured by it.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Fleet {
    children: Vec<Child>,
    reports: Receiver<(usize, Report)>,
    pub(crate) told: Vec<Told>,
}

/// What a worker has told.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) leases: Vec<(u64, Vec<u64>)>,
    /// Between which times each call went, in nanoseconds since 1970.
    pub(crate) calls: Vec<(u64, u64)>,
    pub(crate) lapsed: u64,
    pub(crate) refused: u64,
    pub(crate) has_ended: bool,
}

impl Told {
    pub(crate) fn granted(&self) -> u64 {
        self.leases
            .iter()
            .map(|(_, permits)| permits.len() as u64)
            .sum()
    }
}

impl Fleet {
    pub(crate) fn start(task: &Task, processes: usize) -> Self {
        Self::start_with(task, processes, |command| command)
    }

    /// Starts workers in an environment of their own.
    pub(crate) fn start_with(
        task: &Task,
        processes: usize,
        set: impl Fn(&mut Command) -> &mut Command,
    ) -> Self {
        let (sender, reports) = channel();
        let children = (0..processes)
            .map(|worker| start(task, worker, sender.clone(), &set))
            .collect();
        Self {
            children,
            reports,
            told: (0..processes).map(|_| Told::default()).collect(),
        }
    }

    /// Listens until `done` says that it is enough.
    pub(crate) fn listen_until(&mut self, mut done: impl FnMut(&[Told]) -> bool) {
        while !done(&self.told) {
            let report = self.reports.recv_timeout(PATIENCE);
            let (worker, report) = report.expect("the workers go on");
            let told = &mut self.told[worker];
            match report {
                Report::Lease(now, permits) => told.leases.push((now, permits)),
                Report::Call(before, after) => told.calls.push((before, after)),
                Report::Lapsed(permits) => told.lapsed += permits,
                Report::Refused => told.refused += 1,
                Report::End => told.has_ended = true,
            }
        }
    }

    /// Lets the workers end, and listens until they have.
    pub(crate) fn finish(&mut self) {
        for child in &mut self.children {
            drop(child.stdin.take());
        }
        self.listen_until(|told| told.iter().all(|told| told.has_ended));
    }

    pub(crate) fn kill(&mut self, worker: usize) {
        let child = &mut self.children[worker];
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn start(
    task: &Task,
    worker: usize,
    sender: Sender<(usize, Report)>,
    set: impl Fn(&mut Command) -> &mut Command,
) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    let mut child = set(&mut command)
        .env(Task::VARIABLE, task.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a worker");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    std::thread::spawn(move || {
        for line in output.lines() {
            // A line that was not ended before the worker was killed tells nothing.
            let Ok(Some(report)) = line.map(|line| Report::parse(&line)) else {
                break;
            };
            if sender.send((worker, report)).is_err() {
                return;
            }
        }
        let _ = sender.send((worker, Report::End));
    });
    child
}
