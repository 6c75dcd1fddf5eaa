//! What a client refuses, what it makes of replies, and where it fits.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::Full;
use idpflare_management::layers::{
    ApiKey, ApiKeyLayer, BoxError, CollectError, DeadlineLayer, DeliveryLayer, Origin, Rate,
    RateLimiter, RetryPolicy, TransportError,
};
use idpflare_management::*;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

type Mock = Response<Full<Bytes>>;

/// A client whose service answers every request with `reply`.
fn answering(reply: Mock) -> Client {
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        std::future::ready(Ok::<_, BoxError>(reply.clone()))
    });
    build(service)
}

/// A client whose service fails with what `fail` makes.
fn failing(fail: fn() -> BoxError) -> Client {
    build(service_fn(move |_: Request<Full<Bytes>>| {
        std::future::ready(Err::<Mock, _>(fail()))
    }))
}

fn build<S>(service: S) -> Client
where
    S: Service<Request<Full<Bytes>>, Response = Mock, Error = BoxError>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    Client::builder("https://idp.example.com")
        .api_key("idk_test")
        .retry(RetryPolicy::new().attempts(1))
        .build_with(service)
        .expect("a client")
}

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Mock {
    let mut reply = Response::builder().status(status);
    for (name, value) in headers {
        reply = reply.header(*name, *value);
    }
    reply.body(Full::from(body.to_owned())).expect("a reply")
}

#[test]
fn clients_fit_an_axum_state() {
    fn fits<T: Clone + Send + Sync + 'static>() {}
    fits::<Client>();
    fits::<Authority>();
    fits::<KeyHandle>();
    fits::<BoxService>();
    fn is_error<T: std::error::Error + Send + Sync + 'static>() {}
    is_error::<Error>();
    is_error::<EncodeError>();
    is_error::<DecodeError>();
}

