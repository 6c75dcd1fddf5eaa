//! The fake IDPFlare behind a proxy, and the requests that reach it.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use http::StatusCode;
use http::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, HOST};
use idpflare_management::testing::{FakeIdpflare, FakeServer, RequestLogEntry};
use tokio::net::TcpListener;
use tower::ServiceExt;

/// A fake that listens, with all that was asked of it.
pub(crate) struct Upstream {
    pub(crate) fake: FakeIdpflare,
    server: FakeServer,
    log: Arc<Mutex<Vec<RequestLogEntry>>>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let fake = FakeIdpflare::new();
        let server = fake.serve().await.expect("a port");
        let log = Arc::new(Mutex::new(Vec::new()));
        fake.on_request({
            let log = Arc::clone(&log);
            move |entry| log.lock().expect("not poisoned").push(entry.clone())
        });
        Self { fake, server, log }
    }

    pub(crate) fn port(&self) -> u16 {
        self.server.port()
    }

    pub(crate) fn key(&self) -> String {
        self.fake.api_key()
    }

    /// Returns the requests since the last time.
    pub(crate) fn requests(&self) -> Vec<RequestLogEntry> {
        std::mem::take(&mut *self.log.lock().expect("not poisoned"))
    }
}

/// A request as it arrived: method, path with query, headers but for those that depend on the
/// connection or on the instance, body.
#[derive(Debug, PartialEq)]
pub(crate) struct Arrived {
    request: String,
    headers: Vec<String>,
    body: String,
}

/// A listener in front of a fake, which keeps all requests as they arrived.
pub(crate) struct Recorder {
    pub(crate) port: u16,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Recorder {
    pub(crate) async fn start(fake: &FakeIdpflare) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await;
        Self::on(listener.expect("a port"), fake)
    }

    pub(crate) fn on(listener: TcpListener, fake: &FakeIdpflare) -> Self {
        let port = listener.local_addr().expect("an address").port();
        let arrived = Arc::new(Mutex::new(Vec::new()));
        let (service, list) = (fake.service(), Arc::clone(&arrived));
        let record = async move |request: Request| {
            let (head, body) = request.into_parts();
            let body = to_bytes(body, usize::MAX).await.expect("a body");
            list.lock()
                .expect("not poisoned")
                .push(Arrived::new(&head, &body));
            let request = Request::from_parts(head, Body::from(body));
            match service.oneshot(request).await {
                Ok(reply) => reply.map(Body::new),
                Err(_) => {
                    let mut reply = http::Response::new(Body::empty());
                    *reply.status_mut() = StatusCode::BAD_GATEWAY;
                    reply
                }
            }
        };
        tokio::spawn(async move { axum::serve(listener, Router::new().fallback(record)).await });
        Self { port, arrived }
    }

    /// Returns the requests since the last time.
    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        std::mem::take(&mut *self.arrived.lock().expect("not poisoned"))
    }
}

impl Arrived {
    fn new(head: &http::request::Parts, body: &[u8]) -> Self {
        let mut headers: Vec<_> = head
            .headers
            .iter()
            .filter(|(name, _)| ![AUTHORIZATION, CONNECTION, HOST].contains(name))
            // A request without a body may say so or not (RFC 9110, section 8.6).
            .filter(|(name, value)| *name != CONTENT_LENGTH || *value != "0")
            .map(|(name, value)| format!("{name}: {value:?}"))
            .collect();
        headers.sort();
        Self {
            request: format!("{} {}", head.method, head.uri),
            headers,
            body: String::from_utf8_lossy(body).into_owned(),
        }
    }
}
