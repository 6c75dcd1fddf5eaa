use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use idpflare_layers::{
    AttemptTimeoutLayer, BoxError, Call, CollectError, CollectLayer, DeliveryLayer, ReplyHead,
    Timeout, TimeoutScope, TransportError, collect,
};
use tokio::time::{advance, timeout};
use tower::{Layer, ServiceExt};
use tower_test::mock;

use crate::support::{Script, Step, request, secs, typed};

type Collected = Result<http::Response<Full<Bytes>>, BoxError>;

/// What a layer with this limit makes of a reply.
async fn through<B>(limit: usize, reply: http::Response<B>) -> Collected
where
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (transport, mut server) = mock::pair::<http::Request<()>, http::Response<B>>();
    let service = CollectLayer::new(limit).layer(transport);
    let collected = service.oneshot(http::Request::new(()));
    let serve = async {
        let (_, respond) = server.next_request().await.expect("one request");
        respond.send_response(reply);
    };
    tokio::join!(collected, serve).0
}

async fn bytes(collected: Collected) -> Bytes {
    let body = collected.expect("a reply").into_body();
    body.collect().await.expect("it is in memory").to_bytes()
}

fn data(piece: &'static str) -> Step {
    Step::Data(Bytes::from_static(piece.as_bytes()))
}

fn script(steps: impl IntoIterator<Item = Step>) -> http::Response<Script> {
    http::Response::new(Script::new(steps))
}

fn declared(length: &str, body: Script) -> http::Response<Script> {
    let mut reply = http::Response::new(body);
    let length = HeaderValue::from_str(length).expect("a value");
    reply.headers_mut().insert(CONTENT_LENGTH, length);
    reply
}

#[tokio::test]
async fn the_limit_itself_passes_and_one_byte_more_does_not() {
    for steps in [
        || vec![data("12345678")],
        || vec![data("1234"), data("5678")],
        || vec![data("1"), data("2345"), data(""), data("678")],
    ] {
        assert_eq!(bytes(through(8, script(steps())).await).await, "12345678");
        let error = through(7, script(steps())).await.expect_err("too large");
        let error = typed::<CollectError>(&error);
        assert_eq!(error.exceeded_limit(), Some(7));
    }
    assert_eq!(bytes(through(0, script([])).await).await, "");
    assert_eq!(bytes(through(0, script([data("")])).await).await, "");
    assert!(through(0, script([data("1")])).await.is_err());
    let all = through(usize::MAX, script([data("1"), data("2")])).await;
    assert_eq!(bytes(all).await, "12");
}

