use std::time::Duration;

/// How long the call may take at most that one request is made for: put it into the request's
/// extensions.
///
/// It counts from where [`DeadlineLayer`](crate::DeadlineLayer) meets it, and can only shorten what
/// that allows.
///
/// ```
/// use std::time::Duration;
/// use idpflare_layers::CallLimit;
///
/// let mut request = http::Request::get("https://api.example.com/health").body(())?;
/// request.extensions_mut().insert(CallLimit::new(Duration::from_millis(500)));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CallLimit(Duration);

impl CallLimit {
    /// At most so long.
    #[must_use]
    pub fn new(limit: Duration) -> Self {
        Self(limit)
    }

    /// The limit that `request` carries.
    #[must_use]
    pub fn of<B>(request: &http::Request<B>) -> Option<Self> {
        request.extensions().get().copied()
    }

    /// The limit.
    #[must_use]
    pub fn get(self) -> Duration {
        self.0
    }
}
