//! What leaks is caught, wherever it is heard: without this, the other tests could be deaf.

use bytes::Bytes;
use http::Request;
use http::header::AUTHORIZATION;
use http_body_util::Full;
use idpflare_management::*;
use tokio::runtime::Builder;
use tower::util::MapRequestLayer;

use crate::secrets::{API_KEY, PASSWORD, RAW_KEY};
use crate::sites::Site;
use crate::witness::Witness;

type Leak = fn(&Request<Full<Bytes>>);

/// Sends a password through a layer that does this with each request, on another thread.
fn through(witness: &Witness, leak: Leak) {
    let layer = MapRequestLayer::new(move |request: Request<Full<Bytes>>| {
        leak(&request);
        request
    });
    let site = Site::in_process(&witness.notes);
    let client = Client::builder("https://idp.example.com")
        .api_key(API_KEY)
        .stack(move |stack| stack.insert_after(Stack::AUTH, "leaky", layer))
        .build_with(site.transport)
        .expect("a client");
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_time()
        .build();
    runtime.expect("a runtime").block_on(async {
        let new = CreateUser::new("ada@example.com").password(PASSWORD);
        let call = tokio::spawn(client.send(new));
        call.await.expect("no panic").expect("a user");
    });
}

fn key(request: &Request<Full<Bytes>>) -> &str {
    request.headers()[AUTHORIZATION].to_str().expect("text")
}

fn panic_with(text: &str) {
    let panic = std::panic::catch_unwind(|| panic!("{text}"));
    panic.expect_err("it panics");
}

#[test]
fn a_layer_that_leaks_is_caught() {
    let mut witness = Witness::start();
    let leaks: [(Leak, &str); 7] = [
        (
            |request| tracing::trace!(?request, "sent"),
            "an event or span has the password of createUser",
        ),
        (
            |request| tracing::debug!("sent {}", key(request)),
            "an event or span has the API key",
        ),
        (
            |request| drop(tracing::trace_span!("request", key = key(request)).entered()),
            "an event or span has the API key",
        ),
        (
            |request| {
                let span = tracing::trace_span!("request", body = tracing::field::Empty);
                span.record("body", tracing::field::debug(request.body()));
            },
            "an event or span has the password of createUser",
        ),
        (
            |request| log::trace!("{:x?}", key(request).as_bytes()),
            "a record has the API key",
        ),
        (
            |request| panic_with(&format!("with {}", key(request))),
            "a panic has the API key",
        ),
        (
            |request| panic_with(&format!("{request:#?}")),
            "a panic has the password of createUser",
        ),
    ];
    for (leak, caught) in leaks {
        through(&witness, leak);
        let leak = witness.leak().unwrap_or_default();
        assert!(leak.starts_with(caught), "{leak:?} is not {caught:?}");
    }
    through(&witness, |_| ());
    assert_eq!(witness.leak(), None);
}

#[test]
fn what_is_shown_is_looked_at() {
    let mut witness = Witness::start();
    let reply = http::Response::new(Full::new(Bytes::from_static(RAW_KEY.as_bytes())));
    witness.notes.debug(&reply);
    let leak = witness.leak().unwrap_or_default();
    assert!(leak.starts_with("what was shown has the raw key"), "{leak}");

    witness
        .notes
        .error(&std::io::Error::other(format!("no {PASSWORD}")));
    let leak = witness.leak().unwrap_or_default();
    assert!(leak.contains("has the password of createUser"), "{leak}");
}
