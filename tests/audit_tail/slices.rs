//! Logs that have much to tell, and servers that get it wrong.

use std::collections::HashSet;

use futures_util::StreamExt;
use idpflare_management::workflows::AuditTail;
use idpflare_management::{ErrorKind, QueryAuditLogs};

use crate::model::{START, Server};
use crate::{at, caught_up, next_batch, numbers, tail};

#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_entries_are_read_in_small_batches() {
    // In bursts: a thousand within a second, then nothing for a day.
    let server = Server::new();
    for _ in 0..100 {
        let mut model = server.model();
        model.make(1000, 1);
        model.now += 24 * 60 * 60 * 1000;
    }
    let mut tail = tail(&server).from_beginning();
    let mut next = 0;
    while let Some(batch) = next_batch(&mut tail).await.expect("entries") {
        assert!(batch.entries.len() <= 1100, "{}", batch.entries.len());
        assert!(batch.checkpoint.known() <= 1100);
        for number in numbers(&batch) {
            assert_eq!(number, next, "each once, in order");
            next += 1;
        }
    }
    assert_eq!(next, 100_000);
    let requests = server.model().requests;
    assert!(requests < 2000, "{requests} requests for 1000 pages");
}

#[tokio::test(start_paused = true)]
async fn a_millisecond_that_has_too_much_is_read_page_by_page() {
    let server = Server::with(150, 1000);
    server.model().make(3000, 0);
    server.model().make(120, 1000);
    let mut tail = tail(&server).from_beginning();
    let mut seen = HashSet::new();
    let mut last = 0;
    while let Some(batch) = next_batch(&mut tail).await.expect("entries") {
        assert!(batch.entries.len() <= 1100);
        let first = batch.entries[0].created_at.as_millisecond();
        assert!(last <= first, "the batches are in order, too");
        last = batch.entries[batch.entries.len() - 1]
            .created_at
            .as_millisecond();
        for number in numbers(&batch) {
            assert!(seen.insert(number), "{number} once");
        }
    }
    assert_eq!(seen.len(), 3270);
}

#[tokio::test(start_paused = true)]
async fn bounds_may_be_included_or_not() {
    for bounds in [(true, true), (true, false), (false, true), (false, false)] {
        let server = Server::with(5000, 1);
        server.model().bounds = bounds;
        let mut tail = tail(&server).from_time(at(START + 101));
        let read = caught_up(&mut tail).await.expect("entries");
        assert_eq!(read, (100..5000).collect::<Vec<_>>(), "{bounds:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn totals_that_are_not_so_lose_nothing() {
    for lie in [0, 1, 99, 1001, 4000, u64::MAX] {
        let server = Server::with(3500, 20);
        server.model().lie = Some(lie);
        let mut tail = tail(&server).from_beginning();
        let read = caught_up(&mut tail).await.expect("entries");
        assert_eq!(read, (0..3500).collect::<Vec<_>>(), "{lie}");
        let requests = server.model().requests;
        assert!(requests < 500, "{lie}: {requests} requests");
    }
}

#[tokio::test(start_paused = true)]
async fn smaller_pages_than_asked_for_are_taken() {
    let server = Server::with(2500, 20);
    server.model().clamp = 7;
    let mut tail = tail(&server).from_beginning();
    let read = caught_up(&mut tail).await.expect("entries");
    assert_eq!(read, (0..2500).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_ignores_dates_is_no_endless_loop() {
    // What is short can be sorted out here.
    let server = Server::with(300, 1000);
    server.model().ignores_dates = true;
    let mut short = tail(&server).from_time(at(START + 200_001));
    let read = caught_up(&mut short).await.expect("entries");
    assert_eq!(read, (200..300).collect::<Vec<_>>());

    server.model().make(5000, 1000);
    let mut long = tail(&server).from_beginning();
    let error = caught_up(&mut long).await.expect_err("it can't be cut");
    assert_eq!(error.kind(), ErrorKind::NoProgress);
    assert_eq!(
        error.to_string(),
        "queryAuditLogs failed: the entries are not those between start_date and end_date"
    );
    assert!(server.model().requests < 50);
}

#[tokio::test(start_paused = true)]
async fn a_time_range_is_read_once() {
    let server = Server::with(5000, 10);
    let client = server.client();
    let range = QueryAuditLogs::new()
        .start_date(at(START + 10_010))
        .end_date(at(START + 40_000))
        .limit(50)
        .offset(70);
    let mut tail = AuditTail::new(&client, range);
    let read = caught_up(&mut tail).await.expect("entries");
    assert_eq!(read, (1000..4000).collect::<Vec<_>>());
    assert!(tail.next().await.is_none(), "its end has passed long ago");
    let model = server.model();
    assert!(model.queries.iter().all(|query| query.contains("limit=50")));
}
