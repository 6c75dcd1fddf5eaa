//! Lists that change while they are read, and servers that get it wrong.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use idpflare_management::{ErrorKind, ListUsers, Pager};
use proptest::prelude::*;

use crate::model::{Change, Server};
use crate::{items, number, pages, run};

fn twice(rows: &[u32]) -> Vec<u32> {
    let mut times: HashMap<u32, u32> = HashMap::new();
    for row in rows {
        *times.entry(*row).or_default() += 1;
    }
    times
        .into_iter()
        .filter_map(|(row, times)| (times > 1).then_some(row))
        .collect()
}

/// What happens before each of many requests: mostly nothing.
fn script(change: impl Strategy<Value = Change>) -> impl Strategy<Value = Vec<Vec<Change>>> {
    let changes = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(change, 1..4),
    ];
    prop::collection::vec(changes, 0..40)
}

fn anything() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (0..60_u32).prop_map(Change::Insert),
        3 => (0..500_usize).prop_map(Change::Delete),
        1 => (1..120_u64).prop_map(Change::Clamp),
        2 => prop_oneof![0..400_u64, Just(u64::MAX)].prop_map(Change::Lie),
        1 => Just(Change::Truth),
        1 => (0..60_u64).prop_map(Change::Skew),
        1 => Just(Change::Repeat),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn inserts_lose_no_row_and_repeat_none(
        rows in 0..300_u32,
        limit in 1..60_u64,
        concurrency in 1..6_usize,
        script in script(prop_oneof![
            (0..90_u32).prop_map(Change::Insert),
            (1..100_u64).prop_map(Change::Clamp),
        ]),
        delays in prop::collection::vec(0..40_u64, 0..40),
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().script = script.into();
            server.model().delays = delays.into_iter().map(Duration::from_millis).collect();
            let request = ListUsers::new().limit(limit);
            let mut pager = Pager::new(&server.client(), request).concurrency(concurrency);
            let read = items(&mut pager).await.expect("all rows");
            assert_eq!(twice(&read), [0_u32; 0]);
            let read: HashSet<_> = read.into_iter().collect();
            for row in 0..rows {
                assert!(read.contains(&row), "{row} was there all the time");
            }
        });
    }

    #[test]
    fn no_more_rows_are_missed_than_were_deleted(
        rows in 0..300_u32,
        limit in 1..60_u64,
        script in script(prop_oneof![
            (0..500_usize).prop_map(Change::Delete),
            (0..30_u32).prop_map(Change::Insert),
        ]),
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().script = script.into();
            let request = ListUsers::new().limit(limit);
            let mut pager = Pager::new(&server.client(), request);
            let mut read = HashSet::new();
            let mut failures = 0;
            loop {
                match pager.next_page().await {
                    Ok(None) => break,
                    Ok(Some(page)) => {
                        for user in &page.rows {
                            assert!(read.insert(number(user)), "once");
                        }
                    }
                    // As many rows were inserted as went, so the total does not tell of them.
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::NoProgress);
                        failures += 1;
                        assert!(failures < 50, "it goes on behind what repeats");
                    }
                }
            }
            let model = server.model();
            let missed = model.rows.iter().filter(|row| **row < rows && !read.contains(row));
            assert!(missed.count() <= model.deleted);
        });
    }

    #[test]
    fn it_always_ends_and_nothing_comes_twice(
        rows in 0..200_u32,
        limit in prop::option::of(1..150_u64),
        concurrency in 1..6_usize,
        script in script(anything()),
        delays in prop::collection::vec(0..40_u64, 0..40),
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().script = script.into();
            server.model().delays = delays.into_iter().map(Duration::from_millis).collect();
            let mut request = ListUsers::new();
            request.limit = limit;
            let mut pager = Pager::new(&server.client(), request).concurrency(concurrency);
            let mut read = Vec::new();
            let mut failures = 0;
            while failures < 5 {
                match pager.next_page().await {
                    Ok(None) => break,
                    Ok(Some(page)) => read.extend(page.rows.iter().map(number)),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::NoProgress);
                        failures += 1;
                    }
                }
                // Each row may cost a page, and each page may be fetched twice.
                assert!(server.model().requests.len() < 40_000);
            }
            assert_eq!(twice(&read), [0_u32; 0]);
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
async fn a_burst_of_new_rows_is_read_over() {
    for concurrency in [1, 3] {
        let server = Server::new(400);
        let mut script = vec![vec![]; 30];
        script.push(vec![Change::Insert(200)]);
        server.model().script = script.into();
        let request = ListUsers::new().limit(10);
        let mut pager = Pager::new(&server.client(), request).concurrency(concurrency);
        // 20 pages of it had been read before.
        let read = pages(&mut pager).await.expect("all that was there");
        assert_eq!(read, (0..400).rev().collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_page_ahead_that_is_of_an_older_list_is_not_taken() {
    let server = Server::new(100);
    // The third page is answered before the second one, and rows come in between.
    server.model().delays = [0, 30, 10].map(Duration::from_millis).into();
    server.model().script = vec![vec![], vec![], vec![Change::Insert(5)]].into();
    let request = ListUsers::new().limit(10);
    let mut pager = Pager::new(&server.client(), request).concurrency(3);
    let read = pages(&mut pager).await.expect("all that was there");
    assert_eq!(read, (0..100).rev().collect::<Vec<_>>());
    let model = server.model();
    let asked: Vec<_> = model
        .requests
        .iter()
        .filter_map(|(offset, _)| *offset)
        .collect();
    assert_eq!(asked[..3], [30, 20, 10], "in the order of the answers");
    assert_eq!(asked[3..6], [10, 20, 30], "once more");
}

#[tokio::test]
async fn what_was_deleted_moves_others_past_the_reader() {
    let server = Server::new(30);
    let first_is_gone = vec![Change::Delete(0)];
    server.model().script = vec![vec![], first_is_gone].into();
    let mut pager = Pager::new(&server.client(), ListUsers::new().limit(10));
    let read = pages(&mut pager).await.expect("pages");
    // The eleventh row has become the tenth: this is what can't be promised.
    let expected: Vec<_> = (0..30).rev().filter(|row| *row != 19).collect();
    assert_eq!(read, expected);
}
