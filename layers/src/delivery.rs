use std::error::Error;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::StatusCode;
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::{
    BoxError, Call, CollectError, Timeout, TimeoutScope, TransportError, find_source, is_refusal,
};

/// What is known of whether the server acted on a request.
///
/// Ordered from the best to the worst answer to "may I send it again?".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Delivery {
    /// Nothing of it reached the server, or the server said that it did not look at it.
    NotSent,
    /// The server answered, and its answer tells what it did: any status but those of `Unknown`.
    Answered,
    /// The server may have acted: the connection was lost after sending, the wait was given up, or
    /// the reply (408 or 5xx) does not say.
    Unknown,
}

impl Delivery {
    /// What a reply with this status says, whatever becomes of its body.
    #[must_use]
    pub fn of_status(status: StatusCode) -> Self {
        if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
            Self::Unknown
        } else {
            Self::Answered
        }
    }

    /// What an error of the transport says, judged by the typed errors in its chain. An error that
    /// nobody typed says [`Unknown`](Self::Unknown).
    #[must_use]
    pub fn of_error(error: &(dyn Error + 'static)) -> Self {
        // Asked first: once a head has arrived, what its body broke off for tells nothing more.
        if let Some(collect) = find_source::<CollectError>(error) {
            return Self::of_status(collect.status());
        }
        if let Some(transport) = find_source::<TransportError>(error) {
            return transport.delivery();
        }
        let connecting = find_source::<Timeout>(error)
            .is_some_and(|timeout| timeout.scope() == TimeoutScope::Connect);
        if connecting || is_refusal(error) {
            return Self::NotSent;
        }
        Self::Unknown
    }

    pub(crate) fn from_rank(rank: u8) -> Self {
        match rank {
            0 => Self::NotSent,
            1 => Self::Answered,
            _ => Self::Unknown,
        }
    }

    pub(crate) fn rank(self) -> u8 {
        match self {
            Self::NotSent => 0,
            Self::Answered => 1,
            Self::Unknown => 2,
        }
    }
}

/// Records in the request's [`Call`] each send, and what is known of it afterwards.
///
/// ```
/// use idpflare_layers::{BoxError, Call, Delivery, DeliveryLayer, TransportError};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// #[tokio::main(flavor = "current_thread")]
/// async fn main() -> Result<(), BoxError> {
///     let transport = service_fn(async |_: http::Request<()>| {
///         let reset = TransportError::lost("connection reset".into());
///         Err::<http::Response<()>, BoxError>(reset.into())
///     });
///     let service = DeliveryLayer::new().layer(transport);
///
///     let mut request = http::Request::new(());
///     let call = Call::of_or_insert(&mut request);
///     assert!(service.oneshot(request).await.is_err());
///     assert_eq!((call.attempts(), call.delivery()), (1, Delivery::Unknown));
///     Ok(())
/// }
/// ```
///
/// It belongs directly around the transport, where every attempt passes, whatever the layers
/// further out do; then [`Call::attempts`] and [`Call::delivery`] hold in every order of those.
/// Moved outside a layer that repeats requests, it counts those repeats as one.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct DeliveryLayer {}

impl DeliveryLayer {
    /// The layer; it has nothing to configure.
    #[must_use]
    pub fn new() -> Self {
        Self {}
    }
}

impl<S> Layer<S> for DeliveryLayer {
    type Service = RecordDelivery<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RecordDelivery { inner }
    }
}

/// The service of [`DeliveryLayer`].
#[derive(Clone, Debug)]
pub struct RecordDelivery<S> {
    inner: S,
}

impl<S, B, ResB> Service<http::Request<B>> for RecordDelivery<S>
where
    S: Service<http::Request<B>, Response = http::Response<ResB>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = DeliveryFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    #[inline]
    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let call = Call::of_or_insert(&mut request);
        call.begin_send();
        call.untrack(&mut request);
        DeliveryFuture {
            sought_before: call.connections_sought(),
            call,
            // Last, so that it is made where it stays.
            future: Some(self.inner.call(request)),
        }
    }
}

pin_project! {
    /// The future of [`RecordDelivery`]. Dropped before it is done, it leaves the send as one of
    /// unknown outcome, unless the transport was still [connecting](Call::connecting).
    pub struct DeliveryFuture<F> {
        // Gone once it is done.
        #[pin]
        future: Option<F>,
        call: Call,
        sought_before: u32,
    }

    impl<F> PinnedDrop for DeliveryFuture<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.future.is_some() {
                let sought = this.call.connections_sought();
                let sought = sought.wrapping_sub(*this.sought_before);
                this.call.drop_send(sought, || this.future.set(None));
            }
        }
    }
}

impl<F, B, E> Future for DeliveryFuture<F>
where
    F: Future<Output = Result<http::Response<B>, E>>,
    E: Into<BoxError>,
{
    type Output = Result<http::Response<B>, BoxError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else {
            return Poll::Pending;
        };
        let outcome = ready!(future.poll(cx)).map_err(Into::into);
        this.future.set(None);
        this.call.end_send(match &outcome {
            Ok(reply) => Delivery::of_status(reply.status()),
            Err(error) => Delivery::of_error(&**error),
        });
        Poll::Ready(outcome)
    }
}

