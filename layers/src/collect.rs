use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::Body;
use http_body_util::Full;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::collect_error::Reason;
use crate::timeout::Timer;
use crate::{BoxError, Call, CollectError, ReplyHead};

/// How much is set aside on the word of the server alone, in bytes. More is taken as it arrives.
const TRUSTED_LENGTH: usize = 256 * 1024;

/// After how many frames at a stretch the task is given back, so that a body which is always ready
/// can't keep a timeout from being noticed.
const FRAMES_AT_A_STRETCH: usize = 128;

/// Reads the reply's body into memory, up to a limit, before the reply is handed out.
///
/// ```
/// use bytes::Bytes;
/// use http_body_util::Full;
/// use idpflare_layers::{BoxError, CollectError, CollectLayer, find_source};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), BoxError> {
///     let transport = service_fn(async |_: http::Request<()>| {
///         Ok::<_, BoxError>(http::Response::new(Full::new(Bytes::from_static(b"four"))))
///     });
///
///     let reply = CollectLayer::new(4).layer(transport).oneshot(http::Request::new(())).await?;
///     assert_eq!(reply.status(), 200);
///
///     let error = CollectLayer::new(3)
///         .layer(transport)
///         .oneshot(http::Request::new(()))
///         .await
///         .expect_err("it is too large");
///     let error = find_source::<CollectError>(&*error).expect("typed");
///     assert_eq!(error.status(), 200);
///     assert_eq!(error.to_string(), "the reply is larger than the limit of 3 bytes");
///     Ok(())
/// }
/// ```
///
/// What is outside then has a reply that is complete: a timeout there covers the body, and one
/// that was cut off is an error like any other, which can be retried. Moved outside a layer that
/// retries, a cut-off reply is no longer retried. A layer that decompresses belongs inside, so that
/// the limit holds for what comes out of it.
///
/// A body that is larger, or breaks off, is a [`CollectError`], which keeps the reply's status and
/// headers. A reply that is dropped half-read leaves them in the request's [`Call`]. Reading ends at
/// the deadline of that call, with a [`Timeout`](crate::Timeout), also where no timeout is further
/// out. Trailers are not kept.
#[derive(Clone, Copy, Debug)]
pub struct CollectLayer {
    limit: usize,
}

impl CollectLayer {
    /// Bodies of at most `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit }
    }
}

impl<S> Layer<S> for CollectLayer {
    type Service = Collect<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Collect {
            inner,
            limit: self.limit,
        }
    }
}

/// The service of [`CollectLayer`].
#[derive(Clone, Debug)]
pub struct Collect<S> {
    inner: S,
    limit: usize,
}

impl<S, ReqB, B> Service<http::Request<ReqB>> for Collect<S>
where
    S: Service<http::Request<ReqB>, Response = http::Response<B>>,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = CollectFuture<S::Future, B>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, mut request: http::Request<ReqB>) -> Self::Future {
        let call = Call::of_or_insert(&mut request);
        CollectFuture {
            state: State::Calling {
                limit: self.limit,
                call: Some(call),
                // Last, so that it is made where it stays.
                future: self.inner.call(request),
            },
        }
    }
}

pin_project! {
    /// The future of [`Collect`].
    pub struct CollectFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<F, B> {
        Calling { #[pin] future: F, limit: usize, call: Option<Call> },
        Reading {
            #[pin]
            reading: Reading<B>,
            // There once the body has kept it waiting; boxed, as what most replies need no room for.
            deadline: Option<Pin<Box<Timer>>>,
        },
        Over,
    }
}

impl<F, B, E> Future for CollectFuture<F, B>
where
    F: Future<Output = Result<http::Response<B>, E>>,
    E: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<http::Response<Full<Bytes>>, BoxError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let mut this = self.as_mut().project();
            match this.state.as_mut().project() {
                StateProjection::Calling {
                    future,
                    limit,
                    call,
                } => {
                    let reply = ready!(future.poll(cx)).map_err(Into::into)?;
                    let reading = Reading::new(reply, *limit, call.take());
                    this.state.set(State::Reading {
                        reading,
                        deadline: None,
                    });
                }
                StateProjection::Reading {
                    mut reading,
                    deadline,
                } => {
                    if let Poll::Ready(reply) = reading.as_mut().poll(cx) {
                        return Poll::Ready(Ok(reply?.map(Full::new)));
                    }
                    let Some(call) = reading.call.clone() else {
                        return Poll::Pending;
                    };
                    let deadline =
                        deadline.get_or_insert_with(|| Box::pin(Timer::until(call.deadline())));
                    if !deadline.as_mut().poll_over(cx) {
                        return Poll::Pending;
                    }
                    call.give_up(|| this.state.set(State::Over));
                    return Poll::Ready(Err(call.expired().into()));
                }
                StateProjection::Over => return Poll::Pending,
            }
        }
    }
}

