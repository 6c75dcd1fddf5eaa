//! Each kind of fault, and whether a call can succeed in spite of it.

use std::time::Duration;

use http::{Response, StatusCode};
use idpflare_management::testing::{Fault, RetryAfter};

use crate::secrets::API_KEY;

/// Longer than anybody waits.
const NEVER: Duration = Duration::from_secs(3600);

pub(crate) struct Case {
    pub(crate) fault: Fault,
    pub(crate) fails: bool,
    /// Whether the client gives up early.
    pub(crate) impatient: bool,
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |fault, fails, impatient| Case {
        fault,
        fails,
        impatient,
    };
    let fails = |fault| case(fault, true, false);
    let hangs = |fault| case(fault, true, true);
    let may_pass = |fault| case(fault, false, false);
    let status = |code| StatusCode::from_u16(code).expect("a status");
    let short = Duration::from_millis(1);
    let mut cases: Vec<_> = [400, 401, 403, 404, 409, 500]
        .map(|code| fails(Fault::status(status(code))))
        .into();
    // Of where it leads to, only the server may be told.
    let form: String = form_urlencoded::byte_serialize(API_KEY.as_bytes()).collect();
    let redirect = Response::builder()
        .status(302)
        .header("location", format!("https://evil.example/?key={form}"));
    let html = Response::builder()
        .header("content-type", "text/html")
        .body("<html></html>");
    cases.extend([
        fails(Fault::status(status(503)).after_performing()),
        fails(Fault::reply(redirect.body("").expect("a reply"))),
        fails(Fault::edge_page(status(502))),
        fails(Fault::edge_page(status(522))),
        fails(Fault::too_many_requests(RetryAfter::Absent)),
        fails(Fault::too_many_requests(RetryAfter::Seconds(3600))),
        fails(Fault::too_many_requests(RetryAfter::HttpDate(3600))),
        fails(Fault::too_many_requests(RetryAfter::RateLimit(3600))),
        fails(Fault::reset_before_reply()),
        fails(Fault::reply_lost()),
        fails(Fault::reset_during_reply()),
        fails(Fault::truncated_body()),
        fails(Fault::oversized_body(100_000)),
        hangs(Fault::delay(NEVER)),
        hangs(Fault::delay(NEVER).after_performing()),
        hangs(Fault::slow_body(4, NEVER)),
        may_pass(Fault::reply(html.expect("a reply"))),
        may_pass(Fault::delay(short)),
        may_pass(Fault::slow_body(3, short)),
        may_pass(Fault::oversized_body(20_000)),
        may_pass(Fault::wrong_content_type()),
        may_pass(Fault::unknown_fields()),
        may_pass(Fault::unknown_values()),
    ]);
    cases
}
