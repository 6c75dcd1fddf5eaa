use std::error::Error;
use std::fmt;
use std::time::Duration;

use crate::QuotaError;

/// A request would have had to wait longer for the rate limit than it may, or for a time that nobody
/// knows. It was not sent.
///
/// ```
/// # use std::time::Duration;
/// use idpflare_layers::{BoxError, Rate, RateLimitLayer, RateLimited, RateLimiter, find_source};
/// use tower::{Layer, Service, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), BoxError> {
/// let limiter = RateLimiter::builder(Rate::per_minute(6)?)
///     .max_wait(Duration::from_secs(1))
///     .build();
/// let mut service = RateLimitLayer::new(limiter).layer(service_fn(
///     async |_: http::Request<()>| Ok::<_, BoxError>(http::Response::new(())),
/// ));
/// service.ready().await?.call(http::Request::new(())).await?;
///
/// let second = service.ready().await?.call(http::Request::new(())).await;
/// let error = second.expect_err("it would wait for ten seconds");
/// let limited = find_source::<RateLimited>(&*error).expect("typed");
/// assert_eq!(limited.retry_after(), Duration::from_secs(10));
/// assert_eq!(
///     error.to_string(),
///     "not sent: the rate limit asks for a wait of 10s, and no call may wait for more than 1s"
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimited {
    retry_after: Duration,
    limit: Limit,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Limit {
    MaxWait(Duration),
    /// What the call had left.
    Deadline(Duration),
    /// It is not known how long it would have been.
    Quota(QuotaError),
}

impl RateLimited {
    /// It would have had to wait for `retry_after`, and no request may wait for more than `max_wait`:
    /// for a rate limit of your own, and for tests.
    #[must_use]
    pub fn by_max_wait(retry_after: Duration, max_wait: Duration) -> Self {
        Self {
            retry_after,
            limit: Limit::MaxWait(max_wait),
        }
    }

    pub(crate) fn by_deadline(retry_after: Duration, remaining: Duration) -> Self {
        Self {
            retry_after,
            limit: Limit::Deadline(remaining),
        }
    }

    /// The quota that all share can't be asked, and will not be for `retry_after`.
    pub(crate) fn by_quota(error: QuotaError, retry_after: Duration) -> Self {
        Self {
            retry_after,
            limit: Limit::Quota(error),
        }
    }

    /// The wait that it would have taken, at least: pauses and those who came earlier included.
    /// Where a shared quota can't be asked, the time until it is asked again.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

impl fmt::Display for RateLimited {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not sent: ")?;
        if let Limit::Quota(_) = self.limit {
            return f.write_str("it is not known what the shared quota allows");
        }
        // Who waits for a probe to come back, or in a line, knows no time.
        match self.retry_after {
            Duration::ZERO => f.write_str("the rate limit asks for a longer wait")?,
            wait => write!(f, "the rate limit asks for a wait of {wait:?}")?,
        }
        match self.limit {
            Limit::MaxWait(limit) => write!(f, ", and no call may wait for more than {limit:?}"),
            Limit::Deadline(left) => write!(f, ", and the call has {left:?} left"),
            Limit::Quota(_) => Ok(()),
        }
    }
}

impl Error for RateLimited {
    /// The [`QuotaError`], where a [`SharedQuota`](crate::SharedQuota) could not be asked.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match &self.limit {
            Limit::Quota(error) => Some(error),
            Limit::MaxWait(_) | Limit::Deadline(_) => None,
        }
    }
}
