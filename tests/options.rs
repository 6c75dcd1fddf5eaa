//! Options for one request: what they change, what they leave alone, and what is refused.

mod support;

use std::time::Duration;

use http::StatusCode;
use http_body_util::BodyExt;
use idpflare_management::layers::{BoxError, CallLimit, RetryOverride};
use idpflare_management::testing::{
    CannedReply, CaptureService, FakeIdpflare, Fault, FaultRule, FaultScript,
};
use idpflare_management::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use support::{Pending, arguments, recorded, with_operation};
use tokio::time::Instant;
use tower::{ServiceExt, service_fn};

#[derive(Clone, Debug, PartialEq)]
struct Tenant(&'static str);

const LIMIT: Duration = Duration::from_secs(2);

fn options() -> CallOptions {
    CallOptions::new()
        .deadline(LIMIT)
        .attempts(7)
        .safety(Safety::Once)
        .extension(Tenant("blue"))
        .header("x-request-id", "4f1c")
        .expect("a header")
}

fn authority() -> Authority {
    "https://idp.example.com".parse().expect("an authority")
}

fn capture() -> (Client, CaptureService<CannedReply>) {
    let capture = CaptureService::new(CannedReply::new(StatusCode::NO_CONTENT));
    let client = Client::builder("https://idp.example.com")
        .api_key("idk_test")
        .build_with(capture.clone())
        .expect("a client");
    (client, capture)
}

#[test]
fn every_operation_takes_options() {
    fn accepts<R: ApiRequest + DeserializeOwned>(arguments: &Value) {
        let request: R = serde_json::from_value(arguments.clone()).expect("arguments");
        let (plain, body) = request.to_http(&authority()).expect("plain").into_parts();
        let of_reference = http((&request).with(options()));
        let request = request.with(options());
        for sent in [of_reference, http(&request), http(request)] {
            let (head, with_body) = sent.into_parts();
            assert_eq!(head.method, plain.method);
            assert_eq!(head.uri, plain.uri);
            assert_eq!(now(with_body), now(body.clone()));
            let mut headers = plain.headers.clone();
            headers.insert("x-request-id", "4f1c".parse().expect("a value"));
            assert_eq!(head.headers, headers);
            let found = head.extensions.get::<&'static Operation>();
            assert_eq!(found, Some(&R::OPERATION));
            assert_eq!(head.extensions.get(), Some(&CallLimit::new(LIMIT)));
            let retries = RetryOverride::new().attempts(7).safety(Safety::Once);
            assert_eq!(head.extensions.get(), Some(&retries));
            assert_eq!(head.extensions.get(), Some(&Tenant("blue")));
        }
    }
    fn http(request: impl ApiRequest) -> http::Request<http_body_util::Full<bytes::Bytes>> {
        request.to_http(&authority()).expect("with options")
    }
    fn now(body: http_body_util::Full<bytes::Bytes>) -> bytes::Bytes {
        let all = futures_util::FutureExt::now_or_never(body.collect()).expect("in memory");
        all.expect("never fails").to_bytes()
    }

    let vectors = recorded("requests.jsonl");
    for operation in OPERATIONS {
        let vector = vectors
            .iter()
            .find(|vector| vector["operation"] == operation.id)
            .expect("every operation was recorded");
        with_operation!(operation.id, accepts(&arguments(&vector["input"]))).expect("known");
    }
}

#[test]
fn options_inside_options() {
    let inner = options().header("x-tenant", "blue").expect("a header");
    let outer = CallOptions::new()
        .deadline(LIMIT * 2)
        .attempts(1)
        .extension(Tenant("red"))
        .header("X-Request-Id", "b7a0")
        .expect("a header");
    let request = GetUserStats::new().with(inner).with(outer);
    assert_eq!(request.request().request(), &GetUserStats::new());
    let sent = request.to_http(&authority()).expect("a request");
    assert_eq!(sent.headers()["x-request-id"], "b7a0");
    assert_eq!(sent.headers()["x-tenant"], "blue");
    assert_eq!(sent.headers().len(), 2);
    // A deadline is only ever shortened.
    assert_eq!(CallLimit::of(&sent), Some(CallLimit::new(LIMIT)));
    let retries = RetryOverride::new().attempts(1).safety(Safety::Once);
    assert_eq!(RetryOverride::of(&sent), retries);
    assert_eq!(sent.extensions().get(), Some(&Tenant("red")));
}

#[test]
fn an_override_among_the_extensions_is_kept() {
    let own = RetryOverride::new().safety(Safety::Idempotent);
    let options = CallOptions::new().attempts(4).extension(own);
    let request = GetUserStats::new().with(options);
    let sent = request.to_http(&authority()).expect("a request");
    assert_eq!(RetryOverride::of(&sent), own.attempts(4));
    // No option takes the place of the operation.
    let other = CallOptions::new().extension(DeleteUser::OPERATION);
    let sent = GetUserStats::new().with(other).to_http(&authority());
    let operation = Operation::of(&sent.expect("a request"));
    assert_eq!(operation, Some(GetUserStats::OPERATION));
}

#[tokio::test]
async fn what_is_not_the_callers_to_set_is_refused() {
    let (_, capture) = capture();
    for (name, reason) in [
        ("Authorization", "the credential is the client's"),
        ("host", "it is told by the authority"),
        ("Content-Type", "it is told by the body"),
        ("content-encoding", "it is told by the body"),
        ("content-length", "it belongs to the connection"),
        ("Transfer-Encoding", "it belongs to the connection"),
        ("connection", "it belongs to the connection"),
        ("TE", "it belongs to the connection"),
        ("trailer", "it belongs to the connection"),
        ("upgrade", "it belongs to the connection"),
        ("http2-settings", "it belongs to the connection"),
        ("keep-alive", "it belongs to the connection"),
        ("expect", "it belongs to the connection"),
        ("proxy-authorization", "it belongs to the connection"),
        ("Proxy-Connection", "it belongs to the connection"),
        ("proxy-", "it belongs to the connection"),
        ("", "\"\" is no name of a header"),
        ("x tenant", "\"x tenant\" is no name of a header"),
        ("x\r\nhost", "\"x  host\" is no name of a header"),
        (":authority", "\":authority\" is no name of a header"),
        ("ü", "\"ü\" is no name of a header"),
    ] {
        let error = CallOptions::new().header(name, "s3cret").expect_err(name);
        assert_eq!(error.kind(), ErrorKind::Encode, "{name}");
        assert!(error.to_string().contains(reason), "{name}: {error}");
        assert!(error.operation().is_none());
        assert!(!format!("{error} {error:?}").contains("s3cret"));
        if !reason.ends_with("header") {
            let name = name.to_ascii_lowercase();
            assert!(
                error
                    .to_string()
                    .starts_with(&format!("the header {name} can't"))
            );
        }
    }
    for value in ["s3cret\r\nhost: evil", "s3cret\0", "s3cret\u{7f}"] {
        let error = CallOptions::new()
            .header("x-tenant", value)
            .expect_err("no value");
        assert_eq!(error.kind(), ErrorKind::Encode);
        assert_eq!(
            error.to_string(),
            "the value for the header x-tenant can't be sent"
        );
        assert!(!format!("{error:?}").contains("s3cret"));
    }
    assert!(capture.take().is_empty());
}

#[test]
fn too_many_headers_are_an_error() {
    let fill = |from: u32| {
        let mut options = CallOptions::new();
        for index in from..from + 15_000 {
            options = options.header(format!("x-{index}"), "1").expect("it fits");
        }
        options
    };
    let request = GetUserStats::new().with(fill(0)).with(fill(100_000));
    let error = request.to_http(&authority()).expect_err("30,000 headers");
    assert_eq!(
        error.to_string(),
        "getUserStats failed: there are too many headers"
    );
}

#[tokio::test]
async fn headers_go_with_each_request() {
    let (client, capture) = capture();
    let options = CallOptions::new()
        .header("user-agent", "nightly-job/1.0")
        .and_then(|options| options.header("accept", "application/vnd.idpflare+json"))
        .and_then(|options| options.header("x-request-id", "4f1c"))
        .and_then(|options| options.header("X-Request-ID", String::from("b7a0")))
        .expect("headers");
    let request = DeleteUser::new("usr_7").with(options);
    client.send(&request).await.expect("204");
    client.clone().oneshot(request).await.expect("204");
    client.send(DeleteUser::new("usr_7")).await.expect("204");
    let sent = capture.take();
    for request in &sent[..2] {
        assert_eq!(request.head.headers["user-agent"], "nightly-job/1.0");
        let accept = &request.head.headers["accept"];
        assert_eq!(accept, "application/vnd.idpflare+json");
        let ids: Vec<_> = request
            .head
            .headers
            .get_all("x-request-id")
            .iter()
            .collect();
        assert_eq!(ids, ["b7a0"]);
        assert_eq!(request.head.headers["authorization"], "Bearer idk_test");
    }
    assert_ne!(sent[2].head.headers["user-agent"], "nightly-job/1.0");
    assert_eq!(sent[2].head.headers["accept"], "application/json");
    assert!(!sent[2].head.headers.contains_key("x-request-id"));
}

#[test]
fn debug_shows_no_values_of_headers() {
    let options = CallOptions::new()
        .header("x-token", "s3cret")
        .expect("a header");
    let request = GetUser::new("usr_7").with(options);
    let text = format!("{request:?} {request:#?}");
    assert!(text.contains("usr_7") && text.contains("x-token"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

/// How long a call takes that nobody answers, and what comes of it.
async fn hanging(client: &Client, options: CallOptions) -> (Duration, Error) {
    let start = Instant::now();
    let request = GetUserStats::new().with(options);
    let error = client.send(request).await.expect_err("nobody answers");
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    (start.elapsed(), error)
}

#[tokio::test(start_paused = true)]
async fn a_deadline_is_only_shortened() {
    let hangs = service_fn(async |_| {
        std::future::pending::<Result<http::Response<Pending>, BoxError>>().await
    });
    let client = Client::builder("https://idp.example.com")
        .api_key("idk_test")
        .deadline(Duration::from_secs(5))
        .build_with(service_fn(async |_| {
            std::future::pending::<Result<CannedBody, BoxError>>().await
        }))
        .expect("a client");
    let (elapsed, error) = hanging(&client, CallOptions::new().deadline(LIMIT)).await;
    assert_eq!(elapsed, LIMIT);
    assert_eq!(error.timeout().map(layers::Timeout::limit), Some(LIMIT));
    assert_eq!(error.delivery(), Delivery::Unknown);
    let long = CallOptions::new().deadline(Duration::MAX);
    assert_eq!(hanging(&client, long).await.0, Duration::from_secs(5));

    // The same where no layer knows of deadlines.
    let bare = Client::from_service("https://idp.example.com", hangs).expect("a client");
    let request = GetUserStats::new().with(CallOptions::new().deadline(LIMIT));
    for call in [true, false] {
        let start = Instant::now();
        let outcome = match call {
            true => bare.send(&request).await,
            false => bare.clone().oneshot(request.clone()).await,
        };
        let error = outcome.expect_err("nobody answers");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!(error.delivery(), Delivery::Unknown);
        assert_eq!(start.elapsed(), LIMIT);
    }
}

type CannedBody = http::Response<http_body_util::Full<bytes::Bytes>>;

#[tokio::test(start_paused = true)]
async fn a_deadline_covers_the_body() {
    let service = service_fn(async |_| Ok::<_, BoxError>(http::Response::new(Pending)));
    let client = Client::from_service("https://idp.example.com", service).expect("a client");
    let start = Instant::now();
    let request = GetUserStats::new().with(CallOptions::new().deadline(LIMIT));
    let error = client.send(request).await.expect_err("no body");
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert_eq!(error.delivery(), Delivery::Answered);
    assert_eq!(start.elapsed(), LIMIT);
}

#[tokio::test]
async fn without_any_time_nothing_is_sent() {
    let (client, capture) = capture();
    let late = || DeleteUser::new("usr_7").with(CallOptions::new().deadline(Duration::ZERO));
    let bare = Client::from_service("https://idp.example.com", capture.clone());
    for outcome in [
        client.send(late()).await,
        client.clone().oneshot(late()).await,
        bare.expect("a client").send(late()).await,
    ] {
        let error = outcome.expect_err("too late");
        assert_eq!(error.kind(), ErrorKind::Timeout);
        assert_eq!((error.attempts(), error.delivery()), (0, Delivery::NotSent));
    }
    assert!(capture.take().is_empty());
}

#[tokio::test(start_paused = true)]
async fn attempts_and_safety_decide_on_repeats() {
    let fake = FakeIdpflare::new();
    let client = fake.client();
    let attempts = async |request: CallOptions| {
        let unavailable = Fault::status(StatusCode::BAD_GATEWAY);
        let rule = FaultRule::new(unavailable).times(100);
        fake.set_faults(FaultScript::new().rule(rule));
        let create = CreateUser::new("ada@example.com").with(request);
        let error = client.send(create).await.expect_err("502");
        (error.attempts(), error.is_retryable())
    };
    let plain = CallOptions::new();
    assert_eq!(attempts(plain.clone()).await, (1, false));
    assert_eq!(attempts(plain.clone().attempts(5)).await, (1, false));
    let idempotent = plain.clone().safety(Safety::Idempotent);
    assert_eq!(attempts(idempotent.clone()).await, (3, true));
    assert_eq!(attempts(idempotent.clone().attempts(5)).await, (5, true));
    assert_eq!(attempts(idempotent.attempts(0)).await, (1, true));
}

#[tokio::test]
async fn the_reply_is_that_of_the_request_inside() {
    let fake = FakeIdpflare::new();
    fake.seed(3);
    let client = fake.client();
    let page = client.send(ListUsers::new().limit(2).with(options())).await;
    assert_eq!(page.expect("a page").users.len(), 2);
    let reply = client.execute(GetUserStats::new().with(options())).await;
    assert_eq!(reply.expect("a reply").body().total, 3);
    assert_eq!(
        json!(3),
        json!(client.send(GetUserStats::new()).await.expect("stats").total)
    );
}