#[test]
fn authorities_are_checked_before_anything_is_sent() {
    for (authority, printed) in [
        ("https://idp.example.com", "https://idp.example.com"),
        ("https://idp.example.com/", "https://idp.example.com"),
        (
            "https://idp.example.com/a/b/",
            "https://idp.example.com/a/b",
        ),
        (
            "https://idp.example.com:8443",
            "https://idp.example.com:8443",
        ),
        ("http://localhost:8787", "http://localhost:8787"),
        ("http://LOCALHOST", "http://LOCALHOST"),
        ("http://[::ffff:127.0.0.1]", "http://[::ffff:127.0.0.1]"),
        ("http://127.1.2.3", "http://127.1.2.3"),
        ("http://[::1]:80", "http://[::1]:80"),
    ] {
        let parsed: Authority = authority.parse().expect(authority);
        assert_eq!(parsed.to_string(), printed);
    }
    for (authority, why) in [
        ("", "is not a URL"),
        ("idp.example.com", "is not an absolute URL"),
        ("/idp", "is not an absolute URL"),
        ("ftp://idp.example.com", "is neither https nor http"),
        ("https://", "is not a URL"),
        ("https://:8443", "has no valid host and port"),
        ("https://idp.example.com:", "has no valid host and port"),
        ("https://idp.example.com:0", "has no valid host and port"),
        ("https://idp.example.com:+1", "has no valid host and port"),
        ("http://[localhost]", "has no valid host and port"),
        ("http://api.localhost", "is plain http to another machine"),
        (
            "https://idp.example.com:99999",
            "has no valid host and port",
        ),
        ("https://user:hunter2@idp.example.com", "has a user name"),
        ("https://idp.example.com?x=1", "has a query"),
        ("https://idp.example.com/#top", "has a fragment"),
        (
            "https://idp.example.com/a/../b",
            "has a path in which a segment is a dot segment",
        ),
        (
            "https://idp.example.com/%2e%2e/b",
            "has a path in which a segment is a dot segment",
        ),
        (
            "https://idp.example.com/a%252fb",
            "has a path in which a segment contains '/'",
        ),
        (
            "https://idp.example.com//a",
            "has a path in which a segment is empty",
        ),
        ("http://idp.example.com", "is plain http to another machine"),
        (
            "http://localhost.example.com",
            "is plain http to another machine",
        ),
        ("http://10.0.0.1", "is plain http to another machine"),
        ("https://idp example.com", "is not a URL"),
    ] {
        let error = authority.parse::<Authority>().expect_err(authority);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        let text = error.to_string();
        assert!(
            text.starts_with(&format!("the authority {why}")),
            "{authority}: {text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
    assert!(Authority::insecure("http://idp.internal:8080").is_ok());
    assert!(Authority::insecure("http://user@idp.internal").is_err());
}

#[test]
fn a_builder_says_what_is_missing_or_wrong() {
    let mock = || service_fn(async |_: Request<Full<Bytes>>| Ok::<_, BoxError>(Mock::default()));
    let builder = || Client::builder("https://idp.example.com").api_key("idk_test");
    for (builder, why) in [
        (
            Client::builder("https://idp.example.com"),
            "there is no API key: give one with api_key",
        ),
        (
            builder().api_key("idk_secret\n"),
            "byte 10 of the API key is a control character (a line end left over from a file or variable?)",
        ),
        (builder().api_key(""), "the API key is empty"),
        (
            builder().deadline(Duration::ZERO),
            "deadline is zero, which no call can keep: give it a limit above that",
        ),
        (
            builder().attempt_timeout(Duration::ZERO),
            "attempt_timeout is zero, which no call can keep: give it a limit above that",
        ),
        (
            builder().max_reply_bytes(0),
            "max_reply_bytes is zero, which no reply fits: give it a limit above that",
        ),
        (
            builder().user_agent("a\nb"),
            "user_agent can't be sent as a header",
        ),
    ] {
        assert!(!format!("{builder:?}").contains("secret"));
        let error = builder.build_with(mock()).expect_err(why);
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert_eq!(error.to_string(), why);
    }
    let none = Duration::MAX;
    let endless = builder().deadline(none).attempt_timeout(none);
    assert!(endless.build_with(mock()).is_ok());
}

#[tokio::test]
async fn fixed_headers_are_sent_and_can_be_replaced() {
    let headers = |builder: ClientBuilder| async move {
        let (sender, mut receiver) = tokio::sync::mpsc::channel::<HeaderMap>(1);
        let service = service_fn(move |request: Request<Full<Bytes>>| {
            sender
                .try_send(request.headers().clone())
                .expect("one request");
            std::future::ready(Ok::<_, BoxError>(reply(204, &[], "")))
        });
        let client = builder
            .api_key("idk_test")
            .build_with(service)
            .expect("a client");
        client.send(DeleteUser::new("usr_1")).await.expect("204");
        receiver.try_recv().expect("one request")
    };
    let builder = || Client::builder("https://idp.example.com");
    let sent = headers(builder()).await;
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(sent["user-agent"], format!("idpflare-management/{version}"));
    assert_eq!(sent["accept"], "application/json");
    assert_eq!(sent["authorization"], "Bearer idk_test");
    assert!(sent["authorization"].is_sensitive());
    assert!(!sent.contains_key("content-type"));
    let sent = headers(builder().user_agent("mine/1")).await;
    assert_eq!(sent["user-agent"], "mine/1");
}

#[tokio::test]
async fn a_refusal_of_the_server_keeps_all_that_it_said() {
    let body = r#"{"error":"Insufficient scope","status":403}"#;
    let headers = [("cf-ray", "8c1f0a2b3c4d5e6f-LHR"), ("x-extra", "kept")];
    let client = answering(reply(403, &headers, body));
    let error = client
        .send(DeleteUser::new("usr_1"))
        .await
        .expect_err("403");
    assert_eq!(error.kind(), ErrorKind::Api);
    assert_eq!(error.message(), "Insufficient scope");
    assert_eq!(error.status(), Some(StatusCode::FORBIDDEN));
    assert_eq!(error.headers().expect("headers")["x-extra"], "kept");
    assert_eq!(error.raw_body(), body.as_bytes());
    assert_eq!(error.request_id(), Some("8c1f0a2b3c4d5e6f-LHR"));
    assert_eq!(error.required_scope(), Some("users:delete"));
    assert_eq!(error.operation().expect("known").id, "deleteUser");
    assert_eq!(
        (error.attempts(), error.delivery()),
        (1, Delivery::Answered)
    );
    assert!(!error.is_retryable());
    assert_eq!(
        error.to_string(),
        "deleteUser failed: 403 Forbidden: Insufficient scope (needs users:delete; request 8c1f0a2b3c4d5e6f-LHR)"
    );
}

// Paused, because a 429 holds the next call up.
#[tokio::test(start_paused = true)]
async fn what_each_status_means() {
    use Delivery::{Answered, Unknown};
    // Status, kind, delivery, retryable for getUser, retryable for createUser.
    for (status, kind, delivery, read, once) in [
        (301, ErrorKind::Redirect, Answered, false, false),
        (304, ErrorKind::Redirect, Answered, false, false),
        (400, ErrorKind::Api, Answered, false, false),
        (401, ErrorKind::Api, Answered, false, false),
        (404, ErrorKind::Api, Answered, false, false),
        (408, ErrorKind::Api, Unknown, true, false),
        (409, ErrorKind::Api, Answered, false, false),
        (425, ErrorKind::Api, Answered, true, true),
        (429, ErrorKind::Api, Answered, true, true),
        (500, ErrorKind::Api, Unknown, true, false),
        (501, ErrorKind::Api, Unknown, false, false),
        (503, ErrorKind::Api, Unknown, true, false),
        (522, ErrorKind::Api, Unknown, true, false),
        (525, ErrorKind::Api, Unknown, false, false),
        (530, ErrorKind::Api, Unknown, false, false),
        (999, ErrorKind::Api, Answered, false, false),
    ] {
        let client = answering(reply(status, &[], ""));
        let error = client
            .send(GetUser::new("usr_1"))
            .await
            .expect_err("no 2xx");
        assert_eq!(error.kind(), kind, "{status}");
        assert_eq!(error.delivery(), delivery, "{status}");
        assert_eq!(error.is_retryable(), read, "{status}");
        assert_eq!(
            error.message(),
            format!("Request failed with status {status}")
        );
        let error = client
            .send(CreateUser::new("a@b.c"))
            .await
            .expect_err("no 2xx");
        assert_eq!(error.is_retryable(), once, "{status}");
    }
}

#[tokio::test]
async fn lines_of_errors() {
    let html = ("content-type", "text/html; charset=utf-8");
    let ray = ("cf-ray", "8c1f-LHR");
    for (answer, line) in [
        (
            reply(502, &[html, ray], "<html>"),
            "createUser failed: 502 Bad Gateway (an HTML page, not an answer of IDPFlare; it may have taken effect; request 8c1f-LHR)",
        ),
        (
            reply(522, &[ray], ""),
            "createUser failed: 522 Connection Timed Out (it may have taken effect; request 8c1f-LHR)",
        ),
        (
            reply(
                307,
                &[("location", "https://other.example/login?token=x")],
                "",
            ),
            "createUser failed: 307 Temporary Redirect (redirects to https://other.example, which is not followed: correct the authority)",
        ),
        (
            reply(302, &[("location", "/login")], ""),
            "createUser failed: 302 Found (redirects to another path of the instance, which is not followed: correct the authority)",
        ),
        (reply(304, &[], ""), "createUser failed: 304 Not Modified"),
        (
            reply(400, &[], "{\"error\":\"first\\nsecond\"}"),
            "createUser failed: 400 Bad Request: first second",
        ),
        (
            reply(200, &[html], "<html>"),
            "createUser failed: 200 OK: the body is not what the protocol says: it is \"text/html; charset=utf-8\": expected value at line 1 column 1 (an HTML page, not an answer of IDPFlare)",
        ),
        (
            reply(204, &[], ""),
            "createUser failed: 204 No Content: the body is not what the protocol says: it is empty",
        ),
    ] {
        let error = answering(answer).send(CreateUser::new("a@b.c")).await;
        let error = error.expect_err("no value");
        assert_eq!(error.to_string(), line);
        assert!(!format!("{error:?}").contains("<html>"));
    }
}

#[tokio::test]
async fn replies_with_a_secret_are_quoted_nowhere() {
    let body = r#"{"api_key":{"id":"key_1"},"raw_key":"idk_very_secret","extra":1}"#;
    let wrong_type = r#"{"client_secret":["hush_hush"]}"#;
    let client = answering(reply(201, &[], body));
    let error = client
        .send(CreateApiKey::new("a"))
        .await
        .expect_err("a hole");
    let text = format!("{error} {error:?}");
    assert!(!text.contains("very_secret"), "{text}");
    assert_eq!(error.raw_body(), body.as_bytes());
    let client = answering(reply(200, &[], wrong_type));
    let error = client.send(RotateClientSecret::new("cli_1")).await;
    let error = error.expect_err("a wrong type");
    let text = format!("{error} {error:?}");
    assert!(!text.contains("hush_hush"), "{text}");
    assert_eq!(
        error.decode_error().and_then(DecodeError::path),
        Some("client_secret")
    );
}

#[tokio::test]
async fn what_the_service_fails_with_is_typed() {
    let refused = || -> BoxError { TransportError::connect("refused".into()).into() };
    let untrusted = || -> BoxError {
        TransportError::connect("untrusted".into())
            .permanent()
            .into()
    };
    let lost = || -> BoxError { TransportError::lost("reset".into()).into() };
    let other = || -> BoxError { "a layer of the user's own".into() };
    for (fail, kind, delivery, retryable) in [
        (
            refused as fn() -> BoxError,
            ErrorKind::Connect,
            Delivery::NotSent,
            true,
        ),
        (untrusted, ErrorKind::Connect, Delivery::NotSent, false),
        (lost, ErrorKind::Transport, Delivery::Unknown, false),
        (other, ErrorKind::Service, Delivery::Unknown, false),
    ] {
        let error = failing(fail).send(CreateUser::new("a@b.c")).await;
        let error = error.expect_err("no reply");
        assert_eq!(error.kind(), kind);
        assert_eq!((error.attempts(), error.delivery()), (1, delivery));
        assert_eq!(error.is_retryable(), retryable);
        assert_eq!(error.status(), None);
        let source = std::error::Error::source(&error)
            .expect("a cause")
            .to_string();
        assert!(!error.to_string().contains(&source));
    }
    assert!(
        failing(lost)
            .send(GetUser::new("u"))
            .await
            .expect_err("lost")
            .is_retryable()
    );
}

#[tokio::test]
async fn a_reply_over_the_limit_keeps_its_head() {
    let large = reply(200, &[("cf-ray", "8c1f-LHR")], &"x".repeat(65));
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        std::future::ready(Ok::<_, BoxError>(large.clone()))
    });
    let client = Client::builder("https://idp.example.com")
        .api_key("idk_test")
        .max_reply_bytes(64)
        .build_with(service)
        .expect("a client");
    let error = client
        .send(GetUserStats::new())
        .await
        .expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.status(), Some(StatusCode::OK));
    assert_eq!(error.delivery(), Delivery::Answered);
    assert_eq!(
        error.to_string(),
        "getUserStats failed: 200 OK: the reply is larger than the limit of 64 bytes (request 8c1f-LHR)"
    );
}

