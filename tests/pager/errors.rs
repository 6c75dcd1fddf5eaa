//! Requests that fail in the middle of a list.

use std::time::Duration;

use futures_util::StreamExt;
use http::StatusCode;
use idpflare_management::layers::BoxError;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript};
use idpflare_management::{
    ApiRequest, CallOptions, Client, Delivery, Error, ErrorKind, ListUsers, Pager, Scope, User,
};
use proptest::prelude::*;
use tower::{ServiceExt, service_fn};

use crate::run;

fn faults() -> impl Strategy<Value = Fault> {
    prop_oneof![
        Just(Fault::status(StatusCode::BAD_GATEWAY)),
        Just(Fault::status(StatusCode::FORBIDDEN)),
        Just(Fault::edge_page(StatusCode::SERVICE_UNAVAILABLE)),
        Just(Fault::reset_before_reply()),
        Just(Fault::reset_during_reply()),
        Just(Fault::truncated_body()),
        Just(Fault::delay(Duration::from_secs(90))),
        Just(Fault::slow_body(4, Duration::from_millis(5))),
        Just(Fault::unknown_fields()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_page_that_failed_is_asked_for_again(
        (fault, after, times) in (faults(), 0..12_u64, 1..20_u64),
        concurrency in 1..5_usize,
        attempts in 1..3_u32,
        by_row in any::<bool>(),
    ) {
        run(async {
            let fake = FakeIdpflare::new();
            fake.seed(60);
            let client = fake.client();
            let expected = client.send(ListUsers::new().limit(100)).await.expect("all").users;
            let rule = FaultRule::new(fault).after(after).times(times);
            fake.set_faults(FaultScript::new().rule(rule));

            let request = ListUsers::new().limit(7).with(CallOptions::new().attempts(attempts));
            let mut pager = Pager::new(&client, request).concurrency(concurrency);
            let mut read: Vec<User> = Vec::new();
            let mut failures = 0;
            while failures <= times {
                if by_row {
                    let mut failed = false;
                    let mut items = pager.items();
                    while let Some(user) = items.next().await {
                        match user {
                            Ok(user) => read.push(user),
                            Err(_) => failed = true,
                        }
                    }
                    if !failed {
                        break;
                    }
                    failures += 1;
                } else {
                    match pager.next_page().await {
                        Ok(Some(page)) => read.extend(page.rows),
                        Ok(None) => break,
                        Err(_) => failures += 1,
                    }
                }
            }
            assert!(failures <= times);
            assert_eq!(read, expected);
        });
    }
}

#[tokio::test]
async fn a_stream_ends_after_an_error_and_another_one_goes_on() {
    let fake = FakeIdpflare::new();
    fake.seed(30);
    let refusal = Fault::status(StatusCode::FORBIDDEN);
    fake.set_faults(FaultScript::new().rule(FaultRule::new(refusal).after(1).times(1)));
    let client = fake.client();
    let mut pager = Pager::new(&client, ListUsers::new().limit(10));
    let outcomes: Vec<_> = pager.items().collect().await;
    assert_eq!(outcomes.len(), 11);
    let error = outcomes.last().and_then(|last| last.as_ref().err());
    assert_eq!(error.and_then(Error::status), Some(StatusCode::FORBIDDEN));
    assert_eq!(pager.items().count().await, 20);
}

#[tokio::test]
async fn a_key_without_the_scope_is_told() {
    let client = FakeIdpflare::new().client_with_scopes([Scope::StatsRead]);
    let mut pager = Pager::new(&client, ListUsers::new());
    let error = pager.next_page().await.expect_err("no such right");
    assert_eq!(error.required_scope(), Some("users:read"));
    assert_eq!(error.attempts(), 1);
}

#[tokio::test(start_paused = true)]
async fn deadlines_hold_as_they_do_for_one_call() {
    let hangs = service_fn(async |_| {
        std::future::pending::<Result<http::Response<http_body_util::Full<bytes::Bytes>>, BoxError>>()
            .await
    });
    let client = Client::from_service("https://idp.example.com", hangs).expect("a client");
    let limit = |limit| ListUsers::new().with(CallOptions::new().deadline(limit));
    let mut pager = Pager::new(&client, limit(Duration::from_secs(2)));
    let start = tokio::time::Instant::now();
    let error = pager.next_page().await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!((error.attempts(), error.delivery()), (1, Delivery::Unknown));
    assert_eq!(start.elapsed(), Duration::from_secs(2));

    let mut pager = Pager::new(&client, limit(Duration::ZERO));
    let error = pager.next_page().await.expect_err("too late");
    assert_eq!((error.attempts(), error.delivery()), (0, Delivery::NotSent));

    let busy = hangs.map_future(|reply| reply);
    let busy = tower::limit::ConcurrencyLimit::new(busy, 1);
    let client = client.map_service(|_| busy);
    // Keeps the only permit.
    let held = tokio::spawn(client.send(ListUsers::new()));
    tokio::task::yield_now().await;
    let mut pager = Pager::new(&client, limit(Duration::from_secs(2)));
    let error = pager.next_page().await.expect_err("never ready");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!((error.attempts(), error.delivery()), (0, Delivery::NotSent));
    held.abort();
}

#[tokio::test]
async fn a_service_that_fails_to_be_ready_has_sent_nothing() {
    #[derive(Clone)]
    struct Broken;

    impl tower::Service<http::Request<http_body_util::Full<bytes::Bytes>>> for Broken {
        type Response = http::Response<http_body_util::Full<bytes::Bytes>>;
        type Error = BoxError;
        type Future = std::future::Pending<Result<Self::Response, BoxError>>;

        fn poll_ready(
            &mut self,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Result<(), BoxError>> {
            std::task::Poll::Ready(Err("closed".into()))
        }

        fn call(&mut self, _: http::Request<http_body_util::Full<bytes::Bytes>>) -> Self::Future {
            std::future::pending()
        }
    }

    let client = Client::from_service("https://idp.example.com", Broken).expect("a client");
    let error = Pager::new(&client, ListUsers::new())
        .next_page()
        .await
        .expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Service);
    assert_eq!((error.attempts(), error.delivery()), (0, Delivery::NotSent));
}
