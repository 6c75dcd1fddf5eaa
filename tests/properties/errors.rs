//! Whatever a reply is, its error keeps what the server said, tells it in one line, and shows nothing
//! that is not for logs.

use std::error::Error as _;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use http::{Response, StatusCode};
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::{ApiRequest, Client, Delivery, Error, ErrorKind, Safety};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::exchange::Exchange;
use crate::operations::with_operation;
use crate::requests::request_with;
use crate::text;

pub(crate) fn check(data: &[u8]) {
    let exchange = Exchange::read(data);
    let status = exchange.reply.status();
    let outcome = with_operation!(exchange.operation.id, outcome(&exchange));
    let Err(error) = outcome.expect("a known operation") else {
        assert!(status.is_success());
        return;
    };
    assert_eq!(error.status(), Some(status));
    assert_eq!(error.headers(), Some(exchange.reply.headers()));
    if error.kind() != ErrorKind::TooLarge {
        assert_eq!(error.raw_body(), &exchange.reply.body()[..]);
        assert_eq!(error.kind(), kind_of(status));
    }
    is_told_in_a_line(&error);
    message_is_the_servers(&exchange, &error);
    secrets_stay_hidden(&exchange, &error);
    advice_is_safe(&exchange, &error);
}

/// What comes of an operation whose reply this is.
fn outcome<R: ApiRequest + DeserializeOwned>(exchange: &Exchange) -> Result<(), Error> {
    let service = tower::service_fn(|_| {
        let reply: Response<Full<_>> = exchange.reply.clone().map(Full::new);
        std::future::ready(Ok::<_, BoxError>(reply))
    });
    let client = Client::from_service("https://idp.example.com", service).expect("a client");
    let call = pin!(client.send(request_with::<R>(["a", "b"])));
    match call.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome.map(drop),
        Poll::Pending => panic!("there is nothing to wait for"),
    }
}

fn kind_of(status: StatusCode) -> ErrorKind {
    if status.is_success() {
        ErrorKind::Decode
    } else if status.is_redirection() {
        ErrorKind::Redirect
    } else {
        ErrorKind::Api
    }
}

fn is_told_in_a_line(error: &Error) {
    let (shown, debugged) = (error.to_string(), format!("{error:?}"));
    text::is_a_line(&shown);
    text::is_no_longer_than(1500, &shown);
    text::is_a_line(&debugged);
    text::is_no_longer_than(2500, &debugged);
    let operation = error.operation().expect("one failed");
    assert!(shown.starts_with(operation.id), "{shown}");
}

fn message_is_the_servers(exchange: &Exchange, error: &Error) {
    if !matches!(error.kind(), ErrorKind::Api | ErrorKind::Redirect) {
        return;
    }
    let fallback = format!(
        "Request failed with status {}",
        exchange.reply.status().as_u16()
    );
    // Of what is no JSON to serde's `Value`, such as arrays of great depth, some is to the client.
    if let Ok(body) = serde_json::from_slice::<Value>(exchange.reply.body()) {
        let said = body["error"].as_str().filter(|said| !said.is_empty());
        assert_eq!(error.message(), said.unwrap_or(&fallback));
    }
}

fn secrets_stay_hidden(exchange: &Exchange, error: &Error) {
    let is_told = |name| {
        let value = exchange.reply.headers().get(name);
        value.is_some_and(|value| String::from_utf8_lossy(value.as_bytes()).contains(text::SECRET))
    };
    let said_in_words = match error.kind() {
        // What was read quotes values, except where they may be secret.
        ErrorKind::Decode => !exchange.operation.sensitive,
        _ => error.message().contains(text::SECRET),
    };
    if said_in_words || is_told("cf-ray") || is_told("location") {
        return;
    }
    text::is_without_secrets(&error.to_string());
    text::is_without_secrets(&format!("{error:?}"));
    let mut source = error.source();
    while let Some(error) = source {
        text::is_without_secrets(&error.to_string());
        source = error.source();
    }
}

/// Nobody is told to repeat what may have been done already, or what would be refused again.
fn advice_is_safe(exchange: &Exchange, error: &Error) {
    let status = exchange.reply.status();
    assert_eq!(error.attempts(), 1);
    assert_ne!(error.delivery(), Delivery::NotSent);
    if status.is_success() {
        assert_eq!(error.delivery(), Delivery::Answered);
        assert!(!error.is_retryable());
    }
    if status.is_server_error() {
        assert_eq!(error.delivery(), Delivery::Unknown);
    }
    if error.delivery() == Delivery::Unknown && exchange.operation.safety == Safety::Once {
        assert!(!error.is_retryable());
    }
    let scope = exchange.operation.scope;
    let needed = (status == StatusCode::FORBIDDEN).then_some(scope).flatten();
    assert_eq!(error.required_scope(), needed);
}
