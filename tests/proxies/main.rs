//! The client behind real proxies: nginx and HAProxy, in front of the fake.
//!
//! The program prints one line and ends where one of them is not installed. With
//! `IDPFLARE_REQUIRE_PROXIES=1` that is a failure. Names given as arguments select tests.

#[path = "../support/mod.rs"]
mod support;

mod connections;
mod haproxy;
mod ids;
mod limits;
mod nginx;
mod paths;
mod program;
mod refused;
mod sessions;
mod tls;
mod upstream;

use std::process::ExitCode;
use std::time::Duration;

/// The tests: name, and a function that runs it.
macro_rules! tests {
    ($($module:ident::$name:ident,)*) => {
        &[$((stringify!($name), || run($module::$name()))),*]
    };
}

const TESTS: &[(&str, fn())] = tests![
    paths::each_operation_arrives_as_it_was_sent,
    tls::tls_1_2_and_1_3_are_spoken_with_both_versions_of_http,
    ids::an_id_that_this_nginx_makes_another_operation_of_is_not_sent,
    ids::every_other_id_arrives_as_it_is,
    refused::a_page_of_a_gateway_without_an_upstream_is_read_and_only_reads_are_repeated,
    refused::an_import_stops_at_a_gateway_without_an_upstream,
    refused::a_read_succeeds_once_the_upstream_is_there,
    refused::a_request_that_is_too_large_is_a_typed_error_and_sent_once,
    refused::a_redirect_to_https_is_not_followed_and_says_to_correct_the_authority,
    connections::three_requests_a_connection_fail_and_double_no_create,
    connections::a_connection_is_not_used_in_its_last_second,
    connections::a_goaway_every_fifty_requests_fails_and_doubles_no_create,
    connections::bursts_beyond_the_requests_of_a_connection_succeed,
    connections::a_reload_under_load_fails_no_read,
    limits::an_import_succeeds_as_a_whole_under_a_limit_without_a_hint,
    limits::maintenance_of_one_endpoint_stops_no_other,
    limits::a_503_of_a_limit_is_retried_for_reads_alone,
    limits::reads_outlast_a_503_of_a_limit,
    sessions::creates_are_doubled_if_refused_streams_are_trusted,
    sessions::creates_in_sessions_that_a_server_going_down_ends_are_not_doubled,
    sessions::creates_that_a_hard_stop_ends_are_not_doubled,
];

fn main() -> ExitCode {
    let missing: Vec<_> = ["nginx", "haproxy"]
        .into_iter()
        .filter(|name| program::find(name).is_none())
        .collect();
    if !missing.is_empty() {
        let required = program::are_required();
        let outcome = if required { "failed" } else { "skipped" };
        println!("proxies: {outcome}, not installed: {}", missing.join(", "));
        return if required {
            ExitCode::FAILURE
        } else {
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
            // The output of a test that panics stands below its name.
            println!("test {name} ...");
            let start = std::time::Instant::now();
            let passed = std::panic::catch_unwind(test).is_ok();
            let outcome = if passed { "ok" } else { "FAILED" };
            let seconds = start.elapsed().as_secs_f32();
            println!("test {name} ... {outcome} ({seconds:.1} s)");
            failed |= !passed;
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// What a test waits for may never come if the client fails.
const LIMIT: Duration = Duration::from_secs(300);

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async { tokio::time::timeout(LIMIT, test).await })
        .expect("a test that ends");
}
