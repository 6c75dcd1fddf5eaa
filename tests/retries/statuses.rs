//! Replies that arrive whole.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use idpflare_management::layers::ApiKey;
use idpflare_management::*;

use crate::server::{Act, Arrived, Server, empty};
use crate::{build, client, of_each_kind, quick};

/// Pauses of the client's own would only make this slower.
fn without_pauses(builder: ClientBuilder) -> ClientBuilder {
    builder.stack(|stack| stack.remove(Stack::RATE_LIMIT))
}

#[tokio::test]
async fn each_is_repeated_as_the_table_says() {
    for (head, expected) in [
        ("302 X", [1, 1, 1]),
        ("400 X", [1, 1, 1]),
        ("401 X", [1, 1, 1]),
        ("403 X", [1, 1, 1]),
        ("404 X", [1, 1, 1]),
        ("409 X", [1, 1, 1]),
        ("408 X", [3, 3, 1]),
        ("421 X", [2, 2, 2]),
        ("425 X", [3, 3, 1]),
        ("429 X\r\nretry-after: 0", [3, 3, 3]),
        ("500 X", [3, 3, 1]),
        ("501 X", [1, 1, 1]),
        ("502 X", [3, 3, 1]),
        ("503 X", [3, 3, 1]),
        ("503 X\r\nretry-after: 0", [3, 3, 1]),
        ("504 X", [3, 3, 1]),
        ("505 X", [1, 1, 1]),
        ("520 X", [3, 3, 1]),
        ("521 X", [3, 3, 1]),
        ("522 X", [3, 3, 1]),
        ("523 X", [3, 3, 1]),
        ("524 X", [3, 3, 1]),
        ("525 X", [1, 1, 1]),
        ("526 X", [1, 1, 1]),
        ("527 X", [3, 3, 1]),
        ("530 X", [1, 1, 1]),
    ] {
        let server = Server::always(empty(head)).await;
        let arrived = server.arrivals(|| server.client()).await;
        assert_eq!(arrived, expected, "{head}");
    }
}

#[tokio::test]
async fn what_must_act_once_can_be_opted_in_and_out() {
    let server = Server::always(empty("429 X")).await;
    let never = || server.client().retry(quick().repeat_once_after_429(false));
    let arrived = server.arrivals(|| without_pauses(never())).await;
    assert_eq!(arrived, [3, 3, 1]);

    let server = Server::always(empty("503 X\r\nretry-after: 0")).await;
    let also = || server.client().retry(quick().repeat_once_after_503(true));
    let arrived = server.arrivals(|| without_pauses(also())).await;
    assert_eq!(arrived, [3, 3, 3]);

    // Nothing says when.
    let server = Server::always(empty("503 X")).await;
    let also = || server.client().retry(quick().repeat_once_after_503(true));
    let arrived = server.arrivals(|| without_pauses(also())).await;
    assert_eq!(arrived, [3, 3, 1]);
}

#[tokio::test]
async fn what_was_misdirected_goes_over_another_connection() {
    let server = Server::new(|request, _| match request.connection {
        0 | 2 | 4 => empty("421 Misdirected Request"),
        _ => Act::Reply(user()),
    })
    .await;
    let outcomes = of_each_kind(|| build(server.client()), |outcome| outcome.is_ok()).await;
    assert_eq!(outcomes, [true; 3]);
    let connections: Vec<_> = server
        .take()
        .iter()
        .map(|arrived| arrived.connection)
        .collect();
    assert_eq!(connections, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn a_key_that_was_rotated_meanwhile_is_sent_once() {
    for valid in ["idk_new", "idk_other"] {
        let rotated = Arc::new(AtomicBool::new(false));
        let (set, handle) = (
            Arc::clone(&rotated),
            KeyHandle::new(ApiKey::new("idk_old").expect("a key")),
        );
        let behind_its_back = handle.clone();
        let server = Server::new(move |request: &Arrived, _| {
            if request.head.contains(&format!("bearer {valid}\r\n")) {
                return Act::Reply(user());
            }
            if !set.swap(true, Ordering::SeqCst) {
                behind_its_back.rotate(ApiKey::new("idk_new").expect("a key"));
            }
            empty("401 Unauthorized")
        })
        .await;
        let client = client(&server.authority).key_handle(handle);
        let client = client.build().expect("a client");
        // It was refused, so even a create is sent again; and once.
        let outcome = client.send(CreateUser::new("a@b.c")).await;
        assert_eq!(outcome.is_ok(), valid == "idk_new");
        let arrived = server.take();
        assert_eq!(arrived.len(), 2);
        assert!(arrived[0].head.contains("bearer idk_old\r\n"));
        assert!(arrived[1].head.contains("bearer idk_new\r\n"));
    }
}

#[tokio::test]
async fn a_success_that_can_not_be_read_is_final() {
    let server = Server::always(Act::Reply(
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".to_owned(),
    ))
    .await;
    let outcomes = of_each_kind(
        || build(server.client()),
        |outcome| {
            let error = outcome.expect_err("a hole");
            assert_eq!(error.delivery(), Delivery::Answered);
            (error.kind(), server.take().len())
        },
    );
    assert_eq!(outcomes.await, [(ErrorKind::Decode, 1); 3]);
}

/// A reply with a user.
pub(crate) fn user() -> String {
    let body = r#"{"id":"u","email":"a@b.c","email_verified":false,"given_name":null,"family_name":null,"picture_url":null,"locale":"en","roles":[],"mfa_enabled":false,"is_active":true,"is_locked":false,"failed_login_attempts":0,"locked_until":null,"metadata":null,"created_at":0,"updated_at":0,"last_login_at":null,"email_verified_at":null}"#;
    format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}
