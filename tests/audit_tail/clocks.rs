//! Servers whose clocks are wrong, and proxies whose clocks differ.

use std::collections::HashMap;

use idpflare_management::workflows::AuditTail;

use crate::ahead::{MANY, YEAR_2100, hear, server};
use crate::at;
use crate::model::Server;

const HOUR: i64 = 3_600_000;

/// A tail that starts behind the entries that the log has, in one of the ways that there are.
async fn behind_all(server: &Server, from_checkpoint: bool) -> AuditTail<Server> {
    if !from_checkpoint {
        let mut tail = crate::tail(server).from_now();
        assert!(hear(&mut tail).await.entries.is_empty());
        return tail;
    }
    let mut first = crate::tail(server).from_beginning();
    let checkpoint = hear(&mut first).await.checkpoint;
    let json = serde_json::to_string(&checkpoint).expect("JSON");
    let checkpoint = serde_json::from_str(&json).expect("a checkpoint");
    crate::tail(server).from_checkpoint(checkpoint)
}

/// Adds entries that are too old to be read again.
fn add_old(server: &Server, now: i64) {
    for number in 0..500 {
        server.model().insert(now - HOUR - number);
    }
}

#[tokio::test(start_paused = true)]
async fn one_wrong_date_repeats_nothing() {
    for from_checkpoint in [false, true] {
        let (server, now) = server(true);
        add_old(&server, now);
        let mut tail = behind_all(&server, from_checkpoint).await;
        for number in 0..3 {
            let new = server.model().insert(now + number);
            server.model().next_dates = [0].into();
            let heard = hear(&mut tail).await;
            assert_eq!(heard.entries, HashMap::from([(new, 1)]));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_clocks_that_alternate_repeat_nothing_and_let_it_rest() {
    let (server, now) = server(true);
    add_old(&server, now);
    let alternating = || [now, now - 2 * HOUR].into_iter().cycle().take(5000);
    server.model().next_dates = alternating().collect();
    let mut tail = crate::tail(&server).from_beginning();
    let heard = hear(&mut tail).await;
    assert_eq!(heard.entries.len(), 510);
    assert!(heard.entries.values().all(|times| *times == 1));
    for number in 0..10 {
        let new = server.model().insert(now + number);
        let heard = hear(&mut tail).await;
        assert_eq!(heard.entries, HashMap::from([(new, 1)]));
    }
}

/// Its `Date` is that of a proxy, perhaps, while entries have the time of the database.
#[tokio::test(start_paused = true)]
async fn a_date_that_is_behind_neither_delays_nor_repeats_entries() {
    let (server, now) = server(true);
    server.model().date = Some(now - 2 * HOUR);
    for number in 0..3000 {
        server.model().insert(now - HOUR + number);
    }
    let mut tail = crate::tail(&server).from_beginning();
    let heard = hear(&mut tail).await;
    assert_eq!(heard.entries.len(), 3010);
    assert!(heard.entries.values().all(|times| *times == 1));
    assert!(heard.ahead.is_empty(), "{:?}", heard.ahead);
    let new = server.model().insert(now - 1);
    let heard = hear(&mut tail).await;
    assert_eq!(heard.entries, HashMap::from([(new, 1)]));
}

/// The clock was of the year 2100, and then of 1970.
#[tokio::test(start_paused = true)]
async fn it_never_goes_back_behind_its_start() {
    for from_checkpoint in [false, true] {
        let (server, now) = server(true);
        add_old(&server, now);
        let mut tail = behind_all(&server, from_checkpoint).await;
        server.model().date = Some(YEAR_2100 + 1_000_000);
        for number in 0..MANY {
            server.model().insert(YEAR_2100 + i64::from(number));
        }
        let heard = hear(&mut tail).await;
        assert!(heard.checkpoint.reads_from() > Some(at(YEAR_2100)));

        server.model().date = Some(0);
        let new = server.model().insert(now + 1);
        let heard = hear(&mut tail).await;
        assert!(heard.entries.contains_key(&new));
        // Of those from before, the newest ten are within the overlap.
        let old = (10..510).filter(|number| heard.entries.contains_key(number));
        assert_eq!(old.count(), 0, "from a checkpoint: {from_checkpoint}");
    }
}
