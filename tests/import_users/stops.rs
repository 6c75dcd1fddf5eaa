//! What makes an import leave lines unread, and what bounds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http::StatusCode;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript};
use idpflare_management::workflows::{
    ImportStop, ImportUsers, Ledger, LedgerEntry, LedgerError, LedgerState,
};
use idpflare_management::{ApiRequest, CreateUser, Scope};

use crate::users;

fn many(count: usize) -> impl Iterator<Item = CreateUser> {
    (0..count).map(|number| CreateUser::new(format!("user-{number}@example.com")))
}

#[tokio::test]
async fn a_key_without_the_scope_stops_it_and_the_scope_is_named() {
    let fake = FakeIdpflare::new();
    let client = fake.client_with_scopes([Scope::UsersRead]);
    let import = ImportUsers::new(&client).concurrency(2);
    let report = import.run(stream::iter(many(50))).await.expect("a report");
    assert!(report.lines <= 2, "{report}");
    let text = report.to_string();
    assert!(
        text.contains("; stopped: the API key lacks the scope users:write\n"),
        "{text}"
    );

    // Looking for users takes another.
    fake.client()
        .send(CreateUser::new("user-0@example.com"))
        .await
        .expect("a user");
    let client = fake.client_with_scopes([Scope::UsersWrite]);
    let import = ImportUsers::new(&client).concurrency(1);
    let report = import.run(stream::iter(many(50))).await.expect("a report");
    let stopped = report.stopped.expect("it stops");
    assert!(
        matches!(
            stopped,
            ImportStop::NotAllowed {
                required_scope: Some("users:read")
            }
        ),
        "{stopped}"
    );
    assert_eq!(report.lines, 1);
}

#[tokio::test]
async fn a_key_that_is_not_valid_stops_it() {
    let fake = FakeIdpflare::new();
    fake.set_faults(
        FaultScript::new().rule(
            FaultRule::new(Fault::status(StatusCode::UNAUTHORIZED))
                .after(3)
                .times(9),
        ),
    );
    let import = ImportUsers::new(&fake.client()).concurrency(1);
    let report = import.run(stream::iter(many(50))).await.expect("a report");
    assert_eq!((report.created, report.failed), (3, 1));
    assert!(
        report
            .to_string()
            .contains("; stopped: the API key is not valid\n"),
        "{report}"
    );
}

#[tokio::test]
async fn the_first_failure_stops_it_where_it_should() {
    let users = many(3)
        .chain([CreateUser::new("no address")])
        .chain(many(50).skip(3));
    let users: Vec<_> = users.collect();
    for (stops, lines) in [(true, 4), (false, 51)] {
        let client = FakeIdpflare::new().client();
        let import = ImportUsers::new(&client)
            .concurrency(1)
            .stop_on_error(stops);
        let report = import
            .run(stream::iter(users.clone()))
            .await
            .expect("a report");
        assert_eq!((report.lines, report.failed), (lines, 1));
        assert_eq!(report.stopped.is_some(), stops);
    }
}

#[tokio::test]
async fn the_end_of_the_input_lets_what_is_under_way_finish() {
    let client = FakeIdpflare::new().client();
    let stop = tokio::sync::Notify::new();
    let input = stream::iter(many(50)).take_until(Box::pin(stop.notified()));
    let report = ImportUsers::new(&client)
        .concurrency(4)
        .run_with(input, |event| {
            if event.line == 10 {
                stop.notify_one();
            }
        })
        .await
        .expect("a report");
    assert!((10..15).contains(&report.created), "{report}");
    assert!(report.is_complete());
    assert_eq!(users(&client).await.len() as u64, report.created);
}

#[tokio::test(start_paused = true)]
async fn no_more_lines_are_under_way_than_allowed() {
    for concurrency in [0, 1, 3, 8] {
        let fake = FakeIdpflare::new();
        let slow = FaultRule::new(Fault::delay(Duration::from_millis(10))).probability(1.0);
        fake.set_faults(FaultScript::new().rule(slow));
        let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let report = ImportUsers::new(&fake.client())
            .concurrency(concurrency)
            .run_with(stream::iter(many(20)), |event| {
                if matches!(
                    event.kind,
                    idpflare_management::workflows::ImportEventKind::Started
                ) {
                    most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                } else {
                    now.fetch_sub(1, Ordering::Relaxed);
                }
            })
            .await
            .expect("a report");
        assert_eq!(report.created, 20);
        assert_eq!(most.into_inner(), concurrency.max(1));
    }
}

#[tokio::test(start_paused = true)]
async fn input_may_take_its_time() {
    let slow = stream::iter(many(5)).then(async |user| {
        tokio::time::sleep(Duration::from_secs(60)).await;
        user
    });
    let client = FakeIdpflare::new().client();
    let report = ImportUsers::new(&client).run(slow).await;
    assert_eq!(report.expect("a report").created, 5);
}

/// Has room for so many entries.
struct Full(AtomicUsize);

impl Ledger for Full {
    async fn open(&self, _: &str) -> Result<LedgerState, LedgerError> {
        Ok(LedgerState::new())
    }

    async fn record(&self, _: &str, _: &LedgerEntry) -> Result<(), LedgerError> {
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |room| {
                room.checked_sub(1)
            });
        taken.map_err(|_| LedgerError::new("no space is left"))?;
        Ok(())
    }
}

#[tokio::test]
async fn a_ledger_that_fails_stops_it() {
    for (room, created, failed) in [(0, 0, 1), (3, 2, 0), (4, 2, 1)] {
        let fake = FakeIdpflare::new();
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        fake.on_request(move |entry| {
            assert_eq!(entry.operation, Some(CreateUser::OPERATION));
            count.fetch_add(1, Ordering::Relaxed);
        });
        let ledger = Full(AtomicUsize::new(room));
        let report = ImportUsers::new(&fake.client())
            .ledger(&ledger, "users")
            .concurrency(1)
            .run(stream::iter(many(50)))
            .await
            .expect("a report");
        assert_eq!(
            (report.created, report.failed),
            (created, failed),
            "{report}"
        );
        assert!(
            report.to_string().contains("; stopped: no space is left"),
            "{report}"
        );
        assert_eq!(requests.load(Ordering::Relaxed) as u64, created);
    }
}
