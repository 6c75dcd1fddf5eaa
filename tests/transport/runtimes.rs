//! Calls that are polled on another runtime than the one whose connections they use.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::*;
use tokio::io::AsyncWriteExt;
use tokio::runtime::{Builder, Runtime};
use tower::ServiceExt;

use crate::support::server::{Scripted, read_request};

type Reply = Result<Response<ReplyBody>, BoxError>;
type Sending = Pin<Box<dyn Future<Output = Reply> + Send>>;

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().expect("one")
}

/// A server that leaves the first reply open, and answers all others in full.
async fn server() -> Scripted {
    let is_first = std::sync::atomic::AtomicBool::new(true);
    Scripted::new(move |mut stream| {
        let is_first = is_first.swap(false, std::sync::atomic::Ordering::SeqCst);
        async move {
            let length = if is_first { 1000 } else { 4 };
            let reply = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\nbody");
            while stream.write_all(reply.as_bytes()).await.is_ok()
                && read_request(&mut stream).await.is_some()
            {}
        }
    })
    .await
}

struct Scene {
    runtime: Runtime,
    server: Scripted,
    transport: Transport,
}

impl Scene {
    fn new() -> Self {
        let runtime = runtime();
        let server = runtime.block_on(server());
        let transport = Transport::builder().without_tls().max_connections(1);
        let transport = transport.build().expect("a transport");
        Self {
            runtime,
            server,
            transport,
        }
    }

    fn send(&self) -> Sending {
        let uri = format!("http://{}/", self.server.address);
        let request = Request::get(uri).body(Full::<Bytes>::default());
        Box::pin(self.transport.clone().oneshot(request.expect("a request")))
    }

    /// A call that has begun to wait on the runtime, and may make a connection by now.
    fn waiting(&self) -> Sending {
        let unread = self.runtime.block_on(self.send()).expect("a reply");
        let mut waiting = self.send();
        self.runtime.block_on(async {
            let mut context = Context::from_waker(Waker::noop());
            assert!(waiting.as_mut().poll(&mut context).is_pending());
        });
        drop(unread);
        waiting
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls outside of any runtime.
fn block_on(mut future: Sending) -> Reply {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(reply) = future.as_mut().poll(&mut context) {
            return reply;
        }
        thread::park();
    }
}

#[test]
fn a_waiting_call_that_moves_leaves_its_connection_to_the_first_runtime() {
    let scene = Scene::new();
    let waiting = scene.waiting();
    let other = runtime();
    let reply = other.block_on(waiting).expect("a reply");
    drop(reply);
    other.shutdown_timeout(Duration::from_secs(10));
    let reply = scene.runtime.block_on(scene.send());
    drop(reply.expect("a reply"));
    assert_eq!(scene.server.connections(), 2);
}

#[test]
fn a_waiting_call_can_be_polled_outside_of_a_runtime() {
    let scene = Scene::new();
    let waiting = scene.waiting();
    block_on(waiting).expect("a reply");
    assert_eq!(scene.server.connections(), 2);
}

#[test]
fn a_runtime_that_stands_still_stops_no_call_of_another() {
    let scene = Scene::new();
    let mut moving = scene.waiting();
    // It is passed by, and then gets in line again.
    thread::sleep(Duration::from_millis(300));
    let still = Builder::new_current_thread().enable_all().build();
    let still = still.expect("a runtime");
    let is_pending = still.block_on(async {
        let mut context = Context::from_waker(Waker::noop());
        moving.as_mut().poll(&mut context).is_pending()
    });
    assert!(is_pending);
    let reply = scene.runtime.block_on(scene.send());
    reply.expect("a reply");
}
