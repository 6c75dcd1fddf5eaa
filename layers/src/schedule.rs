//! When permits are given: by their source, the rate that was found, and pauses.

use std::time::Duration;

use tokio::time::Instant;

use crate::QuotaError;
use crate::found_rate::FoundRate;
use crate::permits::{Decision, PermitSource};
use crate::source::Source;

/// How long after a pause others wait at most for the answer to a probe.
pub(crate) const PROBE_LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) source: Source,
    pub(crate) found: FoundRate,
    pause: Pause,
    next_probe: u64,
}

/// Whether permits are held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pause {
    Over,
    /// Until then. The next request is the probe.
    Until(Instant),
    /// Until a probe is answered, but no longer than until `opens_at`. One that was dropped has left
    /// its place to the next request.
    Probing {
        probe: Option<u64>,
        opens_at: Instant,
    },
}

/// The answer to a request for a permit.
#[derive(Debug)]
pub(crate) enum Look {
    /// A permit was taken, by the probe of this number if it is one.
    Granted(Option<u64>),
    /// Worth another look then. An instant too far for the clock never comes.
    Again(Option<Instant>),
    Refused(QuotaError, Duration),
}

impl Schedule {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            found: FoundRate::default(),
            pause: Pause::Over,
            next_probe: 0,
        }
    }

    /// Takes a permit, if there is one.
    pub(crate) fn look(&mut self, now: Instant) -> Look {
        let opens_at = match self.pause {
            Pause::Until(until) => until,
            Pause::Probing {
                probe: Some(_),
                opens_at,
            } => opens_at,
            Pause::Over | Pause::Probing { probe: None, .. } => now,
        };
        if opens_at > now {
            return Look::Again(Some(opens_at));
        }
        let wait = self.found.wait(now);
        if !wait.is_zero() {
            return Look::Again(now.checked_add(wait));
        }
        match self.source.take_permit(now) {
            Decision::Granted => Look::Granted(self.become_probe(now)),
            Decision::Wait(wait) => Look::Again(now.checked_add(wait)),
            Decision::Unavailable(error, wait) => Look::Refused(error, wait),
        }
    }

    fn become_probe(&mut self, now: Instant) -> Option<u64> {
        let opens_at = match self.pause {
            Pause::Over => None,
            Pause::Until(until) => until.checked_add(PROBE_LIMIT),
            Pause::Probing { opens_at, .. } => Some(opens_at),
        };
        let Some(opens_at) = opens_at.filter(|opens_at| *opens_at > now) else {
            self.pause = Pause::Over;
            return None;
        };
        let probe = self.next_probe;
        self.next_probe = probe.wrapping_add(1);
        self.pause = Pause::Probing {
            probe: Some(probe),
            opens_at,
        };
        Some(probe)
    }

    /// Holds permits back until then, or longer if they are held back for longer already.
    pub(crate) fn pause(&mut self, until: Instant) {
        let until = match self.pause {
            Pause::Until(already) => already.max(until),
            Pause::Over | Pause::Probing { .. } => until,
        };
        self.pause = Pause::Until(until);
    }

    /// Whether the answer to a probe is waited for.
    pub(crate) fn is_probing(&self) -> bool {
        matches!(self.pause, Pause::Probing { .. })
    }

    /// Ends the wait for the answer to a probe: a request was answered and not refused.
    pub(crate) fn open(&mut self) {
        if self.is_probing() {
            self.pause = Pause::Over;
        }
    }

    /// Takes in the end of a probe. Without an answer the next request is the probe. Returns whether
    /// it was waited for.
    pub(crate) fn probe_ended(&mut self, number: u64, is_answered: bool) -> bool {
        match &mut self.pause {
            Pause::Probing { probe, .. } if *probe == Some(number) => *probe = None,
            // Another pause has begun meanwhile, or it was too late.
            _ => return false,
        }
        if is_answered {
            self.pause = Pause::Over;
        }
        true
    }

    /// The least time until the caller behind `ahead` others gets a permit. A probe may be answered
    /// at any time, and a rate that was found may grow.
    pub(crate) fn earliest(&self, now: Instant, ahead: usize) -> Duration {
        let paused = match self.pause {
            Pause::Until(until) => until.saturating_duration_since(now),
            Pause::Over | Pause::Probing { .. } => Duration::ZERO,
        };
        let at = now.checked_add(paused).unwrap_or(now);
        paused.saturating_add(self.source.earliest(at, ahead))
    }

    /// The time between the permits of the caller behind `ahead` others and the one before; zero if
    /// it is not known.
    pub(crate) fn interval(&self, now: Instant, ahead: usize) -> Duration {
        let before = self.open_wait(now, ahead.saturating_sub(1));
        self.open_wait(now, ahead).saturating_sub(before)
    }

    /// When the caller behind `ahead` others gets a permit, if each takes its own and a probe takes
    /// as long as it may.
    pub(crate) fn turn(&self, now: Instant, ahead: usize) -> Option<Instant> {
        let paused = match self.pause {
            Pause::Over => Duration::ZERO,
            Pause::Probing { opens_at, .. } => opens_at.saturating_duration_since(now),
            Pause::Until(until) if ahead == 0 => until.saturating_duration_since(now),
            Pause::Until(until) => {
                let opens_at = until.checked_add(PROBE_LIMIT)?;
                opens_at.saturating_duration_since(now)
            }
        };
        // By then the permits may ask for less.
        let at = now.checked_add(paused)?;
        at.checked_add(self.open_wait(at, ahead))
    }

    fn open_wait(&self, at: Instant, ahead: usize) -> Duration {
        let source = self.source.earliest(at, ahead);
        source.max(self.found.earliest(at, ahead))
    }
}
