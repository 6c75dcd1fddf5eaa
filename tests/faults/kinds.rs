//! Each kind, in process with a clock that is paused, and over loopback.

use std::collections::HashSet;
use std::time::Duration;

use http::{Response, StatusCode};
use idpflare_management::layers::{BoxError, RetryPolicy, TransportError};
use idpflare_management::testing::{FakeIdpflare, Fault};
use idpflare_management::*;
use tower::ServiceExt;

use crate::table::{Row, table};
use crate::{fake, once};

const MAX_REPLY_BYTES: usize = 256 * 1024;

/// Has the fault happen to one `createUser` of a client that `build` makes, and compares.
async fn check(row: Row, build: impl AsyncFnOnce(&FakeIdpflare, bool) -> Client) {
    let (fake, mut ledger) = fake();
    let client = build(&fake, row.impatient).await;
    let name = format!("{:?}", row.fault);
    fake.set_faults(once(row.fault));
    let outcome = client.send(CreateUser::new("ada@example.com")).await;
    match (outcome, row.error) {
        (Ok(user), None) => assert_eq!(user.email, "ada@example.com", "{name}"),
        (Ok(_), Some(_)) => panic!("{name}: it succeeds"),
        (Err(error), None) => panic!("{name}: {error:?}"),
        (Err(error), Some(expected)) => {
            let status = error.status().map(|status| status.as_u16());
            let met = (error.kind(), status, error.delivery());
            assert_eq!(met, expected, "{name}: {error:?}");
            let wait = row.retry_after.map(Duration::from_secs);
            assert_eq!(error.retry_after(), wait, "{name}");
            assert_eq!(error.attempts(), 1, "{name}");
        }
    }
    let entry = ledger.recv().await.expect("an entry");
    assert_eq!(entry.operation, Some(CreateUser::OPERATION), "{name}");
    assert_eq!(entry.fault, Some(row.kind), "{name}");
    assert_eq!(entry.performed, row.performed, "{name}");
    let users = fake.client().send(GetUserStats::new()).await.expect("two");
    assert_eq!(users.total, u64::from(row.performed), "{name}");
}

#[tokio::test(start_paused = true)]
async fn in_process() {
    let rows = table(Duration::from_secs(1));
    let kinds: HashSet<_> = rows.iter().map(|row| row.kind).collect();
    assert_eq!(kinds.len(), 13, "each kind");
    for row in rows {
        check(row, async |fake, impatient| {
            configured(Client::builder("https://idp.example.com"), fake, impatient)
                .build_with(fake.service())
                .expect("a client")
        })
        .await;
    }
}

#[tokio::test]
async fn over_loopback() {
    for row in table(Duration::from_millis(20)) {
        let mut server = None;
        check(row, async |fake, impatient| {
            let running = server.insert(fake.serve().await.expect("a port"));
            configured(Client::builder(running.authority()), fake, impatient)
                .build()
                .expect("a client")
        })
        .await;
    }
}

fn configured(builder: ClientBuilder, fake: &FakeIdpflare, impatient: bool) -> ClientBuilder {
    // Those who are not impatient have all the time that a busy machine may need.
    let limit = Duration::from_millis(if impatient { 1_500 } else { 20_000 });
    builder
        .api_key(fake.api_key())
        .retry(RetryPolicy::new().attempts(1))
        .attempt_timeout(limit)
        .max_reply_bytes(MAX_REPLY_BYTES)
}

#[tokio::test]
async fn in_process_a_reset_is_an_error_that_is_typed() {
    let (fake, mut ledger) = fake();
    fake.set_faults(once(Fault::reset_before_reply()));
    let request = http::Request::get("https://idp.example.com/api/v1/stats/users")
        .body(String::new())
        .expect("a request");
    let error: BoxError = fake.service().oneshot(request).await.expect_err("a reset");
    let error = error.downcast_ref::<TransportError>().expect("typed");
    assert_eq!(error.delivery(), Delivery::Unknown);
    let entry = ledger.recv().await.expect("an entry");
    assert_eq!(entry.status, None);
    let line = entry.to_string();
    assert!(line.starts_with("GET /api/v1/stats/users - getUserStats key - "));
    assert!(line.ends_with(" fault reset_before_reply not performed"));
}

#[tokio::test]
async fn another_reply_has_the_status_headers_and_body_that_it_was_given() {
    let (fake, _ledger) = fake();
    let reply = Response::builder()
        .status(418)
        .header("x-pot", "tea")
        .body(r#"{"error":"short and stout"}"#)
        .expect("a reply");
    fake.set_faults(once(Fault::reply(reply)));
    let error = fake
        .client()
        .send(GetUserStats::new())
        .await
        .expect_err("418");
    assert_eq!(error.message(), "short and stout");
    assert_eq!(error.headers().expect("headers")["x-pot"], "tea");
    assert!(error.request_id().is_some_and(|id| id.ends_with("-LHR")));

    let reply = Response::builder()
        .status(502)
        .header("cf-ray", "own")
        .body("")
        .expect("a reply");
    fake.set_faults(once(Fault::reply(reply).after_performing()));
    let new = CreateUser::new("ada@example.com");
    let error = fake.client().send(new).await.expect_err("502");
    assert_eq!(error.request_id(), Some("own"));
    assert_eq!(error.headers().expect("headers").get("content-type"), None);
}

#[tokio::test]
async fn a_later_server_has_unknown_members_and_values() {
    let (fake, _ledger) = fake();
    fake.seed(20);
    let client = fake.client();
    for _ in 0..2 {
        for fault in [Fault::unknown_fields(), Fault::unknown_values()] {
            fake.set_faults(once(fault));
            client.send(ListUsers::new()).await.expect("users");
        }
    }
    fake.set_faults(once(Fault::unknown_values()));
    let keys = client.send(ListApiKeys::new()).await.expect("keys");
    let unknown = |scope: &&Scope| matches!(scope, Scope::Unknown(_));
    assert_eq!(keys[0].scopes.iter().filter(unknown).count(), 1);
}

#[tokio::test]
async fn a_reply_without_a_body_is_given_one_to_damage() {
    for (fault, broken) in [
        (Fault::truncated_body(), true),
        (Fault::reset_during_reply(), true),
        (Fault::unknown_fields(), false),
        (Fault::wrong_content_type(), false),
    ] {
        let (fake, mut ledger) = fake();
        let client = fake.client();
        let user = client.send(CreateUser::new("ada@example.com")).await;
        ledger.recv().await.expect("an entry");
        fake.set_faults(once(fault));
        let id = user.expect("a user").id;
        // Repeated where it is broken, which finds the user gone.
        let outcome = client.send(DeleteUser::new(id)).await;
        assert_eq!(outcome.is_err(), broken, "{outcome:?}");
        let entry = ledger.recv().await.expect("an entry");
        assert!(entry.performed && entry.status == Some(StatusCode::OK));
    }
}
