//! What a limiter has to do with the backend of its quota, in tasks of their own.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Instrument, Span, info, info_span, warn};

use super::source::{Errands, Use};
use super::{Lease, LeaseRequest, QuotaError, QuotaFailure, SharedQuota};
use crate::limiter::WeakLimiter;
use crate::{QuotaAsked, QuotaQuestion};

/// How long an answer is waited for though it is late.
const LAST_LIMIT: Duration = Duration::from_secs(60);

/// How long nobody has to want permits, at the least, until they are given back.
const IDLE: Duration = Duration::from_millis(50);

/// Starts what is to be done for a limiter.
pub(crate) fn run(errands: &Errands, quota: &SharedQuota, limiter: impl FnOnce() -> WeakLimiter) {
    if let Some((number, request)) = errands.lease {
        let question = Question::new(quota, limiter(), number, request);
        // Dropped without an answer, it has failed.
        spawn(quota, question.ask());
    }
    if let Some(wait) = errands.pause {
        spawn(quota, pause(quota.clone(), wait));
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

/// Runs `task` in a span that belongs to no call but tells which one began it: others may wait for the
/// same answer, and none should stay open for it.
fn spawn(quota: &SharedQuota, task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = Handle::try_current() {
        let span = info_span!(parent: None, "quota", backend = ?quota.backend);
        span.follows_from(Span::current().id());
        drop(runtime.spawn(task.instrument(span)));
    }
}

/// A question for permits. Dropped before there is an answer, it has failed.
struct Question {
    quota: SharedQuota,
    limiter: WeakLimiter,
    number: u64,
    request: LeaseRequest,
    sent: Instant,
    is_open: bool,
    /// Whether it was given up, but is waited for.
    is_awaited: bool,
    is_watching: bool,
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
            is_watching: false,
        }
    }

    async fn ask(mut self) {
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
        self.is_watching = self.limiter.look(|source, _, _| source.watch()) == Some(true);
        if self.is_watching {
            self.watch().await;
        }
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

    /// Gives back what nobody wants any more.
    async fn watch(&self) {
        let often = self.quota.lateness().max(IDLE);
        let mut used = 0;
        loop {
            let found = self
                .limiter
                .look(|source, is_awaited, now| source.look(now, &mut used, is_awaited));
            match found {
                Some(Use::Going) => sleep(often).await,
                Some(Use::Idle(unused)) => give_back(&self.quota, unused).await,
                Some(Use::Over) | None => return,
            }
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if self.is_open {
            let detail = "the runtime that was to ask has stopped";
            let error = QuotaError::new(QuotaFailure::Connection, detail);
            self.finish(Err(error));
        }
        self.await_no_more();
        if self.is_watching {
            self.limiter.look(|source, _, _| source.unwatch());
        }
    }
}

async fn pause(quota: SharedQuota, wait: Duration) {
    let question = quota.backend.pause(quota.granted_rate(), wait);
    ask(&quota, QuotaQuestion::Pause, question).await;
}

async fn give_back(quota: &SharedQuota, unused: Vec<Duration>) {
    let question = quota.backend.give_back(quota.granted_rate(), unused);
    ask(quota, QuotaQuestion::GiveBack, question).await;
}

/// Asks what nobody waits for.
async fn ask(
    quota: &SharedQuota,
    question: QuotaQuestion,
    answer: impl Future<Output = Result<(), QuotaError>>,
) {
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
