use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, StatusCode};

use crate::retry_after;
use crate::retry_after::reply_time;

/// A reset above this is a time since 1970, in seconds: 2001, or a wait of more than 31 years.
const SECONDS_FROM: u64 = 1_000_000_000;

/// A reset above this is a time since 1970, in milliseconds: 1973, or the year 5138 in seconds.
const MILLISECONDS_FROM: u64 = 100_000_000_000;

static RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
static PAIRS: [(HeaderName, HeaderName); 2] = [
    (
        HeaderName::from_static("ratelimit-remaining"),
        HeaderName::from_static("ratelimit-reset"),
    ),
    (
        HeaderName::from_static("x-ratelimit-remaining"),
        HeaderName::from_static("x-ratelimit-reset"),
    ),
];

/// What a reply asks of a limiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ask {
    Nothing,
    /// To send nothing more for so long.
    Pause(Duration),
    /// To send less often; it names no time.
    LowerRate,
}

/// Whether the server has served the request: it counts for the rate that the server allows.
pub(crate) fn is_success(status: StatusCode) -> bool {
    status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error()
}

/// Reads from a reply how it asks to send less.
///
/// It asks by the status 429, or by a quota that has nothing left and tells when there will be more. A
/// server error asks for nothing:
///
/// | header | meaning |
/// |---|---|
/// | `RateLimit: "default";r=0;t=30` | of each policy, what is left and the seconds until there is more |
/// | `RateLimit: limit=100, remaining=0, reset=30` | the same, in an older draft |
/// | `RateLimit-Remaining` and `RateLimit-Reset` | the same, older still |
/// | `X-RateLimit-Remaining` and `X-RateLimit-Reset` | the same; the reset is seconds, or seconds or milliseconds since 1970 |
///
/// `Retry-After` wins over all of them. Then the longest reset of a quota with nothing left counts; on a 429, one that does not tell what is
/// left counts too.
///
/// A value that is no number is ignored, negative ones included, and a number that fits nowhere is the
/// longest wait that there is; of several values the worst counts. A reset since 1970 is compared
/// with the reply's own `Date`; one in the past is zero, which on a 429 counts as no reset.
pub(crate) fn ask(status: StatusCode, headers: &HeaderMap) -> Ask {
    let refused = status == StatusCode::TOO_MANY_REQUESTS;
    // A server error speaks of its resource, or comes from a gateway with quotas of its own.
    if !refused && (status.is_server_error() || !tells_of_quotas(headers)) {
        return Ask::Nothing;
    }
    let quota = Quotas::of(refused, headers);
    if !refused && !quota.used_up {
        return Ask::Nothing;
    }
    // A 429 whose reset has passed says nothing of when to come back.
    let reset = quota.reset.filter(|wait| !(refused && wait.is_zero()));
    match retry_after(headers).or(reset) {
        Some(wait) => Ask::Pause(wait),
        None if refused => Ask::LowerRate,
        None => Ask::Nothing,
    }
}

fn tells_of_quotas(headers: &HeaderMap) -> bool {
    headers.contains_key(&RATE_LIMIT)
        || PAIRS
            .iter()
            .any(|(remaining, _)| headers.contains_key(remaining))
}

/// What is said of all quotas together.
struct Quotas {
    /// Of a reply that was refused, a quota that does not tell what is left counts as used up.
    refused: bool,
    used_up: bool,
    /// The longest of those that are used up.
    reset: Option<Duration>,
}

impl Quotas {
    fn of(refused: bool, headers: &HeaderMap) -> Self {
        let mut quotas = Self {
            refused,
            used_up: false,
            reset: None,
        };
        let mut older = Quota::default();
        for line in lines(headers, &RATE_LIMIT) {
            for member in split(line, ',') {
                let mut parts = split(member, ';');
                // An item has its name before the first semicolon, and what counts after it.
                if let Some((key, value)) = parts.next().and_then(|first| first.split_once('=')) {
                    older.note(key, value, ("remaining", "reset"), headers);
                }
                let mut item = Quota::default();
                for (key, value) in parts.filter_map(|part| part.split_once('=')) {
                    item.note(key, value, ("r", "t"), headers);
                }
                quotas.add(&item);
            }
        }
        quotas.add(&older);
        for (remaining, reset) in &PAIRS {
            let mut quota = Quota::default();
            for value in lines(headers, remaining).flat_map(|line| split(line, ',')) {
                quota.note("r", value, ("r", "t"), headers);
            }
            if quota.remaining == Some(0) || refused {
                for value in lines(headers, reset).flat_map(|line| split(line, ',')) {
                    quota.note("t", value, ("r", "t"), headers);
                }
            }
            quotas.add(&quota);
        }
        quotas
    }

    fn add(&mut self, quota: &Quota) {
        let used_up = quota.remaining == Some(0);
        self.used_up |= used_up;
        if used_up || (self.refused && quota.remaining.is_none()) {
            self.reset = self.reset.max(quota.reset);
        }
    }
}

#[derive(Default)]
struct Quota {
    remaining: Option<u64>,
    reset: Option<Duration>,
}

impl Quota {
    /// Keeps `value` where `key` is one of the `names`, of what is left and of the reset.
    fn note(&mut self, key: &str, value: &str, names: (&str, &str), headers: &HeaderMap) {
        let Some(number) = number(value.trim()) else {
            return;
        };
        let key = key.trim();
        if key.eq_ignore_ascii_case(names.0) {
            self.remaining = Some(self.remaining.map_or(number, |least| least.min(number)));
        } else if key.eq_ignore_ascii_case(names.1) {
            self.reset = self.reset.max(Some(wait(number, headers)));
        }
    }
}

fn wait(reset: u64, headers: &HeaderMap) -> Duration {
    let since = match reset {
        ..=SECONDS_FROM | u64::MAX => return Duration::from_secs(reset),
        ..=MILLISECONDS_FROM => Duration::from_secs(reset),
        _ => Duration::from_millis(reset),
    };
    match SystemTime::UNIX_EPOCH.checked_add(since) {
        Some(at) => at.duration_since(reply_time(headers)).unwrap_or_default(),
        None => since,
    }
}

/// A number without a sign; the largest one where it does not fit.
fn number(value: &str) -> Option<u64> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

fn lines<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(name).into_iter();
    values.filter_map(|value| value.to_str().ok())
}

/// The parts of `text` between separators that are not within quotation marks.
fn split(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |next| {
        let plain = !std::mem::take(&mut escaped);
        match next {
            '\\' if quoted && plain => escaped = true,
            '"' if plain => quoted = !quoted,
            _ => {}
        }
        next == separator && !quoted
    })
}

#[cfg(test)]
#[path = "rate_limit_headers_tests.rs"]
mod tests;
