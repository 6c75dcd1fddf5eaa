//! Against the fake, which is changed meanwhile.

use std::time::Duration;

use futures_util::StreamExt;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::workflows::{AuditTail, AuditTailEvent};
use idpflare_management::{AuditStatus, BlockUser, CreateUser, QueryAuditLogs, UnblockUser};
use tokio::time::{sleep, timeout};

use crate::next_batch;

#[tokio::test(start_paused = true)]
async fn changes_are_told_as_they_are_made() {
    let fake = FakeIdpflare::new();
    fake.seed(30);
    let client = fake.client();
    let mut tail = AuditTail::new(&client, QueryAuditLogs::new());
    assert_eq!(next_batch(&mut tail).await.expect("nothing new"), None);

    let ada = client
        .send(CreateUser::new("ada@example.com"))
        .await
        .expect("a user");
    for _ in 0..120 {
        client.send(BlockUser::new(&ada.id)).await.expect("blocked");
        client
            .send(UnblockUser::new(&ada.id))
            .await
            .expect("unblocked");
    }
    let mut types = Vec::new();
    while let Some(batch) = next_batch(&mut tail).await.expect("entries") {
        types.extend(batch.entries.into_iter().map(|entry| entry.event_type));
    }
    assert_eq!(types.len(), 241);
    assert_eq!(types[0], "user_created");
    for pair in types[1..].chunks(2) {
        assert_eq!(pair, ["user_blocked", "user_unblocked"]);
    }

    // While it waits, and while nobody waits for it.
    let block = async {
        sleep(Duration::from_secs(100)).await;
        client.send(BlockUser::new(&ada.id)).await.expect("blocked");
    };
    let (batch, ()) = tokio::join!(next_batch(&mut tail), block);
    assert_eq!(batch.expect("entries").expect("one").entries.len(), 1);
    assert_eq!(next_batch(&mut tail).await.expect("nothing more"), None);
    let minutes = Duration::from_secs(300);
    assert!(timeout(minutes, tail.next()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn filters_apply() {
    let fake = FakeIdpflare::new();
    fake.seed(50);
    let client = fake.client();
    let filters = QueryAuditLogs::new()
        .event_type("login_failure")
        .status(AuditStatus::Failure);
    let page = client.send(filters.clone().limit(100)).await;
    let page = page.expect("entries");
    assert!(page.total < 100 && page.total > 10);
    let user = page.entries[0].user_id.clone().expect("a user");

    let mut tail = AuditTail::new(&client, filters.clone().user_id(&user)).from_beginning();
    let batch = next_batch(&mut tail).await.expect("entries");
    let of_user = batch.expect("some").entries;
    let expected = page.entries.iter().rev();
    let expected = expected.filter(|entry| entry.user_id.as_ref() == Some(&user));
    assert!(of_user.iter().eq(expected));

    let mut tail = AuditTail::new(&client, filters).from_beginning();
    let batch = next_batch(&mut tail).await.expect("entries");
    assert!(batch.expect("some").entries.iter().rev().eq(&page.entries));
}

#[tokio::test(start_paused = true)]
async fn it_ends_where_it_has_caught_up_if_told_to() {
    let fake = FakeIdpflare::new();
    let mut tail = AuditTail::new(&fake.client(), QueryAuditLogs::new())
        .from_beginning()
        .until_caught_up();
    let Some(Ok(AuditTailEvent::CaughtUp { checkpoint })) = tail.next().await else {
        panic!("the log is empty");
    };
    assert_eq!(checkpoint.watermark(), None);
    assert!(tail.next().await.is_none());
    assert!(tail.next().await.is_none());
}
