//! Errors without a client.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use http::StatusCode;
use idpflare_management::layers::{
    CredentialError, RateLimited, Timeout, TimeoutScope, TransportError,
};
use idpflare_management::testing::{CannedReply, ErrorFixture};
use idpflare_management::*;

const SECOND: Duration = Duration::from_secs(1);

fn timeout(scope: TimeoutScope) -> Timeout {
    Timeout::new(scope, SECOND, SECOND)
}

#[test]
fn there_is_one_of_each_kind() {
    type Row = (ErrorFixture, ErrorKind, Option<u16>, u32, Delivery, bool);
    let reply = |status| ErrorFixture::reply::<BlockUser>(status);
    let failure = |error: layers::BoxError| ErrorFixture::failure::<BlockUser>(error);
    let html = CannedReply::new(StatusCode::OK).body("<html>");
    let late = timeout(TimeoutScope::Attempt);
    let table: [Row; 17] = [
        (
            ErrorFixture::timed_out::<GetUser>(StatusCode::OK, late),
            ErrorKind::Timeout,
            Some(200),
            1,
            Delivery::Answered,
            true,
        ),
        (
            ErrorFixture::no_progress::<ListUsers>(),
            ErrorKind::NoProgress,
            None,
            1,
            Delivery::Answered,
            false,
        ),
        (
            reply(StatusCode::NOT_FOUND),
            ErrorKind::Api,
            Some(404),
            1,
            Delivery::Answered,
            false,
        ),
        (
            reply(StatusCode::BAD_GATEWAY),
            ErrorKind::Api,
            Some(502),
            1,
            Delivery::Unknown,
            true,
        ),
        (
            reply(StatusCode::FOUND),
            ErrorKind::Redirect,
            Some(302),
            1,
            Delivery::Answered,
            false,
        ),
        (
            ErrorFixture::reply::<GetUser>(html),
            ErrorKind::Decode,
            Some(200),
            1,
            Delivery::Answered,
            false,
        ),
        (
            ErrorFixture::truncated::<GetUser>(StatusCode::OK),
            ErrorKind::Truncated,
            Some(200),
            1,
            Delivery::Answered,
            true,
        ),
        (
            ErrorFixture::too_large::<GetUser>(StatusCode::OK, 1024),
            ErrorKind::TooLarge,
            Some(200),
            1,
            Delivery::Answered,
            false,
        ),
        (
            failure(TransportError::connect("refused".into()).into()),
            ErrorKind::Connect,
            None,
            1,
            Delivery::NotSent,
            true,
        ),
        (
            failure(TransportError::lost("reset".into()).into()),
            ErrorKind::Transport,
            None,
            1,
            Delivery::Unknown,
            true,
        ),
        (
            ErrorFixture::failure::<CreateUser>(TransportError::lost("reset".into())),
            ErrorKind::Transport,
            None,
            1,
            Delivery::Unknown,
            false,
        ),
        (
            failure(timeout(TimeoutScope::Attempt).into()),
            ErrorKind::Timeout,
            None,
            1,
            Delivery::Unknown,
            true,
        ),
        (
            failure(timeout(TimeoutScope::Connect).into()),
            ErrorKind::Timeout,
            None,
            1,
            Delivery::NotSent,
            true,
        ),
        (
            failure(RateLimited::by_max_wait(SECOND, Duration::ZERO).into()),
            ErrorKind::RateLimited,
            None,
            0,
            Delivery::NotSent,
            true,
        ),
        (
            failure(CredentialError::failed("sealed".into()).into()),
            ErrorKind::Credential,
            None,
            0,
            Delivery::NotSent,
            true,
        ),
        (
            failure("circuit open".into()),
            ErrorKind::Service,
            None,
            1,
            Delivery::Unknown,
            false,
        ),
        (
            failure(timeout(TimeoutScope::Call).into()).after_reply(StatusCode::BAD_GATEWAY),
            ErrorKind::Timeout,
            Some(502),
            2,
            Delivery::Unknown,
            true,
        ),
    ];
    for (fixture, kind, status, attempts, delivery, is_retryable) in table {
        let error = fixture.build();
        let found = error.status().map(|status| status.as_u16());
        assert_eq!(
            (
                error.kind(),
                found,
                error.attempts(),
                error.delivery(),
                error.is_retryable()
            ),
            (kind, status, attempts, delivery, is_retryable),
            "{error:?}"
        );
    }
}

#[test]
fn it_tells_all_that_the_reply_says() {
    let refusal = CannedReply::error(StatusCode::FORBIDDEN, "Insufficient scope")
        .header("cf-ray", "8c1f0a2b3c4d5e6f-LHR")
        .header("retry-after", 7);
    let error = ErrorFixture::reply::<DeleteUser>(refusal).build();
    assert_eq!(
        error.to_string(),
        "deleteUser failed: 403 Forbidden: Insufficient scope (needs users:delete; request \
         8c1f0a2b3c4d5e6f-LHR)"
    );
    assert_eq!(error.operation(), Some(DeleteUser::OPERATION));
    assert_eq!(error.retry_after(), Some(7 * SECOND));
    assert!(error.raw_body().starts_with(b"{"));
}

#[test]
fn what_can_not_be_decoded_is_located() {
    let body = serde_json::json!({"users": [{"id": 7}], "total": 1, "limit": 50, "offset": 0});
    let reply = CannedReply::new(StatusCode::OK).json(&body);
    let error = ErrorFixture::reply::<ListUsers>(reply).build();
    let place = error.decode_error().expect("a place");
    assert_eq!((place.path(), place.row()), (Some("users[0].id"), Some(0)));
}

#[test]
fn what_broke_off_has_its_source() {
    let error = ErrorFixture::truncated::<GetUserStats>(StatusCode::OK).build();
    let source = error.source().and_then(|source| source.downcast_ref());
    assert_eq!(
        source.map(io::Error::kind),
        Some(io::ErrorKind::UnexpectedEof)
    );
    let error = ErrorFixture::too_large::<GetUserStats>(StatusCode::OK, 1024).build();
    assert_eq!(
        error.message(),
        "the reply is larger than the limit of 1024 bytes"
    );
}

#[test]
fn earlier_attempts_count() {
    let refused = || TransportError::connect("connection refused".into());
    let error = ErrorFixture::failure::<BlockUser>(RateLimited::by_max_wait(SECOND, SECOND))
        .after_reply(StatusCode::TOO_MANY_REQUESTS)
        .after_failure(refused())
        .build();
    assert_eq!(
        (error.attempts(), error.delivery()),
        (2, Delivery::Answered)
    );
    assert!(
        error.to_string().contains("an earlier attempt: "),
        "{error}"
    );
    let error = ErrorFixture::failure::<BlockUser>(refused())
        .after_failure(CredentialError::failed("sealed".into()))
        .build();
    assert_eq!((error.attempts(), error.delivery()), (1, Delivery::NotSent));
}

#[test]
#[should_panic(expected = "deleteUser succeeds with this reply")]
fn a_success_is_no_error() {
    let _ = ErrorFixture::reply::<DeleteUser>(StatusCode::NO_CONTENT);
}