/// A client whose service plays these outcomes, one an attempt.
fn playing(outcomes: impl IntoIterator<Item = Result<Mock, BoxError>>) -> Client {
    playing_with(outcomes, |builder| builder)
}

fn playing_with(
    outcomes: impl IntoIterator<Item = Result<Mock, BoxError>>,
    settings: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> Client {
    let outcomes = Arc::new(Mutex::new(outcomes.into_iter().collect::<VecDeque<_>>()));
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        let next = outcomes.lock().expect("not poisoned").pop_front();
        std::future::ready(next.expect("no more attempts than that"))
    });
    settings(Client::builder("https://idp.example.com").api_key("idk_test"))
        .build_with(service)
        .expect("a client")
}

#[tokio::test(start_paused = true)]
async fn what_the_server_said_outlives_an_attempt_that_was_not_made() {
    // Nothing is left, for longer than the call has.
    let quota = [("ratelimit", "\"d\";r=0;t=60"), ("cf-ray", "8c1f-LHR")];
    let patient = RateLimiter::builder(Rate::MAX).max_pause(Duration::from_secs(60));
    let outcomes = [Ok(reply(502, &[], "<html>")), Ok(reply(429, &quota, "{}"))];
    let client = playing_with(outcomes, |builder| builder.rate_limit(patient.build()));
    let error = client
        .send(DeleteUser::new("u"))
        .await
        .expect_err("no time for another attempt");
    assert_eq!(error.kind(), ErrorKind::RateLimited);
    assert_eq!(error.status(), Some(StatusCode::TOO_MANY_REQUESTS));
    assert_eq!(error.request_id(), Some("8c1f-LHR"));
    assert_eq!(error.delivery(), Delivery::Unknown);
    let retry_after = error.retry_after().expect("the limiter's");
    assert!(retry_after > Duration::from_secs(50), "{retry_after:?}");
    let text = error.to_string();
    assert!(
        text.starts_with("deleteUser failed: not sent: the rate limit asks for a wait of "),
        "{text}"
    );
    assert!(
        text.ends_with(
            "(an earlier attempt: 429 Too Many Requests; 2 attempts; it may have taken effect; request 8c1f-LHR)"
        ),
        "{text}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_refused_and_then_not_sent_may_be_sent_again() {
    let refused = || Err(TransportError::connect("refused".into()).into());
    let client = playing([Ok(reply(429, &[], "")), refused(), refused()]);
    let error = client
        .send(CreateUser::new("a@b.c"))
        .await
        .expect_err("nobody acted");
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.delivery(), Delivery::Answered);
    assert!(error.is_retryable());
}

