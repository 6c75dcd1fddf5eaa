//! What makes an import leave lines unread, and what bounds it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use http::StatusCode;
use idpflare_management::layers::{BoxError, RetryPolicy, TransportError};
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript, RetryAfter};
use idpflare_management::workflows::{
    FileLedger, ImportReport, ImportStop, ImportUsers, Ledger, LedgerEntry, LedgerError,
    LedgerState,
};
use idpflare_management::{ApiRequest, Client, CreateUser, Scope};
use tower::ServiceExt;

use crate::scratch::Scratch;
use crate::support::server::Nobody;
use crate::{numbers, users};

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

/// Of these lines none can be sent, to a server that nobody has started.
async fn import_into(
    nobody: &Nobody,
    ledger: &FileLedger,
    concurrency: usize,
    users: impl IntoIterator<Item = CreateUser, IntoIter: Send>,
) -> ImportReport {
    let client = Client::builder(format!("http://{}", nobody.address))
        .api_key("idk_test")
        .retry(RetryPolicy::new().attempts(1))
        .build()
        .expect("a client");
    ImportUsers::new(&client)
        .ledger(ledger, "users")
        .concurrency(concurrency)
        .run(stream::iter(users))
        .await
        .expect("a report")
}

#[tokio::test]
async fn a_server_that_is_gone_stops_it_and_the_next_run_goes_on() {
    for (concurrency, fewest) in [(1, 10), (4, 10), (8, 16)] {
        let scratch = Scratch::new();
        let path = scratch.file("ledger");
        let nobody = Nobody::new();
        let ledger = FileLedger::new(&path);
        let report = import_into(&nobody, &ledger, concurrency, many(300)).await;
        assert!(
            matches!(report.stopped, Some(ImportStop::Unreachable)),
            "{report}"
        );
        // Those that were under way by then are finished.
        let tried = fewest..fewest + concurrency as u64;
        assert!(tried.contains(&report.failed), "{report}");
        assert_eq!(report.lines, report.failed);
        let text = std::fs::read_to_string(&path).expect("a ledger");
        assert_eq!(text.lines().count() as u64, 1 + 2 * report.failed);
        let numbers = report.to_string();
        let numbers = numbers.lines().next().expect("a line");
        assert!(
            numbers.ends_with("; stopped: the server can't be reached"),
            "{numbers}"
        );

        // It is there again.
        let fake = FakeIdpflare::new();
        let client = Client::builder(format!("http://{}", nobody.address))
            .api_key(fake.api_key())
            .build_with(fake.service())
            .expect("a client");
        let report = ImportUsers::new(&client)
            .ledger(&ledger, "users")
            .run(stream::iter(many(300)))
            .await
            .expect("a report");
        assert_eq!(report.created, 300, "{report}");
        assert_eq!(users(&client).await.len(), 300);
    }
}

#[tokio::test]
async fn a_line_that_is_not_sent_anywhere_says_nothing_of_the_server() {
    let nobody = Nobody::new();
    let scratch = Scratch::new();
    let ledger = FileLedger::new(scratch.file("ledger"));
    let lines = many(9).chain(many(3)).chain(many(300).skip(9));
    let report = import_into(&nobody, &ledger, 1, lines).await;
    assert_eq!((report.failed, report.duplicates), (10, 3), "{report}");
}

#[tokio::test]
async fn a_server_that_is_there_now_and_then_does_not_stop_it() {
    let fake = FakeIdpflare::new();
    let builder = Client::builder("https://idp.example.com").api_key(fake.api_key());
    let requests = Arc::new(AtomicUsize::new(0));
    let service = tower::service_fn(move |request| {
        let is_there = requests.fetch_add(1, Ordering::Relaxed) % 10 == 9;
        let fake = fake.service();
        async move {
            if is_there {
                return fake.oneshot(request).await;
            }
            Err(BoxError::from(TransportError::connect(
                "nobody listens".into(),
            )))
        }
    });
    let once = RetryPolicy::new().attempts(1);
    let client = builder.retry(once).build_with(service).expect("a client");
    let import = ImportUsers::new(&client).concurrency(1);
    let report = import.run(stream::iter(many(55))).await.expect("a report");
    assert_eq!(numbers(&report), "55 lines: 5 created, 50 failed");
}

/// What proxies answer for a server that is gone.
#[tokio::test(start_paused = true)]
async fn a_server_that_is_gone_behind_a_proxy_stops_it_too() {
    for (status, stops) in [
        (502, true),
        (503, true),
        (504, true),
        (520, true),
        (522, true),
        (527, true),
        (500, false),
        (529, false),
    ] {
        let fake = FakeIdpflare::new();
        let client = fake.client();
        let status = StatusCode::from_u16(status).expect("a status");
        let always = FaultRule::new(Fault::status(status)).probability(1.0);
        fake.set_faults(FaultScript::new().rule(always));
        let import = ImportUsers::new(&client).concurrency(4);
        let report = import.run(stream::iter(many(60))).await.expect("a report");
        let has_stopped = matches!(report.stopped, Some(ImportStop::Unreachable));
        assert_eq!(has_stopped, stops, "{status}: {report}");
        let tried = if stops { 10..14 } else { 60..61 };
        assert!(tried.contains(&report.failed), "{status}: {report}");

        fake.clear_faults();
        let import = ImportUsers::new(&client);
        let report = import.run(stream::iter(many(60))).await.expect("a report");
        assert_eq!(report.created, 60, "{status}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_busy_is_waited_for() {
    for (refusals, created) in [(8, 1), (30, 0)] {
        let fake = FakeIdpflare::new();
        let busy = Fault::too_many_requests(RetryAfter::Seconds(1));
        let busy = FaultRule::new(busy).operation(CreateUser::OPERATION);
        fake.set_faults(FaultScript::new().rule(busy.times(refusals)));
        let requests = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&requests);
        fake.on_request(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let client = Client::builder("https://idp.example.com")
            .api_key(fake.api_key())
            .deadline(Duration::from_secs(600))
            .build_with(fake.service())
            .expect("a client");
        let import = ImportUsers::new(&client);
        let report = import.run(stream::iter(many(1))).await.expect("a report");
        assert_eq!(report.created, created, "{report}");
        let most = if created > 0 { 9 } else { 10 };
        assert_eq!(requests.load(Ordering::Relaxed), most);
    }
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
