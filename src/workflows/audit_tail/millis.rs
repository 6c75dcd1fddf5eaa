//! Points in time as the protocol counts them.

use std::time::Duration;

use crate::Timestamp;

/// Milliseconds since the Unix epoch.
pub(super) type Millis = i64;

/// The nearest point in time that there is.
pub(super) fn timestamp(millis: Millis) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(if millis < 0 {
        Timestamp::MIN
    } else {
        Timestamp::MAX
    })
}

pub(super) fn of(duration: Duration) -> Millis {
    Millis::try_from(duration.as_millis()).unwrap_or(Millis::MAX)
}
