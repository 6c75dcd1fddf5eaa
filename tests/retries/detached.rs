//! Layers that run the service below in a task of their own, which goes on after a timeout.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use idpflare_management::layers::BoxError;
use idpflare_management::*;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tower::util::MapRequestLayer;
use tower::{Layer, Service, ServiceExt as _};

use crate::build;
use crate::server::{Act, Arrived, Server, empty};
use crate::statuses::user;

const SHORT: Duration = Duration::from_millis(300);

type Request = http::Request<Full<Bytes>>;
type Reply = Result<http::Response<ReplyBody>, BoxError>;

/// Holds some requests until it is opened.
#[derive(Clone)]
struct Gate {
    /// Whether a task of its own holds the request.
    detaches: bool,
    /// Which requests are held, counted from zero.
    holds: fn(usize) -> bool,
    seen: Arc<AtomicUsize>,
    open: Arc<watch::Sender<bool>>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Gate {
    fn new(detaches: bool, holds: fn(usize) -> bool) -> Self {
        Self {
            detaches,
            holds,
            seen: Arc::default(),
            open: Arc::new(watch::Sender::new(false)),
            tasks: Arc::default(),
        }
    }

    /// Lets go on what is held, and waits for the end of it.
    async fn open(&self) {
        self.open.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock().expect("no panic"));
        for task in tasks {
            task.await.expect("no panic");
        }
    }
}

impl<S: Clone> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        let gate = self.clone();
        Gated { inner, gate }
    }
}

#[derive(Clone)]
struct Gated<S> {
    inner: S,
    gate: Gate,
}

impl<S> Service<Request> for Gated<S>
where
    S: Service<Request, Response = http::Response<ReplyBody>, Error = BoxError>,
    S: Clone + Send + 'static,
    S::Future: Send,
{
    type Response = http::Response<ReplyBody>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Reply> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let number = self.gate.seen.fetch_add(1, Ordering::SeqCst);
        let held = (self.gate.holds)(number);
        let (inner, mut open) = (self.inner.clone(), self.gate.open.subscribe());
        let calling = async move {
            if held {
                let _ = open.wait_for(|open| *open).await;
            }
            inner.oneshot(request).await
        };
        if !self.gate.detaches {
            return Box::pin(calling);
        }
        let (reply, replied) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(async move {
            let _ = reply.send(calling.await);
        });
        self.gate.tasks.lock().expect("no panic").push(task);
        Box::pin(async { replied.await? })
    }
}

/// A client whose attempts pass `gate` on their way to `server`.
fn gated(server: &Server, gate: &Gate) -> Client {
    let gate = gate.clone();
    let client = server.client().attempt_timeout(SHORT);
    build(client.stack(|stack| stack.insert_after(Stack::ATTEMPT_TIMEOUT, "gate", gate)))
}

fn check_unknown(outcome: Result<User, Error>, attempts: u32) {
    let error = outcome.expect_err("it is held");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let found = (error.attempts(), error.delivery());
    assert_eq!(found, (attempts, Delivery::Unknown), "{error:?}");
    assert!(!error.is_retryable(), "{error:?}");
}

#[tokio::test]
async fn a_create_that_is_detached_is_not_doubled() {
    let server = Server::always(Act::Reply(user())).await;
    let gate = Gate::new(true, |_| true);
    let client = gated(&server, &gate);
    check_unknown(client.send(CreateUser::new("a@b.c")).await, 0);
    gate.open().await;
    assert_eq!(server.take().len(), 1);
}

#[tokio::test]
async fn an_earlier_answer_says_nothing_of_a_create_that_is_detached() {
    let server = Server::new(|_, before: &[Arrived]| {
        if before.is_empty() {
            empty("429 Too Many Requests\r\nretry-after: 0")
        } else {
            Act::Reply(user())
        }
    })
    .await;
    let gate = Gate::new(true, |number| number > 0);
    let client = gated(&server, &gate);
    check_unknown(client.send(CreateUser::new("a@b.c")).await, 1);
    gate.open().await;
    assert_eq!(server.take().len(), 2);
}

#[tokio::test]
async fn a_whole_call_that_is_detached_may_be_sent_after_its_deadline() {
    let server = Server::always(Act::Reply(user())).await;
    let gate = Gate::new(true, |_| true);
    let client = build(server.client().layer(gate.clone()));
    let hurried = CallOptions::new().deadline(SHORT);
    let create = CreateUser::new("a@b.c").with(hurried);
    check_unknown(client.send(create).await, 0);
    gate.open().await;
    // What is sent knows its deadline.
    assert!(server.take().len() <= 1);
}

#[tokio::test]
async fn what_may_act_twice_is_repeated_all_the_same() {
    let server = Server::always(Act::Reply(user())).await;
    let gate = Gate::new(true, |number| number == 0);
    let client = gated(&server, &gate);
    client.send(GetUser::new("u")).await.expect("a user");
    gate.open().await;
    assert_eq!(server.take().len(), 2);
}

#[tokio::test]
async fn a_create_that_ended_with_its_timeout_is_repeated() {
    let server = Server::always(Act::Reply(user())).await;
    let gate = Gate::new(false, |number| number == 0);
    let client = gated(&server, &gate);
    client.send(CreateUser::new("a@b.c")).await.expect("a user");
    assert_eq!(server.take().len(), 1);

    let gate = Gate::new(false, |_| true);
    let client = gated(&server, &gate);
    let error = client.send(CreateUser::new("a@b.c")).await;
    let error = error.expect_err("it is held");
    assert_eq!((error.attempts(), error.delivery()), (0, Delivery::NotSent));
    assert_eq!(gate.seen.load(Ordering::SeqCst), 3);
    assert!(error.is_retryable());
}

#[tokio::test]
async fn a_layer_that_keeps_only_the_call_of_a_request_is_refused() {
    let server = Server::always(Act::Reply(user())).await;
    let layer = MapRequestLayer::new(|mut request: Request| {
        let call = request.extensions().get::<Call>().cloned();
        request.extensions_mut().clear();
        request.extensions_mut().insert(call.expect("a call"));
        request
    });
    let client = build(server.client().attempt_layer(layer));
    let error = client.send(CreateUser::new("a@b.c")).await;
    let error = error.expect_err("refused");
    assert_eq!((error.attempts(), error.delivery()), (0, Delivery::NotSent));
    assert!(server.take().is_empty());
}
