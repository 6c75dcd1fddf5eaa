//! What a limiter has to do with the backend of its quota, in tasks of their own.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, Span, info, info_span, warn};

use super::away::Retry;
use super::source::{Errands, Use};
use super::{Lease, LeaseRequest, QuotaError, QuotaFailure, SharedQuota, SharedSource};
use crate::limiter::WeakLimiter;
use crate::{QuotaAsked, QuotaQuestion};

/// How long an answer is waited for though it is late.
const LAST_LIMIT: Duration = Duration::from_secs(60);

/// How long nobody has to want permits, at the least, until they are given back.
const IDLE: Duration = Duration::from_millis(50);

/// And at the most, which is how long it takes to notice that the limiter is gone.
const LONGEST_IDLE: Duration = Duration::from_secs(1);

/// Starts what is to be done for a limiter.
pub(crate) fn run(errands: &Errands, quota: &SharedQuota, limiter: impl Fn() -> WeakLimiter) {
    if let Some((number, request)) = errands.lease {
        let question = Question::new(quota, limiter(), number, request);
        if let Ok(runtime) = Handle::try_current() {
            let span = span(quota);
            // Nobody hears of a span before it ends, so it is not open for as long as permits are held.
            drop(runtime.spawn(async move {
                let watcher = question.ask().instrument(span).await;
                if let Some(watcher) = watcher {
                    watcher.watch().await;
                }
            }));
        }
    }
    if let Some(until) = errands.pause {
        let announcement = Announcement {
            quota: quota.clone(),
            limiter: limiter(),
            until,
            is_made: false,
        };
        spawn(quota, announcement.make());
    }
}

/// Gives back what a limiter held that is no more.
pub(crate) fn give_back_later(quota: &SharedQuota, unused: Vec<Duration>) {
    if unused.is_empty() {
        return;
    }
    let of = quota.clone();
    spawn(quota, async move { give_back(&of, unused).await });
}

/// Runs `task` in a span of its own.
fn spawn(quota: &SharedQuota, task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        drop(runtime.spawn(task.instrument(span(quota))));
    }
}

/// A span that belongs to no call but tells which one began it: others may wait for the same answer, and
/// none should stay open for it.
fn span(quota: &SharedQuota) -> Span {
    let span = info_span!(parent: None, "quota", backend = ?quota.backend);
    span.follows_from(Span::current().id());
    span
}

/// A question for permits. Dropped before there is an answer, it is asked again on another runtime.
struct Question {
    quota: SharedQuota,
    limiter: WeakLimiter,
    number: u64,
    request: LeaseRequest,
    sent: Instant,
    is_open: bool,
    /// Whether it was given up, but is waited for.
    is_awaited: bool,
}

impl Question {
    fn new(quota: &SharedQuota, limiter: WeakLimiter, number: u64, request: LeaseRequest) -> Self {
        Self {
            quota: quota.clone(),
            limiter,
            number,
            request,
            sent: Instant::now(),
            is_open: true,
            is_awaited: false,
        }
    }

    /// Asks, and returns the task that looks after the held permits then.
    async fn ask(mut self) -> Option<Watcher> {
        self.sent = Instant::now();
        let quota = self.quota.clone();
        let mut answer = quota.backend.lease(self.request);
        let unused = match timeout(quota.timeout, &mut answer).await {
            Ok(answer) => self.finish(answer),
            Err(_) => {
                let unused = self.finish(Err(QuotaError::new(QuotaFailure::Timeout, "")));
                self.is_awaited = self.request.permits > 0
                    && self.limiter.look(|source, _, _| source.awaits()) != Some(false);
                match self.late(answer).await {
                    Some(lease) => self.finish(Ok(lease)),
                    None => unused,
                }
            }
        };
        if !unused.is_empty() {
            give_back(&quota, unused).await;
        }
        Watcher::of(&quota, &self.limiter)
    }

    /// What is granted after its time: the backend does not know that nobody waits any more.
    async fn late(
        &mut self,
        answer: impl Future<Output = Result<Lease, QuotaError>>,
    ) -> Option<Lease> {
        if !self.is_awaited {
            return None;
        }
        let answer = timeout(LAST_LIMIT, answer).await;
        self.await_no_more();
        answer.ok()?.ok()
    }

    fn await_no_more(&mut self) {
        if std::mem::take(&mut self.is_awaited) {
            self.limiter.look(|source, _, _| source.awaits_no_more());
        }
    }

