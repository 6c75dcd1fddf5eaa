//! Connections that are not made: nothing was sent, so everything is tried again.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use idpflare_management::layers::TimeoutScope;
use idpflare_management::*;
use tokio::net::{TcpListener, TcpStream};

use crate::support::server::Nobody;
use crate::support::tls::{Ca, at, listen, trusting};
use crate::{build, client, of_each_kind, quick};

const SHORT: Duration = Duration::from_millis(500);

/// Attempts, kind and delivery.
fn told(outcome: Result<User, Error>) -> (u32, ErrorKind, Delivery) {
    let error = outcome.expect_err("no connection");
    (error.attempts(), error.kind(), error.delivery())
}

/// A listener that does this with each connection, and counts them.
async fn listening<F: Future<Output = ()> + Send + 'static>(
    with: impl Fn(TcpStream) -> F + Send + 'static,
) -> (std::net::SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(with(stream));
        }
    });
    (address, accepted)
}

#[tokio::test]
async fn nobody_listens() {
    let nobody = Nobody::new();
    let authority = format!("http://{}", nobody.address);
    let outcomes = of_each_kind(|| build(client(&authority)), told).await;
    assert_eq!(outcomes, [(3, ErrorKind::Connect, Delivery::NotSent); 3]);
}

#[tokio::test]
async fn no_address_has_that_name() {
    // Longer than a label of a name may be, so that no server is asked for it.
    let authority = format!("http://{}.test", "x".repeat(64));
    let builder = || {
        Client::builder(Authority::insecure(&authority).expect("an authority"))
            .api_key("idk_test")
            .retry(quick())
    };
    let outcomes = of_each_kind(|| build(builder()), told).await;
    assert_eq!(outcomes, [(3, ErrorKind::Connect, Delivery::NotSent); 3]);
}

#[tokio::test]
async fn the_handshake_breaks_off() {
    let (address, accepted) = listening(async |stream| drop(stream)).await;
    let secure = || {
        let transport = trusting(&Ca::new()).build().expect("a transport");
        let client = client(&at("localhost", address)).build_with(transport);
        client.expect("a client")
    };
    let outcomes = of_each_kind(secure, |outcome| {
        (told(outcome), accepted.swap(0, Ordering::SeqCst))
    });
    let expected = ((3, ErrorKind::Connect, Delivery::NotSent), 3);
    assert_eq!(outcomes.await, [expected; 3]);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_shown_once() {
    let (acceptor, listener) = listen(&Ca::new(), "localhost", &[], None).await;
    let address = listener.local_addr().expect("an address");
    let handshakes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&handshakes);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let _ = acceptor.accept(stream).await;
        }
    });
    let client = client(&at("localhost", address));
    let client = client.build_with(trusting(&Ca::new()).build().expect("a transport"));
    let outcome = client.expect("a client").send(GetUser::new("u")).await;
    assert_eq!(told(outcome), (1, ErrorKind::Connect, Delivery::NotSent));
    assert_eq!(handshakes.load(Ordering::SeqCst), 1);
}

/// What connects and then hangs: TLS with a server that says nothing.
async fn hangs(connect_timeout: Duration, attempt_timeout: Duration) -> (Error, usize) {
    let (address, accepted) = listening(async |stream: TcpStream| {
        tokio::time::sleep(Duration::from_secs(600)).await;
        drop(stream);
    })
    .await;
    let transport = trusting(&Ca::new())
        .connect_timeout(connect_timeout)
        .build();
    let client = client(&at("localhost", address))
        .attempt_timeout(attempt_timeout)
        .build_with(transport.expect("a transport"))
        .expect("a client");
    let error = client.send(CreateUser::new("a@b.c")).await;
    (
        error.expect_err("it hangs"),
        accepted.load(Ordering::SeqCst),
    )
}

#[tokio::test]
async fn connecting_takes_too_long() {
    let (error, connections) = hangs(SHORT, SHORT * 40).await;
    assert_eq!(
        error.timeout().map(layers::Timeout::scope),
        Some(TimeoutScope::Connect)
    );
    assert_eq!((error.attempts(), error.delivery()), (3, Delivery::NotSent));
    assert_eq!(connections, 3);
}

#[tokio::test]
async fn an_attempt_that_is_given_up_while_connecting_has_sent_nothing() {
    let (error, _) = hangs(SHORT * 40, SHORT).await;
    assert_eq!(
        error.timeout().map(layers::Timeout::scope),
        Some(TimeoutScope::Attempt)
    );
    assert_eq!((error.attempts(), error.delivery()), (3, Delivery::NotSent));
    assert!(error.is_retryable());
}
