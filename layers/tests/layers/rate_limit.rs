use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::time::Duration;

use http::Response;
use idpflare_layers::{
    BoxError, Call, Delivery, DeliveryLayer, Rate, RateLimit, RateLimitLayer, RateLimited,
    RateLimiter, Timeout, TimeoutScope,
};
use proptest::prelude::*;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt};

use crate::support::{Server, Transport, poll, request, secs, transport, typed};

mod found;
mod held;
mod limits;
mod line;
mod pause;

const MILLI: Duration = Duration::from_millis(1);
const DAY: Duration = secs(24 * 3600);

fn rate(calls: u32) -> Rate {
    Rate::per_second(calls).expect("a rate")
}

type Reply = Result<Response<()>, BoxError>;

/// A transport that answers at once, and tells the number of each request and its time.
#[derive(Clone)]
struct Log(tokio::sync::mpsc::UnboundedSender<(usize, Instant)>);

impl Log {
    fn new() -> (Self, UnboundedReceiver<(usize, Instant)>) {
        let (sender, receiver) = unbounded_channel();
        (Self(sender), receiver)
    }
}

impl Service<http::Request<usize>> for Log {
    type Response = Response<()>;
    type Error = BoxError;
    type Future = std::future::Ready<Reply>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), BoxError>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<usize>) -> Self::Future {
        let _ = self.0.send((*request.body(), Instant::now()));
        std::future::ready(Ok(Response::new(())))
    }
}

fn logged(mut log: UnboundedReceiver<(usize, Instant)>) -> Vec<(usize, Instant)> {
    std::iter::from_fn(|| log.try_recv().ok()).collect()
}

/// A reply with `status` and header `lines`.
fn reply(status: u16, lines: &[(&'static str, &str)]) -> Response<()> {
    let mut reply = Response::builder().status(status);
    for (name, value) in lines {
        reply = reply.header(*name, *value);
    }
    reply.body(()).expect("a reply")
}

async fn answer(server: &mut Server, with: Response<()>) {
    let (_, respond) = server.next_request().await.expect("a request");
    respond.send_response(with);
}

fn send(service: &RateLimit<Transport>) -> Pin<Box<impl Future<Output = Reply> + Send + 'static>> {
    Box::pin(service.clone().oneshot(http::Request::new(())))
}

/// Whether a request has arrived by now.
fn arrived(server: &mut Server) -> Option<tower_test::mock::SendResponse<Response<()>>> {
    let mut next = pin!(server.next_request());
    match poll(next.as_mut()) {
        std::task::Poll::Ready(request) => request.map(|(_, respond)| respond),
        std::task::Poll::Pending => None,
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_that_was_ready_is_called_after_the_wait() {
    let (transport, mut server) = transport();
    server.allow(2);
    let mut service = RateLimitLayer::new(RateLimiter::new(rate(1))).layer(transport);
    let mut replies = Vec::new();
    for _ in 0..2 {
        let ready = service.ready().await.expect("ready");
        replies.push(tokio::spawn(ready.call(http::Request::new(()))));
    }
    for _ in 0..2 {
        answer(&mut server, reply(200, &[])).await;
    }
    for reply in replies {
        assert!(reply.await.expect("no panic").is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn the_request_carries_a_call() {
    let (transport, mut server) = transport();
    let service = RateLimitLayer::new(RateLimiter::new(rate(1))).layer(transport);
    for _ in 0..2 {
        tokio::spawn(send(&service));
        let (sent, _respond) = server.next_request().await.expect("a request");
        assert!(Call::of(&sent).is_some_and(|call| call.deadline().is_none()));
    }
}
