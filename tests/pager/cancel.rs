//! Futures and streams that are dropped half-way, and where a pager may be.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::{Client, Items, ListUsers, Pager};
use proptest::prelude::*;
use tower::service_fn;

use crate::model::Server;
use crate::{number, run};

#[derive(Clone, Debug)]
enum Step {
    /// Asks for a page, but waits no longer than so many milliseconds.
    Page(u64),
    /// Asks for so many rows, but waits for each no longer than so many milliseconds.
    Rows(usize, u64),
    /// Time passes without anybody asking.
    Nothing(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..30_u64).prop_map(Step::Page),
        (1..30_usize, 0..30_u64).prop_map(|(rows, wait)| Step::Rows(rows, wait)),
        (0..30_u64).prop_map(Step::Nothing),
    ]
}

proptest! {
    #[test]
    fn who_drops_and_goes_on_skips_and_repeats_nothing(
        rows in 0..150_u32,
        limit in 1..40_u64,
        concurrency in 1..5_usize,
        delays in prop::collection::vec(0..40_u64, 0..30),
        steps in prop::collection::vec(step(), 0..40),
    ) {
        run(async {
            let server = Server::new(rows);
            server.model().delays = delays.into_iter().map(Duration::from_millis).collect();
            let request = ListUsers::new().limit(limit);
            let mut pager = Pager::new(&server.client(), request).concurrency(concurrency);
            let mut read = Vec::new();
            for step in steps {
                match step {
                    Step::Page(wait) => {
                        let wait = Duration::from_millis(wait);
                        if let Ok(page) = tokio::time::timeout(wait, pager.next_page()).await
                            && let Some(page) = page.expect("a page")
                        {
                            assert_eq!(page.offset, read.len() as u64);
                            read.extend(page.rows.iter().map(number));
                        }
                    }
                    Step::Rows(rows, wait) => {
                        let wait = Duration::from_millis(wait);
                        let mut items = pager.items();
                        for _ in 0..rows {
                            match tokio::time::timeout(wait, items.next()).await {
                                Ok(Some(user)) => read.push(number(&user.expect("a user"))),
                                Ok(None) | Err(_) => break,
                            }
                        }
                    }
                    Step::Nothing(wait) => tokio::time::sleep(Duration::from_millis(wait)).await,
                }
                if let Some(next) = pager.next_request() {
                    assert_eq!(next.offset.unwrap_or(0), read.len() as u64);
                }
            }
            read.extend(crate::items(&mut pager).await.expect("the rest"));
            assert_eq!(read, (0..rows).rev().collect::<Vec<_>>());
        });
    }
}

#[test]
fn a_pager_goes_where_its_client_goes() {
    fn is_send<T: Send + Unpin>(_: &T) {}
    let client = FakeIdpflare::new().client();
    let mut pager = Pager::new(&client, ListUsers::new()).concurrency(2);
    is_send(&pager);
    is_send(&pager.items());
    is_send(&Box::pin(pager.next_page()));
    fn named(_: Items<'_, ListUsers>) {}
    named(pager.items());
}

#[tokio::test]
async fn a_client_that_stays_on_its_thread_has_pagers_too() {
    let name = String::from("borrowed");
    let shared = Rc::new(());
    let service = service_fn(|request: http::Request<Full<Bytes>>| {
        let shared = Rc::clone(&shared);
        let name = &name;
        async move {
            assert_eq!(request.uri().path(), "/api/v1/users");
            assert!(Rc::strong_count(&shared) > 1 && name == "borrowed");
            let body = r#"{"users":[],"total":0,"limit":50,"offset":0}"#;
            Ok::<_, BoxError>(http::Response::new(Full::new(Bytes::from(body))))
        }
    });
    let client = Client::from_service("https://idp.example.com", service).expect("a client");
    let mut pager = Pager::new(&client, ListUsers::new()).concurrency(2);
    assert!(pager.next_page().await.expect("a page").is_none());
    assert_eq!(pager.total(), Some(0));
}

#[test]
fn nothing_is_sent_before_it_is_asked_for() {
    let server = Server::new(10);
    let mut pager = Pager::new(&server.client(), ListUsers::new()).concurrency(3);
    drop(pager.items());
    drop(pager.next_page());
    assert!(server.model().requests.is_empty());
    let page = pager.next_page().now_or_never().expect("at once");
    assert_eq!(page.expect("a page").expect("rows").rows.len(), 10);
    assert_eq!(
        format!("{pager:?}"),
        r#"Pager { operation: "listUsers", offset: 10, total: Some(10), .. }"#
    );
}
