use crate::Safety;

/// How one request differs from the [`RetryPolicy`](crate::RetryPolicy): put it into the request's
/// extensions.
///
/// ```
/// use idpflare_layers::{RetryOverride, Safety};
///
/// let mut request = http::Request::post("https://api.example.com/orders").body(())?;
/// // The order carries a number that the server knows again.
/// request.extensions_mut().insert(RetryOverride::new().safety(Safety::Idempotent).attempts(5));
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RetryOverride {
    attempts: Option<u32>,
    attempts_after_429: Option<u32>,
    safety: Option<Safety>,
}

impl RetryOverride {
    /// No difference.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The request is sent once, whatever comes of it.
    #[must_use]
    pub fn never() -> Self {
        Self::new().attempts(1)
    }

    /// At most so many attempts, the first one included, be that more or fewer than those of the
    /// policy. Zero counts as one.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = Some(attempts);
        self
    }

    /// Lets attempts that are answered with 429 not count against the limit of attempts, up to so many
    /// attempts in all. It is for work that would rather wait than fail; the deadline holds as well. It
    /// changes nothing if the limit is one attempt.
    #[must_use]
    pub fn attempts_after_429(mut self, attempts: u32) -> Self {
        self.attempts_after_429 = Some(attempts);
        self
    }

    /// What a repeat of this request does, whatever its operation or method says:
    /// [`Once`](Safety::Once) to opt out of repeats that may act twice,
    /// [`Idempotent`](Safety::Idempotent) to opt in.
    #[must_use]
    pub fn safety(mut self, safety: Safety) -> Self {
        self.safety = Some(safety);
        self
    }

    /// What `request` carries; no difference where it carries none.
    #[must_use]
    pub fn of<B>(request: &http::Request<B>) -> Self {
        let found = request.extensions().get::<Self>();
        found.copied().unwrap_or_default()
    }

    /// What a repeat does where that of the operation or method is `safety`.
    #[must_use]
    pub fn safety_or(self, safety: Safety) -> Safety {
        self.safety_or_else(|| safety)
    }

    /// The limit of attempts where `attempts` is that of the policy, and the one with those that are
    /// answered with 429.
    pub(crate) fn limits(self, attempts: u32) -> (u32, u32) {
        let attempts = self.attempts.unwrap_or(attempts).max(1);
        let after_429 = self.attempts_after_429.filter(|_| attempts > 1);
        (
            attempts,
            after_429.map_or(attempts, |all| all.max(attempts)),
        )
    }

    pub(crate) fn safety_or_else(self, safety: impl FnOnce() -> Safety) -> Safety {
        self.safety.unwrap_or_else(safety)
    }
}
