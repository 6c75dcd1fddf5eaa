//! Lists that change while they are read, of each kind, with pages fetched ahead and without.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use idpflare_management::{
    ErrorKind, GetUserAuditLogs, ListApiKeys, ListUsers, Listing, Pager, QueryAuditLogs,
};
use proptest::prelude::*;
use serde::Serialize;

use crate::model::{Change, Server};
use crate::{items, number, pages, run};

pub(crate) fn twice(rows: &[u32]) -> Vec<u32> {
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
pub(crate) fn script(
    change: impl Strategy<Value = Change>,
) -> impl Strategy<Value = Vec<Vec<Change>>> {
    let changes = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(change, 1..4),
    ];
    prop::collection::vec(changes, 0..40)
}

/// How long requests take, so that they are answered in another order than they are sent in.
pub(crate) fn delays() -> impl Strategy<Value = Vec<Duration>> {
    prop::collection::vec((0..40_u64).prop_map(Duration::from_millis), 0..40)
}

fn anything() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => (0..60_u32).prop_map(Change::Insert),
        1 => (0..500_usize).prop_map(Change::Delete),
        1 => (0..500_usize).prop_map(Change::DeleteBefore),
        1 => (0..500_usize).prop_map(Change::DeleteBehind),
        1 => (1..120_u64).prop_map(Change::Clamp),
        2 => prop_oneof![0..400_u64, Just(u64::MAX)].prop_map(Change::Lie),
        1 => (1..100_u64).prop_map(Change::Understate),
        1 => Just(Change::Truth),
        1 => (0..60_u64).prop_map(Change::Skew),
        1 => Just(Change::Repeat),
    ]
}

/// The lists, which differ in what they tell and whether they can be frozen.
#[derive(Clone, Copy, Debug)]
pub(crate) enum List {
    Users,
    /// Without a total.
    ApiKeys,
    /// Newest first, and nothing can freeze it.
    LogOfUser,
}

pub(crate) fn list() -> impl Strategy<Value = List> {
    prop_oneof![
        Just(List::Users),
        Just(List::ApiKeys),
        Just(List::LogOfUser)
    ]
}

/// What a reader of a list has got, and what it was told instead of a page, in the end or before.
#[derive(Debug, Default)]
pub(crate) struct Read {
    pub(crate) rows: Vec<u32>,
    pub(crate) failures: u32,
}

impl List {
    /// Reads all of it, and goes on after errors as often as is told.
    pub(crate) async fn read(
        self,
        server: &Server,
        limit: Option<u64>,
        concurrency: usize,
        patience: u32,
    ) -> Read {
        async fn all<R: Listing<Row: Serialize>>(
            mut pager: Pager<R, Server>,
            patience: u32,
        ) -> Read {
            let mut read = Read::default();
            while read.failures <= patience {
                match pager.next_page().await {
                    Ok(None) => return read,
                    Ok(Some(page)) => read.rows.extend(page.rows.iter().map(number)),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::NoProgress);
                        read.failures += 1;
                    }
                }
            }
            read
        }
        let client = &server.client();
        match self {
            Self::Users => {
                let mut request = ListUsers::new();
                request.limit = limit;
                let pager = Pager::new(client, request).concurrency(concurrency);
                all(pager, patience).await
            }
            Self::ApiKeys => {
                let mut request = ListApiKeys::new();
                request.limit = limit;
                let pager = Pager::new(client, request).concurrency(concurrency);
                all(pager, patience).await
            }
            Self::LogOfUser => {
                let mut request = GetUserAuditLogs::new("usr_1");
                request.limit = limit;
                let pager = Pager::new(client, request).concurrency(concurrency);
                all(pager, patience).await
            }
        }
    }
}