impl<F, B> fmt::Debug for CollectFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectFuture").finish_non_exhaustive()
    }
}

/// Reads the body of one reply, as [`CollectLayer`] does, for what is not a layer. Dropped half-way,
/// it leaves the reply's head in `call`.
///
/// # Errors
///
/// [`CollectError`] where the body is larger than `limit` bytes or breaks off.
pub fn collect<B>(
    reply: http::Response<B>,
    limit: usize,
    call: Call,
) -> impl Future<Output = Result<http::Response<Bytes>, CollectError>>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    Reading::new(reply, limit, Some(call))
}

pin_project! {
    /// A reply whose body is being read.
    struct Reading<B> {
        #[pin]
        body: B,
        head: Option<http::response::Parts>,
        read: Read,
        limit: usize,
        call: Option<Call>,
    }

    impl<B> PinnedDrop for Reading<B> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let (Some(head), Some(call)) = (this.head.take(), this.call) {
                call.set_interrupted_reply(Some(ReplyHead::new(head.status, head.headers)));
            }
        }
    }
}

/// What has been read so far. Most replies are a single piece, which is handed on as it is.
enum Read {
    Nothing,
    Piece(Bytes),
    Pieces(BytesMut),
}

impl<B: Body> Reading<B> {
    fn new(reply: http::Response<B>, limit: usize, call: Option<Call>) -> Self {
        let (head, body) = reply.into_parts();
        Self {
            body,
            head: Some(head),
            read: Read::Nothing,
            limit,
            call,
        }
    }
}

impl<B> Future for Reading<B>
where
    B: Body,
    B::Error: Into<BoxError>,
{
    type Output = Result<http::Response<Bytes>, CollectError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let limit = *this.limit;
        // Checked once, before anything is read: a server that says how much too large its reply
        // is need not be listened to. Without a body (HEAD, 304) it speaks of another reply's.
        let declared = match (&this.read, &this.head) {
            (Read::Nothing, Some(head)) if !this.body.is_end_stream() => {
                content_length(&head.headers)
            }
            _ => None,
        };
        let mut failure = declared
            .filter(|declared| *declared > limit as u64)
            .map(|_| Reason::TooLarge { limit });
        let mut frames = 0;
        while failure.is_none() {
            if frames == FRAMES_AT_A_STRETCH {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            frames += 1;
            match ready!(this.body.as_mut().poll_frame(cx)) {
                None => break,
                Some(Err(error)) => failure = Some(Reason::Broken(error.into())),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data()
                        && !this.read.push(data, limit, this.body.size_hint().lower())
                    {
                        failure = Some(Reason::TooLarge { limit });
                    }
                }
            }
        }
        let Some(head) = this.head.take() else {
            return Poll::Pending;
        };
        Poll::Ready(match failure {
            Some(reason) => Err(CollectError::new(head, reason)),
            None => Ok(http::Response::from_parts(head, this.read.take())),
        })
    }
}

impl Read {
    /// Adds a piece; false where that would exceed `limit`.
    fn push(&mut self, mut data: impl Buf, limit: usize, more: u64) -> bool {
        let so_far = match self {
            Self::Nothing => 0,
            Self::Piece(piece) => piece.len(),
            Self::Pieces(pieces) => pieces.len(),
        };
        let added = data.remaining();
        if added > limit.saturating_sub(so_far) {
            return false;
        }
        // HTTP/2 often ends a body with an empty piece; it is no reason to copy the other one.
        if added == 0 {
            return true;
        }
        match self {
            Self::Nothing => *self = Self::Piece(data.copy_to_bytes(added)),
            Self::Piece(piece) => {
                let more = usize::try_from(more).unwrap_or(usize::MAX);
                let mut pieces = BytesMut::with_capacity(so_far + added + more.min(TRUSTED_LENGTH));
                pieces.put_slice(piece);
                pieces.put(data);
                *self = Self::Pieces(pieces);
            }
            Self::Pieces(pieces) => pieces.put(data),
        }
        true
    }

    fn take(&mut self) -> Bytes {
        match std::mem::replace(self, Self::Nothing) {
            Self::Nothing => Bytes::new(),
            Self::Piece(piece) => piece,
            Self::Pieces(pieces) => pieces.freeze(),
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
