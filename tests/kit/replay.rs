//! A script of requests and replies, and how it tells what did not go by it.

use std::error::Error as _;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use idpflare_management::layers::{TransportError, find_source};
use idpflare_management::testing::{
    CannedReply, ExpectedRequest, Fixture, ReplayError, ReplayService,
};
use idpflare_management::*;
use serde_json::json;
use tower::{Service, ServiceExt};

const AUTHORITY: &str = "https://idp.example.com";

/// A client that does nothing but encode and decode.
fn plain(replay: &ReplayService) -> Client<ReplayService> {
    Client::from_service(AUTHORITY, replay.clone()).expect("a client")
}

/// A client with the standard stack.
fn standard(replay: &ReplayService) -> Client {
    let builder = Client::builder(AUTHORITY).api_key("idk_very_secret");
    builder.build_with(replay.clone()).expect("a client")
}

#[tokio::test]
async fn a_script_is_played_in_order() {
    let user = User::fixture();
    let replay = ReplayService::new()
        .exchange(GetUser::new("usr_1"), &user)
        .exchange(DeleteUser::OPERATION, &())
        .failure(
            DeleteUser::new("usr_2"),
            TransportError::lost("connection reset".into()),
        );
    let client = plain(&replay);
    assert_eq!(client.send(GetUser::new("usr_1")).await.unwrap(), user);
    assert_eq!(
        replay.finish().expect_err("two are left").to_string(),
        "expected, but never came: deleteUser, DELETE /api/v1/users/usr_2 (deleteUser)"
    );
    client.send(DeleteUser::new("usr_1")).await.unwrap();
    let error = client.send(DeleteUser::new("usr_2")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Transport);
    assert_eq!(error.delivery(), Delivery::Unknown);
    replay.assert_finished();
}

