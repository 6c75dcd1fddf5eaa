//! Looking after what is held.

use std::time::Duration;

use tokio::time::Instant;

use super::{SharedSource, unsigned};

/// What has become of a lease since somebody last looked.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::quota) enum Use {
    Going,
    /// Nothing is held any more, or somebody else looks after it.
    Over,
    /// Nobody has use for these, which are not held any more.
    Idle(Vec<Duration>),
}

impl SharedSource {
    /// Where there is something to watch that nobody watches, the number of who is told so and does, with
    /// a look within this time.
    pub(in crate::quota) fn watch(&mut self, now: Instant, within: Duration) -> Option<u64> {
        let is_watched = self.watcher.is_some_and(|(_, until)| until > now);
        if is_watched || self.held.len() == 0 {
            return None;
        }
        self.watchers = self.watchers.wrapping_add(1);
        self.watcher = Some((self.watchers, now.checked_add(within)?));
        Some(self.watchers)
    }

    pub(in crate::quota) fn unwatch(&mut self, number: u64) {
        self.watcher.take_if(|(watcher, _)| *watcher == number);
    }

    /// What has become of what is held since so many had been used, for the watcher of this number, who
    /// will look again within this time.
    pub(in crate::quota) fn look(
        &mut self,
        number: u64,
        now: Instant,
        within: Duration,
        used_before: &mut u64,
        is_awaited: bool,
    ) -> Use {
        match &mut self.watcher {
            Some((watcher, until)) if *watcher == number => {
                *until = now.checked_add(within).unwrap_or(now);
            }
            _ => return Use::Over,
        }
        if let Some(clock) = self.clock {
            self.demand.lapse(self.held.lapse(clock, self.nanos(now)));
        }
        let is_used = *used_before != self.demand.used_in_all();
        *used_before = self.demand.used_in_all();
        if self.asking.is_some() || is_awaited || is_used {
            return Use::Going;
        }
        match self.take_unused(now) {
            unused if !unused.is_empty() => Use::Idle(unused),
            _ if self.held.len() > 0 => Use::Going,
            _ => Use::Over,
        }
    }

    /// What is held for later.
    pub(crate) fn take_unused(&mut self, now: Instant) -> Vec<Duration> {
        let Some(clock) = self.clock else {
            return Vec::new();
        };
        self.demand.start_over();
        let unused = self.held.take_future(clock, self.nanos(now));
        unused.into_iter().map(unsigned).collect()
    }
}
