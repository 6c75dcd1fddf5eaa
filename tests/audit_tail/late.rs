//! Entries that appear later than those that were made after them, and other changes.

use std::collections::HashSet;
use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use idpflare_management::workflows::{AuditTail, AuditTailEvent};
use idpflare_management::{QueryAuditLogs, Timestamp};
use proptest::prelude::*;

use crate::model::{Change, Server};
use crate::{at, caught_up, is_quiet, numbers, run, tail};

#[tokio::test(start_paused = true)]
async fn what_is_late_is_found_within_the_overlap() {
    let server = Server::with(10, 1000);
    let mut tail = tail(&server).from_beginning();
    assert_eq!(caught_up(&mut tail).await.expect("entries").len(), 10);

    let now = server.model().now;
    let late = server.model().insert(now - 30_000);
    let newest = server.model().insert(now);
    assert_eq!(caught_up(&mut tail).await.expect("entries"), [late, newest]);
    server.model().insert(now - 30_001);
    assert!(is_quiet(&mut tail).await, "that is later than promised");
}

#[tokio::test(start_paused = true)]
async fn nothing_comes_twice_however_often_the_overlap_is_read() {
    let server = Server::with(500, 50);
    let mut tail = tail(&server).from_beginning();
    assert_eq!(caught_up(&mut tail).await.expect("entries").len(), 500);
    let before = server.model().requests;
    assert!(is_quiet(&mut tail).await);
    let asked = server.model().requests - before;
    // 300 s in waits of 2, 4, 8, 16, 30, 30, … with five pages each.
    assert!((50..=75).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_dated_ahead_hides_no_others() {
    let server = Server::new();
    let now = Timestamp::now().as_millisecond();
    server.model().insert(now + 24 * 60 * 60 * 1000);
    let mut tail = tail(&server).from_beginning();
    assert_eq!(caught_up(&mut tail).await.expect("entries"), [0]);
    server.model().insert(now);
    assert_eq!(caught_up(&mut tail).await.expect("entries"), [1]);
}

#[tokio::test(start_paused = true)]
async fn without_an_overlap_the_same_millisecond_is_read_again() {
    let server = Server::with(3, 0);
    let mut tail = tail(&server).overlap(Duration::ZERO).from_beginning();
    assert_eq!(caught_up(&mut tail).await.expect("entries"), [0, 1, 2]);
    server.model().make(1, 0);
    assert_eq!(caught_up(&mut tail).await.expect("entries"), [3]);
}

#[tokio::test(start_paused = true)]
async fn an_end_to_come_is_waited_for() {
    let server = Server::new();
    let now = Timestamp::now().as_millisecond();
    server.model().insert(now);
    let end = at(now + 60_000);
    let mut tail = tail(&server).from_beginning().until(end);
    let started = tokio::time::Instant::now();
    assert_eq!(caught_up(&mut tail).await.expect("entries"), [0]);
    server.model().insert(now + 60_000);
    server.model().insert(now + 60_001);
    assert_eq!(caught_up(&mut tail).await.expect("entries"), [1]);
    assert!(tail.next().await.is_none());
    let took = started.elapsed().as_secs();
    assert!((80..100).contains(&took), "the overlap, too: {took}");
}

#[test]
fn nothing_is_sent_before_it_is_asked_for() {
    let server = Server::with(1, 1);
    let tail = tail(&server);
    fn is_send<T: Send + Unpin>(_: &T) {}
    is_send(&tail);
    assert_eq!(
        format!("{tail:?}"),
        "AuditTail { progress: AuditCheckpoint { reads_from: None, watermark: None, known: 0 }, \
         has_ended: false, .. }"
    );
    drop(tail);
    assert_eq!(server.model().requests, 0);
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (0..3000_i64).prop_map(Change::Make),
        3 => (0..=30_000_i64).prop_map(Change::Late),
        1 => prop_oneof![Just(429), Just(503), Just(520)].prop_map(Change::Fail),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn nothing_is_lost_and_nothing_comes_twice(
        entries in prop_oneof![3 => 0..50_u32, 1 => 1000..1600_u32],
        every in 0..400_i64,
        limit in 40..120_u64,
        script in prop::collection::vec(prop::collection::vec(change(), 0..6), 0..60),
        waits in prop::collection::vec(0..4000_u64, 0..40),
    ) {
        run(async {
            let server = Server::with(entries, every);
            server.model().script = script.into();
            let query = QueryAuditLogs::new().limit(limit);
            let mut tail = AuditTail::new(&server.client(), query).from_beginning();
            let mut read = HashSet::new();
            // Futures that are dropped half-way lose nothing.
            for wait in waits {
                let wait = Duration::from_millis(wait);
                if let Ok(Some(event)) = tokio::time::timeout(wait, tail.next()).await
                    && let AuditTailEvent::Entries(batch) = event.expect("it goes on")
                {
                    crate::assert_in_order(&batch);
                    assert!(batch.entries.len() <= 1120);
                    for number in numbers(&batch) {
                        assert!(read.insert(number), "{number} once");
                    }
                }
            }
            while !is_quiet_now(&mut tail, &mut read).await || !server.model().script.is_empty() {}
            let model = server.model();
            for (at, number) in &model.log {
                assert!(read.contains(number), "{number} of {at} is lost");
            }
            assert_eq!(read.len(), model.log.len());
        });
    }
}

/// Whether nothing more comes; what does is read.
async fn is_quiet_now(tail: &mut AuditTail<Server>, read: &mut HashSet<u32>) -> bool {
    let mut is_quiet = true;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::from_secs(100), tail.next()).await {
        if let AuditTailEvent::Entries(batch) = event.expect("it goes on") {
            is_quiet = false;
            for number in numbers(&batch) {
                assert!(read.insert(number), "{number} once");
            }
        }
    }
    is_quiet
}

#[test]
fn a_tail_can_be_polled_by_hand() {
    let server = Server::with(1, 1);
    run(async {
        let mut tail = tail(&server).from_beginning();
        assert!(tail.next().now_or_never().is_none(), "the reply takes time");
        assert_eq!(caught_up(&mut tail).await.expect("entries"), [0]);
    });
}
