//! Proxies, which only the environment names: tunnels to servers, and ways around them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use tokio_rustls::rustls::version::{TLS12, TLS13};

use crate::process::{IDENTITY, IDENTITY_KEY, in_a_process};
use crate::support::server::Nobody;
use crate::support::tls::{Ca, at, listen, listen_to};
use crate::{SHORT, serve};

/// What only a proxy finds.
const AUTHORITY: &str = "https://idp.test";

/// The head of the one request that a proxy is sent, in lower case.
async fn read_head(client: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await.expect("a request"));
    }
    String::from_utf8(head).expect("text").to_ascii_lowercase()
}

/// Does with one connection what a proxy does, and returns what it was asked.
async fn tunnel(mut client: impl AsyncRead + AsyncWrite + Unpin, server: SocketAddr) -> String {
    let head = read_head(&mut client).await;
    let mut server = TcpStream::connect(server).await.expect("the server");
    let established = b"HTTP/1.1 200 Connection established\r\n\r\n";
    client.write_all(established).await.expect("written");
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    head
}

fn check_asked(head: &str) {
    let line = "connect idp.test:443 http/1.1\r\n";
    assert!(head.starts_with(line), "{head}");
    let credentials = "proxy-authorization: basic dxnlcjp3b3jk";
    assert!(head.contains(credentials), "{head}");
    // The API key is for the server, inside of the tunnel.
    assert!(!head.contains("idk_"), "{head}");
}

