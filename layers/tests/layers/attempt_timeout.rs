use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use idpflare_layers::{
    AttemptTimeoutLayer, BoxError, Call, CollectLayer, Timeout, TimeoutScope, TransportError,
};
use tokio::time::{Instant, advance, sleep};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Script, Step, busy, poll, request, secs, transport, typed};

const LIMIT: Duration = secs(10);

#[tokio::test(start_paused = true)]
async fn an_attempt_gets_the_limit_or_what_the_call_has_left() {
    // The call's deadline, and the scope, the limit and the time of the timeout.
    for (deadline, scope, limit) in [
        (None, TimeoutScope::Attempt, LIMIT),
        (Some(secs(60)), TimeoutScope::Attempt, LIMIT),
        (Some(secs(4)), TimeoutScope::Call, secs(4)),
        (Some(LIMIT), TimeoutScope::Call, LIMIT),
    ] {
        let (transport, _server) = transport();
        let (request, call) = request();
        if let Some(deadline) = deadline {
            call.shorten_deadline(Instant::now() + deadline);
        }
        let service = AttemptTimeoutLayer::new(LIMIT).layer(transport);
        let error = service.oneshot(request).await.expect_err("no reply");
        let elapsed = call.started().elapsed();
        assert_eq!(
            typed::<Timeout>(&error),
            &Timeout::new(scope, limit, elapsed)
        );
        assert!(elapsed >= limit && elapsed <= limit + Duration::from_millis(1));
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_has_its_own_limit_and_the_last_one_what_is_left() {
    let (transport, _server) = transport();
    let (request, call) = request();
    call.shorten_deadline(Instant::now() + secs(25));
    let service = AttemptTimeoutLayer::new(LIMIT).layer(transport);
    for (scope, limit, at) in [
        (TimeoutScope::Attempt, LIMIT, 10),
        (TimeoutScope::Attempt, LIMIT, 20),
        (TimeoutScope::Call, secs(25), 25),
    ] {
        let reply = service.clone().oneshot(request.clone());
        let error = reply.await.expect_err("no reply");
        let timeout = typed::<Timeout>(&error);
        assert_eq!((timeout.scope(), timeout.limit()), (scope, limit));
        assert_eq!(call.started().elapsed().as_secs(), at);
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_does_not_count() {
    let (transport, mut server) = transport();
    server.allow(0);
    let service = AttemptTimeoutLayer::new(LIMIT).layer(transport);
    let started = Instant::now();
    let reply = service.oneshot(http::Request::new(()));
    let serve = async {
        sleep(6 * LIMIT).await;
        server.allow(1);
        let (_, respond) = server.next_request().await.expect("one request");
        sleep(LIMIT - secs(1)).await;
        respond.send_response(http::Response::new(()));
    };
    let (reply, ()) = tokio::join!(reply, serve);
    assert!(reply.is_ok());
    assert_eq!(started.elapsed(), 7 * LIMIT - secs(1));
}

#[tokio::test(start_paused = true)]
async fn readiness_and_its_errors_are_those_of_the_service_below() {
    let (transport, mut server) = transport();
    server.allow(0);
    let mut service = AttemptTimeoutLayer::new(LIMIT).layer(transport);
    {
        let mut ready = pin!(ServiceExt::<http::Request<()>>::ready(&mut service));
        assert!(poll(ready.as_mut()).is_pending());
    }
    server.send_error(TransportError::connect("refused".into()));
    let error = ServiceExt::<http::Request<()>>::ready(&mut service).await;
    typed::<TransportError>(&error.expect_err("not ready"));
}

#[tokio::test(start_paused = true)]
async fn zero_lets_through_only_what_is_done_at_once() {
    let layer = AttemptTimeoutLayer::new(Duration::ZERO);
    let at_once =
        service_fn(async |_: http::Request<()>| Ok::<_, BoxError>(http::Response::new(())));
    assert!(layer.layer(at_once).oneshot(request().0).await.is_ok());

    let (transport, _server) = transport();
    let mut reply = pin!(layer.layer(transport).oneshot(http::Request::new(())));
    let Poll::Ready(Err(error)) = poll(reply.as_mut()) else {
        panic!("it was not over at once");
    };
    assert_eq!(
        typed::<Timeout>(&error),
        &Timeout::new(TimeoutScope::Attempt, Duration::ZERO, Duration::ZERO)
    );
}

#[tokio::test(start_paused = true)]
async fn a_limit_beyond_the_clock_is_none_but_the_deadline_still_counts() {
    let layer = AttemptTimeoutLayer::new(Duration::MAX);
    let (first, mut server) = transport();
    let reply = layer.layer(first).oneshot(http::Request::new(()));
    let serve = async {
        let (_, respond) = server.next_request().await.expect("one request");
        sleep(secs(30 * 24 * 3600)).await;
        respond.send_response(http::Response::new(()));
    };
    let (reply, ()) = tokio::join!(reply, serve);
    assert!(reply.is_ok());

    let (second, _server) = transport();
    let (request, call) = request();
    call.shorten_deadline(Instant::now() + secs(5));
    let error = layer.layer(second).oneshot(request).await;
    let error = error.expect_err("no reply");
    assert_eq!(typed::<Timeout>(&error).scope(), TimeoutScope::Call);
}

#[tokio::test(start_paused = true)]
async fn the_body_is_covered_where_it_is_collected_inside() {
    let replies = service_fn(async |_: http::Request<()>| {
        let body = Script::new([Step::Data("part".into()), Step::Hang]);
        Ok::<_, BoxError>(http::Response::new(body))
    });
    let layer = AttemptTimeoutLayer::new(LIMIT);

    let inside = layer.layer(CollectLayer::new(1024).layer(replies));
    let error = inside.oneshot(http::Request::new(())).await;
    let error = error.expect_err("half a reply");
    assert_eq!(typed::<Timeout>(&error).scope(), TimeoutScope::Attempt);

    // Outside, what is bounded ends with the head.
    let outside = CollectLayer::new(1024).layer(layer.layer(replies));
    let reply = outside.oneshot(http::Request::new(()));
    assert!(tokio::time::timeout(10 * LIMIT, reply).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_request_carries_a_call_without_a_deadline() {
    let (transport, mut server) = transport();
    let mut service = AttemptTimeoutLayer::new(LIMIT).layer(transport);
    let _reply = service
        .ready()
        .await
        .expect("ready")
        .call(http::Request::new(()));
    let (sent, _respond) = server.next_request().await.expect("a request");
    let call = Call::of(&sent).expect("a call");
    assert_eq!(call.deadline(), None, "the limit is that of one attempt");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_never_rests_is_stopped_too() {
    let service = service_fn(|_: http::Request<()>| busy::<Result<http::Response<()>, BoxError>>());
    let service = AttemptTimeoutLayer::new(LIMIT).layer(service);
    let reply = service.oneshot(http::Request::new(()));
    let (reply, ()) = tokio::join!(reply, advance(LIMIT));
    let error = reply.expect_err("no reply");
    assert_eq!(typed::<Timeout>(&error).scope(), TimeoutScope::Attempt);
}
