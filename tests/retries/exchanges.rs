//! Exchanges that break after the request was sent.

use std::time::Duration;

use idpflare_management::*;

use crate::server::{Act, Server};
use crate::{build, of_each_kind};

const CUT_OFF: &str = "200 OK\r\ncontent-length: 9\r\n\r\n{";

#[tokio::test]
async fn what_can_not_be_told_is_repeated_only_where_that_is_safe() {
    for act in [
        // Nothing at all, something that is no HTTP, half a head, half a body.
        Act::Close(String::new()),
        Act::Close("nonsense\r\n\r\n".to_owned()),
        Act::Close("HTTP/1.1 200 O".to_owned()),
        Act::Close(format!("HTTP/1.1 {CUT_OFF}")),
        Act::Reset(String::new()),
        Act::Reset(format!("HTTP/1.1 {CUT_OFF}")),
    ] {
        let text = match &act {
            Act::Close(text) => format!("closed after {text:?}"),
            Act::Reset(text) => format!("reset after {text:?}"),
            _ => String::new(),
        };
        let server = Server::always(act).await;
        let arrived = server.arrivals(|| server.client()).await;
        assert_eq!(arrived, [3, 3, 1], "{text}");
    }
}

#[tokio::test]
async fn half_a_refusal_is_of_the_kind_that_the_whole_is() {
    for (status, expected) in [
        ("404 Not Found", [1, 1, 1]),
        ("503 Service Unavailable", [3, 3, 1]),
    ] {
        let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 9\r\n\r\n{{");
        let server = Server::always(Act::Close(reply)).await;
        let arrived = server.arrivals(|| server.client()).await;
        assert_eq!(arrived, expected, "{status}");
    }
}

#[tokio::test]
async fn what_takes_too_long_may_have_been_done() {
    let server = Server::always(Act::Hang).await;
    let short = Duration::from_millis(400);
    let arrived = server
        .arrivals(|| server.client().attempt_timeout(short))
        .await;
    assert_eq!(arrived, [3, 3, 1]);
    let deliveries = of_each_kind(
        || build(server.client().attempt_timeout(short)),
        |outcome| outcome.expect_err("it hangs").delivery(),
    );
    assert_eq!(deliveries.await, [Delivery::Unknown; 3]);
}
