//! Each listing of the protocol.

use std::fmt::Debug;

use idpflare_management::testing::{CaptureService, FakeIdpflare};
use idpflare_management::*;
use serde::Serialize;

use crate::id_of;

fn seeded() -> (FakeIdpflare, Client) {
    let fake = FakeIdpflare::new();
    fake.seed(40);
    for _ in 0..20 {
        let _ = fake.api_key_with_scopes([Scope::UsersRead]);
    }
    let client = fake.client();
    (fake, client)
}

/// That small pages have all that one large page has, with any concurrency.
async fn reads_all<R>(
    client: &Client,
    large: R,
    small: R,
    rows: impl FnOnce(R::Response) -> (Vec<R::Row>, Option<u64>),
) where
    R: Listing<Row: Serialize> + Debug,
{
    let whole = client.send(large).await.expect("one page");
    let ids = |rows: &[R::Row]| -> Vec<String> { rows.iter().map(id_of).collect() };
    let (whole, total) = rows(whole);
    let expected = ids(&whole);
    assert!(expected.len() > 3, "{small:?} has several pages");
    for concurrency in [1, 3] {
        let mut pager = Pager::new(client, small.clone()).concurrency(concurrency);
        let mut rows = Vec::new();
        while let Some(page) = pager.next_page().await.expect("a page") {
            assert!(page.rows.len() <= 3);
            rows.extend(ids(&page.rows));
        }
        assert_eq!(rows, expected);
        assert_eq!(pager.total(), total);
        assert!(pager.next_request().is_none());
    }
}

#[tokio::test]
async fn every_listing_is_read_to_its_end() {
    let (_fake, client) = seeded();
    let page = client.send(ListUsers::new().limit(1)).await.expect("users");
    let user = &page.users[0].id;
    let users = ListUsers::new();
    let rows = |page: UserPage| (page.users, Some(page.total));
    let (large, small) = (users.clone().limit(100), users.clone().limit(3));
    reads_all(&client, large, small, rows).await;
    let with_options = |limit| {
        users
            .clone()
            .limit(limit)
            .with(CallOptions::new().attempts(1))
    };
    reads_all(&client, with_options(100), with_options(3), rows).await;
    let keys = ListApiKeys::new().active_only(true);
    let (large, small) = (keys.clone().limit(100), keys.limit(3));
    reads_all(&client, large, small, |keys| (keys, None)).await;
    let clients = ListClients::new();
    let (large, small) = (clients.clone().limit(100), clients.limit(3));
    let rows = |page: OAuthClientPage| (page.clients, Some(page.total));
    reads_all(&client, large, small, rows).await;
    let log = QueryAuditLogs::new().user_id(user);
    let (large, small) = (log.clone().limit(100), log.limit(3));
    let rows = |page: AuditLogPage| (page.entries, Some(page.total));
    reads_all(&client, large, small, rows).await;
    let log = GetUserAuditLogs::new(user);
    let (large, small) = (log.clone().limit(100), log.limit(3));
    let rows = |page: UserAuditLogPage| (page.entries, Some(page.total));
    reads_all(&client, large, small, rows).await;
}

#[tokio::test]
async fn an_audit_log_is_read_as_it_is_now() {
    let (fake, _) = seeded();
    let capture = CaptureService::new(fake.service());
    let client = Client::builder("https://idp.example.com")
        .api_key(fake.api_key())
        .build_with(capture.clone())
        .expect("a client");
    let queries = || -> Vec<String> {
        let requests = capture.take();
        let query = |request: &testing::CapturedRequest| request.head.uri.query().map(String::from);
        requests.iter().filter_map(query).collect()
    };

    let before = Timestamp::now().as_millisecond();
    let mut pager = Pager::new(&client, QueryAuditLogs::new().limit(10));
    assert_eq!(pager.next_request().expect("the first").end_date, None);
    pager.next_page().await.expect("a page").expect("entries");
    let total = pager.total();
    let end = pager
        .next_request()
        .and_then(|next| next.end_date)
        .expect("it is set");
    assert!((before..=Timestamp::now().as_millisecond()).contains(&end.as_millisecond()));
    // What happens from now on is not of this list.
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    client
        .send(CreateUser::new("ada@example.com"))
        .await
        .expect("a user");
    pager.next_page().await.expect("a page").expect("entries");
    assert_eq!(pager.total(), total);
    let expected = format!("limit=10&offset=10&end_date={}", end.as_millisecond());
    assert_eq!(queries()[1], expected);

    // Whoever says when it ends has the last word.
    let own = Timestamp::from_millisecond(4_000_000_000_000).expect("in range");
    let mut pager = Pager::new(&client, QueryAuditLogs::new().limit(10).end_date(own));
    pager.next_page().await.expect("a page").expect("entries");
    assert_eq!(queries(), ["limit=10&end_date=4000000000000"]);

    let mut pager = Pager::new(&client, ListUsers::new().limit(10));
    pager.next_page().await.expect("a page").expect("users");
    assert_eq!(queries(), ["limit=10"]);
}
