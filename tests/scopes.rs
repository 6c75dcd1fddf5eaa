//! Each scope allows exactly the operations that name it.

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full};
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::{Error, OPERATIONS, Operation, Scope};
use serde_json::{Value, json};
use tower::ServiceExt;

/// Performs `operation` on things that do not exist, as somebody who only knows the protocol.
async fn perform(
    fake: &FakeIdpflare,
    operation: &Operation,
    authorization: Option<&str>,
) -> (StatusCode, Value) {
    let path: String = operation
        .path_template
        .split_inclusive('/')
        .map(|segment| match segment.strip_prefix('{') {
            Some(hole) if hole.ends_with('/') => "unknown/",
            Some(_) => "unknown",
            None => segment,
        })
        .collect();
    let mut request = Request::builder()
        .method(operation.method.clone())
        .uri(format!("https://idp.example.com/api/v1{path}"));
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let request = request.body(Full::<Bytes>::default()).unwrap();
    let reply = fake.service().oneshot(request).await.unwrap();
    assert!(reply.headers().contains_key("cf-ray"), "{}", operation.id);
    let status = reply.status();
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_key_of_one_scope_performs_what_names_the_scope_and_nothing_else() {
    let fake = FakeIdpflare::new();
    let mut allowed = 0;
    for scope in Scope::KNOWN {
        let bearer = format!("Bearer {}", fake.api_key_with_scopes([scope.clone()]));
        for operation in OPERATIONS {
            let (status, body) = perform(&fake, operation, Some(&bearer)).await;
            let context = format!("{} with {scope}", operation.id);
            if operation.scope == Some(scope.as_str()) {
                assert!(
                    ![StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status),
                    "{context}: {status}"
                );
                assert_ne!(body["error"], "Not found", "{context}: there is no route");
                assert_ne!(status, StatusCode::METHOD_NOT_ALLOWED, "{context}");
                allowed += 1;
            } else {
                assert_eq!(status, StatusCode::FORBIDDEN, "{context}");
                let refusal = json!({"error": "Insufficient scope", "status": 403});
                assert_eq!(body, refusal, "{context}");
            }
        }
    }
    assert_eq!(allowed, OPERATIONS.len());
}

#[tokio::test]
async fn the_key_of_all_scopes_performs_everything_and_one_without_scopes_nothing() {
    let fake = FakeIdpflare::new();
    let all = format!("Bearer {}", fake.api_key());
    let none = format!("Bearer {}", fake.api_key_with_scopes([]));
    for operation in OPERATIONS {
        let (status, _) = perform(&fake, operation, Some(&all)).await;
        assert_ne!(status, StatusCode::FORBIDDEN, "{}", operation.id);
        let (status, _) = perform(&fake, operation, Some(&none)).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{}", operation.id);
    }
}

#[tokio::test]
async fn without_a_valid_key_nothing_is_performed() {
    let fake = FakeIdpflare::new();
    let key = fake.api_key();
    let others = FakeIdpflare::new().api_key();
    let attempts = [
        None,
        Some(String::new()),
        Some("Bearer".into()),
        Some("Bearer ".into()),
        Some("Bearer idk_unknown".into()),
        Some(format!("Bearer {others}")),
        Some(format!("Bearer {key}0")),
        Some(format!("Bearer  {key}")),
        Some(format!("Basic {key}")),
        Some(key),
    ];
    for authorization in attempts {
        for operation in OPERATIONS {
            let (status, body) = perform(&fake, operation, authorization.as_deref()).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{}", operation.id);
            let refusal = json!({"error": "Invalid API key", "status": 401});
            assert_eq!(body, refusal, "{}", operation.id);
        }
    }
}

#[tokio::test]
async fn a_refusal_names_the_scope_that_is_needed() {
    use idpflare_management::{
        CreateApiKey, DeleteClient, DeleteUser, GetUserStats, QueryAuditLogs, RotateClientSecret,
    };

    let client = FakeIdpflare::new().client_with_scopes([Scope::UsersRead]);
    let needed = |refused: Result<(), Error>| {
        let error = refused.expect_err("refused");
        assert_eq!(error.status(), Some(StatusCode::FORBIDDEN));
        error.required_scope().expect("a scope")
    };
    assert_eq!(
        needed(client.send(DeleteUser::new("x")).await),
        "users:delete"
    );
    assert_eq!(
        needed(client.send(DeleteClient::new("x")).await),
        "clients:delete"
    );
    assert_eq!(
        needed(client.send(CreateApiKey::new("x")).await.map(drop)),
        "api-keys:write"
    );
    assert_eq!(
        needed(client.send(RotateClientSecret::new("x")).await.map(drop)),
        "clients:write"
    );
    assert_eq!(
        needed(client.send(QueryAuditLogs::new()).await.map(drop)),
        "audit:read"
    );
    assert_eq!(
        needed(client.send(GetUserStats::new()).await.map(drop)),
        "stats:read"
    );
}
