use std::fmt;
use std::future::ready;
use std::time::Duration;

use super::QuotaError;
use crate::Rate;

/// Where the permits of a quota come from that several processes share.
///
/// A backend keeps one state for all of them, and a clock of its own. What it does in
/// [`lease`](Self::lease) it does at once for one caller after the other, in the order in which they
/// ask. All times are on its clock, as the time since an origin that it chooses and keeps.
///
/// The law: of the times from which on permits may be used, any window `w` holds at most
/// `burst + w / interval`, whoever was granted them. [`SharedQuota`](super::SharedQuota), which asks,
/// uses each permit no later than a fixed time after that, and asks for a rate whose burst is smaller
/// by as much: so the law of the whole rate holds where permits are used, too.
///
/// [`LocalQuota`](super::LocalQuota) is the one to read for how little that is. Limits of time are
/// kept by who asks; a future may be dropped at any time, and what it was granted then lapses. One that
/// asks for permits is polled for longer than an answer is waited for, as what comes late may be used.
pub trait QuotaBackend: fmt::Debug + Send + Sync + 'static {
    /// Takes some permits of the quota, at least one and at most as many as are asked for; none for a
    /// [probe](LeaseRequest::probe), which fails wherever another question would.
    ///
    /// # Errors
    ///
    /// Where it can't be told what the quota allows.
    fn lease(
        &self,
        request: LeaseRequest,
    ) -> impl Future<Output = Result<Lease, QuotaError>> + Send;

    /// Takes back permits of this rate that will not be used. By default they lapse.
    ///
    /// # Errors
    ///
    /// Where they lapse instead; nobody depends on it.
    fn give_back(
        &self,
        rate: Rate,
        unused: Vec<Duration>,
    ) -> impl Future<Output = Result<(), QuotaError>> + Send {
        let _ = (rate, unused);
        ready(Ok(()))
    }

    /// Grants nobody a permit that may be used within the time `wait` from now on, and nobody a burst
    /// of this rate after it. It never shortens a pause that there is already.
    ///
    /// # Errors
    ///
    /// Where nobody else will know of it.
    fn pause(
        &self,
        rate: Rate,
        wait: Duration,
    ) -> impl Future<Output = Result<(), QuotaError>> + Send;
}

/// What a [`QuotaBackend`] is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeaseRequest {
    /// How many permits the quota has for all together.
    pub rate: Rate,
    /// How many permits are asked for; none by a [probe](Self::probe).
    pub permits: u32,
    /// Only the first permit may be one for a time that is further away than this, so that nobody
    /// has to wait for what others have merely kept.
    pub horizon: Duration,
}

impl LeaseRequest {
    /// Asks for so many permits of this rate; none counts as one.
    #[must_use]
    pub fn new(rate: Rate, permits: u32, horizon: Duration) -> Self {
        Self {
            rate,
            permits: permits.max(1),
            horizon,
        }
    }

    /// Asks for no permit, but whether one could be asked for: that is how a backend that was away is
    /// found to be back.
    #[must_use]
    pub fn probe(rate: Rate) -> Self {
        Self {
            rate,
            permits: 0,
            horizon: Duration::ZERO,
        }
    }
}

/// What a [`QuotaBackend`] has granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    now: Duration,
    permits: Vec<Duration>,
    paused_until: Option<Duration>,
    notices: Vec<QuotaNotice>,
}

impl Lease {
    /// A permit for each of these times, from which on it may be used, earliest first. At `now` the
    /// backend looked at its clock.
    #[must_use]
    pub fn new(now: Duration, permits: Vec<Duration>) -> Self {
        Self {
            now,
            permits,
            paused_until: None,
            notices: Vec::new(),
        }
    }

    /// No permit, because nobody gets one before `until`.
    #[must_use]
    pub fn paused(now: Duration, until: Duration) -> Self {
        Self {
            paused_until: Some(until),
            ..Self::new(now, Vec::new())
        }
    }

    /// The same, with something that operators should know of.
    #[must_use]
    pub fn with_notice(mut self, notice: QuotaNotice) -> Self {
        self.notices.push(notice);
        self
    }

    /// When the backend looked at its clock.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// From when on each permit may be used.
    #[must_use]
    pub fn permits(&self) -> &[Duration] {
        &self.permits
    }

    /// Until when nobody gets a permit, where there is a pause.
    #[must_use]
    pub fn paused_until(&self) -> Option<Duration> {
        self.paused_until
    }

    /// What operators should know of.
    #[must_use]
    pub fn notices(&self) -> &[QuotaNotice] {
        &self.notices
    }
}

/// What has happened to the state of a quota, though there was an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum QuotaNotice {
    /// The state was gone or made no sense: the server has restarted without it, it was deleted or
    /// evicted, or something else wrote there. It has been put together again from what this process
    /// knows.
    StateLost,
    /// The state was older than what this process was told before, as after a failover to a replica
    /// that had not caught up. It has been brought forward.
    StateBehind,
    /// The script was not known to the server any more, and was sent again.
    ScriptGone,
}

impl QuotaNotice {
    /// Its name in metrics and events, such as `state_lost`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StateLost => "state_lost",
            Self::StateBehind => "state_behind",
            Self::ScriptGone => "script_gone",
        }
    }
}
