//! Where permits come from.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use crate::QuotaError;
use crate::gcra::Gcra;
use crate::quota::SharedSource;

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

/// All sources. The local one is asked without a detour, as nearly every call does so.
#[derive(Debug)]
pub(crate) enum Source {
    Local(Gcra),
    Shared(Box<SharedSource>),
    #[cfg(test)]
    Scripted(Box<dyn PermitSource>),
}

impl PermitSource for Source {
    fn take_permit(&mut self, now: Instant) -> Decision {
        match self {
            Self::Local(source) => source.take_permit(now),
            Self::Shared(source) => source.take_permit(now),
            #[cfg(test)]
            Self::Scripted(source) => source.take_permit(now),
        }
    }

    fn earliest(&self, now: Instant, ahead: usize) -> Duration {
        match self {
            Self::Local(source) => source.earliest(now, ahead),
            Self::Shared(source) => source.earliest(now, ahead),
            #[cfg(test)]
            Self::Scripted(source) => source.earliest(now, ahead),
        }
    }
}