#[tokio::test(start_paused = true)]
async fn a_provider_of_keys_that_fails_is_told_as_one() {
    let client = Client::builder("https://idp.example.com")
        .credential_provider(async || Err::<ApiKey, _>("the vault is sealed"))
        .build_with(service_fn(async |_: Request<Full<Bytes>>| {
            Ok::<Mock, BoxError>(reply(204, &[], ""))
        }))
        .expect("a client");
    let error = client
        .send(CreateUser::new("a@b.c"))
        .await
        .expect_err("no key");
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert_eq!((error.attempts(), error.delivery()), (0, Delivery::NotSent));
    assert!(error.is_retryable());
    assert_eq!(
        error.to_string(),
        "createUser failed: not sent: there is no credential to send it with"
    );
    let provider = std::error::Error::source(&error).expect("a cause");
    assert_eq!(provider.to_string(), "the credential provider failed");
    let vault = provider.source().expect("a cause");
    assert_eq!(vault.to_string(), "the vault is sealed");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_hangs_is_given_up() {
    let hangs = service_fn(async |_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Mock, BoxError>>().await
    });
    let client = Client::builder("https://idp.example.com")
        .api_key("idk_test")
        .retry(RetryPolicy::new().attempts(1))
        .build_with(hangs)
        .expect("a client");
    let error = client
        .send(DeleteUser::new("u"))
        .await
        .expect_err("it hangs");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.delivery(), Delivery::Unknown);
    let timeout = error.timeout().expect("typed");
    assert_eq!(timeout.limit(), Duration::from_secs(10));
    assert_eq!(
        error.to_string(),
        "deleteUser failed: no complete reply within the attempt limit of 10s (it may have taken effect)"
    );
}

