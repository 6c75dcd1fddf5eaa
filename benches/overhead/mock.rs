//! A transport that answers at once, and a way to run what is never pending.

use std::future::{Ready, ready};
use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use idpflare_management::layers::{BoxError, Call};
use idpflare_management::testing::{EncodeReply, Fixture};
use idpflare_management::{ApiRequest, Authority, GetUser, User};
use tower::Service;

/// What a client gives its calls.
const DEADLINE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy)]
pub(crate) struct Mock;

impl Service<Request<Full<Bytes>>> for Mock {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        ready(Ok(Response::new(Full::new(user()))))
    }
}

/// A user as a reply's body.
pub(crate) fn user() -> Bytes {
    static USER: OnceLock<Bytes> = OnceLock::new();
    let body = USER.get_or_init(|| {
        let reply: Response<Bytes> = User::fixture().encode().into();
        reply.into_body()
    });
    body.clone()
}

pub(crate) fn authority() -> Authority {
    "https://idp.example.com".parse().expect("an authority")
}

/// The request of `getUser`, but for the [`Call`], of which each copy has one of its own.
pub(crate) fn request() -> Request<Full<Bytes>> {
    GetUser::new("usr_1f3870be274f6c49")
        .to_http(&authority())
        .expect("a request")
}

/// Runs a future that is ready at once.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    let mut context = Context::from_waker(Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}

/// Starts a call, as a client does.
pub(crate) fn start(request: &mut Request<Full<Bytes>>) {
    let call = Call::of_or_insert(request);
    call.announce_recorder();
    call.limit_to(DEADLINE);
}

/// Sends a copy of `request` through `service`, as a client does.
pub(crate) fn send<S>(service: &mut S, request: &Request<Full<Bytes>>) -> S::Response
where
    S: Service<Request<Full<Bytes>>>,
    S::Error: std::fmt::Debug,
{
    let mut context = Context::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut context).is_ready());
    let mut request = request.clone();
    start(&mut request);
    now(service.call(request)).expect("a reply")
}
