//! One task for an HTTP/2 connection.
//!
//! hyper makes two: one reads and writes frames, the other hands requests to h2. If GOAWAY arrives while
//! the second one is at work, the request of that moment fails with it as if its stream were above the
//! last one, though h2 sends it. Here both run in one task, in which no frame arrives meanwhile.
//!
//! When a connection ends, the second one drops the request whose stream has no room yet, but h2 keeps
//! that stream: its head may be written before, or later, when there is room. Only the body, which is
//! dropped as well, proves that the request was not sent: see [`Claimed`](super::claim::Claimed).

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use hyper::rt;

/// The end of a connection, as a request sees it.
///
/// Its lock is held while a request is put into hyper's queue, and none is put there once the queue is
/// about to be dropped: one that another thread puts there meanwhile would be left behind, and its caller
/// never woken. The queue itself is dropped without the lock, since that wakes callers.
#[derive(Clone, Default)]
pub(super) struct End(Arc<Mutex<bool>>);

impl End {
    /// Puts a request into the queue, unless that is gone.
    pub(super) fn enqueue<T>(&self, enqueue: impl FnOnce() -> T) -> Option<T> {
        let is_over = self.lock();
        (!*is_over).then(enqueue)
    }

    /// Nothing is put into the queue from now on.
    fn close(&self) {
        *self.lock() = true;
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
                ending.close();
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

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::OnceLock;
    use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
    use std::time::Duration;

    use hyper::rt::Executor as _;

    use super::*;

    /// hyper's queue with a caller that sends again as soon as it learns of the end.
    struct Queue {
        end: Arc<OnceLock<End>>,
        is_dropped: Sender<bool>,
    }

    impl Future for Queue {
        type Output = ();

        fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
    }

    impl Drop for Queue {
        fn drop(&mut self) {
            let is_queued = self.end.get().and_then(|end| end.enqueue(|| ())).is_some();
            let _ = self.is_dropped.send(is_queued);
        }
    }

    #[test]
    fn a_caller_that_sends_again_when_its_connection_ends_is_not_left_behind() {
        let (sender, is_queued): (_, Receiver<bool>) = channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.expect("a runtime").block_on(async {
                let executor = Executor::default();
                executor.execute(ready(()));
                let end = Arc::new(OnceLock::new());
                let queue = Queue {
                    end: Arc::clone(&end),
                    is_dropped: sender,
                };
                let _ = end.set(executor.drive(queue, ()));
                tokio::task::yield_now().await;
            });
        });
        // Under the lock it would stand still.
        let is_queued = is_queued.recv_timeout(Duration::from_secs(20));
        assert_ne!(is_queued, Err(RecvTimeoutError::Timeout));
        assert_eq!(is_queued, Ok(false));
    }
}
