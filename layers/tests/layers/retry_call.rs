//! What retries and the other layers tell each other through the call.

use std::sync::{Arc, Mutex};

use http::Uri;
use http::header::AUTHORIZATION;
use idpflare_layers::{
    ApiKey, ApiKeyLayer, AttemptTimeoutLayer, BoxError, Call, CollectLayer, DeadlineLayer,
    Delivery, DeliveryLayer, Failure, KeyHandle, NewerCredential, Operation, Origin, Rate,
    RateLimitLayer, RateLimiter, RetryLayer, RetryOverride, RetryPolicy, Safety, Timeout,
    TimeoutScope, TransportError,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_test::mock;

use crate::support::{Script, Step, reply, request, secs, transport, typed};

const HERE: &str = "https://api.example.com/";
const READ: &Operation = &Operation::new("read", http::Method::GET, "/read", Safety::ReadOnly);

/// A transport whose `n`-th reply has the `n`-th status; where they end, it hangs.
fn statuses(
    statuses: &'static [u16],
) -> impl Service<http::Request<()>, Response = http::Response<()>, Error = BoxError, Future: Send> + Clone
{
    let next = Arc::new(Mutex::new(statuses.iter()));
    service_fn(move |_: http::Request<()>| {
        let status = next.lock().expect("no panic").next();
        async move {
            match status {
                Some(status) => Ok(reply(*status)),
                None => std::future::pending().await,
            }
        }
    })
}

fn status_of(failure: Option<Failure>) -> u16 {
    match failure {
        Some(Failure::Reply(head)) => head.status.as_u16(),
        other => panic!("no reply: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_attempt_carries_the_same_extensions_head_and_body() {
    type Body = &'static str;
    let (transport, mut server) = mock::pair::<http::Request<Body>, http::Response<()>>();
    let token = Arc::new(());
    let mut request = http::Request::put(HERE)
        .header("x-id", "7")
        .body("body")
        .expect("a request");
    request.extensions_mut().insert(READ);
    request.extensions_mut().insert(Arc::clone(&token));
    request
        .extensions_mut()
        .insert(RetryOverride::new().attempts(4));
    let replying = RetryLayer::default().layer(transport).oneshot(request);
    let serve = async {
        let mut call: Option<Call> = None;
        for (sent_before, status) in [503, 502, 500, 200].into_iter().enumerate() {
            let (sent, respond) = server.next_request().await.expect("a request");
            assert_eq!(
                (sent.method(), sent.uri()),
                (&http::Method::PUT, &Uri::from_static(HERE))
            );
            assert_eq!(
                (sent.headers()["x-id"].as_bytes(), *sent.body()),
                (&b"7"[..], "body")
            );
            assert!(std::ptr::eq(
                Operation::of(&sent).expect("an operation"),
                READ
            ));
            assert!(Arc::ptr_eq(
                sent.extensions().get::<Arc<()>>().expect("a token"),
                &token
            ));
            let own = Call::of(&sent).expect("a call");
            assert_eq!(own.attempts() as usize, sent_before);
            let call = call.get_or_insert_with(|| own.clone());
            call.shorten_deadline(own.started() + secs(60 - sent_before as u64));
            assert_eq!(call.deadline(), own.deadline(), "one call");
            assert_eq!(own.attempt_limit(), Some(4));
            respond.send_response(reply(status));
        }
    };
    let (last, ()) = tokio::join!(replying, serve);
    assert_eq!(last.expect("a reply").status(), 200);
    assert_eq!(Arc::strong_count(&token), 1);
}

#[tokio::test(start_paused = true)]
async fn attempts_that_are_answered_with_429_need_not_count() {
    let patient = RetryOverride::new().attempts_after_429(6);
    for (own, codes, attempts) in [
        (RetryOverride::new(), &[429; 9][..], 3),
        (patient, &[429; 9], 6),
        (patient, &[429, 429, 429, 429, 429, 200], 6),
        (patient, &[503; 9], 3),
        (patient, &[429, 503, 429, 503, 503, 503], 5),
        (patient, &[429, 429, 429, 429, 503, 503, 503], 6),
        (patient.attempts(2), &[429, 429, 503, 503], 4),
        // It is no way to fewer attempts, nor around "once".
        (RetryOverride::new().attempts_after_429(2), &[429; 9], 3),
        (patient.attempts(1), &[429; 9], 1),
        (patient.safety(Safety::Once), &[429, 429, 429, 503, 503], 4),
    ] {
        let (mut sent, call) = request();
        sent.extensions_mut().insert(own);
        let stack = (RetryLayer::default(), DeliveryLayer::new()).layer(statuses(codes));
        let _ = stack.oneshot(sent).await;
        assert_eq!(call.attempts(), attempts, "{own:?} {codes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn sends_are_counted_with_and_without_somebody_who_counts() {
    for (codes, attempts, delivery) in [
        (&[200_u16][..], 1, Delivery::Answered),
        (&[503, 200], 2, Delivery::Unknown),
        (&[429, 429, 200], 3, Delivery::Answered),
        (&[404], 1, Delivery::Answered),
    ] {
        let (sent, call) = request();
        let _ = RetryLayer::default()
            .layer(statuses(codes))
            .oneshot(sent)
            .await;
        assert_eq!(
            (call.attempts(), call.delivery()),
            (attempts, delivery),
            "{codes:?}"
        );

        let counted = (RetryLayer::default(), DeliveryLayer::new()).layer(statuses(codes));
        let (sent, call) = request();
        let _ = counted.oneshot(sent).await;
        assert_eq!(
            (call.attempts(), call.delivery()),
            (attempts, delivery),
            "{codes:?}"
        );

        // Outside of what repeats, all attempts count as one.
        let outside = (DeliveryLayer::new(), RetryLayer::default()).layer(statuses(codes));
        let (sent, call) = request();
        let _ = outside.oneshot(sent).await;
        assert_eq!(call.attempts(), 1, "{codes:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn errors_that_nobody_counted_are_unknown_unless_somebody_would_have() {
    let outcome = async |announced: bool, error: fn() -> BoxError| {
        let service = service_fn(move |_: http::Request<()>| {
            std::future::ready(Err::<http::Response<()>, _>(error()))
        });
        let (request, call) = request();
        if announced {
            call.announce_recorder();
        }
        let policy = RetryPolicy::new().attempts(2);
        let _ = RetryLayer::new(policy)
            .layer(service)
            .oneshot(request)
            .await;
        (call.attempts(), call.delivery())
    };
    let untyped: fn() -> BoxError = || "overloaded".into();
    assert_eq!(outcome(false, untyped).await, (2, Delivery::Unknown));
    assert_eq!(outcome(true, untyped).await, (0, Delivery::NotSent));
    let refused: fn() -> BoxError = || TransportError::connect("refused".into()).into();
    assert_eq!(outcome(false, refused).await, (2, Delivery::NotSent));
}

#[tokio::test(start_paused = true)]
async fn what_was_given_up_before_it_was_sent_is_safe_to_repeat() {
    let create = || {
        let mut request = http::Request::post("https://api.example.com/users").body(());
        let request = request.as_mut().expect("a request");
        let call = Call::of_or_insert(request);
        call.announce_recorder();
        (request.clone(), call)
    };
    // The attempt ends while it waits for a permit.
    let queue = || {
        let limiter = RateLimiter::new(Rate::per_second(1).expect("a rate"));
        limiter.pause(secs(15));
        (
            RetryLayer::default(),
            AttemptTimeoutLayer::new(secs(10)),
            RateLimitLayer::new(limiter),
        )
    };
    let (request, call) = create();
    let service = (queue(), DeliveryLayer::new()).layer(statuses(&[201]));
    let created = service.oneshot(request).await.expect("the second time");
    assert_eq!((created.status().as_u16(), call.attempts()), (201, 1));

    // It is the same, but what counts is further out and knows nothing of attempts.
    let (request, call) = create();
    let service = (DeliveryLayer::new(), queue()).layer(statuses(&[201]));
    assert!(service.oneshot(request).await.is_err());
    assert_eq!(call.delivery(), Delivery::Unknown);

    // What fails in another way has come from somewhere, though nobody counted it.
    for outcome in [
        (|| Err(TransportError::lost("reset".into()).into())) as fn() -> Result<_, BoxError>,
        || Ok(reply(500)),
        || Err("of no type".into()),
    ] {
        let (request, _) = create();
        let sends = Arc::new(Mutex::new(0));
        let count = Arc::clone(&sends);
        let elsewhere = service_fn(move |_: http::Request<()>| {
            *count.lock().expect("no panic") += 1;
            std::future::ready(outcome())
        });
        let _ = RetryLayer::default()
            .layer(elsewhere)
            .oneshot(request)
            .await;
        assert_eq!(*sends.lock().expect("no panic"), 1);
    }

    // The attempt ends while the server has it.
    let (request, call) = create();
    let hangs = service_fn(async |_: http::Request<()>| {
        std::future::pending::<Result<http::Response<()>, BoxError>>().await
    });
    let timeout = AttemptTimeoutLayer::new(secs(10));
    let service = (RetryLayer::default(), timeout, DeliveryLayer::new()).layer(hangs);
    assert!(service.oneshot(request).await.is_err());
    assert_eq!((call.attempts(), call.delivery()), (1, Delivery::Unknown));
}

#[tokio::test(start_paused = true)]
async fn sends_of_other_layers_count_against_the_limit() {
    /// Sends everything twice.
    #[derive(Clone)]
    struct Twice;
    impl<B, E> tower::retry::Policy<http::Request<()>, B, E> for Twice {
        type Future = std::future::Ready<()>;
        fn retry(
            &mut self,
            request: &mut http::Request<()>,
            _: &mut Result<B, E>,
        ) -> Option<Self::Future> {
            let calls = Call::of(request).map_or(0, Call::attempts);
            (calls % 2 == 1).then(|| std::future::ready(()))
        }
        fn clone_request(&mut self, request: &http::Request<()>) -> Option<http::Request<()>> {
            Some(request.clone())
        }
    }
    for (attempts, sent) in [(1, 2), (2, 2), (3, 4), (4, 4)] {
        let service = ServiceBuilder::new()
            .layer(RetryLayer::new(RetryPolicy::new().attempts(attempts)))
            .retry(Twice)
            .layer(DeliveryLayer::new())
            .service(statuses(&[503; 20]));
        let (request, call) = request();
        assert!(service.oneshot(request).await.is_ok());
        assert_eq!(call.attempts(), sent, "limit {attempts}");
    }
    // Two of ours share one limit, the lower one.
    let inner = RetryLayer::new(RetryPolicy::new().attempts(3));
    let outer = RetryLayer::new(RetryPolicy::new().attempts(5));
    for layers in [(inner.clone(), outer.clone()), (outer, inner)] {
        let (request, call) = request();
        assert!(
            layers
                .layer(statuses(&[503; 20]))
                .oneshot(request)
                .await
                .is_ok()
        );
        assert_eq!(call.attempts(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_only_ever_lowered() {
    let call = Call::new();
    assert_eq!(call.attempt_limit(), None);
    call.limit_attempts(5);
    call.limit_attempts(9);
    assert_eq!(call.attempt_limit(), Some(5));
    call.limit_attempts(0);
    assert_eq!(call.attempt_limit(), Some(1));

    let (request, call) = request();
    call.limit_attempts(2);
    assert!(
        RetryLayer::default()
            .layer(statuses(&[503; 9]))
            .oneshot(request)
            .await
            .is_ok()
    );
    assert_eq!(call.attempts(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_real_failure_survives_later_timeouts() {
    // The deadline outside of the retries ends the second attempt.
    let layers = (DeadlineLayer::new(secs(5)), RetryLayer::default());
    let (first, call) = request();
    let error = layers.layer(statuses(&[503])).oneshot(first).await;
    let error = error.expect_err("the deadline");
    assert_eq!(typed::<Timeout>(&error).scope(), TimeoutScope::Call);
    assert_eq!(status_of(call.last_failure()), 503);

    // Timed-out attempts of its own do not replace it, either.
    let layers = (RetryLayer::default(), AttemptTimeoutLayer::new(secs(1)));
    let (second, call) = request();
    let error = layers.layer(statuses(&[502])).oneshot(second).await;
    let error = error.expect_err("the attempt timeout");
    assert_eq!(typed::<Timeout>(&error).scope(), TimeoutScope::Attempt);
    assert_eq!((call.attempts(), status_of(call.last_failure())), (3, 502));

    // Nor is the head of a refusal lost whose body hung.
    let hangs = service_fn(async |_: http::Request<()>| {
        Ok::<_, BoxError>(reply(500).map(|()| Script::new([Step::Hang])))
    });
    let layers = (
        RetryLayer::default(),
        AttemptTimeoutLayer::new(secs(1)),
        CollectLayer::new(8),
    );
    let (third, call) = request();
    assert!(layers.layer(hangs).oneshot(third).await.is_err());
    assert_eq!(status_of(call.last_failure()), 500);
    assert!(call.interrupted_reply().is_some());
}

#[tokio::test(start_paused = true)]
async fn a_failure_keeps_the_type_of_its_error_and_newer_ones_replace_it() {
    let call = Call::new();
    assert!(call.last_failure().is_none());
    let timeout = || {
        Failure::from(BoxError::from(Timeout::new(
            TimeoutScope::Attempt,
            secs(1),
            secs(1),
        )))
    };
    call.record_failure(timeout());
    call.record_failure(Failure::from(BoxError::from(TransportError::lost(
        "reset".into(),
    ))));
    call.record_failure(timeout());
    let Some(Failure::Error(error)) = call.clone().last_failure() else {
        panic!("no error");
    };
    assert!(error.is::<TransportError>());
}

#[tokio::test(start_paused = true)]
async fn a_first_success_leaves_no_failure() {
    let (request, call) = request();
    assert!(
        RetryLayer::default()
            .layer(statuses(&[200]))
            .oneshot(request)
            .await
            .is_ok()
    );
    assert!(call.last_failure().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_rotated_key_is_sent_once_more_and_at_once() {
    let (transport, mut server) = transport();
    let handle = KeyHandle::new(ApiKey::new("idk_one").expect("a key"));
    let origin = Origin::of(&Uri::from_static(HERE)).expect("an origin");
    let service = ServiceBuilder::new()
        .layer(RetryLayer::default())
        .layer(ApiKeyLayer::new(handle.clone(), origin))
        .layer(DeliveryLayer::new())
        .service(transport);
    let (mut request, call) = request();
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = Uri::from_static(HERE);
    let began = tokio::time::Instant::now();
    let replying = service.oneshot(request);
    let serve = async {
        for (bearer, rotated) in [
            ("Bearer idk_one", "idk_two"),
            ("Bearer idk_two", "idk_three"),
        ] {
            let (sent, respond) = server.next_request().await.expect("a request");
            assert_eq!(sent.headers()[AUTHORIZATION], bearer);
            handle.rotate(ApiKey::new(rotated).expect("a key"));
            respond.send_response(reply(401));
        }
    };
    let (last, ()) = tokio::join!(replying, serve);
    let last = last.expect("the second 401");
    assert_eq!(last.status(), 401);
    assert!(last.extensions().get::<NewerCredential>().is_some());
    assert_eq!((call.attempts(), began.elapsed()), (2, secs(0)));
    assert_eq!(status_of(call.last_failure()), 401);
}

#[tokio::test]
async fn only_a_401_to_an_old_key_is_marked() {
    for (status, rotated, marked) in [
        (401, Some("idk_two"), true),
        (401, Some("idk_one"), false),
        (401, None, false),
        (403, Some("idk_two"), false),
        (200, Some("idk_two"), false),
    ] {
        let handle = KeyHandle::new(ApiKey::new("idk_one").expect("a key"));
        let origin = Origin::of(&Uri::from_static(HERE)).expect("an origin");
        let layer = ApiKeyLayer::new(handle.clone(), origin);
        let service = layer.layer(service_fn(move |_: http::Request<()>| {
            if let Some(rotated) = rotated {
                handle.rotate(ApiKey::new(rotated).expect("a key"));
            }
            std::future::ready(Ok::<_, BoxError>(reply(status)))
        }));
        let request = http::Request::get(HERE).body(()).expect("a request");
        let reply = service.oneshot(request).await.expect("a reply");
        let mark = reply.extensions().get::<NewerCredential>();
        assert_eq!(mark.is_some(), marked, "{status} {rotated:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_a_layer_still_runs_elsewhere_is_not_repeated() {
    for (method, sends) in [(http::Method::POST, 1), (http::Method::GET, 3)] {
        let sent = Arc::new(Mutex::new(0));
        let count = Arc::clone(&sent);
        let slow = service_fn(move |request: http::Request<()>| {
            let count = Arc::clone(&count);
            async move {
                tokio::time::sleep(secs(60)).await;
                *count.lock().expect("no panic") += 1;
                drop(request);
                Ok::<_, BoxError>(reply(201))
            }
        });
        let detaching = service_fn(move |request: http::Request<()>| {
            let task = tokio::spawn(slow.clone().oneshot(request));
            async move { task.await? }
        });
        let service = (RetryLayer::default(), AttemptTimeoutLayer::new(secs(10))).layer(detaching);
        let (mut request, call) = request();
        *request.method_mut() = method.clone();
        call.announce_recorder();
        call.track_unsent(&mut request);
        assert_eq!(call.unsent_requests(), 1);
        assert!(service.oneshot(request).await.is_err());
        assert_eq!(call.unsent_requests(), sends, "{method}");
        tokio::time::sleep(secs(120)).await;
        assert_eq!(*sent.lock().expect("no panic"), sends, "{method}");
        assert_eq!(call.unsent_requests(), 0);
    }
}
