//! How many requests a key may make.

use std::collections::HashMap;
use std::time::Duration;

use http::header::{HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::Instant;

use super::respond::Reply;
use crate::ApiKeyId;

pub(super) const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// So many requests of each key in each window of time, the windows beginning with a request.
pub(super) struct Quota {
    limit: u32,
    window: Duration,
    counted: HashMap<ApiKeyId, Window>,
}

struct Window {
    started: Instant,
    requests: u32,
}

impl Quota {
    pub(super) fn new(limit: u32, window: Duration) -> Self {
        Self {
            limit,
            window,
            counted: HashMap::new(),
        }
    }

    /// Counts a request of `key`: what every reply to it says, and whether it is one too many.
    pub(super) fn count(&mut self, key: &ApiKeyId) -> (HeaderMap, Result<(), Reply>) {
        let now = Instant::now();
        let counted = self.counted.entry(key.clone()).or_insert(Window {
            started: now,
            requests: 0,
        });
        if now.saturating_duration_since(counted.started) >= self.window {
            *counted = Window {
                started: now,
                requests: 0,
            };
        }
        let within = counted.requests < self.limit;
        counted.requests += u32::from(within);
        let passed = now.saturating_duration_since(counted.started);
        let reset = whole_seconds(self.window.saturating_sub(passed));
        let remaining = self.limit - counted.requests;
        let window = whole_seconds(self.window);

        let mut headers = HeaderMap::new();
        let mut say = |name, value: String| {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        };
        say(RATE_LIMIT, format!("\"default\";r={remaining};t={reset}"));
        say(
            RATE_LIMIT_POLICY,
            format!("\"default\";q={};w={window}", self.limit),
        );
        if within {
            return (headers, Ok(()));
        }
        say(RETRY_AFTER, reset.to_string());
        let too_many = Reply::error(StatusCode::TOO_MANY_REQUESTS, "Too many requests");
        (headers, Err(too_many))
    }
}

/// Rounded up, and never zero: who waits so long finds a new window.
fn whole_seconds(duration: Duration) -> u64 {
    let up = u64::from(duration.subsec_nanos() > 0);
    duration.as_secs().saturating_add(up).max(1)
}
