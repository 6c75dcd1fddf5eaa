//! Requests, bodies and services that the tests share.

pub(crate) mod capture;
pub(crate) mod scripted;

use std::collections::VecDeque;
use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use idpflare_layers::{BoxError, Call, find_source};
use tower::Service;
use tower_test::mock;

/// A mock transport of requests and replies without bodies, and the server behind it.
pub(crate) type Server = mock::Handle<http::Request<()>, http::Response<()>>;
pub(crate) type Transport = mock::Mock<http::Request<()>, http::Response<()>>;

pub(crate) fn transport() -> (Transport, Server) {
    mock::pair()
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A request and the call that it carries.
pub(crate) fn request() -> (http::Request<()>, Call) {
    let mut request = http::Request::new(());
    let call = Call::of_or_insert(&mut request);
    (request, call)
}

pub(crate) fn reply(status: u16) -> http::Response<()> {
    let mut reply = http::Response::new(());
    *reply.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    reply
}

/// Polls once, with a waker that does nothing.
pub(crate) fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The error of type `E` in the chain of `error`.
pub(crate) fn typed<E: Error + 'static>(error: &BoxError) -> &E {
    find_source(&**error).unwrap_or_else(|| panic!("not of the expected type: {error:?}"))
}

/// Uses up the cooperative budget of its task whenever it is polled, and never ends.
pub(crate) async fn busy<T>() -> T {
    loop {
        tokio::task::consume_budget().await;
    }
}

/// Tells when it has been dropped.
pub(crate) struct DropFlag(Arc<AtomicBool>);

impl DropFlag {
    pub(crate) fn new() -> (Self, Arc<AtomicBool>) {
        let flag = Arc::new(AtomicBool::new(false));
        (Self(Arc::clone(&flag)), flag)
    }
}

impl Drop for DropFlag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// An error around another.
#[derive(Debug)]
pub(crate) struct Wrapped(pub(crate) BoxError);

impl fmt::Display for Wrapped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("wrapped")
    }
}

impl Error for Wrapped {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// What a [`Script`] does when it is polled.
pub(crate) enum Step {
    Data(Bytes),
    Trailers,
    Break(BoxError),
    /// Is pending, now and ever after.
    Hang,
    /// Gives empty pieces, at once and without end.
    EmptyForEver,
    /// Gives pieces of 1 KiB, at once and without end.
    DataForEver,
}

/// A body that does what it is told, and counts how often it was asked.
pub(crate) struct Script {
    steps: VecDeque<Step>,
    polls: Arc<AtomicUsize>,
    lower: u64,
}

impl Script {
    pub(crate) fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        Self {
            steps: steps.into_iter().collect(),
            polls: Arc::default(),
            lower: 0,
        }
    }

    /// Claims that at least so many bytes are still to come.
    pub(crate) fn claiming(mut self, lower: u64) -> Self {
        self.lower = lower;
        self
    }

    /// How often it has been polled.
    pub(crate) fn polls(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.polls)
    }
}

impl Body for Script {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.polls.fetch_add(1, Ordering::SeqCst);
        let Some(step) = self.steps.pop_front() else {
            return Poll::Ready(None);
        };
        let (frame, again) = match step {
            Step::Data(data) => (Frame::data(data), None),
            Step::Trailers => {
                let mut trailers = HeaderMap::new();
                trailers.insert("x-trailer", http::HeaderValue::from_static("late"));
                (Frame::trailers(trailers), None)
            }
            Step::Break(error) => return Poll::Ready(Some(Err(error))),
            Step::Hang => {
                self.steps.push_front(Step::Hang);
                return Poll::Pending;
            }
            Step::EmptyForEver => (Frame::data(Bytes::new()), Some(Step::EmptyForEver)),
            Step::DataForEver => {
                static PIECE: [u8; 1024] = [b'x'; 1024];
                let piece = Bytes::from_static(&PIECE);
                (Frame::data(piece), Some(Step::DataForEver))
            }
        };
        self.steps.extend(again);
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.lower);
        hint
    }
}

/// What a [`Strict`] service does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    NeverReady,
    FailsReadiness,
    HangsInCall,
    FailsInCall,
    HangsInBody,
    Replies,
}

/// A service that panics where it is called without having been ready, and all of whose futures and
/// bodies hold `token`.
pub(crate) struct Strict {
    ready: bool,
    stage: Stage,
    token: Arc<()>,
}

/// The error of a [`Strict`] service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StrictError(pub(crate) Stage);

impl fmt::Display for StrictError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl Error for StrictError {}

impl Strict {
    pub(crate) fn new(stage: Stage, token: &Arc<()>) -> Self {
        Self {
            ready: false,
            stage,
            token: Arc::clone(token),
        }
    }
}

impl Clone for Strict {
    fn clone(&self) -> Self {
        Self::new(self.stage, &self.token)
    }
}

/// Something that holds a token.
#[derive(Clone)]
pub(crate) struct Held<T> {
    held: T,
    _token: Arc<()>,
}

impl<T> Held<T> {
    pub(crate) fn new(held: T, token: Arc<()>) -> Self {
        Self {
            held,
            _token: token,
        }
    }
}

impl Body for Held<Script> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.held).poll_frame(cx)
    }
}

impl<B: Send + 'static> Service<http::Request<B>> for Strict {
    type Response = http::Response<Held<Script>>;
    type Error = StrictError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, StrictError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StrictError>> {
        match self.stage {
            Stage::NeverReady => return Poll::Pending,
            Stage::FailsReadiness => return Poll::Ready(Err(StrictError(self.stage))),
            _ => self.ready = true,
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        assert!(
            std::mem::take(&mut self.ready),
            "called without having been ready"
        );
        let stage = self.stage;
        let token = Arc::clone(&self.token);
        Box::pin(async move {
            let _request = request;
            let steps = match stage {
                Stage::HangsInCall => std::future::pending().await,
                Stage::FailsInCall => return Err(StrictError(stage)),
                Stage::HangsInBody => vec![Step::Data(Bytes::from_static(b"part")), Step::Hang],
                _ => vec![Step::Data(Bytes::from_static(b"whole"))],
            };
            Ok(http::Response::new(Held::new(Script::new(steps), token)))
        })
    }
}
