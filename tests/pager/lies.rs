//! Servers that get it wrong: totals that are not so, pages that overlap or repeat.

use std::time::Duration;

use idpflare_management::{ErrorKind, ListUsers, Pager};
use proptest::prelude::*;

use crate::drift::{List, assert_whole, delays, list, script, twice};
use crate::model::{Change, Server};
use crate::pages;
use crate::run;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Too high, too low, shrinking, or what was once so.
    #[test]
    fn totals_that_are_not_so_lose_no_row_unless_they_are_just_what_was_given(
        list in list(),
        rows in 0..300_u32,
        limit in 1..60_u64,
        concurrency in 1..6_usize,
        script in script(prop_oneof![
            2 => (0..400_u64).prop_map(Change::Lie),
            1 => Just(Change::Lie(u64::MAX)),
            2 => (1..80_u64).prop_map(Change::Understate),
            1 => Just(Change::Truth),
            1 => (1..100_u64).prop_map(Change::Clamp),
        ]),
        delays in delays(),
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().script = script.into();
            server.model().delays = delays.into();
            let read = list.read(&server, Some(limit), concurrency, 0).await;
            assert_eq!(read.failures, 0);
            let reached = read.rows.len() as u32;
            assert!(reached == rows || server.model().told_an_end);
            assert_eq!(read.rows, (rows - reached..rows).rev().collect::<Vec<_>>());
        });
    }

    /// As long as there are fewer of them than were read: then some come again, and tell.
    #[test]
    fn inserts_that_the_total_does_not_tell_of_lose_no_row(
        list in list(),
        rows in 0..300_u32,
        limit in 1..60_u64,
        concurrency in 1..6_usize,
        total in prop_oneof![Just(u64::MAX), 0..500_u64],
        script in prop::collection::vec(0..40_u64, 0..40),
        delays in delays(),
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().lie = Some(total);
            let mut left = limit;
            let script = script.into_iter().map(|inserts| {
                let inserts = inserts.min(left);
                left -= inserts;
                vec![Change::Insert(u32::try_from(inserts).expect("few"))]
            });
            // Not before the first request.
            server.model().script = std::iter::once(vec![]).chain(script).collect();
            server.model().delays = delays.into();
            // Each request may find the last row to have come again.
            let read = list.read(&server, Some(limit), concurrency, 50).await;
            if server.model().told_an_end {
                assert_eq!(twice(&read.rows), [0_u32; 0]);
            } else {
                assert_whole(&read.rows, rows);
            }
        });
    }

    #[test]
    fn pages_that_overlap_lose_no_row_and_repeat_none(
        list in list(),
        rows in 0..300_u32,
        (limit, skew) in (2..60_u64).prop_flat_map(|limit| (Just(limit), 0..limit)),
        concurrency in 1..6_usize,
        delays in delays(),
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().skew = skew;
            server.model().delays = delays.into();
            let read = list.read(&server, Some(limit), concurrency, 50).await;
            // Without a total, a list that is shorter than the overlap looks like one that repeats.
            assert!(read.failures == 0 || matches!(list, List::ApiKeys));
            assert_eq!(read.rows, (0..rows).rev().collect::<Vec<_>>());
        });
    }

    #[test]
    fn pages_that_repeat_are_an_error(
        list in list(),
        rows in 0..300_u32,
        limit in 1..60_u64,
        concurrency in 1..6_usize,
        delays in delays(),
        total in prop::option::of(0..400_u64),
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().skew = u64::MAX;
            server.model().lie = total;
            server.model().delays = delays.into();
            let read = list.read(&server, Some(limit), concurrency, 0).await;
            let page = (u64::from(rows)).min(limit) as u32;
            assert_eq!(read.rows, (rows - page..rows).rev().collect::<Vec<_>>());
            // A list of a page or less has an end, also one that says so and is wrong.
            if u64::from(rows) > limit && !server.model().told_an_end {
                assert_eq!(read.failures, 1);
            }
            assert!(server.model().requests.len() < 20);
        });
    }
}

#[tokio::test]
async fn a_server_that_ignores_the_offset_is_found_out() {
    for concurrency in [1, 4] {
        let server = Server::new(500);
        server.model().skew = u64::MAX;
        let request = ListUsers::new().limit(20);
        let mut pager = Pager::new(&server.client(), request).concurrency(concurrency);
        let page = pager.next_page().await.expect("a page").expect("rows");
        assert_eq!(page.rows.len(), 20);
        let error = pager.next_page().await.expect_err("it only repeats");
        assert_eq!(error.kind(), ErrorKind::NoProgress);
        assert_eq!(
            error.to_string(),
            "listUsers failed: the last 3 pages, up to the one at offset 60, only repeat rows"
        );
        assert!(!error.is_retryable());
        assert_eq!(error.attempts(), 1);
        assert!(server.model().requests.len() < 10);
    }
}

#[tokio::test]
async fn a_total_that_is_too_high_or_passed_is_not_the_end() {
    for total in [0, 1, 99, 251, 400, u64::MAX] {
        for concurrency in [1, 3] {
            let server = Server::new(250);
            server.model().lie = Some(total);
            let request = ListUsers::new().limit(100);
            let mut pager = Pager::new(&server.client(), request).concurrency(concurrency);
            assert_eq!(pages(&mut pager).await.expect("all").len(), 250, "{total}");
        }
    }
}

#[tokio::test]
async fn a_total_that_is_just_what_was_given_is_the_end() {
    for concurrency in [1, 3] {
        let server = Server::new(250);
        server.model().lie = Some(200);
        let request = ListUsers::new().limit(100);
        let mut pager = Pager::new(&server.client(), request).concurrency(concurrency);
        // This is what can't be promised.
        assert_eq!(pages(&mut pager).await.expect("some").len(), 200);
        assert!(server.model().told_an_end);
    }
}

/// The total stays the same while rows come in, so it can't tell which page is of which list.
#[tokio::test(start_paused = true)]
async fn rows_that_come_again_tell_that_a_page_ahead_is_of_an_older_list() {
    let server = Server::new(100);
    server.model().lie = Some(1000);
    // The third page is answered before the second one, and rows come in between.
    server.model().delays = [0, 30, 10, 10].map(Duration::from_millis).into();
    server.model().script = vec![vec![], vec![], vec![], vec![Change::Insert(5)]].into();
    let request = ListUsers::new().limit(10);
    let mut pager = Pager::new(&server.client(), request).concurrency(3);
    let read = pages(&mut pager).await.expect("all that was there");
    assert_eq!(read, (0..100).rev().collect::<Vec<_>>());
}
