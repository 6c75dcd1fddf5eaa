//! A layer of this service's own: it counts what was changed in IDPFlare, as an audit would ask.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use idpflare_management::{Operation, Safety};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

/// Counts the calls that change something, by operation and outcome.
#[derive(Clone, Copy)]
pub(crate) struct CountChangesLayer;

impl<S> Layer<S> for CountChangesLayer {
    type Service = CountChanges<S>;

    fn layer(&self, inner: S) -> CountChanges<S> {
        CountChanges { inner }
    }
}

#[derive(Clone)]
pub(crate) struct CountChanges<S> {
    inner: S,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for CountChanges<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = CountChangesFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let change =
            Operation::of(&request).filter(|operation| operation.safety != Safety::ReadOnly);
        CountChangesFuture {
            future: self.inner.call(request),
            change,
        }
    }
}

pin_project! {
    pub(crate) struct CountChangesFuture<F> {
        #[pin]
        future: F,
        change: Option<&'static Operation>,
    }
}

impl<F, B, E> Future for CountChangesFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let outcome = ready!(this.future.poll(cx));
        if let Some(operation) = this.change {
            let done = outcome
                .as_ref()
                .is_ok_and(|reply| reply.status().is_success());
            let label = if done { "done" } else { "failed" };
            ::metrics::counter!("admin.changes", "operation" => operation.id, "outcome" => label)
                .increment(1);
        }
        Poll::Ready(outcome)
    }
}
