use std::fmt;

use serde::Deserialize;

/// How a 429 says when to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RetryAfter {
    /// It does not.
    Absent,
    /// `Retry-After` in seconds.
    Seconds(u64),
    /// `Retry-After` as an HTTP-date, so many seconds after the reply's own `Date`.
    HttpDate(u64),
    /// No `Retry-After`, but `RateLimit` and `RateLimit-Policy`, of which nothing remains for so
    /// many seconds.
    RateLimit(u64),
}

/// The kinds of [`Fault`](super::Fault), for logs and ledgers, and as they are called in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FaultKind {
    /// [`Fault::delay`](super::Fault::delay).
    Delay,
    /// [`Fault::status`](super::Fault::status) and [`Fault::reply`](super::Fault::reply).
    Status,
    /// [`Fault::edge_page`](super::Fault::edge_page).
    EdgePage,
    /// [`Fault::too_many_requests`](super::Fault::too_many_requests).
    TooManyRequests,
    /// [`Fault::reset_before_reply`](super::Fault::reset_before_reply).
    ResetBeforeReply,
    /// [`Fault::reply_lost`](super::Fault::reply_lost).
    ReplyLost,
    /// [`Fault::reset_during_reply`](super::Fault::reset_during_reply).
    ResetDuringReply,
    /// [`Fault::truncated_body`](super::Fault::truncated_body).
    TruncatedBody,
    /// [`Fault::slow_body`](super::Fault::slow_body).
    SlowBody,
    /// [`Fault::oversized_body`](super::Fault::oversized_body).
    OversizedBody,
    /// [`Fault::wrong_content_type`](super::Fault::wrong_content_type).
    WrongContentType,
    /// [`Fault::unknown_fields`](super::Fault::unknown_fields).
    UnknownFields,
    /// [`Fault::unknown_values`](super::Fault::unknown_values).
    UnknownValues,
}

impl FaultKind {
    /// Its name, such as `reply_lost`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delay => "delay",
            Self::Status => "status",
            Self::EdgePage => "edge_page",
            Self::TooManyRequests => "too_many_requests",
            Self::ResetBeforeReply => "reset_before_reply",
            Self::ReplyLost => "reply_lost",
            Self::ResetDuringReply => "reset_during_reply",
            Self::TruncatedBody => "truncated_body",
            Self::SlowBody => "slow_body",
            Self::OversizedBody => "oversized_body",
            Self::WrongContentType => "wrong_content_type",
            Self::UnknownFields => "unknown_fields",
            Self::UnknownValues => "unknown_values",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
