//! A service that does one thing after another.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use http::HeaderValue;
use http::header::{DATE, RETRY_AFTER};
use idpflare_layers::{BoxError, Timeout, TimeoutScope, TransportError};
use tokio::time::Instant;
use tower::Service;

use super::{reply, secs};

/// What a [`Scripted`] service does when its turn comes.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Turn {
    Reply(u16),
    RetryAfter(u16, &'static str),
    Lost,
    TimesOut,
    Hangs,
    FailsReadiness,
    NeverReady,
}

/// Takes one turn for each attempt, whichever clone makes it, and panics where it is called
/// without having been ready. A clone whose readiness has failed is not to be used again.
pub(crate) struct Scripted {
    pub(crate) turns: Arc<Vec<Turn>>,
    next: Arc<AtomicUsize>,
    sent_at: Arc<Mutex<Vec<Instant>>>,
    ready: bool,
    failed: bool,
}

impl Scripted {
    pub(crate) fn new(turns: impl Into<Vec<Turn>>) -> Self {
        Self {
            turns: Arc::new(turns.into()),
            next: Arc::default(),
            sent_at: Arc::default(),
            ready: false,
            failed: false,
        }
    }

    fn turn(&self) -> Turn {
        let next = self.next.load(Ordering::SeqCst);
        self.turns[next.min(self.turns.len() - 1)]
    }

    pub(crate) fn sent_at(&self) -> Vec<Instant> {
        self.sent_at.lock().expect("no panic").clone()
    }
}

impl Clone for Scripted {
    fn clone(&self) -> Self {
        assert!(!self.failed, "cloned after its readiness failed");
        Self {
            turns: Arc::clone(&self.turns),
            next: Arc::clone(&self.next),
            sent_at: Arc::clone(&self.sent_at),
            ready: false,
            failed: false,
        }
    }
}

impl Service<http::Request<()>> for Scripted {
    type Response = http::Response<()>;
    type Error = BoxError;
    type Future = std::pin::Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        assert!(!self.failed, "polled after its readiness failed");
        match self.turn() {
            Turn::FailsReadiness => {
                self.next.fetch_add(1, Ordering::SeqCst);
                self.failed = true;
                Poll::Ready(Err("not ready".into()))
            }
            Turn::NeverReady => Poll::Pending,
            _ => {
                self.ready = true;
                Poll::Ready(Ok(()))
            }
        }
    }

    fn call(&mut self, _: http::Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called unready");
        let turn = self.turn();
        self.next.fetch_add(1, Ordering::SeqCst);
        let mut sent_at = self.sent_at.lock().expect("no panic");
        sent_at.push(Instant::now());
        Box::pin(async move {
            match turn {
                Turn::Reply(status) => Ok(reply(status)),
                Turn::RetryAfter(status, value) => {
                    let mut reply = reply(status);
                    let headers = reply.headers_mut();
                    headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
                    let date = HeaderValue::from_static("Sun, 06 Nov 1994 08:49:37 GMT");
                    headers.insert(DATE, date);
                    Ok(reply)
                }
                Turn::Lost => Err(TransportError::lost("reset".into()).into()),
                Turn::TimesOut => Err(Timeout::new(TimeoutScope::Attempt, secs(1), secs(1)).into()),
                _ => std::future::pending().await,
            }
        })
    }
}
