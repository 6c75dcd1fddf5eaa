use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use crate::timeout::Timer;
use crate::{Call, Timeout};

pin_project! {
    /// The future of [`Call::before_deadline`]. An `async fn` would keep what it waits for twice.
    pub(crate) struct BeforeDeadline<'a, F> {
        #[pin]
        pub(crate) future: F,
        #[pin]
        pub(crate) timer: Timer,
        pub(crate) call: &'a Call,
    }
}

impl<F: Future> Future for BeforeDeadline<'_, F> {
    type Output = Result<F::Output, Timeout>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        // What is there at once needs no timer.
        if let Poll::Ready(output) = this.future.poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if this.timer.poll_over(cx) {
            return Poll::Ready(Err(this.call.expired()));
        }
        Poll::Pending
    }
}
