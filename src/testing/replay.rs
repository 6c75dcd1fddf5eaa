//! A service that answers from a script.

mod error;
mod expected_request;
mod json_difference;

use std::collections::VecDeque;
use std::fmt;
use std::future::{Ready, ready};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower::Service;

use super::{CannedReply, CapturedRequest};
use crate::layers::{BoxError, TransportError};

pub use error::ReplayError;
pub use expected_request::ExpectedRequest;

/// Answers from a script: which requests are expected, in which order, and what comes of each. It
/// takes the place of a transport.
///
/// A request that is not the expected one is answered with an error, and so is one where
/// [`poll_ready`](Service::poll_ready) was not asked of the very clone that is called. What has
/// failed in this way, or has never come, is told by [`finish`](Self::finish): ask it at the end of
/// each test, since the code that is tested may pass over an error.
///
/// Clones share the script, so a test keeps one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use http::StatusCode;
/// use idpflare_management::layers::TransportError;
/// use idpflare_management::testing::{CannedReply, Fixture, ReplayService};
/// use idpflare_management::{BlockUser, Client, DeleteUser, ErrorKind, GetUser, User};
///
/// let mut ada = User::fixture();
/// ada.is_locked = true;
/// let replay = ReplayService::new()
///     .exchange(BlockUser::new(&ada.id).reason("reported"), &())
///     .exchange(GetUser::new(&ada.id), &ada)
///     .exchange(
///         GetUser::new("usr_7"),
///         CannedReply::error(StatusCode::NOT_FOUND, "User not found"),
///     )
///     .failure(DeleteUser::new("usr_7"), TransportError::lost("connection reset".into()));
///
/// let client = Client::from_service("https://idp.example.com", replay.clone())?;
/// client.send(BlockUser::new(&ada.id).reason("reported")).await?;
/// assert!(client.send(GetUser::new(&ada.id)).await?.is_locked);
/// let error = client.send(GetUser::new("usr_7")).await.expect_err("unknown");
/// assert_eq!(error.message(), "User not found");
/// let error = client.send(DeleteUser::new("usr_7")).await.expect_err("lost");
/// assert_eq!(error.kind(), ErrorKind::Transport);
/// replay.finish()?;
/// # Ok(())
/// # }
/// ```
///
/// Each attempt of a client that retries is a request, so a script for such a client has one
/// exchange for each. A request that is not expected is not tried again.
pub struct ReplayService {
    script: Arc<Mutex<Script>>,
    is_ready: bool,
}

#[derive(Default)]
struct Script {
    left: VecDeque<Exchange>,
    in_any_order: bool,
    /// The first thing that went wrong.
    failure: Option<ReplayError>,
}

struct Exchange {
    request: ExpectedRequest,
    outcome: Result<CannedReply, BoxError>,
}

impl ReplayService {
    /// A script in which no request is expected yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            script: Arc::default(),
            is_ready: false,
        }
    }

    /// Next, `request` is expected, and is given `reply`.
    ///
    /// A request of this crate stands for all of itself: operation, path, query and body. An
    /// [`Operation`](crate::Operation) stands for any request of it; for what lies between, there is
    /// [`ExpectedRequest`].
    #[must_use]
    pub fn exchange(
        self,
        request: impl Into<ExpectedRequest>,
        reply: impl Into<CannedReply>,
    ) -> Self {
        self.push(request.into(), Ok(reply.into()))
    }

    /// Next, `request` is expected, and gets no reply but `error`: see
    /// [`TransportError`] for what a transport would say.
    #[must_use]
    pub fn failure(self, request: impl Into<ExpectedRequest>, error: impl Into<BoxError>) -> Self {
        self.push(request.into(), Err(error.into()))
    }

    /// Requests may come in any order: of the exchanges that are left, the first that fits is the
    /// one.
    #[must_use]
    pub fn in_any_order(self) -> Self {
        self.script().in_any_order = true;
        self
    }

    /// Whether all went as it was written.
    ///
    /// # Errors
    ///
    /// The first failure of a request, or else what has never come.
    pub fn finish(&self) -> Result<(), ReplayError> {
        let script = self.script();
        if let Some(failure) = &script.failure {
            return Err(failure.clone());
        }
        if script.left.is_empty() {
            return Ok(());
        }
        Err(ReplayError::Missing {
            expected: script.expected(),
        })
    }

    /// Asserts that all went as it was written.
    ///
    /// # Panics
    ///
    /// Where [`finish`](Self::finish) returns an error, with its text.
    #[track_caller]
    #[expect(clippy::panic, reason = "it is there to assert")]
    pub fn assert_finished(&self) {
        if let Err(error) = self.finish() {
            panic!("{error}");
        }
    }

    fn push(self, request: ExpectedRequest, outcome: Result<CannedReply, BoxError>) -> Self {
        let exchange = Exchange { request, outcome };
        self.script().left.push_back(exchange);
        self
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Script {
    /// What comes of `request`.
    fn play(&mut self, request: &CapturedRequest) -> Result<CannedReply, BoxError> {
        let candidates = if self.in_any_order {
            self.left.len()
        } else {
            1
        };
        let fits = |exchange: &Exchange| exchange.request.difference(request).is_none();
        let position = self.left.iter().take(candidates).position(fits);
        match position.and_then(|position| self.left.remove(position)) {
            Some(exchange) => exchange.outcome,
            None => Err(self.unexpected(request)),
        }
    }

    fn unexpected(&mut self, request: &CapturedRequest) -> BoxError {
        let next = self.left.front().filter(|_| !self.in_any_order);
        let error = ReplayError::Unexpected {
            request: request.to_string(),
            difference: next.and_then(|next| next.request.difference(request)),
            expected: match next {
                Some(next) => vec![next.request.to_string()],
                None => self.expected(),
            },
        };
        self.fail(error)
    }

    fn expected(&self) -> Vec<String> {
        let requests = self.left.iter().map(|exchange| &exchange.request);
        requests.map(ToString::to_string).collect()
    }

    /// Notes `error`. What it returns says that nothing was sent and that a repeat would not help,
    /// so that no layer tries again.
    fn fail(&mut self, error: ReplayError) -> BoxError {
        self.failure.get_or_insert_with(|| error.clone());
        TransportError::not_sent(error.into()).permanent().into()
    }
}

impl Default for ReplayService {
    /// The same as [`new`](Self::new).
    fn default() -> Self {
        Self::new()
    }
}

impl Clone for ReplayService {
    /// The same script; the clone is not ready yet.
    fn clone(&self) -> Self {
        Self {
            script: Arc::clone(&self.script),
            is_ready: false,
        }
    }
}

impl Service<Request<Full<Bytes>>> for ReplayService {
    type Response = Response<Full<Bytes>>;
    type Error = BoxError;
    type Future = Ready<Result<Response<Full<Bytes>>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let request = CapturedRequest::of(&request);
        let was_ready = std::mem::take(&mut self.is_ready);
        let mut script = self.script();
        let outcome = if was_ready {
            script.play(&request)
        } else {
            let request = request.to_string();
            Err(script.fail(ReplayError::NotReady { request }))
        };
        ready(outcome.map(|reply| reply.into_response().map(Full::new)))
    }
}

impl fmt::Debug for ReplayService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let script = self.script();
        f.debug_struct("ReplayService")
            .field("left", &script.expected())
            .field("failure", &script.failure)
            .finish()
    }
}
