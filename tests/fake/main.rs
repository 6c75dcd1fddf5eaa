//! The fake performs the protocol.

mod access;
mod audit_logs;
mod keys_and_clients;
mod over_http;
mod quota;
mod seed;
mod users;
mod validation;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;
use serde_json::Value;
use tower::ServiceExt;

/// Sends a request as it is, with the key that has all scopes.
async fn raw(
    fake: &FakeIdpflare,
    method: &str,
    path: &str,
    body: impl Into<Bytes>,
) -> (StatusCode, HeaderMap, Value) {
    let request = Request::builder()
        .method(method)
        .uri(format!("https://idp.example.com{path}"))
        .header(AUTHORIZATION, format!("Bearer {}", fake.api_key()))
        .body(Full::new(body.into()))
        .unwrap();
    let (head, body) = fake.service().oneshot(request).await.unwrap().into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
    (head.status, head.headers, json)
}

/// What the answer to a failed call was.
fn refusal<T: std::fmt::Debug>(outcome: Result<T, Error>) -> (u16, String) {
    let error = outcome.expect_err("a refusal");
    let status = error.status().expect("an answer").as_u16();
    (status, error.message().to_owned())
}

async fn create_users(client: &Client, n: usize) -> Vec<User> {
    let mut users = Vec::new();
    for index in 0..n {
        let new = CreateUser::new(format!("user{index}@example.com"));
        users.push(client.send(new).await.unwrap());
    }
    users
}

/// A user that has something of everything.
async fn rich_user(fake: &FakeIdpflare) -> User {
    fake.seed(60);
    let client = fake.client();
    let page = client.send(ListUsers::new().limit(100)).await.unwrap();
    for user in page.users {
        let sessions = client.send(ListUserSessions::new(&user.id)).await.unwrap();
        let identities = client
            .send(ListUserIdentities::new(&user.id))
            .await
            .unwrap();
        let usable = sessions.iter().filter(|session| session.is_active).count();
        if usable > 1 && !identities.is_empty() {
            return user;
        }
    }
    panic!("no user has sessions and identities");
}
