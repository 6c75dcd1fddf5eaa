//! What is taken for a user of ours where nobody knows what came of a create, and what is not.

use std::sync::{Arc, Mutex};

use futures_util::stream;
use http::StatusCode;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript};
use idpflare_management::workflows::{
    FileLedger, ImportFailure, ImportReport, ImportUsers, Ledger, LedgerEntry, LedgerMark,
    OnConflict,
};
use idpflare_management::{
    ApiRequest, Client, CreateUser, GetUser, ListUsers, Operation, UpdateUser,
};
use serde_json::{Map, Value};

use crate::lenient_server::LenientServer;
use crate::numbers;
use crate::scratch::Scratch;

fn ada() -> CreateUser {
    CreateUser::new("Ada@example.com").family_name("Lovelace")
}

/// The next request of this operation gets this fault.
fn once(operation: &'static Operation, fault: Fault) -> FaultScript {
    FaultScript::new().rule(FaultRule::new(fault).operation(operation))
}

async fn run(client: &Client, policy: OnConflict) -> ImportReport {
    let import = ImportUsers::new(client).on_conflict(policy);
    import.run(stream::iter([ada()])).await.expect("no ledger")
}

#[tokio::test(start_paused = true)]
async fn one_who_has_what_nobody_sent_is_of_another() {
    let metadata = Map::from_iter([(String::from("team"), Value::from(1))]);
    for (there, updated) in [
        (ada().given_name("Augusta"), false),
        (ada().picture_url("https://img.example.com/1.png"), false),
        (ada().metadata(metadata), false),
        (ada().family_name("Byron"), true),
    ] {
        for (policy, ends) in [
            (OnConflict::Fail, "failed"),
            (OnConflict::Skip, "skipped"),
            (
                OnConflict::Update,
                if updated { "updated" } else { "skipped" },
            ),
        ] {
            let fake = FakeIdpflare::new();
            let client = fake.client();
            client.send(there.clone()).await.expect("a user");
            // Not carried out, which is not known.
            let lost = Fault::status(StatusCode::SERVICE_UNAVAILABLE);
            fake.set_faults(once(CreateUser::OPERATION, lost));
            let report = run(&client, policy).await;
            assert_eq!(numbers(&report), format!("1 line: 1 {ends}"), "{there:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_is_as_the_line_says_is_ours() {
    for policy in [OnConflict::Fail, OnConflict::Skip, OnConflict::Update] {
        let fake = FakeIdpflare::new();
        fake.set_faults(once(CreateUser::OPERATION, Fault::reply_lost()));
        let report = run(&fake.client(), policy).await;
        assert_eq!(numbers(&report), "1 line: 1 reconciled");
    }
    let server = LenientServer::default();
    server.drop_requests(1);
    server.meanwhile(r#"{"email": "Ada@example.com", "family_name": "Lovelace", "metadata": {}}"#);
    let report = run(&server.client(), OnConflict::Fail).await;
    assert_eq!(numbers(&report), "1 line: 1 reconciled");
}

/// The server's clock alone says so, as far as its replies tell it before the create is sent.
#[tokio::test]
async fn one_who_was_there_before_the_first_attempt_is_of_another() {
    const DAY: u64 = 24 * 60 * 60;
    for (age, tells, reconciled) in [
        (DAY, true, false),
        (DAY, false, true),
        // Clocks of one server may differ by so much.
        (30, true, true),
        (0, true, true),
    ] {
        let server = LenientServer::default();
        server.set_clock(20_000 * DAY - age);
        server.add("alan@example.com");
        server.set_clock(20_000 * DAY);
        server.tell_time(tells);
        let client = server.client();
        let server = &server;
        // The first reply tells the time, and of the second create there is none.
        let report = ImportUsers::new(&client)
            .concurrency(1)
            .run_with(
                stream::iter(["grace@example.com", "alan@example.com"].map(CreateUser::new)),
                |event| {
                    let is_second = event.line == 2;
                    server.drop_requests(usize::from(is_second));
                },
            )
            .await
            .expect("no ledger");
        let ends = if reconciled { "reconciled" } else { "failed" };
        let expected = format!("2 lines: 1 created, 1 {ends}");
        assert_eq!(numbers(&report), expected, "{age} seconds, {tells}");
    }
}

/// A run that was broken off while it changed a user has found that user there.
#[tokio::test(start_paused = true)]
async fn one_who_was_about_to_be_changed_is_of_another() {
    let fake = FakeIdpflare::new();
    let client = fake.client();
    let before = CreateUser::new("Ada@example.com");
    let there = client.send(before).await.expect("a user");
    let scratch = Scratch::new();
    let ledger = FileLedger::new(scratch.file("ledger"));
    let run = || {
        ImportUsers::new(&client)
            .ledger(&ledger, "users")
            .on_conflict(OnConflict::Update)
            .run(stream::iter([ada()]))
    };
    let lost = FaultRule::new(Fault::reply_lost()).probability(1.0);
    fake.set_faults(FaultScript::new().rule(lost.operation(UpdateUser::OPERATION)));
    let report = run().await.expect("a ledger");
    assert_eq!(numbers(&report), "1 line: 1 failed");
    let job = format!("users into {}", client.authority());
    let mark = async || {
        ledger
            .open(&job)
            .await
            .expect("it opens")
            .mark("ada@example.com")
    };
    assert_eq!(mark().await, Some(LedgerMark::Updating));

    fake.clear_faults();
    let sent = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&sent);
    fake.on_request(move |entry| keep.lock().expect("not poisoned").push(entry.operation));
    let report = run().await.expect("a ledger");
    assert_eq!(numbers(&report), "1 line: 1 skipped");
    assert_eq!(mark().await, Some(LedgerMark::Skipped));
    // Nothing is sent that could create one.
    assert_eq!(
        *sent.lock().expect("not poisoned"),
        [Some(ListUsers::OPERATION)]
    );

    // Who has gone meanwhile is created again.
    let entry = LedgerEntry::new(1, "ada@example.com", LedgerMark::Updating);
    ledger.record(&job, &entry).await.expect("it is kept");
    let delete = idpflare_management::DeleteUser::new(&there.id);
    client.send(delete).await.expect("deleted");
    fake.set_faults(once(CreateUser::OPERATION, Fault::reply_lost()));
    let report = run().await.expect("a ledger");
    assert_eq!(numbers(&report), "1 line: 1 reconciled");
}

/// The reply to a change broke off, and its repeat was refused.
#[tokio::test(start_paused = true)]
async fn a_change_that_may_have_been_made_is_not_called_refused() {
    for may_be_made in [true, false] {
        let fake = FakeIdpflare::new();
        let client = fake.client();
        let before = CreateUser::new("ada@example.com");
        let there = client.send(before).await.expect("a user");
        let of_update = |fault| FaultRule::new(fault).operation(UpdateUser::OPERATION);
        let mut script = FaultScript::new();
        if may_be_made {
            script = script.rule(of_update(Fault::truncated_body()));
        }
        let refused = of_update(Fault::status(StatusCode::BAD_REQUEST));
        fake.set_faults(script.rule(refused));
        let report = run(&client, OnConflict::Update).await;
        assert_eq!(numbers(&report), "1 line: 1 failed");
        let failure = &report.failures[0].failure;
        let is_unknown = matches!(failure, ImportFailure::Unknown(_));
        assert_eq!(is_unknown, may_be_made, "{failure}");
        let now = client.send(GetUser::new(&there.id)).await.expect("a user");
        assert_eq!(now.family_name.is_some(), may_be_made);
    }
}
