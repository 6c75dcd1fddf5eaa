//! Entries that can't be decoded.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use futures_util::StreamExt;
use idpflare_management::workflows::{AuditCheckpoint, AuditTail, AuditTailEvent};
use idpflare_management::{DecodeError, Error, ErrorKind, QueryAuditLogs};
use proptest::prelude::*;

use crate::model::{Change, Damage, Server};
use crate::{is_quiet, numbers, run, tail};

const DAMAGES: [Damage; 4] = [Damage::Rest, Damage::Time, Damage::Id, Damage::All];

/// The JSON of the entry that an error is about.
fn raw(error: &Error) -> String {
    let raw = error.decode_error().and_then(DecodeError::raw_row);
    raw.expect("it is about one entry").to_owned()
}

/// What a tail tells until it has caught up.
#[derive(Debug, Default)]
struct Told {
    entries: Vec<u32>,
    undecoded: Vec<String>,
    checkpoints: Vec<AuditCheckpoint>,
}

async fn told(tail: &mut AuditTail<Server>) -> Told {
    let mut told = Told::default();
    loop {
        let hour = Duration::from_secs(60 * 60);
        let event = tokio::time::timeout(hour, tail.next()).await;
        match event.expect("what is awaited comes") {
            Some(Ok(AuditTailEvent::Entries(batch))) => {
                told.entries.extend(numbers(&batch));
                told.checkpoints.push(batch.checkpoint);
            }
            Some(Ok(AuditTailEvent::CaughtUp { checkpoint })) => {
                told.checkpoints.push(checkpoint);
                return told;
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => told.undecoded.push(raw(&error)),
            None => return told,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn otherwise_it_is_the_end() {
    let server = Server::with(10, 1000);
    server.model().damaged.insert(5, Damage::Rest);
    let mut tail = tail(&server).from_beginning();
    let Some(Err(error)) = tail.next().await else {
        panic!("it can't be decoded");
    };
    assert_eq!(error.kind(), ErrorKind::Decode);
    assert_eq!(error.decode_error().and_then(DecodeError::raw_row), None);
    assert!(tail.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn it_is_told_once_and_what_comes_behind_goes_on() {
    for damage in DAMAGES {
        // The oldest, one in the middle, and the newest.
        for number in [0, 5, 9] {
            let server = Server::with(10, 10_000);
            let at = server.model().log[number as usize].0;
            server.model().damaged.insert(number, damage);
            let mut tail = tail(&server).from_beginning().lenient();
            let first = told(&mut tail).await;
            let others: Vec<_> = (0..10).filter(|other| *other != number).collect();
            assert_eq!(first.entries, others, "{damage:?} {number}");
            assert_eq!(first.undecoded, [damage.text(at, number)]);

            // The log is read again and again, at first with it and later without.
            assert!(is_quiet(&mut tail).await, "{damage:?} {number}");
            for next in 10..20 {
                server.model().make(1, 9_000);
                let more = told(&mut tail).await;
                assert_eq!((more.entries, more.undecoded), (vec![next], vec![]));
            }
            let last = told(
                &mut AuditTail::new(&server.client(), QueryAuditLogs::new())
                    .from_checkpoint(first.checkpoints[0].clone())
                    .lenient(),
            )
            .await;
            assert_eq!(last.entries, (10..20).collect::<Vec<_>>());
            assert_eq!(last.undecoded, [""; 0]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn its_place_is_named() {
    let server = Server::with(10, 1000);
    server.model().damaged.insert(5, Damage::Time);
    let mut tail = tail(&server).from_beginning().lenient();
    let Some(Err(error)) = tail.next().await else {
        panic!("it comes before the batch that it belongs to");
    };
    assert_eq!(error.kind(), ErrorKind::Decode);
    let decode = error.decode_error().expect("of decoding");
    assert_eq!(decode.path(), Some("entries[4].created_at"));
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_before_it_has_it_told_again_and_one_behind_it_does_not() {
    for damage in DAMAGES {
        let server = Server::with(3, 1000);
        let mut first = tail(&server).from_beginning().lenient();
        let before = told(&mut first).await.checkpoints.pop().expect("one");
        server.model().damaged.insert(3, damage);
        server.model().make(1, 1000);
        // Nothing but it is new, and it has a checkpoint all the same.
        let it = told(&mut first).await;
        assert_eq!((it.entries.len(), it.undecoded.len()), (0, 1), "{damage:?}");
        let behind = it.checkpoints.last().expect("one");

        for (checkpoint, times) in [(&before, 1), (behind, 0)] {
            let json = serde_json::to_string(checkpoint).expect("JSON");
            let kept: AuditCheckpoint = serde_json::from_str(&json).expect("a checkpoint");
            assert_eq!(*checkpoint, kept);
            let mut tail = tail(&server).from_checkpoint(kept).lenient();
            let again = told(&mut tail).await;
            assert_eq!(again.undecoded.len(), times, "{damage:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn once_it_can_be_decoded_it_comes_as_an_entry() {
    let server = Server::with(3, 1000);
    server.model().damaged.insert(1, Damage::Rest);
    let mut first = tail(&server).from_beginning().lenient();
    let checkpoint = told(&mut first).await.checkpoints.pop().expect("one");
    server.model().damaged.clear();
    let mut second = tail(&server).from_checkpoint(checkpoint);
    assert_eq!(told(&mut second).await.entries, [1]);
}

#[tokio::test(start_paused = true)]
async fn from_now_on_those_that_were_there_are_not_told() {
    for damage in DAMAGES {
        let server = Server::with(300, 50);
        let damaged = (150..300).map(|number| (number, damage));
        server.model().damaged = damaged.collect();
        // Before the reading that comes after the first pages, up to one that says when.
        let pages = if matches!(damage, Damage::Time | Damage::All) {
            2
        } else {
            1
        };
        let mut script = vec![vec![]; pages];
        script.push(vec![Change::Make(0)]);
        server.model().script = script.into();
        server.model().damaged.insert(300, damage);
        let mut tail = tail(&server).from_now().lenient();
        let first = told(&mut tail).await;
        assert_eq!(first.entries, [0; 0]);
        let at = server.model().now;
        let new = damage.text(at, 300);
        assert_eq!(first.undecoded, [new], "{damage:?}");
        server.model().make(1, 0);
        assert_eq!(told(&mut tail).await.entries, [301]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_log_of_nothing_else_ends_too() {
    for damage in DAMAGES {
        let server = Server::with(2500, 1);
        let damaged = (0..2500).map(|number| (number, damage));
        server.model().damaged = damaged.collect();
        let mut tail = tail(&server).from_beginning().lenient();
        let all = told(&mut tail).await;
        assert_eq!(all.undecoded.len(), 2500, "{damage:?}");
        assert!(is_quiet(&mut tail).await, "{damage:?}");
        let requests = server.model().requests;
        assert!(requests < 600, "{requests}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Each process is gone after some items; of the last one, nobody knows what was dealt with.
    #[test]
    fn nothing_is_lost_over_processes_and_nothing_comes_twice_in_one(
        entries in prop_oneof![5 => 0..150_u32, 1 => 1000..1600_u32],
        every in 0..600_i64,
        limit in 40..120_u64,
        damaged in prop::collection::hash_map(
            0..250_u32,
            prop::sample::select(&DAMAGES[..]),
            0..60,
        ),
        script in prop::collection::vec(
            prop::collection::vec(
                prop_oneof![
                    6 => (0..3000_i64).prop_map(Change::Make),
                    3 => (0..=30_000_i64).prop_map(Change::Late),
                    1 => prop_oneof![Just(429), Just(503)].prop_map(Change::Fail),
                ],
                0..4,
            ),
            0..40,
        ),
        lives in prop::collection::vec((1..12_usize, any::<bool>()), 0..8),
    ) {
        run(async {
            let server = Server::with(entries, every);
            server.model().damaged = damaged.clone();
            server.model().script = script.into();
            let mut checkpoint = AuditCheckpoint::default();
            let mut read = HashSet::new();
            let mut undecoded: HashMap<String, u32> = HashMap::new();
            let lives = lives.into_iter().chain([(usize::MAX, false)]);
            for (items, is_lost) in lives {
                let query = QueryAuditLogs::new().limit(limit);
                let mut tail = AuditTail::new(&server.client(), query)
                    .from_checkpoint(checkpoint.clone())
                    .lenient();
                let mut here = HashSet::new();
                for _ in 0..items {
                    let minutes = Duration::from_secs(200);
                    let Ok(event) = tokio::time::timeout(minutes, tail.next()).await else {
                        if server.model().script.is_empty() {
                            break;
                        }
                        continue;
                    };
                    match event.expect("it goes on") {
                        Err(error) => {
                            let raw = raw(&error);
                            assert!(here.insert(raw.clone()), "{raw} once");
                            *undecoded.entry(raw).or_default() += 1;
                        }
                        Ok(AuditTailEvent::Entries(batch)) => {
                            crate::assert_in_order(&batch);
                            let are_new: Vec<_> = numbers(&batch);
                            assert!(are_new.iter().all(|number| !read.contains(number)));
                            // It may be gone before these are dealt with.
                            if !is_lost {
                                read.extend(are_new);
                                checkpoint = batch.checkpoint;
                            }
                        }
                        Ok(AuditTailEvent::CaughtUp { checkpoint: behind }) if !is_lost => {
                            checkpoint = behind;
                        }
                        Ok(_) => {}
                    }
                }
            }
            let model = server.model();
            for (at, number) in &model.log {
                match model.damaged.get(number) {
                    None => assert!(read.contains(number), "{number} of {at} is lost"),
                    Some(damage) => {
                        let raw = damage.text(*at, *number);
                        assert!(undecoded.contains_key(&raw), "{damage:?} {raw} is lost");
                    }
                }
            }
        });
    }
}