#[tokio::test]
async fn what_differs_is_told() {
    let create = || CreateUser::new("a@example.com").password("hunter2hunter2");
    let first = || ListUsers::new().limit(10).offset(0);
    let cases: [(ExpectedRequest, &str); 9] = [
        (
            GetUser::new("usr_1").into(),
            "POST /api/v1/users (createUser) came, where GET /api/v1/users/usr_1 (getUser) was \
             expected: it is another operation",
        ),
        (
            ExpectedRequest::new().method(Method::GET),
            "POST /api/v1/users (createUser) came, where GET was expected: the method differs",
        ),
        (
            ExpectedRequest::new().path("/api/v1/clients"),
            "POST /api/v1/users (createUser) came, where /api/v1/clients was expected: the path \
             differs",
        ),
        (
            ExpectedRequest::new().query("a=b"),
            "POST /api/v1/users (createUser) came, where ?a=b was expected: the query differs",
        ),
        (
            CreateUser::new("a@example.com")
                .password("another password")
                .into(),
            "POST /api/v1/users (createUser) came, where POST /api/v1/users (createUser) with a \
             body was expected: the body differs at /password",
        ),
        (
            create().locale("fr").into(),
            "POST /api/v1/users (createUser) came, where POST /api/v1/users (createUser) with a \
             body was expected: the body differs at /locale",
        ),
        (
            ExpectedRequest::new().header("authorization", "Bearer idk_other_secret"),
            "POST /api/v1/users (createUser) came, where a request with authorization was \
             expected: the header authorization differs",
        ),
        (
            GetUser::new("..").into(),
            "POST /api/v1/users (createUser) came, where getUser (which can't be sent: user_id is a \
             dot segment: \"..\" could reach another operation; pass an id as the server returned \
             it) was expected: it is another operation",
        ),
        (
            first().into(),
            "POST /api/v1/users (createUser) came, where GET \
             /api/v1/users?limit=10&offset=0 (listUsers) was expected: it is another operation",
        ),
    ];
    for (expected, text) in cases {
        let replay = ReplayService::new().exchange(expected, StatusCode::OK);
        let error = standard(&replay).send(create()).await.unwrap_err();
        let found = find_source::<ReplayError>(&error).expect("typed");
        assert_eq!(found.to_string(), text);
        assert_eq!(replay.finish().as_ref(), Err(found));
        let shown = format!("{error} {error:?} {found:?} {replay:?}");
        for secret in ["secret", "hunter2", "another password"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

#[tokio::test]
async fn what_was_not_expected_is_not_tried_again() {
    let replay = ReplayService::new();
    let error = standard(&replay)
        .send(GetUserStats::new())
        .await
        .unwrap_err();
    assert_eq!((error.attempts(), error.is_retryable()), (1, false));
    assert_eq!(error.delivery(), Delivery::NotSent);
    assert_eq!(
        error.source().expect("a source").to_string(),
        "GET /api/v1/stats/users (getUserStats) came, where nothing more was expected"
    );
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_a_request() {
    let replay = ReplayService::new()
        .exchange(GetUserStats::new(), StatusCode::BAD_GATEWAY)
        .exchange(
            ExpectedRequest::from(GetUserStats::new())
                .header("authorization", "Bearer idk_very_secret"),
            &UserStats::fixture(),
        );
    standard(&replay).send(GetUserStats::new()).await.unwrap();
    replay.assert_finished();
}

#[tokio::test]
async fn the_order_of_parameters_and_members_does_not_matter() {
    let replay = ReplayService::new()
        .exchange(
            ExpectedRequest::new().query("offset=5&limit=10"),
            &UserPage::fixture(),
        )
        .exchange(
            ExpectedRequest::new().json(json!({"given_name": "Ada", "email": "a@example.com"})),
            &User::fixture(),
        );
    let client = plain(&replay);
    client
        .send(ListUsers::new().limit(10).offset(5))
        .await
        .unwrap();
    let ada = CreateUser::new("a@example.com").given_name("Ada");
    client.send(ada).await.unwrap();
    replay.assert_finished();
}

#[tokio::test]
async fn the_path_of_the_authority_is_not_looked_at() {
    let replay = ReplayService::new().exchange(GetUser::new("usr_1"), &User::fixture());
    let client = Client::from_service("https://example.com/idp", replay.clone()).unwrap();
    client.send(GetUser::new("usr_1")).await.unwrap();
    replay.assert_finished();
}

#[tokio::test]
async fn requests_may_come_in_any_order() {
    let replay = ReplayService::new()
        .in_any_order()
        .exchange(DeleteUser::new("usr_1"), &())
        .exchange(DeleteUser::new("usr_2"), &())
        .exchange(
            DeleteUser::OPERATION,
            CannedReply::error(StatusCode::NOT_FOUND, "User not found"),
        );
    let client = plain(&replay);
    client.send(DeleteUser::new("usr_2")).await.unwrap();
    let error = client.send(DeleteUser::new("usr_3")).await.unwrap_err();
    assert_eq!(error.message(), "User not found");
    let error = client.send(DeleteUser::new("usr_2")).await.unwrap_err();
    assert_eq!(
        error.source().expect("a source").to_string(),
        "DELETE /api/v1/users/usr_2 (deleteUser) came, where \
         DELETE /api/v1/users/usr_1 (deleteUser) was expected"
    );
    client.send(DeleteUser::new("usr_1")).await.unwrap();
    // What went wrong stays so, also where all that was expected has come in the end.
    assert!(matches!(
        replay.finish(),
        Err(ReplayError::Unexpected {
            difference: None,
            ..
        })
    ));
}

#[tokio::test]
async fn readiness_is_that_of_the_clone_that_is_called() {
    let request = || Request::get(AUTHORITY).body(Full::<Bytes>::default());
    let mut replay = ReplayService::new().exchange(ExpectedRequest::new(), StatusCode::OK);
    replay.ready().await.unwrap();
    let mut clone = replay.clone();
    let error = clone.call(request().unwrap()).await.unwrap_err();
    let error = find_source::<ReplayError>(&*error).expect("typed");
    assert!(matches!(error, ReplayError::NotReady { .. }), "{error}");
    assert!(replay.call(request().unwrap()).await.is_ok());
    assert!(
        replay.call(request().unwrap()).await.is_err(),
        "once is not for ever"
    );
    assert_eq!(replay.finish().as_ref(), Err(error));
}

#[test]
#[should_panic(expected = "expected, but never came: GET /api/v1/stats/users (getUserStats)")]
fn what_never_came_makes_a_test_fail() {
    let replay = ReplayService::new().exchange(GetUserStats::new(), &UserStats::fixture());
    replay.assert_finished();
}