#[tokio::test]
async fn a_rotated_key_is_used_from_the_next_attempt_on() {
    let seen = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&seen);
    let service = service_fn(move |request: Request<Full<Bytes>>| {
        let expected = ["Bearer idk_old", "Bearer idk_new"];
        let call = count.fetch_add(1, Ordering::Relaxed) as usize;
        assert_eq!(request.headers()["authorization"], expected[call]);
        std::future::ready(Ok::<_, BoxError>(reply(204, &[], "")))
    });
    let handle = KeyHandle::new(ApiKey::new("idk_old").expect("a key"));
    let client = Client::builder("https://idp.example.com")
        .key_handle(handle.clone())
        .build_with(service)
        .expect("a client");
    client.send(UnblockUser::new("u")).await.expect("204");
    handle.rotate(ApiKey::new("idk_new").expect("a key"));
    client
        .clone()
        .send(UnblockUser::new("u"))
        .await
        .expect("204");
    assert_eq!(seen.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn execute_keeps_status_and_headers() {
    let stats = r#"{"total":1,"active":1,"verified":0,"mfa_enabled":0}"#;
    let client = answering(reply(203, &[("x-extra", "kept")], stats));
    let reply = client.execute(GetUserStats::new()).await.expect("stats");
    assert_eq!(reply.status(), 203);
    assert_eq!(reply.headers()["x-extra"], "kept");
    assert_eq!(reply.body().total, 1);
}

#[tokio::test]
async fn a_client_is_a_service_of_every_operation() {
    let client = answering(reply(204, &[], ""));
    client
        .clone()
        .oneshot(DeleteUser::new("u"))
        .await
        .expect("204");
    let mut ready = client;
    let service: &mut Client = ServiceExt::<BlockUser>::ready(&mut ready)
        .await
        .expect("ready");
    service.call(BlockUser::new("u")).await.expect("204");
    let refused = ready
        .oneshot(DeleteUser::new(""))
        .await
        .expect_err("refused");
    assert_eq!(refused.kind(), ErrorKind::Encode);
    assert_eq!(refused.attempts(), 0);
}

#[tokio::test]
async fn a_service_of_the_users_own_needs_no_layer_of_ours() {
    let unknown = service_fn(async |_: Request<Full<Bytes>>| Err::<Mock, BoxError>("?".into()));
    let client = Client::from_service("https://idp.example.com", unknown).expect("a client");
    let error = client
        .send(CreateUser::new("a@b.c"))
        .await
        .expect_err("fails");
    assert_eq!((error.attempts(), error.delivery()), (1, Delivery::Unknown));
    let endless =
        service_fn(async |_: Request<Full<Bytes>>| Ok::<_, BoxError>(Response::new(Endless)));
    let client = Client::from_service("https://idp.example.com", endless).expect("a client");
    let error = client.send(GetUserStats::new()).await.expect_err("endless");
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.status(), Some(StatusCode::OK));
}

