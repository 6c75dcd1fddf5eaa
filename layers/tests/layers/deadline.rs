use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use idpflare_layers::{
    BoxError, Call, CallLimit, CollectLayer, DeadlineLayer, Timeout, TimeoutScope, TransportError,
};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{
    DropFlag, Script, Stage, Step, Strict, busy, poll, request, secs, transport, typed,
};

const LIMIT: Duration = secs(30);

/// Checks that `error` is the end of a call, `limit` after the call's start, at this very moment.
fn assert_call_timeout(error: &BoxError, call: &Call, limit: Duration) {
    let elapsed = call.started().elapsed();
    assert_eq!(
        typed::<Timeout>(error),
        &Timeout::new(TimeoutScope::Call, limit, elapsed)
    );
    assert!(elapsed >= limit, "{elapsed:?}");
    assert!(elapsed <= limit + Duration::from_millis(1), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_hangs_is_given_up() {
    let (transport, _server) = transport();
    let (request, call) = request();
    let reply = DeadlineLayer::new(LIMIT).layer(transport).oneshot(request);
    let error = reply.await.expect_err("no reply");
    assert_call_timeout(&error, &call, LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_request_can_shorten_its_deadline_and_not_lengthen_it() {
    for (own, limit) in [(secs(2), secs(2)), (secs(90), LIMIT)] {
        let (transport, _server) = transport();
        let (mut request, call) = request();
        request.extensions_mut().insert(CallLimit::new(own));
        let reply = DeadlineLayer::new(LIMIT).layer(transport).oneshot(request);
        let error = reply.await.expect_err("no reply");
        assert_call_timeout(&error, &call, limit);
    }
}

#[tokio::test(start_paused = true)]
async fn so_is_waiting_for_a_service_that_is_never_ready() {
    let (transport, mut server) = transport();
    server.allow(0);
    let (request, call) = request();
    let reply = DeadlineLayer::new(LIMIT).layer(transport).oneshot(request);
    let error = reply.await.expect_err("no reply");
    assert_call_timeout(&error, &call, LIMIT);
    assert!(server.next_request().await.is_none(), "nothing was sent");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_becomes_ready_in_time_is_called() {
    let (transport, mut server) = transport();
    server.allow(0);
    let (request, call) = request();
    let reply = DeadlineLayer::new(LIMIT).layer(transport).oneshot(request);
    let serve = async {
        sleep(secs(29)).await;
        server.allow(1);
        let (_, respond) = server.next_request().await.expect("one request");
        assert_eq!(call.started().elapsed(), secs(29));
        respond.send_response(http::Response::new(()));
    };
    let (reply, ()) = tokio::join!(reply, serve);
    assert!(reply.is_ok());
}

#[tokio::test(start_paused = true)]
async fn time_spent_on_readiness_is_not_given_again_to_the_call() {
    let (transport, mut server) = transport();
    server.allow(0);
    let (request, call) = request();
    let reply = DeadlineLayer::new(LIMIT).layer(transport).oneshot(request);
    let serve = async {
        sleep(secs(20)).await;
        server.allow(1);
        server.next_request().await
    };
    let (reply, _unanswered) = tokio::join!(reply, serve);
    assert_call_timeout(&reply.expect_err("no reply"), &call, LIMIT);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_ready_is_called_at_once() {
    let (transport, mut server) = transport();
    let mut service = DeadlineLayer::new(LIMIT).layer(transport);
    let (request, _) = request();
    let reply = service.ready().await.expect("ready").call(request);
    let sent = server.next_request();
    let Some((_, respond)) = sent.await else {
        panic!("sent before the future was polled");
    };
    respond.send_response(http::Response::new(()));
    assert!(reply.await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn the_service_itself_is_always_ready_and_can_be_used_again() {
    let (transport, mut server) = transport();
    server.allow(0);
    let mut service = DeadlineLayer::new(LIMIT).layer(transport);
    for _ in 0..3 {
        let reply = service
            .ready()
            .await
            .expect("ready")
            .call(http::Request::new(()));
        let serve = async {
            server.allow(1);
            let (_, respond) = server.next_request().await.expect("a request");
            respond.send_response(http::Response::new(()));
        };
        let (reply, ()) = tokio::join!(reply, serve);
        assert!(reply.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn the_earlier_of_two_deadlines_counts() {
    for (earlier, limit) in [(secs(5), secs(5)), (secs(60), LIMIT)] {
        let (transport, _server) = transport();
        let (request, call) = request();
        call.shorten_deadline(Instant::now() + earlier);
        let reply = DeadlineLayer::new(LIMIT).layer(transport).oneshot(request);
        let error = reply.await.expect_err("no reply");
        assert_call_timeout(&error, &call, limit);
    }
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_counted_from_where_the_request_passes() {
    let (transport, _server) = transport();
    let (request, call) = request();
    advance(secs(7)).await;
    let reply = DeadlineLayer::new(LIMIT).layer(transport).oneshot(request);
    let error = reply.await.expect_err("no reply");
    let timeout = typed::<Timeout>(&error);
    assert_eq!(timeout.limit(), LIMIT, "the limit is told as it was set");
    assert_eq!(call.deadline(), Some(call.started() + secs(7) + LIMIT));
    assert!(timeout.elapsed() >= secs(7) + LIMIT, "{timeout:?}");
}

#[tokio::test(start_paused = true)]
async fn zero_lets_through_what_is_ready_at_once_and_nothing_else() {
    let layer = DeadlineLayer::new(Duration::ZERO);
    let at_once =
        service_fn(async |_: http::Request<()>| Ok::<_, BoxError>(http::Response::new(())));
    assert!(layer.layer(at_once).oneshot(request().0).await.is_ok());

    for capacity in [0, 1] {
        let (transport, mut server) = transport();
        server.allow(capacity);
        let (request, call) = request();
        let mut reply = pin!(layer.layer(transport).oneshot(request));
        let Poll::Ready(Err(error)) = poll(reply.as_mut()) else {
            panic!("it was not over at once");
        };
        assert_call_timeout(&error, &call, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_beyond_the_clock_is_none() {
    let (transport, mut server) = transport();
    let (request, call) = request();
    let layer = DeadlineLayer::new(Duration::MAX);
    let reply = layer.layer(transport).oneshot(request);
    let serve = async {
        let (_, respond) = server.next_request().await.expect("one request");
        assert_eq!(call.deadline(), None);
        assert_eq!(call.remaining(), None);
        sleep(secs(30 * 24 * 3600)).await;
        respond.send_response(http::Response::new(()));
    };
    let (reply, ()) = tokio::join!(reply, serve);
    assert!(reply.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_limit_beyond_the_clock_leaves_an_outer_deadline_alone() {
    let (transport, _server) = transport();
    let (request, call) = request();
    call.shorten_deadline(Instant::now() + secs(5));
    let layer = DeadlineLayer::new(Duration::MAX);
    let error = layer.layer(transport).oneshot(request).await;
    assert_call_timeout(&error.expect_err("no reply"), &call, secs(5));
}

#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_returned() {
    let refused = || TransportError::connect("refused".into());

    // Where the service is asked before the call ...
    let (first, mut server) = transport();
    server.send_error(refused());
    let mut service = DeadlineLayer::new(LIMIT).layer(first);
    let error = ServiceExt::<http::Request<()>>::ready(&mut service).await;
    typed::<TransportError>(&error.expect_err("not ready"));

    // ... and where it is waited for in the call.
    let (second, mut server) = transport();
    server.allow(0);
    let (request, call) = request();
    let reply = DeadlineLayer::new(LIMIT).layer(second).oneshot(request);
    let serve = async {
        sleep(secs(1)).await;
        server.send_error(refused());
    };
    let (reply, ()) = tokio::join!(reply, serve);
    typed::<TransportError>(&reply.expect_err("not ready"));
    assert_eq!(call.started().elapsed(), secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_request_carries_the_call() {
    let (transport, mut server) = transport();
    let service = DeadlineLayer::new(LIMIT).layer(transport);

    // A new one, where there was none.
    let _reply = tokio::spawn(service.clone().oneshot(http::Request::new(())));
    let (sent, _respond) = server.next_request().await.expect("a request");
    let inserted = Call::of(&sent).expect("a call");
    assert_eq!(inserted.remaining(), Some(LIMIT));

    // The very same, where there was one.
    let (request, call) = request();
    let _reply = tokio::spawn(service.oneshot(request));
    let (sent, _respond) = server.next_request().await.expect("a request");
    call.shorten_deadline(Instant::now() + secs(3));
    let same = Call::of(&sent).expect("a call");
    assert_eq!(same.remaining(), Some(secs(3)));
}

#[tokio::test(start_paused = true)]
async fn a_slow_body_is_covered_where_it_is_collected_below() {
    let replies = service_fn(async |_: http::Request<()>| {
        let body = Script::new([Step::Data("part".into()), Step::Hang]);
        Ok::<_, BoxError>(http::Response::new(body))
    });
    let service = DeadlineLayer::new(LIMIT).layer(CollectLayer::new(1024).layer(replies));
    let (request, call) = request();
    let error = service.oneshot(request).await.expect_err("half a reply");
    assert_call_timeout(&error, &call, LIMIT);
    let head = call.interrupted_reply().expect("the head of the reply");
    assert_eq!(head.status, 200);
}

#[tokio::test(start_paused = true)]
async fn what_was_going_on_is_dropped() {
    let (flag, dropped) = DropFlag::new();
    let flag = Arc::new(Mutex::new(Some(flag)));
    let hangs = service_fn(move |_: http::Request<()>| {
        let flag = flag.lock().expect("no panic").take();
        async move {
            let _flag = flag;
            std::future::pending::<Result<http::Response<()>, BoxError>>().await
        }
    });
    let reply = DeadlineLayer::new(LIMIT).layer(hangs);
    let reply = reply.oneshot(http::Request::new(()));
    let watch = async {
        sleep(LIMIT - secs(1)).await;
        assert!(!dropped.load(Ordering::SeqCst));
    };
    let (reply, ()) = tokio::join!(reply, watch);
    assert!(reply.is_err());
    assert!(dropped.load(Ordering::SeqCst));
}

#[tokio::test(start_paused = true)]
async fn so_is_the_service_that_was_waited_for() {
    let token = Arc::new(());
    let service = DeadlineLayer::new(LIMIT).layer(Strict::new(Stage::NeverReady, &token));
    let reply = service.oneshot(http::Request::new(()));
    assert!(Arc::strong_count(&token) > 1);
    assert!(reply.await.is_err());
    assert_eq!(Arc::strong_count(&token), 1);
}

#[tokio::test(start_paused = true)]
async fn a_clone_does_not_take_over_readiness() {
    let token = Arc::new(());
    let mut service = DeadlineLayer::new(LIMIT).layer(Strict::new(Stage::Replies, &token));
    ServiceExt::<http::Request<()>>::ready(&mut service)
        .await
        .expect("ready");
    let mut clone = service.clone();
    // The strict service panics where it is called without having been ready.
    assert!(clone.call(http::Request::new(())).await.is_ok());
    assert!(service.call(http::Request::new(())).await.is_ok());
    // And readiness is used up by the call.
    assert!(service.call(http::Request::new(())).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_never_rests_is_stopped_too() {
    let (request, call) = request();
    let service = service_fn(|_: http::Request<()>| busy::<Result<http::Response<()>, BoxError>>());
    let reply = DeadlineLayer::new(LIMIT).layer(service).oneshot(request);
    let (reply, ()) = tokio::join!(reply, advance(LIMIT));
    assert_call_timeout(&reply.expect_err("no reply"), &call, LIMIT);
}

/// Is ready when it is asked for the second time; a clone starts at the end of the queue.
#[derive(Default)]
struct Queued {
    asked: u32,
}

impl Clone for Queued {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<http::Request<()>> for Queued {
    type Response = http::Response<()>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<http::Response<()>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.asked += 1;
        match self.asked {
            1 => Poll::Pending,
            _ => Poll::Ready(Ok(())),
        }
    }

    fn call(&mut self, _: http::Request<()>) -> Self::Future {
        assert!(self.asked > 1, "called without having been ready");
        self.asked = 0;
        std::future::ready(Ok(http::Response::new(())))
    }
}

#[tokio::test(start_paused = true)]
async fn the_place_in_a_queue_is_kept() {
    let mut service = DeadlineLayer::new(LIMIT).layer(Queued::default());
    for _ in 0..2 {
        ServiceExt::<http::Request<()>>::ready(&mut service)
            .await
            .expect("always ready");
        let mut reply = pin!(service.call(http::Request::new(())));
        assert!(poll(reply.as_mut()).is_ready(), "it was asked twice");
    }
}
