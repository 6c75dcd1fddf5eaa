//! Requests that are kept.

use http::StatusCode;
use idpflare_management::testing::{CannedReply, CaptureService, FakeIdpflare};
use idpflare_management::*;
use serde_json::json;

#[tokio::test]
async fn what_passes_is_kept() {
    let fake = FakeIdpflare::new();
    let capture = CaptureService::new(fake.service());
    let client = Client::builder("https://idp.example.com")
        .api_key(fake.api_key())
        .build_with(capture.clone())
        .unwrap();
    let new = CreateUser::new("ada@example.com").password("correct horse");
    client.send(new).await.unwrap();
    client.send(ListUsers::new().limit(2)).await.unwrap();

    let requests = capture.requests();
    let lines: Vec<_> = requests.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "POST /api/v1/users (createUser)",
            "GET /api/v1/users?limit=2 (listUsers)",
        ]
    );
    let create = &requests[0];
    assert_eq!(create.operation(), Some(CreateUser::OPERATION));
    let password = json!({"email": "ada@example.com", "password": "correct horse"});
    assert_eq!(create.json(), Some(password));
    let authorization = &create.head.headers["authorization"];
    assert_eq!(
        authorization.as_bytes(),
        format!("Bearer {}", fake.api_key()).as_bytes()
    );
    let call = create.head.extensions.get::<Call>().expect("its call");
    assert_eq!(call.attempts(), 1);
    assert_eq!((requests[1].json(), requests[1].body.len()), (None, 0));

    let shown = format!("{capture:?} {requests:?}");
    assert!(
        shown.contains("createUser") && shown.contains("authorization"),
        "{shown}"
    );
    for secret in [fake.api_key().as_str(), "correct horse", "limit=2"] {
        assert!(!shown.contains(secret), "{shown}");
    }

    assert_eq!(capture.take().len(), 2);
    assert!(capture.requests().is_empty() && capture.take().is_empty());
}

#[tokio::test]
async fn it_stands_alone_with_a_reply() {
    let capture = CaptureService::new(CannedReply::from(StatusCode::NO_CONTENT));
    let client = Client::from_service("https://idp.example.com", capture.clone()).unwrap();
    for id in ["usr_1", "usr_2"] {
        client.send(DeleteUser::new(id)).await.unwrap();
    }
    let paths: Vec<_> = capture
        .take()
        .iter()
        .map(|request| request.head.uri.path().to_owned())
        .collect();
    assert_eq!(paths, ["/api/v1/users/usr_1", "/api/v1/users/usr_2"]);
}

#[tokio::test]
async fn a_reply_of_ones_own_is_given_as_it_is() {
    let reply = http::Response::builder()
        .status(502)
        .header("content-type", "text/html")
        .body("<html>secret</html>");
    let reply = CannedReply::from(reply.unwrap()).header("cf-ray", "8c1f-LHR");
    let shown = format!("{reply:?}");
    assert!(
        shown.contains("cf-ray") && !shown.contains("secret"),
        "{shown}"
    );
    let client = Client::from_service("https://idp.example.com", reply).unwrap();
    let error = client.send(GetUserStats::new()).await.unwrap_err();
    assert_eq!(error.raw_body(), b"<html>secret</html>");
    assert_eq!(error.request_id(), Some("8c1f-LHR"));
}

#[test]
#[should_panic(expected = "the value of the header x-tenant can't be sent")]
fn a_header_that_can_not_be_sent_is_a_mistake() {
    let _ = CannedReply::new(StatusCode::OK).header("x-tenant", "a\nb");
}
