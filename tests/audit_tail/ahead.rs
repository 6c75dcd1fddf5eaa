//! Entries that are dated ahead of the server's time, and servers whose clocks are wrong.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::StreamExt;
use idpflare_management::workflows::{AuditCheckpoint, AuditTail, AuditTailEvent};
use idpflare_management::{QueryAuditLogs, Timestamp};

use crate::model::{Change, Server};
use crate::{at, numbers, tail};

/// The first millisecond of the year 2100.
pub(crate) const YEAR_2100: i64 = 4_102_444_800_000;

pub(crate) const MANY: u32 = 70_000;

/// What a tail has to say until it has caught up.
#[derive(Default)]
pub(crate) struct Heard {
    /// How often each entry came.
    pub(crate) entries: HashMap<u32, usize>,
    /// The reports of entries that are dated ahead: how many, and from when on they are left.
    pub(crate) ahead: Vec<(usize, Option<i64>)>,
    pub(crate) checkpoint: AuditCheckpoint,
}

pub(crate) async fn hear(tail: &mut AuditTail<Server>) -> Heard {
    let mut heard = Heard::default();
    loop {
        let event = tokio::time::timeout(Duration::from_secs(3600), tail.next()).await;
        match event.expect("it goes on").expect("for ever").expect("well") {
            AuditTailEvent::Entries(batch) => {
                for number in numbers(&batch) {
                    *heard.entries.entry(number).or_default() += 1;
                }
            }
            AuditTailEvent::DatedAhead {
                entries, left_from, ..
            } => heard
                .ahead
                .push((entries, left_from.map(Timestamp::as_millisecond))),
            AuditTailEvent::CaughtUp { checkpoint } => {
                heard.checkpoint = checkpoint;
                return heard;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A server whose clock is that of this machine, with ten entries, and its time.
pub(crate) fn server(tells_time: bool) -> (Server, i64) {
    let server = Server::new();
    let now = Timestamp::now().as_millisecond();
    let mut model = server.model();
    model.now = now - 10_000;
    model.make(10, 1000);
    model.date = tells_time.then_some(now);
    drop(model);
    (server, now)
}

#[tokio::test(start_paused = true)]
async fn entries_that_are_dated_ahead_do_not_blind_it_however_many_there_are() {
    for (tells_time, many, remembered, every) in [
        (true, 3000, 1000, 0),
        (true, 3000, 1000, 50_000_000),
        (true, MANY, 1000, 1),
        (false, MANY, 65_536, 1),
    ] {
        let case = format!("{tells_time}, {every}");
        let (server, now) = server(tells_time);
        let first = server.model().insert(YEAR_2100);
        for number in 1..many {
            let place = YEAR_2100 + i64::from(number) * every;
            server.model().insert(place);
        }
        let mut first_tail = tail(&server).from_beginning();
        let heard = hear(&mut first_tail).await;
        assert_eq!(heard.entries.len(), 10 + many as usize, "{case}");
        assert!(heard.entries.values().all(|times| *times == 1), "{case}");
        let left = YEAR_2100 + remembered * every;
        assert_eq!(heard.ahead, [(many as usize, Some(left))], "{case}");
        let reads_from = heard.checkpoint.reads_from().expect("a time");
        let read_at = if tells_time {
            at(now)
        } else {
            Timestamp::now()
        };
        let behind = read_at.as_millisecond() - reads_from.as_millisecond();
        assert!(behind >= 30_000, "{case}: {behind}");
        let watermark = heard.checkpoint.watermark().expect("a time");
        assert!(watermark <= Timestamp::now().max(at(now + 999)), "{case}");
        assert!(heard.checkpoint.known() <= 65_536 + 10, "{case}");

        // A later one comes, whether or not the server is repaired, and in another process too.
        let later = server.model().insert(now);
        let heard_later = hear(&mut first_tail).await;
        assert_eq!(heard_later.entries, HashMap::from([(later, 1)]), "{case}");
        assert!(heard_later.ahead.is_empty(), "it is reported once");
        server.model().log.retain(|(_, number)| *number < first);
        let repaired = server.model().insert(now + 1);
        let json = serde_json::to_string(&heard.checkpoint).expect("JSON");
        let checkpoint = serde_json::from_str(&json).expect("a checkpoint");
        let mut other = tail(&server).from_checkpoint(checkpoint);
        for tail in [&mut first_tail, &mut other] {
            let heard = hear(tail).await;
            assert_eq!(heard.entries, HashMap::from([(repaired, 1)]), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_read_when_its_time_has_come() {
    let (server, now) = server(true);
    let ahead = now + 3_600_000;
    for number in 0..2500 {
        server.model().insert(ahead + number);
    }
    let mut tail = tail(&server).from_beginning();
    let heard = hear(&mut tail).await;
    assert_eq!(heard.entries.len(), 2510);
    assert_eq!(heard.ahead, [(2500, Some(ahead + 1000))]);
    server.model().queries.clear();
    let is_quiet = tokio::time::timeout(Duration::from_secs(60), tail.next()).await;
    assert!(is_quiet.is_err());
    let left = format!("end_date={}", ahead + 1000);
    let queries = server.model().queries.clone();
    let asks_no_more = |query: &String| query.contains("end_date=");
    assert!(queries.iter().all(asks_no_more), "{queries:?}");
    assert!(queries.iter().any(|query| query.contains(&left)));

    server.model().date = Some(ahead + 10_000);
    let new = server.model().insert(ahead + 2000);
    let heard = hear(&mut tail).await;
    assert_eq!(heard.entries.len(), 1501, "those that were left once more");
    assert!(heard.entries.contains_key(&new));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_is_read_also_where_nothing_has_come_before() {
    let server = Server::new();
    let now = Timestamp::now().as_millisecond();
    server.model().date = Some(now);
    let ahead = now + 3_600_000;
    for number in 0..2500 {
        server.model().insert(ahead + number);
    }
    let mut first = tail(&server).from_beginning();
    let heard = hear(&mut first).await;
    assert_eq!(heard.ahead, [(2500, Some(ahead + 1000))]);

    server.model().log.clear();
    server.model().date = Some(ahead + 10_000);
    let new = server.model().insert(ahead + 5000);
    let heard_later = hear(&mut first).await;
    assert_eq!(heard_later.entries, HashMap::from([(new, 1)]));
    // One that reads only once is not done before.
    let other = tail(&server).from_checkpoint(heard.checkpoint);
    let heard = hear(&mut other.until_caught_up()).await;
    assert_eq!(heard.entries, HashMap::from([(new, 1)]));
}

/// Both what it dates and its `Date` were of the year 2100.
#[tokio::test(start_paused = true)]
async fn it_goes_back_with_the_clock_of_a_server() {
    let (server, now) = server(true);
    let mut tail = tail(&server).from_beginning();
    hear(&mut tail).await;
    server.model().date = Some(YEAR_2100 + 1_000_000);
    for number in 0..MANY {
        server.model().insert(YEAR_2100 + i64::from(number));
    }
    let heard = hear(&mut tail).await;
    assert_eq!(heard.entries.len(), MANY as usize);
    assert!(heard.checkpoint.reads_from() > Some(at(YEAR_2100)));

    server.model().date = Some(now + 5000);
    let repaired = server.model().insert(now + 4000);
    let heard = hear(&mut tail).await;
    assert_eq!(heard.entries.get(&repaired), Some(&1));
    assert!(heard.checkpoint.watermark() < Some(at(YEAR_2100)));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_lies_ahead_stays_where_it_is() {
    let (server, now) = server(true);
    let ahead = server.model().insert(YEAR_2100);
    let mut tail = tail(&server).from_time(at(YEAR_2100));
    assert_eq!(hear(&mut tail).await.entries, HashMap::from([(ahead, 1)]));
    server.model().insert(now);
    let is_quiet = tokio::time::timeout(Duration::from_secs(300), tail.next()).await;
    assert!(is_quiet.is_err());
}

#[tokio::test(start_paused = true)]
async fn no_server_makes_it_wait_for_good() {
    for asked in [
        "31536000",
        "99999999999999999999999",
        "Fri, 31 Dec 9999 23:59:59 GMT",
    ] {
        let (server, now) = server(true);
        server.model().retry_after = asked;
        server.model().script = vec![vec![Change::Fail(429)]; 3].into();
        let started = tokio::time::Instant::now();
        let query = QueryAuditLogs::new();
        let mut tail = AuditTail::new(&server.client(), query).from_time(at(now));
        let mut read = 0;
        while read == 0 {
            match tail.next().await.expect("it goes on").expect("well") {
                AuditTailEvent::Retrying { wait, .. } => {
                    assert!(wait <= Duration::from_secs(15 * 60), "{asked}: {wait:?}");
                }
                AuditTailEvent::Entries(batch) => read += batch.entries.len(),
                _ => {}
            }
        }
        let took = started.elapsed();
        assert!(took <= Duration::from_secs(46 * 60), "{asked}: {took:?}");
    }
}
