//! TLS, and what depends on it, against real rustls servers: trust, versions of HTTP, mutual TLS,
//! proxies.

#[path = "../support/mod.rs"]
mod support;

mod certificates;
mod identities;
mod process;
mod proxies;
mod runtimes;
mod turns;

use std::net::SocketAddr;
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use idpflare_management::layers::{RetryPolicy, TimeoutScope};
use idpflare_management::*;
use support::tls::{Ca, at, listen, trusting};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// How long connecting may take where the test is about running out of that time.
const SHORT: Duration = Duration::from_millis(1500);

/// A server with a certificate for `name`, which asks clients for one of `clients`, if that is
/// given. What it calls the total of users is the version of HTTP.
async fn serve(ca: &Ca, name: &str, alpn: &[&str], clients: Option<&Ca>) -> SocketAddr {
    serving(listen(ca, name, alpn, clients).await)
}

fn serving((acceptor, listener): (TlsAcceptor, TcpListener)) -> SocketAddr {
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(acceptor.clone(), stream));
        }
    });
    address
}

async fn answer(acceptor: TlsAcceptor, stream: TcpStream) {
    let stream = match acceptor.accept(stream).into_fallible().await {
        Ok(stream) => stream,
        // What is left unread would take the alert with it.
        Err((_, mut stream)) => {
            let _ = stream.shutdown().await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
            return;
        }
    };
    let service = hyper::service::service_fn(async |request: http::Request<_>| {
        let _: &hyper::body::Incoming = request.body();
        let total = match request.version() {
            http::Version::HTTP_2 => 2,
            _ => 1,
        };
        let body = format!(r#"{{"total":{total},"active":0,"verified":0,"mfa_enabled":0}}"#);
        let body = http_body_util::Full::<bytes::Bytes>::from(body);
        Ok::<_, std::convert::Infallible>(http::Response::new(body))
    });
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

fn client(authority: String, transport: TransportBuilder) -> Client {
    Client::builder(authority)
        .api_key("idk_test")
        .retry(RetryPolicy::new().attempts(1))
        .build_with(transport.build().expect("a transport"))
        .expect("a client")
}

#[tokio::test]
async fn the_server_chooses_the_version_of_http() {
    let ca = Ca::new();
    for (alpn, version) in [
        (["h2", "http/1.1"].as_slice(), 2),
        (["http/1.1"].as_slice(), 1),
        ([].as_slice(), 1),
    ] {
        let address = serve(&ca, "localhost", alpn, None).await;
        let client = client(at("localhost", address), trusting(&ca));
        let stats = client.send(GetUserStats::new()).await.expect("stats");
        assert_eq!(stats.total, version, "{alpn:?}");
    }
}

#[tokio::test]
async fn a_handshake_that_hangs_counts_as_connecting() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let transport = trusting(&Ca::new()).connect_timeout(SHORT);
    let client = client(at("localhost", address), transport);
    let error = client
        .send(CreateUser::new("a@b.c"))
        .await
        .expect_err("it hangs");
    assert_eq!(
        error.timeout().map(layers::Timeout::scope),
        Some(TimeoutScope::Connect)
    );
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert!(error.is_retryable());
}
