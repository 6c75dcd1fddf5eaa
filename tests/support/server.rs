//! A server on a loopback port that does with a connection what a script says.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use idpflare_management::layers::RetryPolicy;
use idpflare_management::{Client, ClientBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// A server that reads one request of each connection and then does `script` with it.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    /// Those that a request arrived on.
    connections: Arc<AtomicUsize>,
}

impl Scripted {
    pub(crate) async fn new<F, Fut>(script: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                if read_request(&mut stream).await.is_some() {
                    count.fetch_add(1, Ordering::SeqCst);
                    tokio::spawn(script(stream));
                }
            }
        });
        Self {
            address,
            connections,
        }
    }

    /// A server that answers with these bytes and closes.
    pub(crate) async fn answering(reply: impl Into<Vec<u8>>) -> Self {
        let reply = Arc::new(reply.into());
        Self::new(move |mut stream| {
            let reply = Arc::clone(&reply);
            async move {
                let _ = stream.write_all(&reply).await;
                let _ = stream.shutdown().await;
            }
        })
        .await
    }

    /// A client of it that does not try again.
    pub(crate) fn client(&self) -> ClientBuilder {
        Client::builder(format!("http://{}", self.address))
            .api_key("idk_test")
            .retry(RetryPolicy::new().attempts(1))
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// A port that nobody listens on, and that no other process can take as long as this is there.
pub(crate) struct Nobody {
    pub(crate) address: SocketAddr,
    _socket: TcpSocket,
}

impl Nobody {
    pub(crate) fn new() -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(any).expect("a port");
        Self {
            address: socket.local_addr().expect("an address"),
            _socket: socket,
        }
    }
}

/// Reads a request with its body, and returns its head in lower case; `None` where the connection
/// ended before. What is left unread when a connection is closed takes the reply with it.
pub(crate) async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?.to_ascii_lowercase());
    }
    let head = String::from_utf8(head).expect("a head of ASCII");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .map_or(0, |length| length.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(head)
}
