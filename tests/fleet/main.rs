//! Several processes and one quota, in a Redis or Valkey of their own.
//!
//! This program is its own worker processes, and says in one line where it can't run: no server program
//! is on the path. With `IDPFLARE_REQUIRE_REDIS=1` that is a failure. Names given as arguments select
//! tests.

mod away;
mod cluster;
mod fleet;
mod hostile;
mod law;
mod order;
mod proxy;
mod server;
mod tls;
mod trouble;
mod worker;

use std::process::ExitCode;

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    (
        "four_processes_keep_one_law",
        law::four_processes_keep_one_law,
    ),
    (
        "a_killed_process_loses_at_most_one_lease",
        law::a_killed_process_loses_at_most_one_lease,
    ),
    (
        "the_script_grants_what_the_model_does",
        order::the_script_grants_what_the_model_does,
    ),
    (
        "a_pause_holds_other_processes",
        order::a_pause_holds_other_processes,
    ),
    (
        "what_is_given_back_is_granted_again",
        order::what_is_given_back_is_granted_again,
    ),
    (
        "what_is_given_back_in_a_pause_is_no_burst_after_it",
        order::what_is_given_back_in_a_pause_is_no_burst_after_it,
    ),
    (
        "what_others_hold_is_not_given_back",
        order::what_others_hold_is_not_given_back,
    ),
    (
        "what_others_give_back_is_no_state_that_is_behind",
        order::what_others_give_back_is_no_state_that_is_behind,
    ),
    (
        "nothing_is_given_back_twice",
        order::nothing_is_given_back_twice,
    ),
    (
        "the_key_expires_by_itself",
        order::the_key_expires_by_itself,
    ),
    (
        "every_trouble_has_its_outcome",
        away::every_trouble_has_its_outcome,
    ),
    (
        "a_replica_that_was_behind_takes_over",
        away::a_replica_that_was_behind_takes_over,
    ),
    (
        "a_connection_that_says_nothing_is_given_up",
        away::a_connection_that_says_nothing_is_given_up,
    ),
    (
        "what_is_granted_late_is_used",
        away::what_is_granted_late_is_used,
    ),
    (
        "calls_end_at_their_own_deadline",
        away::calls_end_at_their_own_deadline,
    ),
    (
        "each_choice_is_kept_while_redis_is_away",
        away::each_choice_is_kept_while_redis_is_away,
    ),
    (
        "each_runtime_has_a_connection_of_its_own",
        away::each_runtime_has_a_connection_of_its_own,
    ),
    (
        "a_certificate_is_checked_against_the_roots",
        tls::a_certificate_is_checked_against_the_roots,
    ),
    (
        "the_node_that_has_the_slot_keeps_the_quota",
        cluster::the_node_that_has_the_slot_keeps_the_quota,
    ),
    (
        "no_value_at_the_key_stops_calls",
        hostile::no_value_at_the_key_stops_calls,
    ),
    (
        "the_law_survives_what_keeps_the_state",
        trouble::the_law_survives_what_keeps_the_state,
    ),
    (
        "a_lost_state_costs_no_more_than_is_held",
        trouble::a_lost_state_costs_no_more_than_is_held,
    ),
];

fn main() -> ExitCode {
    if let Some(task) = worker::Task::from_env() {
        worker::run(&task);
        return ExitCode::SUCCESS;
    }
    if server::program().is_none() {
        let missing = "there is no redis-server or valkey-server on the path";
        return if server::is_required() {
            println!("fleet: failed, {missing}");
            ExitCode::FAILURE
        } else {
            println!("fleet: skipped, {missing}");
            ExitCode::SUCCESS
        };
    }
    let names: Vec<_> = std::env::args()
        .skip(1)
        .filter(|argument| !argument.starts_with('-'))
        .collect();
    let mut failed = false;
    for (name, test) in TESTS {
        if names.is_empty() || names.iter().any(|part| name.contains(&**part)) {
            // What a test prints before it panics belongs to it.
            println!("test {name} ...");
            let passed = std::panic::catch_unwind(test).is_ok();
            println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
            failed |= !passed;
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}