impl<F> fmt::Debug for DeliveryFuture<F> {
    /// Leaves out the future inside, which may show the body that it comes to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeliveryFuture")
            .field("call", &self.call)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tower::ServiceExt;
    use tower_test::mock;

    use super::*;

    async fn outcome(send: impl FnOnce(mock::SendResponse<http::Response<()>>)) -> Call {
        let (transport, mut server) = mock::pair::<http::Request<()>, http::Response<()>>();
        let call = Call::new();
        let mut request = http::Request::new(());
        request.extensions_mut().insert(call.clone());
        let reply = DeliveryLayer::new().layer(transport).oneshot(request);
        let serve = async {
            let (_, respond) = server.next_request().await.expect("one request");
            assert_eq!(call.delivery(), Delivery::Unknown, "while it is on its way");
            send(respond);
        };
        let _ = tokio::join!(reply, serve);
        call
    }

    #[tokio::test]
    async fn a_status_or_a_typed_error_decides() {
        for (status, delivery) in [
            (200, Delivery::Answered),
            (404, Delivery::Answered),
            (429, Delivery::Answered),
            (408, Delivery::Unknown),
            (503, Delivery::Unknown),
        ] {
            let call = outcome(|respond| {
                let mut reply = http::Response::new(());
                *reply.status_mut() = StatusCode::from_u16(status).expect("a status");
                respond.send_response(reply);
            })
            .await;
            assert_eq!((call.attempts(), call.delivery()), (1, delivery));
        }
        let refused = outcome(|respond| {
            respond.send_error(TransportError::connect("connection refused".into()));
        });
        assert_eq!(refused.await.delivery(), Delivery::NotSent);
        let untyped = outcome(|respond| respond.send_error("gone"));
        assert_eq!(untyped.await.delivery(), Delivery::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn a_send_that_was_given_up_stays_unknown() {
        let (transport, _server) = mock::pair::<http::Request<()>, http::Response<()>>();
        let call = Call::new();
        let mut request = http::Request::new(());
        request.extensions_mut().insert(call.clone());
        let reply = DeliveryLayer::new().layer(transport).oneshot(request);
        assert!(
            tokio::time::timeout(Duration::from_secs(1), reply)
                .await
                .is_err()
        );
        assert_eq!(call.delivery(), Delivery::Unknown);
    }

    /// A transport that looks for a connection, sends, and looks for others, so often; then it hangs.
    async fn connects(sent: u32, connecting: u32) -> Call {
        let call = Call::new();
        let mut request = http::Request::new(());
        request.extensions_mut().insert(call.clone());
        let transport = tower::service_fn(move |request: http::Request<()>| {
            let call = Call::of(&request).expect("it is there").clone();
            async move {
                for _ in 0..sent {
                    call.connecting().done();
                }
                let _connecting: Vec<_> = (0..connecting).map(|_| call.connecting()).collect();
                std::future::pending::<Result<http::Response<()>, BoxError>>().await
            }
        });
        let reply = DeliveryLayer::new().layer(transport).oneshot(request);
        let given_up = tokio::time::timeout(Duration::from_secs(1), reply).await;
        assert!(given_up.is_err());
        call
    }

    #[tokio::test(start_paused = true)]
    async fn a_send_that_had_no_connection_yet_did_not_happen() {
        for (sent, connecting, delivery) in [
            (0, 0, Delivery::Unknown),
            (0, 1, Delivery::NotSent),
            (0, 2, Delivery::NotSent),
            (1, 0, Delivery::Unknown),
            // What repeats below has sent it before.
            (1, 1, Delivery::Unknown),
        ] {
            let call = connects(sent, connecting).await;
            assert_eq!(call.delivery(), delivery, "{sent} {connecting}");
        }
    }

    #[test]
    fn a_send_that_looks_for_another_connection_did_not_happen() {
        for (again, delivery) in [(false, Delivery::Unknown), (true, Delivery::NotSent)] {
            let call = Call::new();
            call.begin_send();
            let mut connecting = call.connecting();
            connecting.done();
            if again {
                connecting.again();
            }
            call.drop_send(1, || drop(connecting));
            assert_eq!(call.delivery(), delivery);
        }
    }

    #[tokio::test]
    async fn one_of_two_sends_that_is_given_up_says_nothing_of_the_other() {
        let call = Call::new();
        let mut request = http::Request::new(());
        request.extensions_mut().insert(call.clone());
        let transport = tower::service_fn(|request: http::Request<()>| {
            let connecting = Call::of(&request).expect("it is there").connecting();
            async move {
                let _connecting = connecting;
                std::future::pending::<Result<http::Response<()>, BoxError>>().await
            }
        });
        let mut service = DeliveryLayer::new().layer(transport);
        let first = service.ready().await.expect("ready").call(request.clone());
        let second = service.ready().await.expect("ready").call(request);
        drop(first);
        assert_eq!(call.delivery(), Delivery::Unknown, "one is under way");
        drop(second);
        assert_eq!(call.attempts(), 2);
    }

    #[test]
    fn the_worst_is_the_greatest() {
        assert!(Delivery::NotSent < Delivery::Answered);
        assert!(Delivery::Answered < Delivery::Unknown);
        for delivery in [Delivery::NotSent, Delivery::Answered, Delivery::Unknown] {
            assert_eq!(Delivery::from_rank(delivery.rank()), delivery);
        }
    }
}
