//! One task for an HTTP/2 connection.
//!
//! hyper makes two: one reads and writes frames, the other opens streams for requests. When a
//! connection ends, the second one drops the request whose stream has no room yet, and does not say
//! whether that stream was opened meanwhile. Here both run in one task, and the second one is polled
//! after each poll of the first one, so that it was not.

use std::future::poll_fn;
use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::rt;

/// The end of a connection, as a request sees it.
///
/// Its lock is held while a request is put into hyper's queue, and while that queue is dropped: a
/// request that another thread puts there meanwhile would be left behind, and its caller never woken.
#[derive(Clone, Default)]
pub(super) struct End(Arc<Mutex<bool>>);

impl End {
    /// Puts a request into the queue.
    pub(super) fn enqueue<T>(&self, enqueue: impl FnOnce() -> T) -> T {
        let _has_dropped = self.lock();
        enqueue()
    }

    /// Whether a request may have been dropped whose stream was not opened. Says so once, as there is
    /// one at most.
    pub(super) fn take_dropped(&self) -> bool {
        mem::take(&mut *self.lock())
    }

    fn lock(&self) -> MutexGuard<'_, bool> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Frames = Pin<Box<dyn Future<Output = ()> + Send>>;

/// For one connection: keeps the first future that hyper hands over, which is the one for the
/// frames, and spawns all others.
#[derive(Clone, Default)]
pub(super) struct Executor(Arc<Shared>);

#[derive(Default)]
struct Shared {
    has_frames: AtomicBool,
    frames: Mutex<Option<Frames>>,
}

impl<F> rt::Executor<F> for Executor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, future: F) {
        if self.0.has_frames.swap(true, Ordering::AcqRel) {
            tokio::spawn(future);
        } else {
            *self.frames() = Some(Box::pin(future));
        }
    }
}

impl Executor {
    fn frames(&self) -> MutexGuard<'_, Option<Frames>> {
        self.0.frames.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Spawns the task of the connection, whose `streams` have been made with this executor. The task
    /// drops `open` at its end.
    pub(super) fn drive<S>(&self, streams: S, open: impl Send + 'static) -> End
    where
        S: Future + Send + Unpin + 'static,
    {
        let end = End::default();
        let ending = end.clone();
        let mut frames = self.frames().take();
        let mut streams = Some(streams);
        let mut poll_streams = move |cx: &mut Context<'_>| {
            if let Some(running) = &mut streams
                && Pin::new(running).poll(cx).is_ready()
            {
                let mut has_dropped = ending.lock();
                *has_dropped = true;
                streams = None;
            }
            streams.is_none()
        };
        let connection = poll_fn(move |cx| {
            // Requests that have come are written at once.
            poll_streams(cx);
            if let Some(running) = &mut frames
                && running.as_mut().poll(cx).is_ready()
            {
                frames = None;
            }
            if poll_streams(cx) && frames.is_none() {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        tokio::spawn(async move {
            let _open = open;
            connection.await;
        });
        end
    }
}