/// That none came twice, and that all came that were there from the beginning.
pub(crate) fn assert_whole(read: &[u32], rows: u32) {
    assert_eq!(twice(read), [0_u32; 0], "once");
    let read: HashSet<_> = read.iter().copied().collect();
    for row in 0..rows {
        assert!(read.contains(&row), "{row} was there all the time");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn inserts_and_small_pages_lose_no_row_and_repeat_none(
        list in list(),
        rows in 0..300_u32,
        limit in 1..60_u64,
        concurrency in 1..6_usize,
        script in script(prop_oneof![
            (0..90_u32).prop_map(Change::Insert),
            (1..100_u64).prop_map(Change::Clamp),
        ]),
        delays in delays(),
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().script = script.into();
            server.model().delays = delays.into();
            let read = list.read(&server, Some(limit), concurrency, 1000).await;
            // The list of keys does not tell that it has grown, so what comes again is no progress
            // there; but behind it, it goes on.
            assert!(read.failures == 0 || matches!(list, List::ApiKeys));
            assert_whole(&read.rows, rows);
        });
    }

    #[test]
    fn a_log_that_is_frozen_does_not_move(
        rows in 0..300_u32,
        limit in 1..60_u64,
        concurrency in 1..6_usize,
        script in script(prop_oneof![
            (0..90_u32).prop_map(Change::Insert),
            (1..100_u64).prop_map(Change::Clamp),
        ]),
        delays in delays(),
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().script = script.into();
            server.model().delays = delays.into();
            let request = QueryAuditLogs::new().limit(limit);
            let mut pager = Pager::new(&server.client(), request).concurrency(concurrency);
            let read = items(&mut pager).await.expect("all entries");
            assert_eq!(read, (0..rows).rev().collect::<Vec<_>>());
            assert_eq!(pager.total(), Some(rows.into()));
        });
    }

    #[test]
    fn no_more_rows_are_missed_than_were_deleted_before_the_reader(
        list in list(),
        rows in 0..300_u32,
        limit in 1..60_u64,
        concurrency in 1..6_usize,
        script in script(prop_oneof![
            (0..500_usize).prop_map(Change::Delete),
            (0..500_usize).prop_map(Change::DeleteBefore),
            (0..30_u32).prop_map(Change::Insert),
        ]),
        delays in delays(),
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().script = script.into();
            server.model().delays = delays.into();
            // As many rows may be inserted as go, so that the total does not tell of them.
            let read = list.read(&server, Some(limit), concurrency, 50).await;
            assert!(read.failures < 50, "it goes on behind what repeats");
            assert_eq!(twice(&read.rows), [0_u32; 0]);
            let read: HashSet<_> = read.rows.into_iter().collect();
            let model = server.model();
            let missed = model.rows.iter().filter(|row| **row < rows && !read.contains(row));
            assert!(missed.count() <= model.deleted);
        });
    }

    #[test]
    fn what_is_deleted_behind_the_reader_has_no_other_missed(
        list in list(),
        rows in 0..300_u32,
        limit in 1..60_u64,
        script in script((0..500_usize).prop_map(Change::DeleteBehind)),
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().script = script.into();
            let read = list.read(&server, Some(limit), 1, 0).await;
            assert_eq!(read.failures, 0);
            let model = server.model();
            let left: Vec<_> = read.rows.iter().filter(|row| model.rows.contains(row)).collect();
            assert_eq!(left, model.rows.iter().collect::<Vec<_>>());
        });
    }

    #[test]
    fn it_always_ends_and_nothing_comes_twice(
        list in list(),
        rows in 0..200_u32,
        limit in prop::option::of(1..150_u64),
        concurrency in 1..6_usize,
        script in script(anything()),
        delays in delays(),
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().script = script.into();
            server.model().delays = delays.into();
            let read = list.read(&server, limit, concurrency, 4).await;
            assert_eq!(twice(&read.rows), [0_u32; 0]);
        });
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

#[tokio::test]
async fn a_list_that_always_grows_is_read_to_its_end_or_given_up() {
    // So many rows for each page of 10. Where there are more, it has no end.
    for (grows, ends) in [(1, true), (9, true), (10, false)] {
        let server = Server::new(200);
        server.model().always = Some(Change::Insert(grows));
        let read = List::LogOfUser.read(&server, Some(10), 1, 0).await;
        assert_eq!(read.failures == 0, ends, "{grows}");
        assert_eq!(twice(&read.rows), [0_u32; 0]);
        if ends {
            assert_whole(&read.rows, 200);
        }
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
