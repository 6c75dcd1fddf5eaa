use std::time::SystemTime;

use super::millis::Millis;
use crate::Timestamp;

/// The time at which a reply was made, by its `Date` and by this machine's clock. Either clock may be
/// wrong, so this is the span between the two; without a `Date`, it is this machine's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Now {
    /// The earlier time: a start of readings is never above it.
    pub(super) earliest: Millis,
    /// The later time: only entries behind it are dated ahead.
    pub(super) latest: Millis,
    pub(super) is_servers: bool,
}

impl Now {
    pub(super) fn of(date: Option<SystemTime>) -> Self {
        let date = date.and_then(|date| Timestamp::try_from(date).ok());
        Self::between(date, Timestamp::now().as_millisecond())
    }

    fn between(date: Option<Timestamp>, local: Millis) -> Self {
        let date = date.map(Timestamp::as_millisecond);
        // A `Date` has whole seconds, the rest dropped.
        let end_of_second = date.map_or(local, |date| date.saturating_add(999));
        Self {
            earliest: local.min(date.unwrap_or(local)),
            latest: local.max(end_of_second),
            is_servers: date.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_spans_both_clocks() {
        for (date, local, expected) in [
            (None, 5500, (5500, 5500)),
            (Some(5), 5500, (5000, 5999)),
            (Some(5), 9000, (5000, 9000)),
            (Some(5), 2000, (2000, 5999)),
        ] {
            let date = date.map(|date| Timestamp::from_second(date).expect("a time"));
            let now = Now::between(date, local);
            assert_eq!((now.earliest, now.latest), expected, "{date:?}, {local}");
            assert_eq!(now.is_servers, date.is_some());
        }
    }
}
