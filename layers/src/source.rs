//! The sources of permits that a limiter may have.

use std::time::Duration;

use tokio::time::Instant;

use crate::gcra::Gcra;
use crate::permits::{Decision, PermitSource};
use crate::quota::SharedSource;

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
