use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

/// The longest wait that a reply's `Retry-After` asks for (RFC 9110, section 10.2.3).
///
/// Seconds are taken as they are; more than fit are [`Duration::MAX`]. An HTTP-date is compared
/// with the reply's own `Date`, so that a wrong clock on either side does not matter, or else with
/// this machine's clock; one in the past is zero. What is neither is ignored.
///
/// ```
/// use std::time::Duration;
/// use http::{HeaderMap, HeaderValue, header::RETRY_AFTER};
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(idpflare_layers::retry_after(&headers), None);
/// headers.insert(RETRY_AFTER, HeaderValue::from_static("120"));
/// assert_eq!(idpflare_layers::retry_after(&headers), Some(Duration::from_secs(120)));
/// ```
#[must_use]
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers
        .get_all(RETRY_AFTER)
        .iter()
        .filter_map(|value| wait(value.to_str().ok()?.trim(), headers))
        .max()
}

fn wait(value: &str, headers: &HeaderMap) -> Option<Duration> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(value.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    Some(
        until
            .duration_since(reply_time(headers))
            .unwrap_or_default(),
    )
}

/// When the reply was made, by the server's clock: its `Date` (RFC 9110, section 6.6.1), which has
/// whole seconds, the rest dropped. `None` where there is none that can be read.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use http::{HeaderMap, HeaderValue, header::DATE};
///
/// let mut headers = HeaderMap::new();
/// assert_eq!(idpflare_layers::reply_date(&headers), None);
/// headers.insert(DATE, HeaderValue::from_static("Thu, 01 Jan 1970 00:02:00 GMT"));
/// let date = SystemTime::UNIX_EPOCH + Duration::from_secs(120);
/// assert_eq!(idpflare_layers::reply_date(&headers), Some(date));
/// ```
#[must_use]
pub fn reply_date(headers: &HeaderMap) -> Option<SystemTime> {
    let date = headers.get(DATE)?.to_str().ok()?;
    httpdate::parse_http_date(date).ok()
}

/// When the reply was made, by its own `Date`, or else by this machine's clock.
pub(crate) fn reply_time(headers: &HeaderMap) -> SystemTime {
    reply_date(headers).unwrap_or_else(SystemTime::now)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn of(values: &[&str], date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(RETRY_AFTER, HeaderValue::from_str(value).expect("a value"));
        }
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).expect("a date"));
        }
        retry_after(&headers)
    }

    #[test]
    fn seconds_and_dates() {
        assert_eq!(of(&["1"], None), Some(Duration::from_secs(1)));
        assert_eq!(of(&["0"], None), Some(Duration::ZERO));
        assert_eq!(of(&["1", "30", "x"], None), Some(Duration::from_secs(30)));
        let date = Some("Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(
            of(&["Sun, 06 Nov 1994 08:50:07 GMT"], date),
            Some(Duration::from_secs(30))
        );
        assert_eq!(
            of(&["Sun, 06 Nov 1994 08:00:00 GMT"], date),
            Some(Duration::ZERO)
        );
    }

    #[test]
    fn nonsense_is_ignored_and_absurd_waits_stay_waits() {
        for nonsense in ["", "-5", "1.5", "soon", "1e3", "+1"] {
            assert_eq!(of(&[nonsense], None), None, "{nonsense}");
        }
        let absurd = "1000000000000000000000000000000";
        assert_eq!(of(&[absurd], None), Some(Duration::MAX));
    }
}
