//! Where permits come from.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::QuotaError;

/// A source of permits, asked for one at a time.
pub(crate) trait PermitSource: fmt::Debug + Send {
    /// Takes one permit, if there is one.
    fn take_permit(&mut self, now: Instant) -> Decision;

    /// The least time until the caller behind `ahead` others gets a permit; zero where it is not
    /// known.
    fn earliest(&self, now: Instant, ahead: usize) -> Duration;
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Granted,
    /// There is none yet; worth another look after this time.
    Wait(Duration),
    /// Whether there is one can't be said, and will not be asked again within this time.
    Unavailable(QuotaError, Duration),
}
