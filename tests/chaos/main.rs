//! Operations of all kinds from many tasks at once, against a server that fails in every way that
//! the fake knows: then what each caller was told is compared with what the server did.
//!
//! `IDPFLARE_CHAOS_OPERATIONS` says how many, 2,000 unless set; `IDPFLARE_CHAOS_SEED` chooses them. With
//! the default pauses, backoff and budget, which take more time, it is a tenth of that.

#[path = "../support/mod.rs"]
mod support;

mod acts;
mod faults;
mod ledger;
mod state;
mod verdict;

use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use idpflare_management::layers::{Backoff, Rate, RateLimiter, RetryBudget, RetryPolicy};
use idpflare_management::testing::{FakeIdpflare, RetryAfter};
use idpflare_management::*;

use acts::Told;
use ledger::Ledger;
use state::State;
use verdict::Verdict;

const TASKS: usize = 32;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|error| panic!("{variable}: {error}"))
    })
}

/// Waits so short, and a budget so large, that all 2,000 operations are tried to the end.
fn hurried(builder: ClientBuilder) -> ClientBuilder {
    let backoff = Backoff::new(Duration::from_millis(1), Duration::from_millis(5))
        .and_then(|backoff| backoff.rate_limited_base(Duration::from_millis(1)));
    let retry = RetryPolicy::new()
        .backoff(backoff.expect("valid"))
        .budget(RetryBudget::unlimited());
    let limiter = RateLimiter::builder(Rate::MAX).max_pause(Duration::from_millis(5));
    builder.retry(retry).rate_limit(limiter.build())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_told_what_the_server_did() {
    let operations = number("IDPFLARE_CHAOS_OPERATIONS", 2_000);
    // Refusals by chance that name no time make the limiter look for a rate that is not there.
    let (seconds, date) = (RetryAfter::Seconds(0), RetryAfter::HttpDate(0));
    let ledger = run(operations, [seconds, date, seconds, date], hurried).await;
    assert!(ledger.met_every_kind_of_fault() || operations < 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_are_told_what_the_server_did_with_the_default_pause_and_budget() {
    let operations = number("IDPFLARE_CHAOS_OPERATIONS", 2_000) / 10;
    let refusals = [
        RetryAfter::Absent,
        RetryAfter::Seconds(0),
        RetryAfter::HttpDate(0),
        RetryAfter::RateLimit(0),
    ];
    run(operations, refusals, |builder| builder).await;
}

async fn run(
    operations: u64,
    refusals: [RetryAfter; 4],
    settings: fn(ClientBuilder) -> ClientBuilder,
) -> Ledger {
    let seed = number("IDPFLARE_CHAOS_SEED", 7);
    let mut out = std::io::stdout();
    // Not `println!`, which is shown only where a test fails; and before anything can go wrong.
    writeln!(out, "seed {seed}").expect("written");

    let fake = FakeIdpflare::new();
    let acts = acts::plan(&fake, seed, operations).await;
    let ledger = Ledger::of(&fake);
    fake.set_faults(faults::script(seed, refusals));
    let server = fake.serve().await.expect("a port");

    let builder = Client::builder(server.authority()).api_key(fake.api_key());
    let client = settings(builder)
        .attempt_timeout(faults::PATIENCE)
        .max_reply_bytes(256 * 1024)
        .build()
        .expect("a client");
    let acts = Arc::new(acts);
    let next = Arc::new(AtomicUsize::new(0));
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let (acts, next) = (Arc::clone(&acts), Arc::clone(&next));
        let (client, told) = (client.clone(), Arc::clone(&told));
        tasks.spawn(async move {
            while let Some(act) = acts.get(next.fetch_add(1, Ordering::Relaxed)) {
                let outcome: Told = act.perform(&client).await;
                told.lock()
                    .expect("not poisoned")
                    .push((act.clone(), outcome));
            }
        });
    }
    tasks.join_all().await;
    drop(client);
    // What callers have given up may still be going on.
    server.shutdown().await;

    fake.clear_faults();
    let state = State::of(&fake.client()).await;
    let told = std::mem::take(&mut *told.lock().expect("not poisoned"));
    assert_eq!(told.len() as u64, operations);
    let mut verdict = Verdict::default();
    for (act, told) in &told {
        // Each pause is shorter than the time that a call has.
        let kind = told.outcome.as_ref().err().map(Error::kind);
        assert_ne!(kind, Some(ErrorKind::RateLimited), "{act:?}");
        verdict
            .judge(act, told, &ledger.requests_of(act), &state)
            .await;
    }
    let Verdict {
        lost,
        duplicated,
        unknown,
    } = verdict;
    let faults = ledger.faults();
    writeln!(
        out,
        "{operations} operations, {faults} faults, {lost} lost, {duplicated} duplicated, {unknown} unknown, seed {seed}"
    )
    .expect("written");
    assert_eq!((lost, duplicated), (0, 0));
    ledger
}
