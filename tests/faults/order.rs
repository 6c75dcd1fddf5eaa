//! Which requests have a fault, and what repeating them comes to.

use std::time::Duration;

use http::StatusCode;
use idpflare_management::layers::{Backoff, RetryPolicy};
use idpflare_management::testing::{Fault, FaultKind, FaultRule, FaultScript, RetryAfter};
use idpflare_management::*;

use crate::fake;

/// What the standard policy repeats, for all operations but those that may act twice.
fn transient() -> [Fault; 10] {
    [
        Fault::status(StatusCode::SERVICE_UNAVAILABLE),
        Fault::edge_page(StatusCode::BAD_GATEWAY),
        Fault::too_many_requests(RetryAfter::Absent),
        Fault::too_many_requests(RetryAfter::Seconds(0)),
        Fault::too_many_requests(RetryAfter::HttpDate(0)),
        Fault::too_many_requests(RetryAfter::RateLimit(0)),
        Fault::reset_before_reply(),
        Fault::reply_lost(),
        Fault::reset_during_reply(),
        Fault::truncated_body(),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_is_safe_is_repeated_until_it_succeeds() {
    for fault in transient() {
        let (fake, mut ledger) = fake();
        let kind = fault.kind();
        fake.set_faults(FaultScript::new().rule(FaultRule::new(fault).times(2)));
        let stats = fake.client().send(GetUserStats::new()).await;
        stats.unwrap_or_else(|error| panic!("{kind}: {error:?}"));
        for expected in [Some(kind), Some(kind), None] {
            let entry = ledger.try_recv().expect("an entry");
            assert_eq!(entry.fault, expected);
        }
    }
}

#[tokio::test]
async fn over_loopback_too() {
    let (fake, mut ledger) = fake();
    let server = fake.serve().await.expect("a port");
    let quick = Backoff::new(Duration::from_millis(1), Duration::from_millis(2))
        .and_then(|backoff| backoff.rate_limited_base(Duration::from_millis(1)))
        .expect("valid");
    let client = Client::builder(server.authority())
        .api_key(fake.api_key())
        .retry(RetryPolicy::new().backoff(quick))
        // Its pauses would only make this slower.
        .stack(|stack| stack.remove(Stack::RATE_LIMIT))
        .build()
        .expect("a client");
    for fault in transient() {
        let kind = fault.kind();
        fake.set_faults(FaultScript::new().rule(FaultRule::new(fault)));
        let stats = client.send(GetUserStats::new()).await;
        stats.unwrap_or_else(|error| panic!("{kind}: {error:?}"));
        for expected in [Some(kind), None] {
            let entry = ledger.recv().await.expect("an entry");
            assert_eq!(entry.fault, expected);
        }
    }
}

#[tokio::test]
async fn what_may_act_twice_is_not() {
    let (fake, mut ledger) = fake();
    fake.set_faults(FaultScript::new().rule(FaultRule::new(Fault::reply_lost()).times(9)));
    let new = CreateUser::new("ada@example.com");
    let error = fake.client().send(new).await.expect_err("a reset");
    assert_eq!((error.attempts(), error.is_retryable()), (1, false));
    assert!(ledger.try_recv().expect("an entry").performed);
    assert!(ledger.try_recv().is_err());
}

#[tokio::test]
async fn rules_are_for_their_operation_and_end() {
    let (fake, mut ledger) = fake();
    let teapot = Fault::status(StatusCode::IM_A_TEAPOT);
    fake.set_faults(
        FaultScript::new()
            .rule(FaultRule::new(teapot.clone()).operation(ListUsers::OPERATION))
            .rule(
                FaultRule::new(teapot.clone())
                    .operation(GetUserStats::OPERATION)
                    .after(1),
            ),
    );
    let client = fake.client();
    client.send(GetUserStats::new()).await.expect("let through");
    client.send(GetUserStats::new()).await.expect_err("418");
    client.send(ListUsers::new()).await.expect_err("418");
    client.send(ListUsers::new()).await.expect("only once");
    let faults: Vec<_> = std::iter::from_fn(|| ledger.try_recv().ok())
        .map(|entry| entry.fault)
        .collect();
    let status = Some(FaultKind::Status);
    assert_eq!(faults, [None, status, status, None]);

    // Another script starts from its beginning, and none is none.
    let always = FaultScript::new().rule(FaultRule::new(teapot).probability(1.0));
    fake.set_faults(always);
    client.send(GetUserStats::new()).await.expect_err("418");
    fake.clear_faults();
    client.send(GetUserStats::new()).await.expect("no fault");
}

#[tokio::test]
async fn what_is_no_operation_is_left_alone() {
    let (fake, mut ledger) = fake();
    let always = FaultRule::new(Fault::reset_before_reply()).probability(1.0);
    fake.set_faults(FaultScript::new().rule(always));
    let server = fake.serve().await.expect("a port");
    let prefixed = Client::builder(format!("{}/elsewhere", server.authority()))
        .api_key(fake.api_key())
        .build()
        .expect("a client");
    let error = prefixed.send(GetUserStats::new()).await.expect_err("404");
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    assert_eq!(ledger.recv().await.expect("an entry").fault, None);
}

#[tokio::test]
async fn a_probability_repeats_with_its_seed() {
    const SEED: u64 = 20;

    println!("seed {SEED}");
    let mut runs = Vec::new();
    for _ in 0..2 {
        let (fake, mut ledger) = fake();
        let teapot = Fault::status(StatusCode::IM_A_TEAPOT);
        let rule = FaultRule::any_of([teapot, Fault::unknown_fields()]).probability(0.2);
        fake.set_faults(FaultScript::new().rule(rule).seed(SEED));
        let client = fake.client();
        for _ in 0..200 {
            let _ = client.send(GetUserStats::new()).await;
        }
        let faults: Vec<_> = std::iter::from_fn(|| ledger.try_recv().ok())
            .map(|entry| entry.fault)
            .collect();
        assert_eq!(faults.len(), 200);
        runs.push(faults);
    }
    assert_eq!(runs[0], runs[1]);
    let count = |kind| runs[0].iter().filter(|fault| **fault == Some(kind)).count();
    let (teapots, fields) = (count(FaultKind::Status), count(FaultKind::UnknownFields));
    assert!(
        (25..=55).contains(&(teapots + fields)),
        "{teapots} {fields}"
    );
    assert!(teapots > 5 && fields > 5, "{teapots} {fields}");
}
