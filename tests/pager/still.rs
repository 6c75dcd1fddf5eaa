//! Lists that stay as they are.

use std::time::Duration;

use idpflare_management::{ErrorKind, ListUsers, Pager};
use proptest::prelude::*;

use crate::model::Server;
use crate::{items, pages, run};

fn all(rows: u32) -> Vec<u32> {
    (0..rows).rev().collect()
}

#[tokio::test]
async fn it_asks_for_what_is_left_and_no_more() {
    for (rows, limit, expected) in [
        (0, Some(10), vec![None]),
        (9, Some(10), vec![None]),
        (10, Some(10), vec![None]),
        (25, Some(10), vec![None, Some(10), Some(20)]),
        (30, Some(10), vec![None, Some(10), Some(20)]),
        (120, None, vec![None, Some(50), Some(100)]),
        // The server gives no more than 100.
        (250, Some(500), vec![None, Some(100), Some(200)]),
    ] {
        let server = Server::new(rows);
        let mut request = ListUsers::new();
        request.limit = limit;
        let mut pager = Pager::new(&server.client(), request);
        assert_eq!(pager.total(), None);
        assert_eq!(pages(&mut pager).await.expect("all pages"), all(rows));
        assert_eq!(pager.total(), Some(rows.into()));
        assert_eq!(pager.next_request(), None);
        assert!(pager.next_page().await.expect("the end").is_none());
        let asked: Vec<_> = expected.iter().map(|offset| (*offset, limit)).collect();
        assert_eq!(server.model().requests, asked);
    }
}

#[tokio::test]
async fn it_starts_where_the_request_does() {
    let server = Server::new(30);
    let request = ListUsers::new().limit(10).offset(5);
    let mut pager = Pager::new(&server.client(), request.clone());
    assert_eq!(pager.next_request(), Some(request));
    let page = pager.next_page().await.expect("a page").expect("rows");
    assert_eq!((page.offset, page.total), (5, Some(30)));
    assert_eq!(pages(&mut pager).await.expect("the rest"), all(15));

    let server = Server::new(30);
    let request = ListUsers::new().offset(u64::MAX);
    let mut pager = Pager::new(&server.client(), request).concurrency(8);
    assert!(pages(&mut pager).await.expect("nothing").is_empty());
}

#[tokio::test]
async fn a_limit_of_zero_is_refused() {
    let server = Server::new(30);
    let mut pager = Pager::new(&server.client(), ListUsers::new().limit(0));
    for _ in 0..2 {
        let error = pager.next_page().await.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Encode);
        assert_eq!(
            error.to_string(),
            "listUsers failed: limit is 0, which no page gets anywhere with"
        );
    }
    items(&mut pager).await.expect_err("refused");
    assert!(server.model().requests.is_empty());
}

#[tokio::test(start_paused = true)]
async fn pages_are_fetched_ahead_and_no_more_than_allowed() {
    for pages_ahead in [0, 1, 2, 4, 1000] {
        let server = Server::new(1000);
        server.model().delays = vec![Duration::from_millis(10); 1000].into();
        let request = ListUsers::new().limit(10);
        let mut pager = Pager::new(&server.client(), request).concurrency(pages_ahead);
        assert_eq!(items(&mut pager).await.expect("all"), all(1000));
        assert_eq!(server.model().most_in_flight, pages_ahead.clamp(1, 64));
        assert_eq!(server.model().requests.len(), 100);
    }
}

#[tokio::test(start_paused = true)]
async fn who_takes_long_over_a_page_loses_none_that_was_fetched_ahead() {
    use idpflare_management::{ApiRequest, CallOptions};

    let server = Server::new(100);
    server.model().delays = vec![Duration::from_millis(10); 1000].into();
    let options = CallOptions::new().deadline(Duration::from_secs(1));
    let request = ListUsers::new().limit(10).with(options);
    let mut pager = Pager::new(&server.client(), request).concurrency(3);
    let mut count = 0;
    while let Some(page) = pager.next_page().await.expect("in time") {
        count += page.rows.len();
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
    assert_eq!(count, 100);
}

proptest! {
    #[test]
    fn every_way_of_reading_reads_the_same(
        rows in 0..400_u32,
        limit in prop::option::of(1..150_u64),
        clamp in 1..120_u64,
        concurrency in 1..9_usize,
        delays in prop::collection::vec(0..40_u64, 0..20),
    ) {
        let read = |concurrency, by_row: bool| run(async {
            let server = Server::new(rows);
            server.model().clamp = clamp;
            server.model().delays = delays.iter().copied().map(Duration::from_millis).collect();
            let mut request = ListUsers::new();
            request.limit = limit;
            let mut pager = Pager::new(&server.client(), request).concurrency(concurrency);
            let rows = if by_row { items(&mut pager).await } else { pages(&mut pager).await };
            let requests = server.model().requests.len();
            (rows.expect("all rows"), requests)
        });
        let (sequential, requests) = read(1, false);
        prop_assert_eq!(&sequential, &all(rows));
        prop_assert!(requests <= 1 + rows as usize / clamp.min(limit.unwrap_or(50)) as usize);
        for by_row in [false, true] {
            let (rows, asked) = read(concurrency, by_row);
            prop_assert_eq!(&rows, &sequential);
            prop_assert_eq!(asked, requests);
        }
    }

    #[test]
    fn what_is_left_can_be_read_by_another(
        rows in 0..300_u32,
        limit in 1..60_u64,
        taken in 0..320_usize,
        concurrency in 1..5_usize,
    ) {
        run(async {
            use futures_util::StreamExt;

            let server = Server::new(rows);
            let request = ListUsers::new().limit(limit);
            let mut pager = Pager::new(&server.client(), request).concurrency(concurrency);
            let mut read: Vec<_> = pager
                .items()
                .take(taken)
                .map(|user| crate::number(&user.expect("a user")))
                .collect()
                .await;
            let rest = pager.next_request();
            let here = pages(&mut pager).await.expect("the rest");
            let there = match rest {
                None => Vec::new(),
                Some(request) => pages(&mut Pager::new(&server.client(), request)).await.expect("it"),
            };
            assert_eq!(here, there);
            read.extend(there);
            assert_eq!(read, all(rows));
        });
    }
}
