//! Trouble in the middle of a run of four processes.

use std::time::Duration;

use crate::fleet::{Fleet, Told};
use crate::law::{PROCESSES, assert_law_of_calls, assert_law_of_permits, task};
use crate::server::Server;
use crate::worker::Task;

fn calls(told: &[Told]) -> usize {
    told.iter().map(|told| told.calls.len()).sum()
}

fn refused(told: &[Told]) -> u64 {
    told.iter().map(|told| told.refused).sum()
}

pub(crate) fn the_law_survives_what_keeps_the_state() {
    let server = Server::start();
    let task = task(&server, "kept");
    let mut fleet = Fleet::start(&task, PROCESSES);

    fleet.listen_until(|told| calls(told) >= 8_000);
    server.stop();
    fleet.listen_until(|told| refused(told) > 0);
    server.go_on();

    let so_far = calls(&fleet.told);
    fleet.listen_until(|told| calls(told) >= so_far + 8_000);
    let before = refused(&fleet.told);
    server.is_read_only(true);
    fleet.listen_until(|told| refused(told) > before);
    server.is_read_only(false);

    let so_far = calls(&fleet.told);
    fleet.listen_until(|told| calls(told) >= so_far + 8_000);
    fleet.finish();
    assert_law_of_permits(&task, &fleet.told);
    assert_law_of_calls(&task, &fleet.told, 0);
}

pub(crate) fn a_lost_state_costs_no_more_than_is_held() {
    let mut server = Server::start();
    // No answer of before is late, to come after the loss.
    let task = Task {
        timeout: Duration::from_secs(3600),
        ..task(&server, "lost")
    };
    let mut fleet = Fleet::start(&task, PROCESSES);

    fleet.listen_until(|told| calls(told) >= 10_000);
    server.kill();
    std::thread::sleep(Duration::from_millis(1));
    server.restart();

    let so_far = calls(&fleet.told);
    fleet.listen_until(|told| calls(told) >= so_far + 10_000);
    fleet.finish();
    // What each held when the state was lost, and a burst.
    let held = u64::from(task.lease) * PROCESSES as u64 + u64::from(task.burst);
    assert_law_of_calls(&task, &fleet.told, held);
}
