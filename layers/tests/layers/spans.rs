use std::pin::pin;

use http::{Method, StatusCode, Uri, Version};
use idpflare_layers::{
    ApiKey, ApiKeyLayer, AttemptSpanLayer, AttemptTimeoutLayer, BoxError, Call, CallSpanLayer,
    CollectLayer, DeadlineLayer, DeliveryLayer, Operation, Origin, Safety, TransportError,
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tracing::Span;

use crate::support::capture::{Capture, Seen};
use crate::support::{Script, Step, poll, secs, transport};

const LIST_USERS: &Operation =
    &Operation::new("listUsers", Method::GET, "/users", Safety::ReadOnly);
const DELETE_USER: &Operation = &Operation::new(
    "deleteUser",
    Method::DELETE,
    "/users/{user_id}",
    Safety::Idempotent,
);

fn request_for(operation: &'static Operation, uri: &str) -> http::Request<()> {
    let request = http::Request::builder().method(&operation.method).uri(uri);
    request.extension(operation).body(()).expect("a request")
}

fn get(uri: &str) -> http::Request<()> {
    http::Request::get(uri).body(()).expect("a request")
}

/// Sends `request` through an attempt span to a server that replies with `status`.
async fn attempt(request: http::Request<()>, status: u16) {
    let service = AttemptSpanLayer::new().layer(service_fn(async |_: http::Request<()>| {
        let reply = http::Response::builder().status(status);
        Ok::<_, BoxError>(reply.body(())?)
    }));
    service.oneshot(request).await.expect("a reply");
}

#[tokio::test]
async fn an_attempt_has_the_attributes_of_the_conventions() {
    let (capture, _listening) = Capture::start();
    let uri = "https://api.example.com/v1/users?limit=10&search=alice";
    attempt(request_for(LIST_USERS, uri), 200).await;
    let span = capture.span("attempt");
    assert!(span.closed);
    assert_eq!(span.target, "idpflare_layers");
    assert_eq!(
        span.snapshot(),
        r#"http.request.method="GET"
http.response.status_code=200
network.protocol.version="1.1"
otel.kind="client"
otel.name=GET /users
server.address="api.example.com"
server.port=443
url.full=https://api.example.com/v1/users?limit=10&search=REDACTED
url.template="/users""#
    );
}

#[tokio::test]
async fn a_status_from_400_on_is_an_error() {
    let (capture, _listening) = Capture::start();
    let uri = "http://user:pass@[::1]:8080/users/7";
    attempt(request_for(DELETE_USER, uri), 404).await;
    assert_eq!(
        capture.span("attempt").snapshot(),
        r#"error.type="404"
http.request.method="DELETE"
http.response.status_code=404
network.protocol.version="1.1"
otel.kind="client"
otel.name=DELETE /users/{user_id}
otel.status_code="ERROR"
server.address="::1"
server.port=8080
url.full=http://REDACTED:REDACTED@[::1]:8080/users/7
url.template="/users/{user_id}""#
    );
    for (status, error) in [
        (302, None),
        (399, None),
        (400, Some("\"400\"")),
        (503, Some("\"503\"")),
    ] {
        let (capture, _listening) = Capture::start();
        attempt(get("http://localhost/"), status).await;
        let span = capture.span("attempt");
        assert_eq!(span.field("error.type"), error);
        let status = error.map(|_| "\"ERROR\"");
        assert_eq!(span.field("otel.status_code"), status);
    }
}

#[tokio::test]
async fn an_unknown_method_has_a_field_of_its_own() {
    let (capture, _listening) = Capture::start();
    let mut request = get("https://api.example.com/");
    *request.method_mut() = Method::from_bytes(b"PURGE").expect("a method");
    attempt(request, 200).await;
    let span = capture.span("attempt");
    assert_eq!(span.field("otel.name"), Some("HTTP"));
    assert_eq!(span.field("http.request.method"), Some("\"_OTHER\""));
    let original = span.field("http.request.method_original");
    assert_eq!(original, Some("\"PURGE\""));
}

#[tokio::test]
async fn what_is_shown_of_a_query_can_be_chosen() {
    for (layer, query) in [
        (AttemptSpanLayer::new(), "limit=5&event_type=REDACTED"),
        (
            AttemptSpanLayer::new().show_query(["event_type"]),
            "limit=REDACTED&event_type=login",
        ),
        (
            AttemptSpanLayer::new().show_query::<&str>([]),
            "limit=REDACTED&event_type=REDACTED",
        ),
    ] {
        let (capture, _listening) = Capture::start();
        let (transport, _server) = transport();
        let request = get("http://a.example/logs?limit=5&event_type=login");
        assert!(poll(pin!(layer.layer(transport).oneshot(request))).is_pending());
        let url = format!("http://a.example/logs?{query}");
        assert_eq!(capture.span("attempt").field("url.full"), Some(&*url));
    }
}

#[tokio::test]
async fn the_version_is_that_of_the_reply() {
    let (capture, _listening) = Capture::start();
    let service = AttemptSpanLayer::new().layer(service_fn(async |_: http::Request<()>| {
        let reply = http::Response::builder().version(Version::HTTP_2);
        Ok::<_, BoxError>(reply.body(())?)
    }));
    service
        .oneshot(get("https://a.example/"))
        .await
        .expect("a reply");
    let span = capture.span("attempt");
    assert_eq!(span.field("network.protocol.version"), Some("\"2\""));
}

#[tokio::test]
async fn an_error_has_a_type_and_nothing_else() {
    let (capture, _listening) = Capture::start();
    let service = AttemptSpanLayer::new().layer(service_fn(async |_: http::Request<()>| {
        let error = TransportError::connect("no route to alice".into());
        Err::<http::Response<()>, _>(error)
    }));
    let reply = service.oneshot(get("https://a.example/")).await;
    assert!(reply.is_err());
    let span = capture.span("attempt");
    assert_eq!(span.field("error.type"), Some("\"connect\""));
    assert_eq!(span.field("otel.status_code"), Some("\"ERROR\""));
    assert_eq!(span.field("http.response.status_code"), None);
    assert!(!capture.everything().contains("alice"));
}

#[tokio::test]
async fn a_broken_body_has_both_a_status_and_an_error() {
    let (capture, _listening) = Capture::start();
    let service = ServiceBuilder::new()
        .layer(AttemptSpanLayer::new())
        .layer(CollectLayer::new(1024))
        .service(service_fn(async |_: http::Request<()>| {
            let body = Script::new([Step::Break("cut".into())]);
            Ok::<_, BoxError>(http::Response::new(body))
        }));
    assert!(service.oneshot(get("https://a.example/")).await.is_err());
    let span = capture.span("attempt");
    assert_eq!(span.field("error.type"), Some("\"body\""));
    assert_eq!(span.field("http.response.status_code"), Some("200"));
}

#[tokio::test]
async fn attempts_are_inside_of_their_call_and_counted() {
    let (capture, _listening) = Capture::start();
    let (transport, mut server) = transport();
    let attempts = ServiceBuilder::new()
        .layer(AttemptSpanLayer::new())
        .layer(DeliveryLayer::new())
        .service(transport);
    // Sends again until it likes the reply.
    let repeat = service_fn(move |request: http::Request<()>| {
        let attempts = attempts.clone();
        async move {
            loop {
                let reply = attempts.clone().oneshot(request.clone()).await?;
                if reply.status() != StatusCode::SERVICE_UNAVAILABLE {
                    return Ok::<_, BoxError>(reply);
                }
            }
        }
    });
    let request = request_for(DELETE_USER, "https://api.example.com/users/7");
    let reply = CallSpanLayer::new().layer(repeat).oneshot(request);
    let serve = async {
        for status in [503, 503, 204] {
            let (_, respond) = server.next_request().await.expect("a request");
            let reply = http::Response::builder().status(status).body(());
            respond.send_response(reply.expect("a reply"));
        }
    };
    let (reply, ()) = tokio::join!(reply, serve);
    assert!(reply.is_ok());

    let call = capture.span("call");
    assert!(call.closed);
    assert_eq!((call.parent, call.target), (None, "idpflare_layers"));
    assert_eq!(
        call.snapshot(),
        r#"call.attempts=3
http.response.status_code=204
otel.kind="internal"
otel.name=deleteUser"#
    );
    let attempts = capture.spans("attempt");
    let resent = attempts
        .iter()
        .map(|span| span.field("http.request.resend_count"));
    assert_eq!(resent.collect::<Vec<_>>(), [None, Some("1"), Some("2")]);
    let errors = attempts.iter().map(|span| span.field("error.type"));
    let unavailable = Some("\"503\"");
    assert_eq!(errors.collect::<Vec<_>>(), [unavailable, unavailable, None]);
    assert!(
        attempts
            .iter()
            .all(|span| span.closed && span.parent == Some("call"))
    );
}

#[tokio::test]
async fn a_call_without_an_operation_is_named_after_its_method() {
    let (capture, _listening) = Capture::start();
    let service = CallSpanLayer::new().layer(service_fn(async |_: http::Request<()>| {
        Err::<http::Response<()>, BoxError>("broken".into())
    }));
    assert!(
        service
            .oneshot(get("https://a.example/users/7"))
            .await
            .is_err()
    );
    assert_eq!(
        capture.span("call").snapshot(),
        r#"call.attempts=0
error.type="_OTHER"
otel.kind="internal"
otel.name=GET
otel.status_code="ERROR""#
    );
}

/// Both spans, with the timeouts of the usual order.
fn timed() -> impl Layer<
    crate::support::Transport,
    Service: tower::Service<http::Request<()>, Response = http::Response<()>, Error = BoxError>,
> {
    ServiceBuilder::new()
        .layer(CallSpanLayer::new())
        .layer(DeadlineLayer::new(secs(30)))
        .layer(AttemptTimeoutLayer::new(secs(10)))
        .layer(AttemptSpanLayer::new())
        .layer(DeliveryLayer::new())
        .into_inner()
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_call_is_not_an_error() {
    let (capture, _listening) = Capture::start();
    let (transport, _server) = transport();
    {
        let mut reply = pin!(timed().layer(transport).oneshot(get("https://a.example/")));
        assert!(poll(reply.as_mut()).is_pending());
        tokio::time::advance(secs(3)).await;
        assert!(poll(reply.as_mut()).is_pending());
        assert!(!capture.span("attempt").closed);
    }
    for span in [capture.span("call"), capture.span("attempt")] {
        assert!(span.closed);
        assert_eq!(span.field("error.type"), None);
        assert_eq!(span.field("otel.status_code"), None);
        assert_eq!(span.field("http.response.status_code"), None);
    }
    assert_eq!(capture.span("call").field("call.attempts"), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn what_a_timeout_gave_up_has_timed_out() {
    for deadline in [secs(30), secs(1)] {
        let (capture, _listening) = Capture::start();
        let (transport, _server) = transport();
        let mut request = get("https://a.example/");
        let call = Call::of_or_insert(&mut request);
        call.shorten_deadline(tokio::time::Instant::now() + deadline);
        let reply = timed().layer(transport).oneshot(request).await;
        assert!(reply.is_err());
        for span in [capture.span("call"), capture.span("attempt")] {
            assert!(span.closed);
            assert_eq!(span.field("error.type"), Some("\"timeout\""));
            assert_eq!(span.field("otel.status_code"), Some("\"ERROR\""));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_was_given_up_in_its_body_has_a_status() {
    let (capture, _listening) = Capture::start();
    let service = ServiceBuilder::new()
        .layer(CallSpanLayer::new())
        .layer(AttemptTimeoutLayer::new(secs(10)))
        .layer(AttemptSpanLayer::new())
        .layer(CollectLayer::new(64))
        .service(service_fn(async |_: http::Request<()>| {
            let body = Script::new([Step::Hang]);
            Ok::<_, BoxError>(http::Response::builder().status(206).body(body)?)
        }));
    assert!(service.oneshot(get("https://a.example/")).await.is_err());
    let attempt = capture.span("attempt");
    assert_eq!(attempt.field("error.type"), Some("\"timeout\""));
    assert_eq!(attempt.field("http.response.status_code"), Some("206"));
}

#[tokio::test]
async fn what_runs_below_is_inside_of_the_span_to_its_end() {
    struct Tells;
    impl Drop for Tells {
        fn drop(&mut self) {
            tracing::trace_span!("dropped");
        }
    }
    let (capture, _listening) = Capture::start();
    for polls in 0..3 {
        let service = AttemptSpanLayer::new().layer(service_fn(|_: http::Request<()>| {
            let tells = Tells;
            tracing::trace_span!("called");
            async move {
                let _tells = tells;
                tracing::trace_span!("polled");
                tokio::task::yield_now().await;
                Ok::<_, BoxError>(http::Response::new(()))
            }
        }));
        let mut reply = pin!(service.oneshot(get("https://a.example/")));
        for _ in 0..polls {
            let _ = poll(reply.as_mut());
        }
    }
    for name in ["called", "polled", "dropped"] {
        let spans = capture.spans(name);
        assert_eq!(spans.len(), 2);
        assert!(spans.iter().all(|span| span.parent == Some("attempt")));
    }
    assert!(Span::current().is_none());
}

#[tokio::test]
async fn ten_thousand_ids_share_their_names() {
    let (capture, _listening) = Capture::start();
    for id in 0..10_000 {
        let uri = format!("https://api.example.com/users/{id}?search={id}");
        let service = (CallSpanLayer::new(), AttemptSpanLayer::new()).layer(service_fn(
            async |_: http::Request<()>| Ok::<_, BoxError>(http::Response::new(())),
        ));
        let request = request_for(DELETE_USER, &uri);
        service.oneshot(request).await.expect("a reply");
    }
    for name in ["call", "attempt"] {
        let mut spans = capture.spans(name);
        assert_eq!(spans.len(), 10_000);
        for span in &mut spans {
            span.fields.remove("url.full");
        }
        let mut snapshots: Vec<_> = spans.iter().map(Seen::snapshot).collect();
        snapshots.dedup();
        assert_eq!(snapshots.len(), 1);
    }
}

#[tokio::test]
async fn the_key_is_in_no_span_at_any_level() {
    let (capture, _listening) = Capture::start();
    let origin = Origin::of(&Uri::from_static("https://a.example")).expect("an origin");
    let key = ApiKey::new("idk_secret").expect("a key");
    let service = ServiceBuilder::new()
        .layer(CallSpanLayer::new())
        .layer(AttemptSpanLayer::new())
        .layer(ApiKeyLayer::new(key, origin))
        // Outside of its place, too.
        .layer(AttemptSpanLayer::new())
        .service(service_fn(async |request: http::Request<()>| {
            assert_eq!(request.headers()["authorization"], "Bearer idk_secret");
            let echoed = format!("{:?}", request.headers()["authorization"].to_str());
            Err::<http::Response<()>, BoxError>(echoed.into())
        }));
    assert!(service.oneshot(get("https://a.example/")).await.is_err());
    assert_eq!(capture.spans("attempt").len(), 2);
    assert!(!capture.everything().contains("secret"));
}
