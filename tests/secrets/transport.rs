//! Exchanges that fail before there is a reply, or any request.

use std::net::SocketAddr;
use std::time::Duration;

use idpflare_management::layers::TimeoutScope;
use idpflare_management::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

use crate::operations::{Targets, perform};
use crate::secrets::API_KEY;
use crate::sites::watched;
use crate::support::server::Nobody;
use crate::support::tls::{Ca, at, listen, trusting};
use crate::witness::Witness;

/// Has all operations fail over a transport, and returns one more error.
async fn fail(witness: &Witness, authority: &str, transport: TransportBuilder) -> Error {
    witness.notes.debug(&transport);
    let transport = transport.build().expect("a transport");
    witness.notes.debug(&transport);
    let builder = Client::builder(authority)
        .api_key(API_KEY)
        .attempt_timeout(Duration::from_secs(30));
    let client = watched(builder, &witness.notes)
        .build_with(transport)
        .expect("a client");
    let targets = Targets::unknown();
    let mut calls = tokio::task::JoinSet::new();
    for operation in OPERATIONS {
        let arguments = targets.arguments(operation.id);
        calls.spawn(perform(operation.id, &client, arguments, &witness.notes));
    }
    assert!(calls.join_all().await.iter().all(|succeeded| !succeeded));
    client
        .send(GetUserStats::new())
        .await
        .expect_err("it fails")
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build();
    runtime.expect("a runtime").block_on(future)
}

/// The address of a server that reads a little and then does this.
async fn server<F>(script: fn(TcpStream) -> F) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut some = [0; 16];
                if stream.read(&mut some).await.is_ok() {
                    script(stream).await;
                }
            });
        }
    });
    address
}

#[test]
fn a_connection_that_is_refused() {
    let mut witness = Witness::start();
    run(async {
        let nobody = Nobody::new();
        let address = nobody.address;
        let plain = Transport::builder().without_tls();
        let error = fail(&witness, &format!("http://{address}"), plain).await;
        assert_eq!(error.kind(), ErrorKind::Connect);
        let error = fail(&witness, &at("localhost", address), trusting(&Ca::new())).await;
        assert_eq!(error.kind(), ErrorKind::Connect);
        // Without TLS there is none.
        let plain = Transport::builder().without_tls();
        fail(&witness, &at("localhost", address), plain).await;
    });
    witness.assert_discreet("a refused connection");
}

#[test]
fn a_server_that_is_not_trusted_or_does_not_trust() {
    let mut witness = Witness::start();
    run(async {
        let ca = Ca::new();
        for (alpn, clients) in [(["h2"].as_slice(), None), (&[], Some(&ca))] {
            let (acceptor, listener) = listen(&ca, "localhost", alpn, clients).await;
            let address = listener.local_addr().expect("an address");
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let _ = acceptor.accept(stream).await;
                }
            });
            let stranger = trusting(&Ca::new()).identity(Ca::new().identity());
            fail(&witness, &at("localhost", address), stranger).await;
            fail(&witness, &at("127.0.0.1", address), trusting(&ca)).await;
            let error = fail(&witness, &at("localhost", address), trusting(&ca)).await;
            let kinds = [ErrorKind::Connect, ErrorKind::Transport];
            assert!(kinds.contains(&error.kind()), "{error:?}");
        }
    });
    witness.assert_discreet("TLS that fails");
    witness.assert_heard(&["hyper_util", "rustls"]);
}

#[test]
fn a_server_that_does_not_speak_the_protocol() {
    let mut witness = Witness::start();
    run(async {
        let plain = || Transport::builder().without_tls();
        let silent = server(|stream| async {
            std::future::pending::<()>().await;
            drop(stream);
        });
        let silent = silent.await;
        let hasty = trusting(&Ca::new()).connect_timeout(Duration::from_millis(50));
        let error = fail(&witness, &at("localhost", silent), hasty).await;
        let scope = error.timeout().map(layers::Timeout::scope);
        assert_eq!(scope, Some(TimeoutScope::Connect));

        let closing = server(|stream| async { drop(stream) }).await;
        fail(&witness, &format!("http://{closing}"), plain()).await;
        fail(&witness, &at("localhost", closing), trusting(&Ca::new())).await;

        let babbling = server(|mut stream| async move {
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.6\r\n\r\n").await;
        });
        let babbling = babbling.await;
        fail(&witness, &format!("http://{babbling}"), plain()).await;
        fail(&witness, &at("localhost", babbling), trusting(&Ca::new())).await;
    });
    witness.assert_discreet("servers of another kind");
}