    /// Hands the answer over, and tells what of it is to be given back.
    fn finish(&mut self, answer: Result<Lease, QuotaError>) -> Vec<Duration> {
        self.is_open = false;
        let (number, sent) = (self.number, self.sent);
        let answered = self.limiter.answer(|source, now| {
            source.answered(number, sent, now, answer.as_ref().map_err(Clone::clone))
        });
        let Some(answered) = answered else {
            // Nobody is left to use what was granted.
            return answer.map_or_else(|_| Vec::new(), |lease| lease.permits().to_vec());
        };
        let notices = answer.as_ref().map_or(&[][..], Lease::notices);
        tell(
            &self.quota,
            &QuotaAsked {
                question: QuotaQuestion::Lease,
                error: answered.error.as_ref().map(QuotaError::failure),
                notices,
                granted: answered.granted,
                lapsed: answered.lapsed,
                duration: sent.elapsed(),
            },
            answered.error.as_ref(),
        );
        if answered.is_back {
            info!("the quota's server answers again");
        }
        answered.unused
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if self.is_open && std::thread::panicking() {
            let detail = "the backend has panicked";
            self.finish(Err(QuotaError::new(QuotaFailure::Other, detail)));
        } else if self.is_open {
            self.limiter
                .answer(|source, now| source.unasked(self.number, now));
        }
        self.await_no_more();
    }
}

/// Who looks after what is held. It may have to be somebody else when this is dropped.
struct Watcher {
    quota: SharedQuota,
    limiter: WeakLimiter,
    number: u64,
    often: Duration,
    within: Duration,
}

impl Watcher {
    /// One, where it takes one.
    fn of(quota: &SharedQuota, limiter: &WeakLimiter) -> Option<Self> {
        let often = quota.lateness().clamp(IDLE, LONGEST_IDLE);
        let within = often.saturating_mul(4);
        let number = limiter.look(|source, _, now| source.watch(now, within))??;
        Some(Self {
            quota: quota.clone(),
            limiter: limiter.clone(),
            number,
            often,
            within,
        })
    }

    /// Gives back what nobody wants any more.
    async fn watch(self) {
        let mut used = 0;
        loop {
            let found = self.limiter.look(|source, is_awaited, now| {
                source.look(self.number, now, self.within, &mut used, is_awaited)
            });
            match found {
                Some(Use::Going) => sleep(self.often).await,
                Some(Use::Idle(unused)) => {
                    let span = span(&self.quota);
                    give_back(&self.quota, unused).instrument(span).await;
                }
                Some(Use::Over) | None => return,
            }
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.limiter
            .look(|source, _, _| source.unwatch(self.number));
    }
}

/// A pause that all are to be told of. Dropped before they are, it is for who learns of it next.
struct Announcement {
    quota: SharedQuota,
    limiter: WeakLimiter,
    until: Instant,
    is_made: bool,
}

impl Announcement {
    /// Tells all, and tries again for as long as the pause lasts and the limiter is there: a limiter that
    /// is paused makes no calls, which could notice that the backend is back. If it is gone, the backend
    /// is asked once.
    async fn make(mut self) {
        let retry = Retry::new();
        for failures in 1.. {
            let left = self.until.saturating_duration_since(Instant::now());
            let is_open = self
                .look(|source, until| source.announces(until))
                .unwrap_or(failures == 1);
            if left.is_zero() || !is_open {
                return;
            }
            let rate = self.quota.granted_rate();
            let question = self.quota.backend.pause(rate, left);
            self.is_made = ask(&self.quota, QuotaQuestion::Pause, question).await;
            if self.is_made {
                return;
            }
            sleep(retry.after(failures)).await;
        }
    }

    fn look<T>(&self, act: impl FnOnce(&mut SharedSource, Instant) -> T) -> Option<T> {
        self.limiter.look(|source, _, _| act(source, self.until))
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if !self.is_made {
            self.look(SharedSource::unannounced);
        }
    }
}

async fn give_back(quota: &SharedQuota, unused: Vec<Duration>) {
    let question = quota.backend.give_back(quota.granted_rate(), unused);
    ask(quota, QuotaQuestion::GiveBack, question).await;
}

/// Asks what nobody waits for, and tells whether it was done.
async fn ask(
    quota: &SharedQuota,
    question: QuotaQuestion,
    answer: impl Future<Output = Result<(), QuotaError>>,
) -> bool {
    let sent = Instant::now();
    let error = in_time(quota, answer).await.err();
    let asked = QuotaAsked {
        question,
        error: error.as_ref().map(QuotaError::failure),
        notices: &[],
        granted: 0,
        lapsed: 0,
        duration: sent.elapsed(),
    };
    tell(quota, &asked, error.as_ref());
    error.is_none()
}

async fn in_time<T>(
    quota: &SharedQuota,
    answer: impl Future<Output = Result<T, QuotaError>>,
) -> Result<T, QuotaError> {
    let answer = timeout(quota.timeout, answer).await;
    answer.unwrap_or_else(|_| Err(QuotaError::new(QuotaFailure::Timeout, "")))
}

fn tell(quota: &SharedQuota, asked: &QuotaAsked<'_>, error: Option<&QuotaError>) {
    let question = asked.question.as_str();
    if let Some(error) = error {
        let kind = error.failure().as_str();
        warn!(question, error.type = kind, "{error}");
    }
    for notice in asked.notices {
        warn!(
            question,
            notice = notice.as_str(),
            "the quota's state has changed"
        );
    }
    if let Some(recorder) = &quota.recorder {
        recorder.quota_asked(asked);
    }
}
