use http::StatusCode;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript};
use idpflare_management::*;
use serde_json::json;

use crate::admin::Admin;

fn seeded() -> FakeIdpflare {
    let fake = FakeIdpflare::new();
    fake.seed(20);
    fake
}

/// A user with something open: sessions and tokens that can be used.
async fn signed_in(client: &Client) -> UserId {
    let page = client.send(ListUsers::new()).await.expect("a page");
    for user in page.users {
        let (sessions, tokens) = open(client, &user.id).await;
        if !user.is_locked && sessions > 0 && tokens > 0 {
            return user.id;
        }
    }
    panic!("nobody is signed in");
}

/// How many sessions and tokens of a user can be used.
async fn open(client: &Client, user: &UserId) -> (usize, usize) {
    let sessions = client.send(ListUserSessions::new(user)).await;
    let sessions = sessions.expect("sessions").into_iter();
    let tokens = client.send(ListUserTokens::new(user)).await;
    let tokens = tokens.expect("tokens").into_iter();
    (
        sessions.filter(|session| session.is_active).count(),
        tokens.filter(|token| !token.is_revoked).count(),
    )
}

async fn is_locked(client: &Client, user: &UserId) -> bool {
    let user = client.send(GetUser::new(user)).await.expect("a user");
    user.is_locked
}

#[tokio::test]
async fn users_are_listed_a_page_at_a_time() {
    let fake = seeded();
    let admin = Admin::of(&fake).await;
    let page = admin.get("/users?limit=3&offset=2").await;
    assert_eq!(page.status, StatusCode::OK);
    let page = page.json();
    assert_eq!(page["users"].as_array().map(Vec::len), Some(3));
    assert_eq!((&page["total"], &page["offset"]), (&json!(20), &json!(2)));

    let email = page["users"][0]["email"].as_str().expect("an address");
    let found = admin.get(&format!("/users?search={email}")).await.json();
    assert_eq!(found["users"], json!([page["users"][0]]));
}

#[tokio::test]
async fn one_user_is_shown() {
    let fake = seeded();
    let client = fake.client();
    let admin = Admin::of(&fake).await;
    let id = signed_in(&client).await;
    let reply = admin.get(&format!("/users/{id}")).await;
    assert_eq!(reply.status, StatusCode::OK);
    let user: User = serde_json::from_str(&reply.text).expect("a user");
    assert_eq!(user, client.send(GetUser::new(id)).await.expect("a user"));
}

#[tokio::test]
async fn the_sessions_of_a_blocked_user_are_gone() {
    let fake = seeded();
    let client = fake.client();
    let admin = Admin::of(&fake).await;
    let id = signed_in(&client).await;
    let body = Some(r#"{"reason":"reported"}"#);
    let path = format!("/users/{id}/block");
    let reply = admin.request("POST", &path, body).await;
    assert_eq!((reply.status, &*reply.text), (StatusCode::NO_CONTENT, ""));
    assert!(is_locked(&client, &id).await);
    assert_eq!(open(&client, &id).await.0, 0);
    let log = client.send(GetUserAuditLogs::new(&id)).await.expect("log");
    let details = log.entries[0].details.as_ref().expect("details");
    assert_eq!(details["reason"], "reported");

    // The reason may be left out.
    assert_eq!(admin.post(&path).await.status, StatusCode::NO_CONTENT);
}

fn told(steps: &[(&str, &str)]) -> serde_json::Value {
    let steps = steps.iter();
    steps
        .map(|(step, outcome)| json!({"step": step, "outcome": outcome}))
        .collect()
}

#[tokio::test]
async fn nothing_of_an_offboarded_user_is_left_open() {
    let fake = seeded();
    let client = fake.client();
    let admin = Admin::of(&fake).await;
    let id = signed_in(&client).await;
    let path = format!("/users/{id}/offboard");
    let reply = admin.post(&path).await;
    assert_eq!(reply.status, StatusCode::OK);
    let steps = [
        ("look up", "done"),
        ("block", "done"),
        // Blocking has ended them.
        ("revoke sessions", "nothing to do"),
        ("revoke tokens", "done"),
    ];
    assert_eq!(
        reply.json(),
        json!({"user_id": id, "complete": true, "steps": told(&steps)})
    );
    assert!(is_locked(&client, &id).await);
    assert_eq!(open(&client, &id).await, (0, 0));

    let again = admin.post(&path).await;
    assert_eq!(again.status, StatusCode::OK);
    assert_eq!(again.json()["complete"], true);
}

#[tokio::test]
async fn an_offboarding_that_stopped_half_way_is_completed_by_another() {
    let fake = seeded();
    let client = fake.client();
    let admin = Admin::of(&fake).await;
    let id = signed_in(&client).await;
    let fails = FaultRule::new(Fault::status(StatusCode::INTERNAL_SERVER_ERROR));
    fake.set_faults(FaultScript::new().rule(fails.operation(RevokeAllUserTokens::OPERATION)));
    let path = format!("/users/{id}/offboard");
    let reply = admin.post(&path).await;
    assert_eq!(reply.status, StatusCode::BAD_GATEWAY);
    assert_eq!(reply.json()["operation"], "revokeAllUserTokens");
    let steps = [
        ("look up", "done"),
        ("block", "done"),
        // Blocking has ended them.
        ("revoke sessions", "nothing to do"),
        ("revoke tokens", "unknown"),
    ];
    assert_eq!(reply.json()["steps"], told(&steps));
    assert!(is_locked(&client, &id).await);
    assert_ne!(open(&client, &id).await.1, 0);

    assert_eq!(admin.post(&path).await.status, StatusCode::OK);
    assert_eq!(open(&client, &id).await, (0, 0));
}