/// A body that never ends.
struct Endless;

impl Body for Endless {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b' '; 65536])))))
    }
}

#[tokio::test]
async fn a_service_that_does_not_become_ready_has_sent_nothing() {
    let (mock, mut handle) = tower_test::mock::spawn::<Request<Full<Bytes>>, Mock>();
    handle.send_error("shutting down");
    let client = Client::from_service("https://idp.example.com", mock.into_inner());
    let client = client.expect("a client");
    let error = client
        .send(CreateUser::new("a@b.c"))
        .await
        .expect_err("not ready");
    assert_eq!(error.kind(), ErrorKind::Service);
    assert_eq!((error.attempts(), error.delivery()), (0, Delivery::NotSent));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_the_service_has_not_read_is_bounded_too() {
    struct Hangs;

    impl Body for Hangs {
        type Data = Bytes;
        type Error = BoxError;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
            Poll::Pending
        }
    }

    let hangs = service_fn(async |request: Request<Full<Bytes>>| {
        let call = Call::of(&request).expect("the client puts it there");
        call.limit_to(Duration::from_secs(7));
        let mut reply = Response::new(Hangs);
        let ray = http::HeaderValue::from_static("8c1f-LHR");
        reply.headers_mut().insert("cf-ray", ray);
        Ok::<_, BoxError>(reply)
    });
    let client = Client::from_service("https://idp.example.com", hangs).expect("a client");
    let error = client
        .send(GetUserStats::new())
        .await
        .expect_err("it hangs");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.status(), Some(StatusCode::OK));
    assert_eq!(
        error.to_string(),
        "getUserStats failed: the call was not done within its deadline of 7s (request 8c1f-LHR)"
    );
    let large = reply(200, &[], &"x".repeat(65));
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        std::future::ready(Ok::<_, BoxError>(large.clone()))
    });
    let client = Client::from_service("https://idp.example.com", service).expect("a client");
    let error = client.max_reply_bytes(64).send(GetUserStats::new()).await;
    assert_eq!(error.expect_err("too large").kind(), ErrorKind::TooLarge);
}

