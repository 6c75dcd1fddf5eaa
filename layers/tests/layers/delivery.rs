use std::error::Error;

use bytes::Bytes;
use http::{StatusCode, Uri};
use http_body_util::Full;
use idpflare_layers::{
    ApiKey, ApiKeyLayer, BoxError, Call, CollectLayer, Delivery, DeliveryLayer, Origin, Timeout,
    TimeoutScope, TransportError,
};
use tokio::time::timeout;
use tower::{Layer, ServiceExt, service_fn};
use tower_test::mock;

use crate::support::{Script, Step, Wrapped, request, secs, transport};

/// What is known of a send with this outcome, and the outcome as it was handed on.
async fn outcome(outcome: Result<StatusCode, BoxError>) -> (Call, Result<StatusCode, BoxError>) {
    let (transport, mut server) = transport();
    let (request, call) = request();
    assert_eq!((call.attempts(), call.delivery()), (0, Delivery::NotSent));
    let reply = DeliveryLayer::new().layer(transport).oneshot(request);
    let serve = async {
        let (sent, respond) = server.next_request().await.expect("one request");
        let same = Call::of(&sent).expect("a call");
        assert_eq!((same.attempts(), same.delivery()), (1, Delivery::Unknown));
        match outcome {
            Ok(status) => {
                let mut reply = http::Response::new(());
                *reply.status_mut() = status;
                respond.send_response(reply);
            }
            Err(error) => respond.send_error(error),
        }
    };
    let (reply, ()) = tokio::join!(reply, serve);
    assert_eq!(call.attempts(), 1);
    (call, reply.map(|reply| reply.status()))
}

#[tokio::test]
async fn a_reply_tells_but_for_408_and_5xx() {
    for code in 100..1000 {
        let status = StatusCode::from_u16(code).expect("a status");
        let delivery = match code {
            408 | 500..=599 => Delivery::Unknown,
            _ => Delivery::Answered,
        };
        assert_eq!(Delivery::of_status(status), delivery, "{code}");
    }
    for status in [StatusCode::OK, StatusCode::BAD_GATEWAY] {
        let (call, reply) = outcome(Ok(status)).await;
        assert_eq!(reply.expect("handed on"), status);
        assert_eq!(call.delivery(), Delivery::of_status(status));
    }
}

/// The error of a reply whose body broke off for `cause`.
async fn broken(status: StatusCode, cause: BoxError) -> BoxError {
    let (transport, mut server) = mock::pair::<http::Request<()>, http::Response<Script>>();
    let reply = CollectLayer::new(8)
        .layer(transport)
        .oneshot(http::Request::new(()));
    let serve = async {
        let (_, respond) = server.next_request().await.expect("one request");
        let mut reply = http::Response::new(Script::new([Step::Break(cause)]));
        *reply.status_mut() = status;
        respond.send_response(reply);
    };
    tokio::join!(reply, serve).0.expect_err("broken")
}

async fn mismatch() -> BoxError {
    let origin = Origin::of(&Uri::from_static("https://api.example.com"));
    let key = ApiKey::new("idk_example").expect("a key");
    let replies = service_fn(async |_: http::Request<()>| {
        Ok::<_, BoxError>(http::Response::new(Full::<Bytes>::default()))
    });
    let service = ApiKeyLayer::new(key, origin.expect("an origin")).layer(replies);
    let reply = service.oneshot(http::Request::new(())).await;
    reply.expect_err("another origin")
}

fn timed_out(scope: TimeoutScope) -> BoxError {
    Timeout::new(scope, secs(1), secs(1)).into()
}

fn io() -> BoxError {
    std::io::Error::from(std::io::ErrorKind::ConnectionReset).into()
}

#[tokio::test]
async fn an_error_tells_what_the_typed_error_in_its_chain_tells() {
    let (ok, bad_gateway) = (StatusCode::OK, StatusCode::BAD_GATEWAY);
    let table: Vec<(BoxError, Delivery)> = vec![
        (TransportError::connect(io()).into(), Delivery::NotSent),
        (TransportError::not_sent(io()).into(), Delivery::NotSent),
        (TransportError::lost(io()).into(), Delivery::Unknown),
        (
            TransportError::refused_stream(io()).into(),
            Delivery::Unknown,
        ),
        (
            TransportError::connect(io()).permanent().into(),
            Delivery::NotSent,
        ),
        (timed_out(TimeoutScope::Connect), Delivery::NotSent),
        (timed_out(TimeoutScope::Attempt), Delivery::Unknown),
        (timed_out(TimeoutScope::Call), Delivery::Unknown),
        (
            TransportError::connect(timed_out(TimeoutScope::Connect)).into(),
            Delivery::NotSent,
        ),
        (mismatch().await, Delivery::NotSent),
        // A head that arrived tells, whatever its body broke off for.
        (broken(ok, io()).await, Delivery::Answered),
        (broken(bad_gateway, io()).await, Delivery::Unknown),
        (
            broken(ok, TransportError::lost(io()).into()).await,
            Delivery::Answered,
        ),
        (
            broken(bad_gateway, TransportError::not_sent(io()).into()).await,
            Delivery::Unknown,
        ),
        (
            broken(bad_gateway, timed_out(TimeoutScope::Connect)).await,
            Delivery::Unknown,
        ),
        (io(), Delivery::Unknown),
        ("untyped".into(), Delivery::Unknown),
    ];
    for (error, delivery) in table {
        let name = format!("{error:?}");
        assert_eq!(Delivery::of_error(&*error), delivery, "{name}");
        let wrapped: BoxError = Wrapped(Wrapped(error).into()).into();
        assert_eq!(Delivery::of_error(&*wrapped), delivery, "wrapped {name}");

        let (call, reply) = outcome(Err(wrapped)).await;
        assert_eq!(call.delivery(), delivery, "sent {name}");
        let error = reply.expect_err("handed on");
        assert!(error.is::<Wrapped>(), "{name}");
    }
}

