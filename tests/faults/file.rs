//! Scripts as JSON.

use std::time::Duration;

use http::{Response, StatusCode};
use idpflare_management::testing::{Fault, FaultRule, FaultScript, RetryAfter};
use idpflare_management::{ApiRequest, CreateUser};

/// A script whose one rule has this fault.
fn with_fault(fault: &str) -> String {
    format!(r#"{{"rules": [{{"fault": {fault}}}]}}"#)
}

#[test]
fn each_kind_can_be_written() {
    let json_reply = Response::builder()
        .status(409)
        .header("content-type", "application/json")
        .body(r#"{"error":"taken"}"#)
        .expect("a reply");
    let text_reply = Response::builder()
        .status(503)
        .header("retry-after", "1")
        .body("busy")
        .expect("a reply");
    for (text, fault) in [
        (
            r#"{"kind": "delay", "delay_ms": 5}"#,
            Fault::delay(Duration::from_millis(5)),
        ),
        (
            r#"{"kind": "status", "status": 504, "after_performing": true, "delay_ms": 5}"#,
            Fault::status(StatusCode::GATEWAY_TIMEOUT)
                .after_performing()
                .delayed(Duration::from_millis(5)),
        ),
        (
            r#"{"kind": "status", "status": 409, "body": {"error": "taken"}}"#,
            Fault::reply(json_reply),
        ),
        (
            r#"{"kind": "status", "status": 503, "headers": {"Retry-After": "1"}, "body": "busy"}"#,
            Fault::reply(text_reply),
        ),
        (
            r#"{"kind": "edge_page"}"#,
            Fault::edge_page(StatusCode::BAD_GATEWAY),
        ),
        (
            r#"{"kind": "edge_page", "status": 500}"#,
            Fault::edge_page(StatusCode::INTERNAL_SERVER_ERROR),
        ),
        (
            r#"{"kind": "too_many_requests"}"#,
            Fault::too_many_requests(RetryAfter::Absent),
        ),
        (
            r#"{"kind": "too_many_requests", "retry_after": 3}"#,
            Fault::too_many_requests(RetryAfter::Seconds(3)),
        ),
        (
            r#"{"kind": "too_many_requests", "retry_after": 3, "form": "http_date"}"#,
            Fault::too_many_requests(RetryAfter::HttpDate(3)),
        ),
        (
            r#"{"kind": "too_many_requests", "retry_after": 3, "form": "rate_limit"}"#,
            Fault::too_many_requests(RetryAfter::RateLimit(3)),
        ),
        (
            r#"{"kind": "reset_before_reply"}"#,
            Fault::reset_before_reply(),
        ),
        (r#"{"kind": "reply_lost"}"#, Fault::reply_lost()),
        (
            r#"{"kind": "reset_during_reply"}"#,
            Fault::reset_during_reply(),
        ),
        (r#"{"kind": "truncated_body"}"#, Fault::truncated_body()),
        (
            r#"{"kind": "slow_body", "pieces": 4, "interval_ms": 5}"#,
            Fault::slow_body(4, Duration::from_millis(5)),
        ),
        (
            r#"{"kind": "oversized_body"}"#,
            Fault::oversized_body(u64::MAX),
        ),
        (
            r#"{"kind": "oversized_body", "bytes": 9}"#,
            Fault::oversized_body(9),
        ),
        (
            r#"{"kind": "wrong_content_type"}"#,
            Fault::wrong_content_type(),
        ),
        (r#"{"kind": "unknown_fields"}"#, Fault::unknown_fields()),
        (r#"{"kind": "unknown_values"}"#, Fault::unknown_values()),
    ] {
        let script = FaultScript::from_json(&with_fault(text));
        let script = script.unwrap_or_else(|error| panic!("{text}: {error}"));
        // A kind is called the same everywhere.
        assert!(text.contains(&format!(r#""{}""#, fault.kind())), "{text}");
        assert_eq!(script, FaultScript::new().rule(FaultRule::new(fault)));
    }
}

#[test]
fn rules_are_as_they_are_built() {
    let script = FaultScript::from_json(
        r#"{"seed": 7, "rules": [
            {"operation": "createUser", "after": 1, "times": 2, "fault": {"kind": "reply_lost"}},
            {"probability": 0.2, "any_of": [{"kind": "truncated_body"}, {"kind": "edge_page"}]}
        ]}"#,
    );
    let faults = [
        Fault::truncated_body(),
        Fault::edge_page(StatusCode::BAD_GATEWAY),
    ];
    let built = FaultScript::new()
        .seed(7)
        .rule(
            FaultRule::new(Fault::reply_lost())
                .operation(CreateUser::OPERATION)
                .after(1)
                .times(2),
        )
        .rule(FaultRule::any_of(faults).probability(0.2));
    assert_eq!(script, Ok(built));
    assert_eq!(
        FaultScript::from_json(r#"{"rules": []}"#),
        Ok(FaultScript::new())
    );
}

#[test]
fn what_is_wrong_is_named() {
    for (text, expected) in [
        ("", "EOF while parsing a value"),
        ("{}", "missing field `rules`"),
        (r#"{"rules": []} x"#, "trailing characters"),
        (
            r#"{"rules": [], "sede": 1}"#,
            "sede: unknown field `sede`, expected `seed` or `rules`",
        ),
        (
            r#"{"rules": [], "seed": -1}"#,
            "seed: invalid value: integer `-1`",
        ),
        (
            r#"{"rules": [{"fault": {"kind": "reply_lost"}, "time": 2}]}"#,
            "rules[0].time: unknown field `time`, expected one of `operation`, `after`, `times`",
        ),
        (
            r#"{"rules": [{"times": 2}]}"#,
            "rules[0]: it needs either `fault` or `any_of`",
        ),
        (
            r#"{"rules": [{"fault": {"kind": "reply_lost"}, "any_of": []}]}"#,
            "rules[0]: it needs either `fault` or `any_of`",
        ),
        (
            r#"{"rules": [{"any_of": []}]}"#,
            "rules[0].any_of: it is empty",
        ),
        (
            r#"{"rules": [{"fault": {"kind": "reply_lost"}}, {"operation": "createUsers", "fault": {"kind": "reply_lost"}}]}"#,
            r#"rules[1].operation: there is no operation "createUsers""#,
        ),
        (
            r#"{"rules": [{"probability": 20, "fault": {"kind": "reply_lost"}}]}"#,
            "rules[0].probability: 20 is not between 0 and 1",
        ),
        (
            r#"{"rules": [{"any_of": [{"kind": "reply_lost"}, {"kind": "slow_body", "pieces": 3}]}]}"#,
            "rules[0].any_of[1]: the kind `slow_body` needs `interval_ms`",
        ),
    ] {
        assert_wrong(text, expected);
    }
    for (fault, expected) in [
        ("{}", "rules[0].fault: missing field `kind`"),
        (
            r#"{"kind": "reset"}"#,
            "rules[0].fault.kind: unknown variant `reset`, expected one of `delay`, `status`",
        ),
        (
            r#"{"kind": "status", "statuss": 503}"#,
            "rules[0].fault.statuss: unknown field `statuss`",
        ),
        (
            r#"{"kind": "reply_lost", "status": 503}"#,
            "rules[0].fault: the kind `reply_lost` has no `status`",
        ),
        (
            r#"{"kind": "status"}"#,
            "rules[0].fault: the kind `status` needs `status`",
        ),
        (
            r#"{"kind": "status", "status": 101}"#,
            "rules[0].fault: 101 is no status of a reply: those are from 200 to 999",
        ),
        (
            r#"{"kind": "edge_page", "status": 1000}"#,
            "rules[0].fault: 1000 is no status of a reply: those are from 200 to 999",
        ),
        (
            r#"{"kind": "status", "status": 503, "headers": {"a b": "c"}}"#,
            r#"rules[0].fault: "a b" with the value "c" is no header"#,
        ),
        (
            r#"{"kind": "delay"}"#,
            "rules[0].fault: the kind `delay` needs `delay_ms`",
        ),
        (
            r#"{"kind": "delay", "delay_ms": "5"}"#,
            "rules[0].fault.delay_ms: invalid type: string \"5\"",
        ),
        (
            r#"{"kind": "too_many_requests", "form": "seconds"}"#,
            "rules[0].fault: `form` is that of `retry_after`",
        ),
    ] {
        assert_wrong(&with_fault(fault), expected);
    }
}

fn assert_wrong(text: &str, expected: &str) {
    let error = FaultScript::from_json(text).expect_err(text).to_string();
    assert!(error.starts_with(expected), "{text}: {error}");
    assert!(!error.contains('\n'), "{error}");
}
