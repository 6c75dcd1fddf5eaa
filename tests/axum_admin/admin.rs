//! The service on a loopback port, and what asks it.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::routing::get;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use idpflare_management::layers::RetryPolicy;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::{Client, ClientBuilder, Transport};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::app::{self, Stopped};

/// A process has one recorder, so all tests count together.
fn metrics() -> PrometheusHandle {
    static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();
    let handle = METRICS.get_or_init(|| app::metrics::install().expect("the first one"));
    handle.clone()
}

/// The settings of a client that does not try again.
pub(crate) fn settings(fake: &FakeIdpflare) -> ClientBuilder {
    // The units are told to the recorder that is there by then.
    metrics();
    let builder = Client::builder("https://idp.example.com")
        .api_key(fake.api_key())
        .retry(RetryPolicy::new().attempts(1));
    app::instrumented(builder)
}

/// Where it tells who it is.
pub(crate) const IDENTITY: &str = "/tests/identity";

/// Of no other service of this process, and of none of another process at this time.
fn identity() -> String {
    static SERVICES: AtomicU32 = AtomicU32::new(0);
    let number = SERVICES.fetch_add(1, Ordering::Relaxed);
    format!("service {number} of process {}", std::process::id())
}

pub(crate) struct Admin {
    pub(crate) address: SocketAddr,
    /// What tells it from others, which may listen on its port once it has stopped.
    pub(crate) identity: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<io::Result<Stopped>>,
}

pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).expect("JSON")
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        Some(self.headers.get(name)?.to_str().expect("text"))
    }
}

impl Admin {
    pub(crate) async fn of(fake: &FakeIdpflare) -> Self {
        let client = settings(fake).build_with(fake.service());
        Self::with(client.expect("a client"), Duration::from_secs(30)).await
    }

    pub(crate) async fn with(client: Client, grace: Duration) -> Self {
        let metrics = metrics();
        tokio::spawn(app::metrics::keep_small(metrics.clone()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a port");
        let address = listener.local_addr().expect("an address");
        let identity = identity();
        let told = identity.clone();
        let router = app::router(client, metrics).route(IDENTITY, get(async move || told));
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            let _ = stopped.await;
        };
        let served = app::serve(listener, router, stopped, grace);
        Self {
            address,
            identity,
            stop,
            served: tokio::spawn(served),
        }
    }

    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<&'static str>,
    ) -> impl Future<Output = Reply> + use<> {
        let uri = format!("http://{}{path}", self.address);
        let mut request = Request::builder().method(method).uri(uri);
        if body.is_some() {
            request = request.header("content-type", "application/json");
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let request = request.body(body).expect("a request");
        async move {
            let transport = Transport::builder().without_tls().build();
            let reply = transport.expect("a transport").oneshot(request).await;
            let (head, body) = reply.expect("a reply").into_parts();
            let bytes = body.collect().await.expect("a body").to_bytes();
            Reply {
                status: head.status,
                headers: head.headers,
                text: String::from_utf8(bytes.into()).expect("text"),
            }
        }
    }

    pub(crate) fn get(&self, path: &str) -> impl Future<Output = Reply> + use<> {
        self.request("GET", path, None)
    }

    pub(crate) fn post(&self, path: &str) -> impl Future<Output = Reply> + use<> {
        self.request("POST", path, None)
    }

    /// Tells it to stop. What is returned comes when it has.
    pub(crate) fn stop(self) -> JoinHandle<io::Result<Stopped>> {
        drop(self.stop);
        self.served
    }
}
