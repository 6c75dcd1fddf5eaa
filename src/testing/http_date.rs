use http::HeaderValue;
use jiff::fmt::rfc2822::DateTimePrinter;

use crate::Timestamp;

/// The HTTP-date so many seconds after `now`, or the latest that there is.
pub(super) fn http_date(now: Timestamp, seconds: u64) -> Option<HeaderValue> {
    let later = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| now.as_second().checked_add(seconds))
        .and_then(|second| Timestamp::from_second(second).ok())
        .unwrap_or(Timestamp::MAX);
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&later);
    HeaderValue::from_str(&date.ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_http_and_end_somewhere() {
        let now = Timestamp::from_millisecond(784_111_777_900).expect("a time");
        let date = |seconds| http_date(now, seconds).expect("a date");
        assert_eq!(date(0), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(date(30), "Sun, 06 Nov 1994 08:50:07 GMT");
        let last = date(u64::MAX);
        assert!(last.to_str().is_ok_and(|last| last.contains(" 9999 ")));
    }
}
