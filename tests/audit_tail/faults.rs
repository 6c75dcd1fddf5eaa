//! Requests that go wrong.

use std::time::Duration;

use futures_util::StreamExt;
use http::StatusCode;
use idpflare_management::layers::Backoff;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript, RetryAfter};
use idpflare_management::workflows::{AuditTail, AuditTailEvent};
use idpflare_management::{
    CallOptions, Client, CreateUser, Error, ErrorKind, QueryAuditLogs, Scope,
};
use tokio::time::Instant;

use crate::model::{Change, Server};
use crate::{caught_up, next_batch, tail};

/// A client whose failures are not hidden by attempts of its own.
fn direct(fake: &FakeIdpflare) -> Client {
    Client::builder("https://idp.example.com")
        .api_key(fake.api_key())
        .stack(|stack| stack.remove(idpflare_management::Stack::RETRY))
        .build_with(fake.service())
        .expect("a client")
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_told_and_got_over() {
    let fake = FakeIdpflare::new();
    fake.seed(60);
    let mut whole = AuditTail::new(&fake.client(), QueryAuditLogs::new()).from_beginning();
    let mut expected = Vec::new();
    while let Some(batch) = next_batch(&mut whole).await.expect("entries") {
        expected.extend(batch.entries);
    }
    assert!(expected.len() > 300, "several pages");
    for (name, fault) in [
        ("500", Fault::status(StatusCode::INTERNAL_SERVER_ERROR)),
        ("edge", Fault::edge_page(StatusCode::BAD_GATEWAY)),
        ("reset", Fault::reset_before_reply()),
        ("lost", Fault::reply_lost()),
        ("during", Fault::reset_during_reply()),
        ("truncated", Fault::truncated_body()),
        ("slow", Fault::delay(Duration::from_secs(100))),
        ("429", Fault::too_many_requests(RetryAfter::Seconds(7))),
    ] {
        for after in 0..3 {
            let rule = FaultRule::new(fault.clone()).after(after).times(2);
            fake.set_faults(FaultScript::new().rule(rule));
            let query = QueryAuditLogs::new();
            let mut tail = AuditTail::new(&direct(&fake), query)
                .from_beginning()
                .until_caught_up();
            let mut read = Vec::new();
            let mut told = Vec::new();
            while let Some(event) = tail.next().await {
                match event.expect("it goes on") {
                    AuditTailEvent::Entries(batch) => read.extend(batch.entries),
                    AuditTailEvent::Retrying {
                        failures,
                        wait,
                        error,
                    } => {
                        assert!(error.retry_after().is_none_or(|asked| asked <= wait));
                        told.push(failures);
                    }
                    _ => {}
                }
            }
            assert_eq!(told, [1, 2], "{name} after {after}");
            assert!(read == expected, "{name} after {after}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waits_grow_are_bounded_and_start_anew() {
    let server = Server::with(1, 1);
    let mut script = vec![vec![Change::Fail(503)]; 12];
    script.push(vec![]);
    script.push(vec![Change::Fail(503)]);
    server.model().script = script.into();
    let second = Duration::from_secs;
    let backoff = Backoff::new(second(4), second(20)).expect("a backoff");
    let mut tail = tail(&server)
        .from_beginning()
        .interval(second(1), second(1))
        .backoff(backoff.clone());
    for number in 1..=12 {
        let before = Instant::now();
        let Some(Ok(AuditTailEvent::Retrying { failures, wait, .. })) = tail.next().await else {
            panic!("it fails");
        };
        assert_eq!(failures, number);
        assert!(second(1) <= wait && wait <= backoff.ceiling(number).max(second(1)));
        assert!(before.elapsed() < second(21));
    }
    assert_eq!(caught_up(&mut tail).await.expect("entries"), [0]);
    let Some(Ok(AuditTailEvent::Retrying { failures, .. })) = tail.next().await else {
        panic!("it fails");
    };
    assert_eq!(failures, 1);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_when_is_heeded() {
    let server = Server::with(1, 1);
    server.model().script = vec![vec![Change::Fail(429)]].into();
    let mut tail = tail(&server).from_beginning();
    let started = Instant::now();
    assert_eq!(caught_up(&mut tail).await.expect("entries"), [0]);
    assert!(started.elapsed() >= Duration::from_secs(90));
}

/// The last thing that a tail says.
async fn last_words(mut tail: AuditTail) -> Error {
    let Some(Err(error)) = tail.next().await else {
        panic!("there is no point in going on");
    };
    assert!(tail.next().await.is_none(), "it has ended");
    error
}

#[tokio::test(start_paused = true)]
async fn what_does_not_pass_is_the_end() {
    let fake = FakeIdpflare::new();
    let tail = |client: &Client, query| AuditTail::new(client, query).from_beginning();
    let log = QueryAuditLogs::new;

    let reader = fake.client_with_scopes([Scope::UsersRead]);
    let error = last_words(tail(&reader, log())).await;
    assert_eq!(error.required_scope(), Some("audit:read"));
    let error = last_words(AuditTail::new(&reader, log())).await;
    assert_eq!(error.required_scope(), Some("audit:read"));

    let stranger = Client::builder("https://idp.example.com")
        .api_key("idk_of_nobody")
        .build_with(fake.service())
        .expect("a client");
    let error = last_words(tail(&stranger, log())).await;
    assert_eq!(error.status(), Some(StatusCode::UNAUTHORIZED));

    let client = fake.client();
    let error = last_words(tail(&client, log().status("neither"))).await;
    assert_eq!(error.status(), Some(StatusCode::BAD_REQUEST));
    let error = last_words(tail(&client, log().limit(0))).await;
    assert_eq!(error.kind(), ErrorKind::Encode);

    fake.set_faults(FaultScript::new().rule(FaultRule::new(Fault::status(StatusCode::OK))));
    let error = last_words(tail(&client, log())).await;
    assert_eq!(error.kind(), ErrorKind::Decode);
}

#[tokio::test(start_paused = true)]
async fn options_are_those_of_every_request() {
    let fake = FakeIdpflare::new();
    let client = fake.client();
    client
        .send(CreateUser::new("ada@example.com"))
        .await
        .expect("a user");
    let status = Fault::status(StatusCode::BAD_GATEWAY);
    fake.set_faults(FaultScript::new().rule(FaultRule::new(status)));
    let mut tail = AuditTail::new(&client, QueryAuditLogs::new())
        .from_beginning()
        .call_options(CallOptions::new().attempts(1));
    let Some(Ok(AuditTailEvent::Retrying { error, .. })) = tail.next().await else {
        panic!("there is one attempt");
    };
    assert_eq!(error.attempts(), 1);
}
