//! Ids that could reach another operation, for each of the operations and through a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::{
    ApiRequest, Client, DecodeError, Delivery, EncodeError, Encoder, ErrorKind, OPERATIONS,
    Operation, Safety, UserId,
};
use serde::de::DeserializeOwned;
use tower::{ServiceExt, service_fn};

use crate::ids::authority;
use crate::operations::with_operation;
use crate::requests::request_with;

const HOSTILE: [&str; 20] = [
    "",
    ".",
    "..",
    "../../usr_victim",
    "usr_1/mfa",
    "usr_1%2fmfa",
    "usr_1%25252Fmfa",
    "usr_1%%32%66mfa",
    "..\\usr_victim",
    "%5c",
    "usr_1?limit=1",
    "usr_1%3f",
    "usr_1#",
    "usr_1%23",
    "usr_1\0",
    "usr_1%0d%0a",
    "..;x",
    "%2e%2e%3bx",
    ";x",
    "..%c0%af",
];

const HARMLESS: [(&str, &str); 8] = [
    ("usr_7", "usr_7"),
    ("auth0|123", "auth0%7C123"),
    ("100%", "100%25"),
    ("a%20b", "a%2520b"),
    ("user@host", "user%40host"),
    ("a;b", "a%3Bb"),
    ("...", "..."),
    ("käse", "k%C3%A4se"),
];

/// A client that counts what it sends.
fn client() -> (Client, Arc<AtomicUsize>) {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let service = service_fn(move |_: http::Request<Full<Bytes>>| {
        count.fetch_add(1, Ordering::SeqCst);
        std::future::ready(Ok::<_, BoxError>(http::Response::new(
            Full::<Bytes>::default(),
        )))
    });
    let client = Client::from_service(authority(), service).expect("a client");
    (client.boxed(), sent)
}

fn holes<R: ApiRequest>() -> usize {
    R::OPERATION.path_template.matches('{').count()
}

fn is_refused<R>(id: &str)
where
    R: ApiRequest<Response: Send + 'static> + DeserializeOwned,
{
    // A hostile id in either of two holes.
    for ids in [["usr_7", id], [id, "usr_7"]].iter().skip(2 - holes::<R>()) {
        let (client, sent) = client();
        let error = poll_now(client.send(request_with::<R>(*ids))).map(drop);
        let error = error.expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Encode, "{id:?}");
        assert_eq!(error.delivery(), Delivery::NotSent, "{id:?}");
        assert_eq!((error.attempts(), error.is_retryable()), (0, false));
        assert_eq!(error.operation(), Some(R::OPERATION));
        let oneshot = client.oneshot(request_with::<R>(*ids));
        assert!(poll_now(oneshot).is_err(), "{id:?}");
        assert_eq!(sent.load(Ordering::SeqCst), 0, "{id:?}");
    }
}

fn is_one_segment<R: ApiRequest + DeserializeOwned>(id: &str, segment: &str) {
    let http = request_with::<R>([id, id]).to_http(&authority());
    let http = http.expect("a harmless id");
    let filled = R::OPERATION
        .path_template
        .split('/')
        .map(|part| if part.starts_with('{') { segment } else { part });
    let path = filled.collect::<Vec<_>>().join("/");
    assert_eq!(http.uri().path(), format!("/idp/api/v1{path}"));
}

/// The output of a future that has nothing to wait for.
fn poll_now<F: Future>(future: F) -> F::Output {
    futures_util::FutureExt::now_or_never(future).expect("nothing to wait for")
}

#[test]
fn no_operation_sends_an_id_that_could_reach_another() {
    for operation in OPERATIONS {
        for id in HOSTILE {
            with_operation!(operation.id, is_refused(id)).expect("known");
        }
        for (id, segment) in HARMLESS {
            with_operation!(operation.id, is_one_segment(id, segment)).expect("known");
        }
    }
}

struct RestoreUser {
    user_id: UserId,
}

impl ApiRequest for RestoreUser {
    type Response = ();

    const OPERATION: &'static Operation = &Operation::new(
        "restoreUser",
        http::Method::POST,
        "/users/{user_id}/restore",
        Safety::Once,
    );

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)
    }

    fn decode(_: &http::Response<Bytes>) -> Result<(), DecodeError> {
        Ok(())
    }
}

#[test]
fn an_operation_of_the_users_own_is_protected_too() {
    for id in HOSTILE {
        let (client, sent) = client();
        let user_id = UserId::from(id);
        let error = poll_now(client.send(RestoreUser { user_id })).expect_err("refused");
        assert_eq!(error.kind(), ErrorKind::Encode, "{id:?}");
        assert_eq!(sent.load(Ordering::SeqCst), 0, "{id:?}");
    }
    for (id, _) in HARMLESS {
        let (client, sent) = client();
        let user_id = UserId::from(id);
        poll_now(client.send(RestoreUser { user_id })).expect("sent");
        assert_eq!(sent.load(Ordering::SeqCst), 1, "{id:?}");
    }
}
