//! All that can go wrong, with about one request in five.

use std::time::Duration;

use http::StatusCode;
use idpflare_management::testing::{Fault, FaultKind, FaultRule, FaultScript, RetryAfter};

/// How long an attempt may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

const SHORT: Duration = Duration::from_millis(5);
const TOO_LONG: Duration = Duration::from_secs(4);

pub(crate) const KINDS: [FaultKind; 13] = [
    FaultKind::Delay,
    FaultKind::Status,
    FaultKind::EdgePage,
    FaultKind::TooManyRequests,
    FaultKind::ResetBeforeReply,
    FaultKind::ReplyLost,
    FaultKind::ResetDuringReply,
    FaultKind::TruncatedBody,
    FaultKind::SlowBody,
    FaultKind::OversizedBody,
    FaultKind::WrongContentType,
    FaultKind::UnknownFields,
    FaultKind::UnknownValues,
];

/// Makes each fifth request fail. A 429 names the time of one of these `refusals`.
pub(crate) fn script(seed: u64, refusals: [RetryAfter; 4]) -> FaultScript {
    let refused = refusals.into_iter().map(Fault::too_many_requests);
    let faults = [
        Fault::delay(SHORT),
        Fault::delay(TOO_LONG),
        Fault::delay(TOO_LONG).after_performing(),
        Fault::status(StatusCode::BAD_REQUEST),
        Fault::status(StatusCode::SERVICE_UNAVAILABLE),
        Fault::status(StatusCode::INTERNAL_SERVER_ERROR).after_performing(),
        Fault::edge_page(StatusCode::BAD_GATEWAY),
        Fault::edge_page(StatusCode::BAD_GATEWAY).after_performing(),
        Fault::edge_page(StatusCode::from_u16(522).unwrap_or_default()),
        Fault::reset_before_reply(),
        Fault::reply_lost(),
        Fault::reset_during_reply(),
        Fault::truncated_body(),
        Fault::slow_body(3, SHORT),
        Fault::slow_body(3, TOO_LONG),
        Fault::oversized_body(u64::MAX),
        Fault::oversized_body(1024),
        Fault::wrong_content_type(),
        Fault::unknown_fields(),
        Fault::unknown_values(),
    ];
    FaultScript::new()
        .rule(FaultRule::any_of(refused.chain(faults)).probability(0.2))
        .seed(seed)
}
