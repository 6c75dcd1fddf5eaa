use std::time::SystemTime;

use super::millis::Millis;
use crate::Timestamp;

/// When a reply was made: by its `Date`, or, if it has none, by this machine's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    pub(super) earliest: Millis,
    /// A `Date` has whole seconds, the rest dropped.
    pub(super) latest: Millis,
    pub(super) is_servers: bool,
}

impl Now {
    pub(super) fn of(date: Option<SystemTime>) -> Self {
        match date.and_then(|date| Timestamp::try_from(date).ok()) {
            Some(date) => Self {
                earliest: date.as_millisecond(),
                latest: date.as_millisecond().saturating_add(999),
                is_servers: true,
            },
            None => {
                let now = Timestamp::now().as_millisecond();
                Self {
                    earliest: now,
                    latest: now,
                    is_servers: false,
                }
            }
        }
    }

    /// The latest time that is past by the server's clock and by this machine's: either may be ahead.
    pub(super) fn passed(self) -> Millis {
        self.earliest.min(Timestamp::now().as_millisecond())
    }
}