#[tokio::test]
async fn a_reply_that_declares_too_much_is_not_read() {
    let body = Script::new([Step::DataForEver]);
    let polls = body.polls();
    let error = through(8, declared("9", body)).await.expect_err("9 of 8");
    let error = typed::<CollectError>(&error);
    assert_eq!(error.exceeded_limit(), Some(8));
    assert_eq!(error.status(), 200);
    assert_eq!(error.headers()[CONTENT_LENGTH], "9");
    assert_eq!(polls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn what_it_declares_otherwise_decides_nothing() {
    for length in ["8", "0", "7", "-1", "many", "", "99999999999999999999999"] {
        let body = || Script::new([data("12345678")]);
        let collected = through(8, declared(length, body())).await;
        assert_eq!(bytes(collected).await, "12345678", "{length}");
        let error = through(7, declared(length, body())).await;
        assert!(error.is_err(), "{length}");
    }
}

#[tokio::test]
async fn a_reply_without_a_body_may_declare_that_of_another_request() {
    // To HEAD, and with 304, the length is that of the body a GET would have got.
    for status in [StatusCode::OK, StatusCode::NOT_MODIFIED] {
        let mut reply = declared("1000000", Script::new([]));
        *reply.status_mut() = status;
        let reply = through(8, reply).await.expect("there is no body");
        assert_eq!(reply.status(), status);
        assert_eq!(reply.headers()[CONTENT_LENGTH], "1000000");
    }
}

#[tokio::test]
async fn a_single_piece_is_handed_on_as_it_is() {
    for (before, after) in [
        (vec![], vec![]),
        (vec![data("")], vec![data("")]),
        (vec![], vec![Step::Trailers]),
    ] {
        let piece = Bytes::from(vec![b'x'; 4096]);
        let steps = before.into_iter().chain([Step::Data(piece.clone())]);
        let collected = through(8192, script(steps.chain(after))).await;
        assert_eq!(bytes(collected).await.as_ptr(), piece.as_ptr());
    }
    let piece = Bytes::from(vec![b'x'; 4096]);
    let collected = through(4096, http::Response::new(Full::new(piece.clone()))).await;
    assert_eq!(bytes(collected).await.as_ptr(), piece.as_ptr());
}

#[tokio::test]
async fn many_pieces_are_put_together_in_order() {
    let pieces = (0..1000_u32).map(|number| Bytes::from(format!("{number},")));
    let whole: Vec<u8> = pieces.clone().flatten().collect();
    let collected = through(whole.len(), script(pieces.map(Step::Data))).await;
    assert_eq!(bytes(collected).await, whole);
}

#[tokio::test]
async fn a_size_hint_is_not_trusted_with_memory() {
    let body = Script::new([data("a"), data("b")]).claiming(u64::MAX);
    let collected = through(usize::MAX, http::Response::new(body)).await;
    assert_eq!(bytes(collected).await, "ab");
}

#[tokio::test]
async fn trailers_are_left_out_and_the_head_is_kept() {
    #[derive(Clone, Debug, PartialEq)]
    struct Extension;

    let mut reply = script([data("1"), Step::Trailers, data("2")]);
    *reply.status_mut() = StatusCode::IM_A_TEAPOT;
    *reply.version_mut() = http::Version::HTTP_2;
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert(CONTENT_TYPE, json);
    reply.extensions_mut().insert(Extension);
    let reply = through(8, reply).await.expect("a reply");
    assert_eq!(reply.status(), StatusCode::IM_A_TEAPOT);
    assert_eq!(reply.version(), http::Version::HTTP_2);
    assert_eq!(reply.headers()[CONTENT_TYPE], "application/json");
    assert_eq!(reply.headers().len(), 1);
    assert_eq!(reply.extensions().get(), Some(&Extension));
    let body = reply.into_body().collect().await.expect("in memory");
    assert_eq!(body.trailers(), None);
    assert_eq!(body.to_bytes(), "12");
}

#[tokio::test]
async fn a_reply_that_breaks_off_keeps_its_head_and_the_cause() {
    for steps in [vec![], vec![data("1")], vec![data("1"), data("2")]] {
        let cause = TransportError::lost("connection reset".into());
        let broken = steps.into_iter().chain([Step::Break(cause.into())]);
        let mut reply = script(broken);
        *reply.status_mut() = StatusCode::BAD_GATEWAY;
        let id = HeaderValue::from_static("8c1f");
        reply.headers_mut().insert("cf-ray", id);
        let error = through(8, reply).await.expect_err("cut off");
        typed::<TransportError>(&error);
        let error = typed::<CollectError>(&error);
        assert_eq!(error.status(), StatusCode::BAD_GATEWAY);
        assert_eq!(error.headers()["cf-ray"], "8c1f");
        assert_eq!(error.exceeded_limit(), None);
    }
}

#[tokio::test]
async fn an_error_shows_no_header_and_no_body() {
    for last in [Step::Break("reset".into()), data("12345678")] {
        let mut reply = script([data("hidden"), last]);
        let cookie = HeaderValue::from_static("hidden");
        reply.headers_mut().insert("set-cookie", cookie);
        let error = through(8, reply).await.expect_err("cut off");
        assert!(!format!("{error} {error:?} {error:#?}").contains("hidden"));
    }
}

#[tokio::test]
async fn a_body_without_end_is_read_no_further_than_the_limit() {
    let body = Script::new([Step::DataForEver]);
    let polls = body.polls();
    let error = through(64 * 1024, http::Response::new(body)).await;
    assert_eq!(
        typed::<CollectError>(&error.expect_err("too large")).exceeded_limit(),
        Some(64 * 1024)
    );
    assert_eq!(polls.load(Ordering::SeqCst), 65, "pieces of 1 KiB");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_always_ready_does_not_hide_the_time_from_a_timeout() {
    let limit = secs(10);
    let (transport, mut server) = mock::pair();
    let collect = CollectLayer::new(1024).layer(transport);
    let service = AttemptTimeoutLayer::new(limit).layer(collect);
    let reply = service.oneshot(http::Request::new(()));
    let serve = async {
        let (_, respond) = server.next_request().await.expect("one request");
        respond.send_response(script([Step::EmptyForEver]));
        for _ in 0..10 {
            // The reader gives its task back, or this would never go on.
            tokio::task::yield_now().await;
        }
        advance(limit).await;
    };
    let (reply, ()) = tokio::join!(reply, serve);
    typed::<Timeout>(&reply.expect_err("no end"));
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_is_dropped_half_read_leaves_its_head_until_the_next_send() {
    let (transport, mut server) = mock::pair();
    let service = CollectLayer::new(1024).layer(DeliveryLayer::new().layer(transport));
    let (request, call) = request();

    // The first attempt gets half a reply, and is given up.
    let attempt = timeout(secs(1), service.clone().oneshot(request.clone()));
    let serve = async {
        let (_, respond) = server.next_request().await.expect("a request");
        assert_eq!(call.interrupted_reply(), None);
        let mut reply = script([data("part"), Step::Hang]);
        *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let wait = HeaderValue::from_static("7");
        reply.headers_mut().insert("retry-after", wait);
        respond.send_response(reply);
    };
    let (given_up, ()) = tokio::join!(attempt, serve);
    assert!(given_up.is_err());
    let ReplyHead {
        status, headers, ..
    } = call.interrupted_reply().expect("a head");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(headers["retry-after"], "7");

    // The second one gets nothing at all: what the first one got is no longer the last.
    let attempt = timeout(secs(1), service.clone().oneshot(request.clone()));
    let serve = async {
        let (_, respond) = server.next_request().await.expect("a request");
        assert_eq!(call.interrupted_reply(), None);
        respond
    };
    let (given_up, _respond) = tokio::join!(attempt, serve);
    assert!(given_up.is_err());
    assert_eq!(call.interrupted_reply(), None);
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_was_read_or_failed_by_itself_leaves_nothing() {
    for (steps, is_ok) in [
        (vec![data("whole")], true),
        (vec![data("part"), Step::Break("reset".into())], false),
        (vec![data("too much for it")], false),
    ] {
        let (transport, mut server) = mock::pair();
        let (request, call) = request();
        let reply = CollectLayer::new(8).layer(transport).oneshot(request);
        let serve = async {
            let (_, respond) = server.next_request().await.expect("a request");
            respond.send_response(script(steps));
        };
        let (reply, ()) = tokio::join!(reply, serve);
        assert_eq!(reply.is_ok(), is_ok);
        drop(reply);
        assert_eq!(call.interrupted_reply(), None);
    }
}

#[tokio::test(start_paused = true)]
async fn the_function_does_what_the_layer_does() {
    let call = Call::new();
    let piece = Bytes::from(vec![b'x'; 4096]);
    let reply = script([Step::Data(piece.clone())]);
    let reply = collect(reply, 4096, call.clone()).await.expect("a reply");
    assert_eq!(reply.body().as_ptr(), piece.as_ptr());

    let error = collect(script([data("123")]), 2, call.clone()).await;
    assert_eq!(error.expect_err("too large").exceeded_limit(), Some(2));

    let error = collect(script([Step::Break("reset".into())]), 2, call.clone()).await;
    let cause = error.expect_err("cut off").into_source();
    assert_eq!(cause.expect("a cause").to_string(), "reset");
    assert_eq!(call.interrupted_reply(), None);

    let half = collect(script([data("1"), Step::Hang]), 2, call.clone());
    assert!(timeout(Duration::from_secs(1), half).await.is_err());
    assert!(call.interrupted_reply().is_some());
}

#[tokio::test(start_paused = true)]
async fn reading_ends_at_the_deadline_of_the_call() {
    let (transport, mut server) = mock::pair::<http::Request<()>, http::Response<Script>>();
    let service = CollectLayer::new(64).layer(transport);
    let (request, call) = request();
    call.limit_to(secs(5));
    let serve = async {
        let (_, respond) = server.next_request().await.expect("one request");
        let mut reply = http::Response::new(Script::new([Step::Data("x".into()), Step::Hang]));
        *reply.status_mut() = StatusCode::BAD_GATEWAY;
        respond.send_response(reply);
    };
    let started = tokio::time::Instant::now();
    let (collected, ()) = tokio::join!(service.oneshot(request), serve);
    let error = collected.expect_err("the deadline");
    assert_eq!(typed::<Timeout>(&error).scope(), TimeoutScope::Call);
    assert_eq!(started.elapsed(), secs(5));
    let head = call.interrupted_reply().expect("the head has arrived");
    assert_eq!(head.status, StatusCode::BAD_GATEWAY);
}