#[tokio::test(flavor = "multi_thread")]
async fn https_goes_through_the_proxy_of_the_environment() {
    let ca = Ca::new();
    let server = serve(&ca, "idp.test", &["h2"], None).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let proxy = tokio::spawn(async move {
        let (client, _) = listener.accept().await.expect("a connection");
        tunnel(client, server).await
    });
    let variable = ("HTTPS_PROXY", format!("http://user:word@{address}"));
    let outcome = in_a_process(&ca, AUTHORITY, &[(variable.0, &variable.1)]).await;
    assert_eq!(outcome, "version 2");
    check_asked(&proxy.await.expect("no panic"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_may_want_tls_for_itself() {
    let ca = Ca::new();
    let server = serve(&ca, "idp.test", &["h2"], None).await;
    // It prefers HTTP/2, and is not asked for it: the tunnel is made with HTTP/1.1.
    let (acceptor, listener) = listen(&ca, "localhost", &["h2", "http/1.1"], None).await;
    let port = listener.local_addr().expect("an address").port();
    let proxy = tokio::spawn(async move {
        let (client, _) = listener.accept().await.expect("a connection");
        tunnel(acceptor.accept(client).await.expect("TLS"), server).await
    });
    let address = format!("https://user:word@localhost:{port}");
    let outcome = in_a_process(&ca, AUTHORITY, &[("ALL_PROXY", &address)]).await;
    assert_eq!(outcome, "version 2");
    check_asked(&proxy.await.expect("no panic"));
}

/// A proxy that asks for a certificate gets none, though the server behind it gets the client's.
#[tokio::test(flavor = "multi_thread")]
async fn the_identity_is_shown_to_the_server_and_not_to_a_proxy() {
    let (ca, clients) = (Ca::new(), Ca::new());
    let (certificate, key) = clients.issue("client.example");
    let (certificate, key) = (certificate.pem(), key.serialize_pem());
    for version in [&TLS12, &TLS13] {
        // It refuses a client without a certificate.
        let server = serve(&ca, "idp.test", &["h2"], Some(&clients)).await;
        let asking = Some((&clients, false));
        let (acceptor, listener) = listen_to(&ca.issue("localhost"), &[], asking, &[version]).await;
        let port = listener.local_addr().expect("an address").port();
        let proxy = tokio::spawn(async move {
            let (client, _) = listener.accept().await.expect("a connection");
            let client = acceptor.accept(client).await.expect("TLS");
            let (_, session) = client.get_ref();
            let shown = session.peer_certificates().map(<[_]>::len);
            tunnel(client, server).await;
            shown
        });
        let address = format!("https://localhost:{port}");
        let variables = [
            ("HTTPS_PROXY", address.as_str()),
            (IDENTITY, &certificate),
            (IDENTITY_KEY, &key),
        ];
        let outcome = in_a_process(&ca, AUTHORITY, &variables).await;
        assert_eq!(outcome, "version 2", "{version:?}");
        assert_eq!(proxy.await.expect("no panic"), None, "{version:?}");
    }
}

/// What comes of a call through a proxy that answers with `reply`, and then closes the connection;
/// without one it is silent. How often it was asked for a tunnel, too.
async fn through(reply: Option<&'static str>, variables: &[(&str, &str)]) -> (String, u32) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            read_head(&mut client).await;
            count.fetch_add(1, Ordering::SeqCst);
            match reply {
                Some(reply) => {
                    let _ = client.write_all(reply.as_bytes()).await;
                }
                None => std::future::pending().await,
            }
        }
    });
    let mut variables = variables.to_vec();
    variables.push(("HTTPS_PROXY", &proxy));
    let outcome = in_a_process(&Ca::new(), AUTHORITY, &variables).await;
    (outcome, asked.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_makes_no_tunnel_is_a_connection_that_was_not_made() {
    for (reply, reason) in [
        (
            "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
            "tunnel error: proxy authorization required",
        ),
        (
            "HTTP/1.1 502 Bad Gateway\r\n\r\n<html>",
            "tunnel error: unsuccessful",
        ),
        ("SSH-2.0-OpenSSH_9.2\r\n", "tunnel error: unsuccessful"),
        ("", "tunnel error: unexpected end of file"),
    ] {
        let (outcome, asked) = through(Some(reply), &[]).await;
        let told = "NotSent, retryable: true: getUserStats failed: could not connect: ";
        assert!(outcome.starts_with(told), "{outcome}");
        assert!(outcome.ends_with(reason), "{outcome}");
        assert_eq!(asked, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_hangs_is_given_up_as_a_connection() {
    let (outcome, asked) = through(None, &[("IMPATIENT", "1")]).await;
    let told = format!(
        "NotSent, retryable: true: getUserStats failed: no connection within the connect limit of {SHORT:?}"
    );
    assert_eq!(outcome, told);
    assert_eq!(asked, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_no_proxy_takes_none() {
    let ca = Ca::new();
    let nobody = Nobody::new();
    let there = format!("http://{}", nobody.address);
    let proxy = ("HTTPS_PROXY", there.as_str());
    let address = serve(&ca, "localhost", &["h2"], None).await;
    let outcome = in_a_process(&ca, &at("localhost", address), &[proxy]).await;
    assert_eq!(outcome, "version 2");
    let socks = ("HTTPS_PROXY", "socks5://127.0.0.1:9");
    let without = [socks, ("WITHOUT_PROXY", "1")];
    let outcome = in_a_process(&ca, &at("localhost", address), &without).await;
    assert_eq!(outcome, "version 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_proxy_names_what_is_asked_directly() {
    let ca = Ca::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = format!("http://{}", listener.local_addr().expect("an address"));
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            drop(connection);
        }
    });
    // An address of this machine that is not a loopback one.
    let address = serve(&ca, "0.0.0.0", &["h2"], None).await;
    let authority = at("0.0.0.0", address);
    let proxy = ("HTTPS_PROXY", proxy.as_str());
    for (variable, through_proxy) in [
        (("NO_PROXY", "0.0.0.1"), true),
        (("NO_PROXY", "0.0.0.0"), false),
        (("WITHOUT_PROXY", "1"), false),
    ] {
        let before = asked.load(Ordering::Relaxed);
        let outcome = in_a_process(&ca, &authority, &[proxy, variable]).await;
        let was_asked = asked.load(Ordering::Relaxed) > before;
        assert_eq!(was_asked, through_proxy, "{variable:?}");
        assert_eq!(outcome == "version 2", !through_proxy, "{outcome}");
    }
}
