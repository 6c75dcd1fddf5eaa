//! A server that answers at once, in a process of its own: this program, started once more.

use std::convert::Infallible;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use idpflare_management::testing::{EncodeReply, Fixture};
use idpflare_management::{Certificate, User, UserStats};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;
use tokio_rustls::rustls::{ServerConfig, crypto::ring};

const ARGUMENT: &str = "--serve";
/// What the certificate ends with, and so what the child has to say.
const END: &str = "-----END CERTIFICATE-----";
/// How many requests may be under way on one connection of HTTP/2: as many as at most servers.
const STREAMS: u32 = 100;

pub(crate) fn is_asked_for() -> bool {
    std::env::args().nth(1).as_deref() == Some(ARGUMENT)
}

/// The process that serves. It goes when this is dropped, or the process that started it ends.
pub(crate) struct Server {
    process: Child,
    pub(crate) http: String,
    pub(crate) https: String,
    pub(crate) root: Certificate,
}

impl Server {
    pub(crate) fn start() -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut process = Command::new(program)
            .arg(ARGUMENT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let output = process.stdout.take().expect("its output");
        let mut lines = BufReader::new(output).lines();
        let mut line = || lines.next().expect("a line").expect("text");
        let (http, https) = (line(), line());
        let mut root = String::new();
        while !root.contains(END) {
            root.push_str(&line());
            root.push('\n');
        }
        Self {
            process,
            http,
            https,
            root: Certificate::from_pem(root.as_bytes()).expect("a certificate"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input.
        self.process.stdin.take();
        let _ = self.process.wait();
    }
}

/// Serves until the input ends.
pub(crate) fn run() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let replies = Replies::new();
    let (acceptor, root) = tls();
    runtime.block_on(async {
        let (plain, http) = listen().await;
        let (encrypted, https) = listen().await;
        tokio::spawn(serve(plain, None, replies.clone()));
        tokio::spawn(serve(encrypted, Some(acceptor), replies));
        let mut output = std::io::stdout().lock();
        write!(output, "http://{http}\nhttps://{https}\n{root}").expect("a reader");
        output.flush().expect("a reader");
        let _ = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await;
    });
}

fn tls() -> (TlsAcceptor, String) {
    let names = [Ipv4Addr::LOCALHOST.to_string()];
    let issued = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let key = PrivateKeyDer::try_from(issued.signing_key.serialize_der()).expect("a key");
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .expect("a certificate with its key");
    config.alpn_protocols = vec![b"h2".to_vec()];
    (TlsAcceptor::from(Arc::new(config)), issued.cert.pem())
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, replies: Replies) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        replies.connections.fetch_add(1, Ordering::Relaxed);
        let _ = stream.set_nodelay(true);
        let (acceptor, replies) = (acceptor.clone(), replies.clone());
        tokio::spawn(async move {
            match acceptor {
                None => replies.answer(stream).await,
                Some(acceptor) => {
                    if let Ok(stream) = acceptor.accept(stream).await {
                        replies.answer(stream).await;
                    }
                }
            }
        });
    }
}

/// Answers `getUser`, and `getUserStats` with the number of connections there have been.
#[derive(Clone)]
struct Replies {
    user: Bytes,
    connections: Arc<AtomicU64>,
}

impl Replies {
    fn new() -> Self {
        let user: Response<Bytes> = User::fixture().encode().into();
        Self {
            user: user.into_body(),
            connections: Arc::default(),
        }
    }

    async fn answer(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let service = service_fn(|request: Request<Incoming>| {
            let body = if request.uri().path().ends_with("/stats/users") {
                self.stats()
            } else {
                self.user.clone()
            };
            std::future::ready(Ok::<_, Infallible>(Response::new(Full::new(body))))
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http2().max_concurrent_streams(STREAMS);
        // Clients go away as they like.
        let _ = builder
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }

    fn stats(&self) -> Bytes {
        let mut stats = UserStats::fixture();
        stats.total = self.connections.load(Ordering::Relaxed);
        let stats: Response<Bytes> = stats.encode().into();
        stats.into_body()
    }
}
