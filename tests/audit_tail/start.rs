//! From now on: what was in the log when it was first asked, and what was not.

use std::collections::HashSet;

use futures_util::StreamExt;
use idpflare_management::QueryAuditLogs;
use idpflare_management::workflows::{AuditTail, AuditTailEvent};
use proptest::prelude::*;

use crate::model::{Change, Server};
use crate::{at, caught_up, is_quiet, run, tail};

/// What happens between the first request and the second.
fn then(server: &Server, changes: Vec<Change>) {
    server.model().script = vec![vec![], changes].into();
}

#[tokio::test(start_paused = true)]
async fn now_is_what_the_log_has_when_it_is_first_read() {
    let server = Server::with(2500, 100);
    let mut tail = tail(&server).from_now();
    let Some(Ok(AuditTailEvent::CaughtUp { checkpoint })) = tail.next().await else {
        panic!("there is nothing new");
    };
    let now = server.model().now;
    assert_eq!(checkpoint.watermark(), Some(at(now)));
    assert_eq!(checkpoint.reads_from(), Some(at(now - 30_000)));
    assert_eq!(checkpoint.known(), 301);
    let late = server.model().insert(now - 10_000);
    let new = server.model().insert(now + 10);
    assert_eq!(caught_up(&mut tail).await.expect("entries"), [late, new]);
}

#[tokio::test(start_paused = true)]
async fn the_first_entry_of_an_empty_log_is_new() {
    let server = Server::new();
    let mut tail = tail(&server);
    assert_eq!(caught_up(&mut tail).await.expect("none"), [0; 0]);
    server.model().make(2, 1);
    assert_eq!(caught_up(&mut tail).await.expect("entries"), [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn another_entry_of_the_newest_millisecond_is_new() {
    for entries in [1, 10, 99, 100, 101, 500] {
        let server = Server::with(entries, 100);
        then(&server, vec![Change::Make(0)]);
        let mut tail = tail(&server).from_now();
        let read = caught_up(&mut tail).await.expect("entries");
        assert_eq!(read, [entries], "of {entries}");
        assert!(is_quiet(&mut tail).await, "once");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_late_and_newer_than_the_oldest_that_was_seen_is_new() {
    let server = Server::with(500, 100);
    // The first page goes back by 9.9 s.
    then(&server, vec![Change::Late(9_899)]);
    assert_eq!(caught_up(&mut tail(&server)).await.expect("it"), [500]);
    // Nothing tells these from the other 400.
    for ago in [9_900, 9_901, 30_000] {
        then(&server, vec![Change::Late(ago)]);
        let read = caught_up(&mut tail(&server)).await.expect("none");
        assert_eq!(read, [0; 0], "{ago}");
    }

    // Of a log that fits on a page, all is known.
    let server = Server::with(3, 1000);
    then(&server, vec![Change::Late(30_000)]);
    assert_eq!(caught_up(&mut tail(&server)).await.expect("it"), [3]);
}

#[tokio::test(start_paused = true)]
async fn of_a_millisecond_that_fills_a_page_the_rest_is_handed_out() {
    let server = Server::with(150, 0);
    then(&server, vec![Change::Make(0)]);
    let mut read = caught_up(&mut tail(&server)).await.expect("entries");
    read.sort_unstable();
    // The last 100 were seen.
    let expected: Vec<_> = (0..50).chain([150]).collect();
    assert_eq!(read, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_appears_next_to_what_was_seen_is_handed_out_once(
        entries in 0..300_u32,
        every in 0..700_i64,
        limit in 1..120_u64,
        script in prop::collection::vec(
            prop::collection::vec(
                prop_oneof![
                    (0..3000_i64).prop_map(Change::Make),
                    Just(Change::Make(0)),
                    (0..=30_000_i64).prop_map(Change::Late),
                    Just(Change::Fail(503)),
                ],
                0..3,
            ),
            0..20,
        ),
    ) {
        run(async {
            let server = Server::with(entries, every);
            // What comes before the first reply is there when it is given.
            server.model().script = script.into();
            let query = QueryAuditLogs::new().limit(limit);
            let mut tail = AuditTail::new(&server.client(), query).from_now();
            let mut read = HashSet::new();
            loop {
                let minutes = std::time::Duration::from_secs(300);
                let Ok(event) = tokio::time::timeout(minutes, tail.next()).await else {
                    break;
                };
                if let Some(Ok(AuditTailEvent::Entries(batch))) = event {
                    for number in crate::numbers(&batch) {
                        assert!(read.insert(number), "{number} once");
                    }
                }
            }
            assert!(server.model().script.is_empty());
            let model = server.model();
            let first_page = model.first_page.clone().expect("it was answered");
            let there: HashSet<_> = first_page.iter().map(|(_, number)| *number).collect();
            assert!(there.is_disjoint(&read), "these were there");
            let oldest = first_page.iter().map(|(at, _)| *at).min();
            for (at, number) in &model.log {
                let is_next = oldest.is_none_or(|oldest| oldest < *at);
                if is_next && !there.contains(number) {
                    assert!(read.contains(number), "{number} of {at} is lost");
                }
            }
        });
    }
}
