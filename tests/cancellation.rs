//! Calls that are dropped at any point leave nothing behind: no permit, no connection, no task, no
//! place in a line. The next call works.

mod support;

use std::sync::Arc;
use std::time::Duration;

use idpflare_management::layers::{ApiKey, BoxError, Rate, RateLimiter};
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript, RetryAfter};
use idpflare_management::*;
use support::dice::Dice;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tower::limit::GlobalConcurrencyLimitLayer;

const CALLS: u64 = 10_000;
const TASKS: u64 = 64;
const PERMITS: usize = 16;
const SEED: u64 = 11;

/// Sends [`CALLS`] calls of several kinds, and drops each one after a time below `longest`. Returns
/// how many were done before.
async fn drop_calls(client: &Client, longest: Duration) -> u64 {
    println!("seed {SEED}");
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let client = client.clone();
        tasks.spawn(async move {
            let mut dice = Dice::new(SEED + task);
            let mut done = 0;
            for number in 0..CALLS.div_ceil(TASKS) {
                let micros = u64::try_from(longest.as_micros()).expect("short");
                let patience = Duration::from_micros(dice.below(micros));
                let outcome = match dice.below(3) {
                    0 => {
                        let create = CreateUser::new(format!("u{task}-{number}@example.com"));
                        timeout(patience, client.send(create)).await.is_ok()
                    }
                    1 => timeout(patience, client.send(ListUsers::new()))
                        .await
                        .is_ok(),
                    _ => {
                        let delete = DeleteUser::new("usr_unknown");
                        timeout(patience, client.send(delete)).await.is_ok()
                    }
                };
                done += u64::from(outcome);
            }
            done
        });
    }
    tasks.join_all().await.into_iter().sum()
}

/// All that a call may be waiting for, more often than not.
fn waits() -> FaultScript {
    let short = Duration::from_millis(3);
    let faults = [
        Fault::delay(short),
        Fault::delay(short).after_performing(),
        Fault::slow_body(3, short),
        Fault::status(http::StatusCode::SERVICE_UNAVAILABLE),
        Fault::too_many_requests(RetryAfter::Seconds(0)),
        Fault::reset_before_reply(),
        Fault::truncated_body(),
    ];
    FaultScript::new()
        .rule(FaultRule::any_of(faults).probability(0.6))
        .seed(SEED)
}

#[tokio::test(start_paused = true)]
async fn in_process_no_permit_and_no_place_in_a_line_is_lost() {
    let fake = FakeIdpflare::new();
    fake.set_faults(waits());
    let alive = tokio::runtime::Handle::current().metrics();
    let tasks_before = alive.num_alive_tasks();

    let semaphore = Arc::new(Semaphore::new(PERMITS));
    let outside = Arc::clone(&semaphore);
    let inside = Arc::new(Semaphore::new(PERMITS / 2));
    let innermost = Arc::clone(&inside);
    let (key, limiter) = (
        fake.api_key(),
        RateLimiter::new(Rate::per_second(5_000).expect("a rate")),
    );
    let client = Client::builder("https://idp.example.com")
        .credential_provider(move || {
            let key = key.clone();
            async move {
                tokio::time::sleep(Duration::from_millis(2)).await;
                Ok::<_, BoxError>(
                    layers::Credential::new(ApiKey::new(key)?)
                        .expires_in(Duration::from_millis(20)),
                )
            }
        })
        .rate_limit(limiter)
        .layer(GlobalConcurrencyLimitLayer::with_semaphore(outside))
        .stack(|stack| {
            let layer = GlobalConcurrencyLimitLayer::with_semaphore(innermost);
            stack.insert_after(Stack::COLLECT, "connections", layer)
        })
        .build_with(fake.service())
        .expect("a client");
    let done = drop_calls(&client, Duration::from_millis(40)).await;
    assert!((CALLS / 20..CALLS * 19 / 20).contains(&done), "{done} done");

    assert_eq!(semaphore.available_permits(), PERMITS);
    assert_eq!(inside.available_permits(), PERMITS / 2);
    // A question to the provider goes on for those who come next, for 2 ms.
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(alive.num_alive_tasks(), tasks_before);
    // Nobody is ahead of the next call, and nothing is owed but the key.
    fake.clear_faults();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let started = Instant::now();
    client.send(GetUserStats::new()).await.expect("stats");
    assert!(
        started.elapsed() <= Duration::from_millis(3),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_sockets_no_connection_and_no_task_is_lost() {
    let alive = tokio::runtime::Handle::current().metrics();
    let tasks_before = alive.num_alive_tasks();
    let fake = FakeIdpflare::new();
    fake.set_faults(waits());
    let server = fake.serve().await.expect("a port");
    let client = Client::builder(server.authority())
        .api_key(fake.api_key())
        .build()
        .expect("a client");
    let done = drop_calls(&client, Duration::from_millis(10)).await;
    assert!(done < CALLS, "{done} done");

    fake.clear_faults();
    client.send(GetUserStats::new()).await.expect("stats");
    drop(client);
    // It returns when all connections are closed.
    let closed = timeout(Duration::from_secs(60), server.shutdown()).await;
    assert!(closed.is_ok(), "connections are left");
    // A task may be told of the end of its connection a moment later.
    for _ in 0..1_000 {
        if alive.num_alive_tasks() == tasks_before {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{} tasks are left", alive.num_alive_tasks() - tasks_before);
}