#[derive(Debug)]
struct Endless;

impl std::fmt::Display for Endless {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("endless")
    }
}

impl Error for Endless {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self)
    }
}

#[test]
fn a_chain_without_end_is_unknown() {
    assert_eq!(Delivery::of_error(&Endless), Delivery::Unknown);
}

#[tokio::test]
async fn attempts_are_counted_and_the_worst_stands() {
    let (transport, mut server) = transport();
    let service = DeliveryLayer::new().layer(transport);
    let (request, call) = request();
    let refused = || TransportError::connect(io()).into();
    let steps: [(Result<u16, BoxError>, Delivery); 5] = [
        (Err(refused()), Delivery::NotSent),
        (Ok(429), Delivery::Answered),
        (Err(refused()), Delivery::Answered),
        (Ok(503), Delivery::Unknown),
        (Ok(200), Delivery::Unknown),
    ];
    for (attempts, (outcome, delivery)) in (1..).zip(steps) {
        let reply = service.clone().oneshot(request.clone());
        let serve = async {
            let (_, respond) = server.next_request().await.expect("a request");
            match outcome {
                Ok(status) => {
                    let mut reply = http::Response::new(());
                    *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
                    respond.send_response(reply);
                }
                Err(error) => respond.send_error(error),
            }
        };
        let _ = tokio::join!(reply, serve);
        assert_eq!((call.attempts(), call.delivery()), (attempts, delivery));
    }
}

#[tokio::test(start_paused = true)]
async fn a_send_that_is_cancelled_stays_unknown_whatever_comes_later() {
    let (transport, mut server) = transport();
    let service = DeliveryLayer::new().layer(transport);
    let (request, call) = request();
    let reply = service.clone().oneshot(request.clone());
    assert!(timeout(secs(1), reply).await.is_err());
    drop(server.next_request().await);
    assert_eq!((call.attempts(), call.delivery()), (1, Delivery::Unknown));

    let reply = service.oneshot(request);
    let serve = async {
        let (_, respond) = server.next_request().await.expect("a request");
        respond.send_response(http::Response::new(()));
    };
    let (reply, ()) = tokio::join!(reply, serve);
    assert!(reply.is_ok());
    assert_eq!((call.attempts(), call.delivery()), (2, Delivery::Unknown));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_readiness_is_no_send() {
    let (transport, mut server) = transport();
    server.allow(0);
    let (request, call) = request();
    let reply = DeliveryLayer::new().layer(transport).oneshot(request);
    assert!(timeout(secs(1), reply).await.is_err());
    assert_eq!((call.attempts(), call.delivery()), (0, Delivery::NotSent));
}

#[tokio::test]
async fn a_service_of_your_own_can_record_its_sends() {
    let call = Call::new();
    for (attempts, delivery) in [(1, Delivery::NotSent), (2, Delivery::Answered)] {
        call.record_send(delivery);
        assert_eq!((call.attempts(), call.delivery()), (attempts, delivery));
    }
}

#[tokio::test]
async fn a_request_that_a_transport_keeps_is_not_unsent() {
    let kept = std::sync::Arc::new(std::sync::Mutex::new(None));
    let keeps = kept.clone();
    let service = DeliveryLayer::new().layer(service_fn(move |request: http::Request<()>| {
        *keeps.lock().expect("not poisoned") = Some(request);
        std::future::ready(Ok::<_, BoxError>(http::Response::new(())))
    }));
    let (mut request, call) = request();
    call.track_unsent(&mut request);
    assert_eq!(call.unsent_requests(), 1);
    service.oneshot(request).await.expect("a reply");
    assert!(kept.lock().expect("not poisoned").is_some());
    assert_eq!(call.unsent_requests(), 0);
}