#[tokio::test(start_paused = true)]
async fn a_stack_that_records_its_sends_tells_what_was_queued() {
    let transport = service_fn(async |_: Request<Full<Bytes>>| Ok::<_, BoxError>(Mock::default()));
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(1)))
        .concurrency_limit(0)
        .layer(DeliveryLayer::new())
        .service(transport);
    let client = Client::from_service("https://idp.example.com", stack).expect("a client");
    let client = client.records_sends(true);
    let error = client
        .send(CreateUser::new("a@b.c"))
        .await
        .expect_err("it queues");
    assert_eq!((error.attempts(), error.delivery()), (0, Delivery::NotSent));
    assert!(error.is_retryable());
    let elsewhere =
        Origin::of(&http::Uri::from_static("https://other.example")).expect("an origin");
    let key = ApiKey::new("idk_test").expect("a key");
    let stack = ApiKeyLayer::new(key, elsewhere).layer(transport);
    let client = Client::from_service("https://idp.example.com", stack).expect("a client");
    let error = client
        .send(CreateUser::new("a@b.c"))
        .await
        .expect_err("another origin");
    assert_eq!(error.kind(), ErrorKind::Credential);
    assert_eq!((error.attempts(), error.delivery()), (0, Delivery::NotSent));
}

#[tokio::test]
async fn a_call_can_be_spawned_and_a_mock_boxed() {
    let mock = service_fn(async |_: Request<Full<Bytes>>| Ok::<_, BoxError>(reply(204, &[], "")));
    let client: Client = Client::from_service("https://idp.example.com", mock)
        .expect("a client")
        .boxed();
    let id = String::from("usr_1");
    let call = tokio::spawn(client.send(DeleteUser::new(&id)));
    drop(client);
    call.await.expect("it ran").expect("204");
}

#[tokio::test]
async fn what_a_server_says_stays_a_short_line() {
    let key = "\\u001b[31m\\n".repeat(200);
    let body = format!(r#"{{"users":[{{"metadata":{{"{key}":+}}}}],"total":1}}"#);
    let error = answering(reply(200, &[], &body))
        .send(ListUsers::new())
        .await;
    let error = error.expect_err("not JSON");
    let decode = error.decode_error().expect("typed");
    for text in [
        decode.to_string(),
        error.message().to_owned(),
        error.to_string(),
    ] {
        assert!(
            text.len() < 2000 && !text.contains(['\u{1b}', '\n']),
            "{text}"
        );
    }
    let body = format!(r#"{{"total":"{}"}}"#, "x".repeat(100_000));
    let error = answering(reply(200, &[], &body))
        .send(GetUserStats::new())
        .await;
    assert!(error.expect_err("no number").message().len() < 2000);
    let body = r#"{"client":{"metadata":{"hush_hush":+}}}"#;
    let headers = [("content-type", "very_secret")];
    let error = answering(reply(201, &headers, body))
        .send(CreateClient::new("a", ["https://a.example"]))
        .await;
    let text = format!("{:?}", error.expect_err("not JSON"));
    assert!(
        !text.contains("hush_hush") && !text.contains("very_secret"),
        "{text}"
    );
}

#[test]
fn layers_are_within_reach() {
    let authority: Authority = "https://IdP.example.com/a".parse().expect("an authority");
    let uri = http::Uri::from_static("https://idp.example.com:443");
    assert_eq!(authority.origin(), &Origin::of(&uri).expect("an origin"));
    fn is_error<T: std::error::Error>() {}
    is_error::<CollectError>();
}
