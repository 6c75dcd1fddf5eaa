//! The audit log as it grows: nothing lost, nothing out of order, whatever happens in between.

mod ahead;
mod clocks;
mod example;
mod fake;
mod faults;
mod kills;
mod late;
mod lenient;
mod model;
mod program;
mod resume;
mod slices;
mod start;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use futures_util::StreamExt;
use idpflare_management::workflows::{AuditBatch, AuditTail, AuditTailEvent};
use idpflare_management::{Error, HttpService, QueryAuditLogs, Timestamp};
use model::Server;

/// The tail of a model's log.
fn tail(server: &Server) -> AuditTail<Server> {
    AuditTail::new(&server.client(), QueryAuditLogs::new())
}

/// The next new entries; `None` where there are none until the tail has caught up.
async fn next_batch<S: HttpService>(tail: &mut AuditTail<S>) -> Result<Option<AuditBatch>, Error> {
    loop {
        let hour = Duration::from_secs(60 * 60);
        let event = tokio::time::timeout(hour, tail.next()).await;
        match event.expect("what is awaited comes").transpose()? {
            Some(AuditTailEvent::Entries(batch)) => {
                assert_in_order(&batch);
                return Ok(Some(batch));
            }
            Some(AuditTailEvent::CaughtUp { .. }) | None => return Ok(None),
            Some(_) => {}
        }
    }
}

/// The numbers of all entries up to where the tail has caught up.
async fn caught_up(tail: &mut AuditTail<Server>) -> Result<Vec<u32>, Error> {
    let mut all = Vec::new();
    while let Some(batch) = next_batch(tail).await? {
        all.extend(numbers(&batch));
    }
    Ok(all)
}

fn assert_in_order(batch: &AuditBatch) {
    assert!(!batch.entries.is_empty(), "a batch has something to say");
    assert!(batch.entries.is_sorted_by_key(|entry| entry.created_at));
}

fn numbers(batch: &AuditBatch) -> Vec<u32> {
    let ids = batch.entries.iter().map(|entry| entry.id.as_str());
    ids.map(|id| id.parse().expect("entries are numbered"))
        .collect()
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).expect("a time")
}

/// Whether nothing new comes for a while.
async fn is_quiet(tail: &mut AuditTail<Server>) -> bool {
    let minutes = Duration::from_secs(300);
    tokio::time::timeout(minutes, tail.next()).await.is_err()
}

/// Runs a test of a property, with time that passes only where all wait.
fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(test)
}
