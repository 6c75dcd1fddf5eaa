//! What the spans cost where nobody listens to them. In a program of its own, because a subscriber
//! of another test would be heard here.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use allocation_counter::measure;
use http::{Method, Request, Response};
use idpflare_layers::{AttemptSpanLayer, BoxError, Call, CallSpanLayer, Operation, Safety};
use tower::{Layer, Service, service_fn};

const GET_USER: &Operation =
    &Operation::new("getUser", Method::GET, "/users/{user_id}", Safety::ReadOnly);

type Outcome = Result<Response<()>, BoxError>;

fn request() -> Request<()> {
    let mut request = Request::get("https://api.example.com/users/7?search=alice")
        .extension(GET_USER)
        .body(())
        .expect("a request");
    Call::of_or_insert(&mut request);
    request
}

/// The allocations of one call, and whether it was `done`.
fn allocations<S>(mut service: S, done: bool) -> u64
where
    S: Service<Request<()>, Response = Response<()>, Error = BoxError>,
{
    let request = request();
    let counted = measure(|| {
        let mut context = Context::from_waker(Waker::noop());
        let ready = service.poll_ready(&mut context);
        assert!(matches!(ready, Poll::Ready(Ok(()))));
        let mut reply = pin!(service.call(request));
        let polled = reply.as_mut().poll(&mut context);
        assert_eq!(polled.is_ready(), done);
    });
    counted.count_total
}

#[test]
fn nothing_is_allocated_where_nobody_listens() {
    let replies = service_fn(async |_: Request<()>| Outcome::Ok(Response::new(())));
    let fails = service_fn(async |_: Request<()>| Outcome::Err("x".into()));
    let hangs = service_fn(async |_: Request<()>| std::future::pending::<Outcome>().await);
    let (call, attempt) = (CallSpanLayer::new(), AttemptSpanLayer::new());

    // The first span of its kind in a program is registered, once.
    allocations(call.layer(attempt.layer(replies)), true);

    assert_eq!(allocations(call.layer(attempt.layer(replies)), true), 0);
    assert_eq!(allocations(call.layer(attempt.layer(hangs)), false), 0);
    let bare = allocations(fails, true);
    assert!(
        bare > 0,
        "an error is allocated, so allocations are counted"
    );
    assert_eq!(allocations(call.layer(attempt.layer(fails)), true), bare);
}
