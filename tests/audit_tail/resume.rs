//! Checkpoints: a tail that starts from one goes on exactly there.

use std::collections::HashSet;

use idpflare_management::QueryAuditLogs;
use idpflare_management::workflows::{AuditCheckpoint, AuditTail};
use proptest::prelude::*;

use crate::model::{Change, Server};
use crate::{caught_up, next_batch, numbers, run, tail};

/// As it would come from a file.
fn kept(checkpoint: &AuditCheckpoint) -> AuditCheckpoint {
    let json = serde_json::to_string(checkpoint).expect("JSON");
    let read = serde_json::from_str(&json).expect("a checkpoint");
    assert_eq!(checkpoint, &read);
    read
}

#[tokio::test(start_paused = true)]
async fn every_checkpoint_leaves_exactly_the_rest() {
    let server = Server::new();
    {
        let mut model = server.model();
        model.make(3000, 25);
        model.make(2500, 0);
        model.make(4000, 400);
        model.make(700, 3);
    }
    let all = server.model().log.len();
    let mut whole = tail(&server).from_beginning();
    let mut read = HashSet::new();
    let mut checkpoints = 0;
    while let Some(batch) = next_batch(&mut whole).await.expect("entries") {
        read.extend(numbers(&batch));
        let mut rest = tail(&server).from_checkpoint(kept(&batch.checkpoint));
        let rest = caught_up(&mut rest).await.expect("entries");
        assert_eq!(rest.len() + read.len(), all);
        assert!(rest.iter().all(|number| !read.contains(number)));
        checkpoints += 1;
    }
    assert_eq!(read.len(), all);
    assert!(checkpoints > 10, "{checkpoints}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Each process is gone after some batches; of the last one, nobody knows whether it was dealt
    /// with.
    #[test]
    fn processes_that_go_on_from_each_other_lose_nothing(
        entries in prop_oneof![3 => 0..50_u32, 1 => 1000..1600_u32],
        every in 0..300_i64,
        lives in prop::collection::vec((0..4_usize, any::<bool>()), 1..8),
        changes in prop::collection::vec(
            prop_oneof![
                (0..9000_i64).prop_map(Change::Make),
                (0..=30_000_i64).prop_map(Change::Late),
            ],
            0..80,
        ),
    ) {
        run(async {
            let server = Server::with(entries, every);
            server.model().script = changes.into_iter().map(|change| vec![change]).collect();
            let mut checkpoint = AuditCheckpoint::default();
            let mut read = HashSet::new();
            for (batches, is_lost) in lives {
                let mut tail = tail(&server).from_checkpoint(kept(&checkpoint)).until_caught_up();
                for _ in 0..batches {
                    let Some(batch) = next_batch(&mut tail).await.expect("entries") else {
                        break;
                    };
                    for number in numbers(&batch) {
                        assert!(read.insert(number), "what is behind the checkpoint is new");
                    }
                    checkpoint = batch.checkpoint;
                }
                if is_lost && let Some(batch) = next_batch(&mut tail).await.expect("entries") {
                    // It was written, but its checkpoint was not.
                    assert!(numbers(&batch).iter().all(|number| !read.contains(number)));
                }
            }
            server.model().script.clear();
            let mut last = tail(&server).from_checkpoint(checkpoint).until_caught_up();
            read.extend(caught_up(&mut last).await.expect("entries"));
            assert_eq!(read.len(), server.model().log.len());
        });
    }
}

#[tokio::test(start_paused = true)]
async fn a_checkpoint_wins_over_the_start_of_the_query() {
    let server = Server::with(10, 60_000);
    let mut first = tail(&server).from_beginning().until_caught_up();
    let batch = next_batch(&mut first).await.expect("entries");
    let checkpoint = batch.expect("entries").checkpoint;
    server.model().make(1, 1);
    let query = QueryAuditLogs::new().start_date(idpflare_management::Timestamp::UNIX_EPOCH);
    let mut second = AuditTail::new(&server.client(), query).from_checkpoint(checkpoint);
    assert_eq!(caught_up(&mut second).await.expect("entries"), [10]);
}
