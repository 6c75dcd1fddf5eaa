//! Every policy under every kind of fault: whatever happens, all users of the input are there in the
//! end, once each.

use std::time::Duration;

use futures_util::stream;
use http::StatusCode;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript, RetryAfter};
use idpflare_management::workflows::{FileLedger, ImportReport, ImportUsers, OnConflict};
use idpflare_management::{ApiRequest, Client, CreateUser};

use crate::scratch::Scratch;
use crate::{all, numbers, once, users};

const THERE_BEFORE: [&str; 2] = ["user-3@example.com", "user-11@example.com"];

fn faults() -> Vec<Fault> {
    let status = |code| StatusCode::from_u16(code).expect("a status");
    let too_long = Duration::from_secs(60);
    vec![
        Fault::status(status(400)),
        Fault::status(status(500)),
        Fault::status(status(503)),
        Fault::status(status(503)).after_performing(),
        Fault::edge_page(status(502)).after_performing(),
        Fault::edge_page(status(522)),
        Fault::too_many_requests(RetryAfter::Absent),
        Fault::too_many_requests(RetryAfter::Seconds(3)),
        Fault::reset_before_reply(),
        Fault::reply_lost(),
        Fault::reset_during_reply(),
        Fault::truncated_body(),
        Fault::oversized_body(u64::MAX),
        Fault::wrong_content_type(),
        Fault::delay(too_long),
        Fault::delay(too_long).after_performing(),
        Fault::slow_body(3, too_long),
    ]
}

fn emails() -> Vec<String> {
    (0..16)
        .map(|number| format!("user-{number}@example.com"))
        .collect()
}

async fn run(client: &Client, ledger: &FileLedger, policy: OnConflict) -> ImportReport {
    let lines = emails().into_iter();
    let lines = lines.map(|email| CreateUser::new(email).given_name("Of the file"));
    ImportUsers::new(client)
        .ledger(ledger, "users")
        .on_conflict(policy)
        .run(stream::iter(lines.collect::<Vec<_>>()))
        .await
        .expect("a ledger")
}

/// Two runs with faults, then one without, which completes it.
async fn survives(policy: OnConflict, script: FaultScript, what: &str) {
    let fake = FakeIdpflare::new();
    let client = fake.client();
    for email in THERE_BEFORE {
        let before = CreateUser::new(email).given_name("Of before");
        client.send(before).await.expect("a user");
    }
    let scratch = Scratch::new();
    let ledger = FileLedger::new(scratch.file("ledger"));
    fake.set_faults(script);
    for _ in 0..2 {
        let report = run(&client, &ledger, policy).await;
        assert_eq!(report.lines, 16, "{what}");
    }
    fake.clear_faults();
    let report = run(&client, &ledger, policy).await;
    let emails = emails();
    assert_eq!(
        users(&client).await,
        once(emails.iter().map(String::as_str)),
        "{what}"
    );
    let conflicts = if policy == OnConflict::Fail { 2 } else { 0 };
    assert_eq!(report.failed, conflicts, "{what}: {report}");
    for user in all(&client).await {
        let before = THERE_BEFORE.contains(&&*user.email) && policy != OnConflict::Update;
        let name = if before { "Of before" } else { "Of the file" };
        assert_eq!(
            user.given_name.as_deref(),
            Some(name),
            "{what}: {}",
            user.email
        );
    }
    let report = run(&client, &ledger, policy).await;
    assert_eq!(
        (report.already_done, report.failed),
        (16 - conflicts, conflicts),
        "{what}"
    );
}

#[tokio::test(start_paused = true)]
async fn each_kind_of_fault_under_each_policy() {
    for policy in [OnConflict::Skip, OnConflict::Update, OnConflict::Fail] {
        for fault in faults() {
            let what = format!("{policy:?} with {fault:?}");
            let rule = FaultRule::new(fault).probability(0.5);
            survives(policy, FaultScript::new().rule(rule).seed(7), &what).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn all_faults_together_under_each_policy() {
    for policy in [OnConflict::Skip, OnConflict::Update, OnConflict::Fail] {
        for seed in 0..10 {
            let rule = FaultRule::any_of(faults()).probability(0.4);
            let script = FaultScript::new().rule(rule).seed(seed);
            survives(policy, script, &format!("{policy:?} with seed {seed}")).await;
        }
    }
}

/// A refusal says nothing about what was sent before it.
#[tokio::test]
async fn a_doubt_outlives_a_later_refusal() {
    let fake = FakeIdpflare::new();
    let client = fake.client();
    let only = |status| FaultRule::new(Fault::status(status)).operation(CreateUser::OPERATION);
    fake.set_faults(
        FaultScript::new()
            .rule(only(StatusCode::SERVICE_UNAVAILABLE))
            .rule(only(StatusCode::BAD_REQUEST)),
    );
    let scratch = Scratch::new();
    let ledger = FileLedger::new(scratch.file("ledger"));
    let run = || {
        let user = CreateUser::new("ada@example.com");
        ImportUsers::new(&client)
            .ledger(&ledger, "users")
            .run(stream::iter([user]))
    };
    assert_eq!(run().await.expect("a ledger").failed, 1);
    // What had no answer arrives late.
    let late = CreateUser::new("ada@example.com");
    client.send(late).await.expect("a user");
    let report = run().await.expect("a ledger");
    assert_eq!(numbers(&report), "1 line: 1 reconciled");
}
