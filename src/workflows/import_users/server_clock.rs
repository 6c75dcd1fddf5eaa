//! What time it is for the server: the local clock may be wrong by any amount.

use std::sync::atomic::{AtomicI64, Ordering};

use http::HeaderMap;

use crate::Timestamp;
use crate::workflows::server_clock::date;

/// The `Date` of the last reply that has one. Not the latest of all: one wrong `Date` would count for
/// the rest of the run.
pub(super) struct ServerClock(AtomicI64);

const UNKNOWN: i64 = i64::MIN;

impl Default for ServerClock {
    fn default() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }
}

impl ServerClock {
    /// Reads the time from a reply, where it has one.
    pub(super) fn note(&self, headers: &HeaderMap) {
        if let Some(now) = date(headers) {
            self.0.store(now.as_millisecond(), Ordering::Relaxed);
        }
    }

    /// A time that is past, where any reply has told one.
    pub(super) fn passed(&self) -> Option<Timestamp> {
        let passed = self.0.load(Ordering::Relaxed);
        let passed = (passed != UNKNOWN).then_some(passed)?;
        Timestamp::from_millisecond(passed).ok()
    }
}

#[cfg(test)]
mod tests {
    use http::header::DATE;

    use super::*;

    #[test]
    fn the_last_reply_counts() {
        let clock = ServerClock::default();
        for (date, passed) in [
            (None, None),
            (Some("yesterday"), None),
            (Some("Tue, 24 Nov 2026 08:00:02 GMT"), Some(1_795_507_202)),
            (Some("Fri, 01 Jan 2100 00:00:00 GMT"), Some(4_102_444_800)),
            (Some("Tue, 24 Nov 2026 08:00:03 GMT"), Some(1_795_507_203)),
            (None, Some(1_795_507_203)),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(date) = date {
                headers.insert(DATE, date.parse().expect("a header"));
            }
            clock.note(&headers);
            assert_eq!(clock.passed().map(Timestamp::as_second), passed);
        }
    }
}
