//! TLS, and what depends on it, against real rustls servers: trust, versions of HTTP, mutual TLS,
//! proxies.

#[path = "../support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
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
const SHORT: Duration = Duration::from_millis(250);

/// A server with a certificate for `name`, which asks clients for one of `clients`, if that is
/// given. What it calls the total of users is the version of HTTP.
async fn serve(ca: &Ca, name: &str, alpn: &[&str], clients: Option<&Ca>) -> SocketAddr {
    let (acceptor, listener) = listen(ca, name, alpn, clients).await;
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(acceptor.clone(), stream));
        }
    });
    address
}

async fn answer(acceptor: TlsAcceptor, stream: TcpStream) {
    let Ok(stream) = acceptor.accept(stream).await else {
        return;
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
async fn a_certificate_that_does_not_fit_is_final() {
    let ca = Ca::new();
    let address = serve(&ca, "localhost", &[], None).await;
    for client in [
        client(at("localhost", address), trusting(&Ca::new())),
        client(at("127.0.0.1", address), trusting(&ca)),
    ] {
        let error = client
            .send(GetUserStats::new())
            .await
            .expect_err("not trusted");
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert_eq!(error.delivery(), Delivery::NotSent);
        assert!(!error.is_retryable(), "{error:?}");
    }
}

#[tokio::test]
async fn a_client_shows_its_identity() {
    let (ca, clients) = (Ca::new(), Ca::new());
    let address = serve(&ca, "localhost", &["h2"], Some(&clients)).await;
    let authority = at("localhost", address);
    let known = client(
        authority.clone(),
        trusting(&ca).identity(clients.identity()),
    );
    assert_eq!(
        known.send(GetUserStats::new()).await.expect("stats").total,
        2
    );
    // With TLS 1.3 a server refuses only after the client believes that it is connected.
    for transport in [trusting(&ca), trusting(&ca).identity(Ca::new().identity())] {
        let stranger = client(authority.clone(), transport);
        let error = stranger.send(GetUserStats::new()).await;
        let error = error.expect_err("refused");
        let kinds = [ErrorKind::Connect, ErrorKind::Transport];
        assert!(kinds.contains(&error.kind()), "{error:?}");
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

const ROOT_FILE: &str = "IDPFLARE_TEST_ROOT_FILE";
const AUTHORITY: &str = "IDPFLARE_TEST_AUTHORITY";

/// A client with the environment of a process of its own. It is a test so that this program can be
/// told to run it as one.
#[tokio::test]
async fn a_client_in_a_process_of_its_own() {
    let Some(file) = std::env::var_os(ROOT_FILE) else {
        return;
    };
    let root = std::fs::read(file).expect("a file");
    let root = Certificate::from_pem(&root).expect("a certificate");
    let mut transport = Transport::builder().root_certificate(root);
    if std::env::var_os("WITHOUT_PROXY").is_some() {
        transport = transport.without_proxy();
    }
    let authority = std::env::var(AUTHORITY).expect("an authority");
    let outcome = client(authority, transport).send(GetUserStats::new()).await;
    match outcome {
        Ok(stats) => println!("outcome: version {}", stats.total),
        Err(error) => println!("outcome: {error}"),
    }
}

/// Runs that test as a process with these variables, and returns what came of it.
async fn in_a_process(ca: &Ca, authority: String, variables: &[(&str, &str)]) -> String {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    let file = format!("idpflare-root-{}-{number}.pem", std::process::id());
    let file = std::env::temp_dir().join(file);
    std::fs::write(&file, ca.root.pem()).expect("a file");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--exact", "a_client_in_a_process_of_its_own", "--nocapture"])
        .env(ROOT_FILE, &file)
        .env(AUTHORITY, authority);
    for unset in [
        "ALL_PROXY",
        "all_proxy",
        "https_proxy",
        "NO_PROXY",
        "no_proxy",
    ] {
        command.env_remove(unset);
    }
    command.envs(variables.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.expect("it ran").expect("it ran");
    std::fs::remove_file(&file).expect("the file is there");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, outcome) = text
        .split_once("outcome: ")
        .unwrap_or_else(|| panic!("no outcome: {text}"));
    outcome.lines().next().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn https_goes_through_the_proxy_of_the_environment() {
    let ca = Ca::new();
    let server = serve(&ca, "idp.test", &["h2"], None).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let proxy = listener.local_addr().expect("an address");
    let asked = Arc::new(Mutex::new(String::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        let (mut client, _) = listener.accept().await.expect("a connection");
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(client.read_u8().await.expect("a request"));
        }
        *heard.lock().expect("not poisoned") = String::from_utf8(request).expect("text");
        let mut server = TcpStream::connect(server).await.expect("the server");
        let established = b"HTTP/1.1 200 Connection established\r\n\r\n";
        client.write_all(established).await.expect("written");
        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    });
    // Only the proxy knows this name.
    let authority = "https://idp.test".to_owned();
    let proxy = format!("http://user:word@{proxy}");
    let outcome = in_a_process(&ca, authority, &[("HTTPS_PROXY", &proxy)]).await;
    assert_eq!(outcome, "version 2");
    let asked = asked.lock().expect("not poisoned").to_ascii_lowercase();
    assert!(
        asked.starts_with("connect idp.test:443 http/1.1\r\n"),
        "{asked}"
    );
    assert!(
        asked.contains("proxy-authorization: basic dxnlcjp3b3jk"),
        "{asked}"
    );
    // The API key is for the server, inside of the tunnel.
    assert!(!asked.contains("idk_"), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_no_proxy_takes_none() {
    let ca = Ca::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let nobody = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let proxy = ("HTTPS_PROXY", nobody.as_str());
    let address = serve(&ca, "localhost", &["h2"], None).await;
    let outcome = in_a_process(&ca, at("localhost", address), &[proxy]).await;
    assert_eq!(outcome, "version 2");
    let socks = ("HTTPS_PROXY", "socks5://127.0.0.1:9");
    let without = [socks, ("WITHOUT_PROXY", "1")];
    let outcome = in_a_process(&ca, at("localhost", address), &without).await;
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
        let outcome = in_a_process(&ca, authority.clone(), &[proxy, variable]).await;
        let was_asked = asked.load(Ordering::Relaxed) > before;
        assert_eq!(was_asked, through_proxy, "{variable:?}");
        assert_eq!(outcome == "version 2", !through_proxy, "{outcome}");
    }
}

#[test]
fn certificates_are_checked() {
    assert!(Certificate::from_pem(b"nothing of the kind").is_err());
    let broken = b"-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
    assert!(Certificate::from_pem(broken).is_err());
    assert!(Identity::from_pem(b"", b"-----BEGIN PRIVATE KEY-----\nAAAA").is_err());
    let no_root = Certificate::from_der(*b"not DER");
    let error = Transport::builder().root_certificate(no_root).build();
    assert_eq!(error.expect_err("no root").kind(), ErrorKind::Configuration);
    let error = Transport::builder().connect_timeout(Duration::ZERO).build();
    assert_eq!(error.expect_err("zero").kind(), ErrorKind::Configuration);
}
