use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::time::{Instant, sleep};

use super::millis::Millis;
use super::now::Now;
use super::start::Start;
use super::sweep::{Portion, Sweep};
use super::{AuditBatch, AuditTail, AuditTailEvent};
use crate::{Error, HttpService, Timestamp};

/// How far a start of readings may lie ahead, in milliseconds: an hour.
pub(super) const MAX_LEAD: Millis = 60 * 60 * 1000;

/// Nothing in it stays where it is but what is in a box.
impl<S: HttpService> Unpin for AuditTail<S> {}

impl<S: HttpService> Stream for AuditTail<S> {
    type Item = Result<AuditTailEvent, Error>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(item) = this.items.pop_front() {
                return Poll::Ready(Some(item));
            }
            if this.has_ended {
                return Poll::Ready(None);
            }
            if let Some(sleep) = &mut this.sleep {
                ready!(sleep.as_mut().poll(cx));
                this.sleep = None;
            }
            match ready!(this.poll_step(cx)) {
                Ok(()) => {}
                Err(error) if error.is_retryable() => {
                    let event = this.retry(error);
                    this.items.push_back(Ok(event));
                }
                Err(error) => {
                    this.has_ended = true;
                    this.items.push_back(Err(error));
                }
            }
        }
    }
}

impl<S: HttpService> AuditTail<S> {
    /// One step further. After an error it is where it was.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        if let Start::Now(_) = self.start {
            ready!(self.poll_start(cx))?;
        }
        if self.sweep.is_none() {
            self.is_last = self.left().is_some_and(|left| left.is_zero());
        }
        let begin = || {
            let known_to = self.progress.left_from().map(|left| left.saturating_sub(1));
            let end = self.end.into_iter().chain(known_to).min();
            Sweep::new(self.progress.floor(), end)
        };
        let sweep = self.sweep.get_or_insert_with(begin);
        let portion = sweep.poll_portion(&self.client, &self.question, &mut self.trusts_total, cx);
        let portion = ready!(portion)?;
        self.pace.succeeds();
        match portion {
            Some(portion) => self.hand_out(portion),
            None => self.rest(),
        }
        Poll::Ready(Ok(()))
    }

    /// What is read again from now on, where `newest` was the newest entry.
    pub(super) fn floor_below(&self, newest: Millis) -> Millis {
        newest.saturating_sub(self.overlap)
    }

    fn hand_out(&mut self, portion: Portion) {
        let Portion {
            mut entries,
            mut undecoded,
            read_to,
            horizon,
            now,
        } = portion;
        if self.steps_back(now) {
            self.sweep = None;
            return;
        }
        entries.retain(|entry| self.progress.sees(entry, now));
        undecoded.retain(|row| self.progress.sees_undecoded(row));
        if let Start::Quiet(before) = self.start {
            entries.retain(|entry| before <= entry.created_at.as_millisecond());
            undecoded.retain(|row| before <= row.made.latest());
        }
        if let (Some(read_to), Some(horizon)) = (read_to, horizon) {
            let floor = self.floor_below(horizon).min(read_to);
            self.ahead.leave(self.progress.settle(floor, now));
        }
        for entry in &entries {
            self.ahead.note(entry.created_at.as_millisecond(), now);
        }
        let found_any = !(entries.is_empty() && undecoded.is_empty());
        self.found_any |= found_any;
        self.has_news |= found_any;
        // Before the checkpoint that takes them for told.
        let undecoded = undecoded.into_iter().map(|row| Err(row.error));
        self.items.extend(undecoded);
        if !entries.is_empty() {
            self.items.push_back(Ok(AuditTailEvent::Entries(AuditBatch {
                entries,
                checkpoint: self.progress.clone(),
            })));
        }
    }

    /// Reads again from the server's own time if the tail is more than [`MAX_LEAD`] ahead of it and of
    /// this machine's clock: the server's clock was wrong, and entries that it has dated since then
    /// would be missed. A single wrong clock makes no difference.
    fn steps_back(&mut self, now: Now) -> bool {
        let floor = self.floor_below(now.earliest);
        let floor = floor.max(self.not_before.unwrap_or(floor));
        let before = self.progress.floor();
        let is_ahead = before > Some(now.latest.saturating_add(MAX_LEAD)) && before > Some(floor);
        let steps = is_ahead && now.is_servers && self.progress.watermark().is_some();
        if steps {
            self.progress.step_back(floor, now);
        }
        steps
    }

    /// All has been read that there was.
    fn rest(&mut self) {
        let ahead = std::mem::take(&mut self.ahead);
        self.items.extend(ahead.event().map(Ok));
        let Some(sweep) = self.sweep.take() else {
            return;
        };
        let takes_up_left = self.progress.takes_up_left(sweep.now());
        // Not before: a tail that goes on from a checkpoint within the reading has not read these.
        self.progress.leave_from(ahead.left_from);
        self.start = Start::Known;
        if takes_up_left {
            // This reading ended before them.
            return;
        }
        self.has_ended = self.is_last || self.ends_caught_up;
        let found_any = std::mem::take(&mut self.found_any);
        if !self.has_ended {
            if sweep.was_cut() && found_any {
                // That took long, so there is more by now.
                return;
            }
            let wait = self.pace.after_reading(found_any);
            let wait = self.left().map_or(wait, |left| wait.min(left));
            self.sleep = Some(Box::pin(sleep(wait)));
        }
        if std::mem::take(&mut self.has_news) {
            self.items.push_back(Ok(AuditTailEvent::CaughtUp {
                checkpoint: self.progress.clone(),
            }));
        }
    }

    fn retry(&mut self, error: Error) -> AuditTailEvent {
        let (failures, wait) = self.pace.after_failure(&error);
        self.sleep = Some(Box::pin(sleep(wait)));
        AuditTailEvent::Retrying {
            error,
            failures,
            wait,
        }
    }

    /// How long the log may still have something new, where there is an end to that.
    fn left(&mut self) -> Option<Duration> {
        let end = self.end?.saturating_add(self.overlap);
        let now = Instant::now();
        let ends_at = match self.ends_at {
            Some(ends_at) => ends_at,
            // From here on by tokio's clock, which can be paused.
            None => {
                let left = end.saturating_sub(Timestamp::now().as_millisecond());
                let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
                *self.ends_at.insert(now.checked_add(left)?)
            }
        };
        Some(ends_at.saturating_duration_since(now))
    }
}
