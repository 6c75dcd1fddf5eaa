//! An import that is dropped at any point, and what the next run makes of it. The server takes any
//! address twice, so that nothing but the import keeps users from being there twice.

use std::pin::pin;
use std::sync::Mutex;
use std::task::{Context, Poll, Waker};

use futures_util::stream;
use idpflare_management::CreateUser;
use idpflare_management::workflows::{
    ImportReport, ImportUsers, Ledger, LedgerEntry, LedgerError, LedgerState,
};
use proptest::prelude::*;
use tokio::task::yield_now;

use crate::lenient_server::LenientServer;
use crate::numbers;

/// One in memory, where a break can come before and after an entry is kept.
#[derive(Default)]
struct Memory(Mutex<Vec<LedgerEntry>>);

impl Ledger for Memory {
    async fn open(&self, _: &str) -> Result<LedgerState, LedgerError> {
        yield_now().await;
        Ok(self
            .0
            .lock()
            .expect("not poisoned")
            .iter()
            .cloned()
            .collect())
    }

    async fn record(&self, _: &str, entry: &LedgerEntry) -> Result<(), LedgerError> {
        yield_now().await;
        self.0.lock().expect("not poisoned").push(entry.clone());
        yield_now().await;
        Ok(())
    }
}

/// Runs an import for so many turns; its report, if that was enough.
fn run(
    server: &LenientServer,
    ledger: &Memory,
    emails: &[String],
    concurrency: usize,
    turns: usize,
) -> Option<ImportReport> {
    let users: Vec<_> = emails.iter().map(CreateUser::new).collect();
    let import = ImportUsers::new(&server.client())
        .ledger(ledger, "users")
        .concurrency(concurrency)
        .run(stream::iter(users));
    let mut import = pin!(import);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..turns {
        if let Poll::Ready(report) = import.as_mut().poll(&mut context) {
            return Some(report.expect("a ledger in memory can't fail"));
        }
    }
    None
}

fn addresses(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("user-{number}@example.com"))
        .collect()
}

#[test]
fn a_break_at_any_point_leaves_no_user_out_and_none_twice() {
    let emails = addresses(5);
    for concurrency in [1, 3] {
        let mut turns = 0;
        loop {
            let (server, ledger) = (LenientServer::default(), Memory::default());
            let whole = run(&server, &ledger, &emails, concurrency, turns);
            let report = run(&server, &ledger, &emails, concurrency, usize::MAX).expect("it ends");
            assert!(report.is_complete(), "{turns} turns: {report}");
            assert_eq!(server.emails(), emails, "{turns} turns");
            if let Some(whole) = whole {
                assert_eq!((whole.created, report.already_done), (5, 5));
                break;
            }
            turns += 1;
        }
        assert!(turns > 10, "{turns}");
    }
}

#[test]
fn lost_replies_and_lost_requests_are_told_apart() {
    let emails = addresses(9);
    let (server, ledger) = (LenientServer::default(), Memory::default());
    server.lose_replies(5);
    let report = run(&server, &ledger, &emails, 4, usize::MAX).expect("it ends");
    assert_eq!(numbers(&report), "9 lines: 4 created, 5 reconciled");

    let (server, ledger) = (LenientServer::default(), Memory::default());
    server.drop_requests(5);
    let report = run(&server, &ledger, &emails, 4, usize::MAX).expect("it ends");
    assert_eq!(numbers(&report), "9 lines: 9 created");
    assert_eq!(server.emails(), emails);
}

#[test]
fn a_create_that_never_gets_through_is_looked_for_by_the_next_run() {
    let emails = addresses(1);
    let (server, ledger) = (LenientServer::default(), Memory::default());
    server.drop_requests(3);
    let report = run(&server, &ledger, &emails, 1, usize::MAX).expect("it ends");
    assert_eq!((report.failed, report.lines), (1, 1));
    assert!(
        report.to_string().ends_with("; the next run will look"),
        "{report}"
    );
    // It arrives late.
    server.add(&emails[0]);
    let report = run(&server, &ledger, &emails, 1, usize::MAX).expect("it ends");
    assert_eq!(numbers(&report), "1 line: 1 reconciled");
    assert_eq!(server.emails(), emails);
}

#[test]
fn an_address_that_is_a_part_of_others_is_found_among_them() {
    let (server, ledger) = (LenientServer::default(), Memory::default());
    server.add("a@b.example");
    for number in 0..7 {
        server.add(&format!("{number}a@b.example"));
    }
    let emails = [String::from("A@b.example")];
    server.lose_replies(1);
    let report = run(&server, &ledger, &emails, 1, usize::MAX).expect("it ends");
    assert_eq!(numbers(&report), "1 line: 1 reconciled");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever the input, and wherever it breaks off, all that is left at the end is each address
    /// once.
    #[test]
    fn each_address_ends_there_once(
        emails in proptest::collection::vec("[abAB]{1,2}@x\\.example", 0..12),
        breaks in proptest::collection::vec((0..60_usize, 1..5_usize, 0..3_usize, 0..3_usize), 0..5),
    ) {
        let (server, ledger) = (LenientServer::default(), Memory::default());
        for (turns, concurrency, to_lose, to_drop) in breaks {
            server.lose_replies(to_lose);
            server.drop_requests(to_drop);
            run(&server, &ledger, &emails, concurrency, turns);
        }
        server.lose_replies(0);
        server.drop_requests(0);
        let report = run(&server, &ledger, &emails, 2, usize::MAX).expect("it ends");
        prop_assert!(report.is_complete(), "{report}");
        prop_assert_eq!(report.lines, emails.len() as u64);
        let mut expected: Vec<_> = emails.iter().map(|email| email.to_lowercase()).collect();
        expected.sort();
        expected.dedup();
        let mut there: Vec<_> = server.emails().iter().map(|email| email.to_lowercase()).collect();
        there.sort();
        prop_assert_eq!(there, expected);
    }
}
