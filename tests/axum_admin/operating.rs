use http::StatusCode;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript};
use idpflare_management::{CreateUser, GetUserStats, Scope};

use crate::admin::{Admin, settings};

#[tokio::test]
async fn metrics_are_told_apart_by_the_ids_of_operations() {
    let fake = FakeIdpflare::new();
    let user = fake.client().send(CreateUser::new("ada@example.com")).await;
    let id = user.expect("a user").id;
    let admin = Admin::of(&fake).await;
    admin.get("/users").await;
    admin.get(&format!("/users/{id}")).await;
    admin.post(&format!("/users/{id}/offboard")).await;

    let page = admin.get("/metrics").await;
    assert_eq!(page.status, StatusCode::OK);
    let format = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(page.header("content-type"), Some(format));
    for operation in ["listUsers", "getUser", "blockUser", "revokeAllUserTokens"] {
        for metric in [
            "client_call_duration_seconds_count",
            "client_call_attempts_bucket",
            "http_client_request_duration_seconds_bucket",
        ] {
            let series = format!("{metric}{{operation=\"{operation}\",");
            assert!(page.text.contains(&series), "{series} of\n{}", page.text);
        }
    }
    // The boundaries are those of the conventions.
    assert!(page.text.contains("le=\"7.5\"}"), "{}", page.text);
    // The layer of its own counts what changes something, and only that.
    let changes = "admin_changes_total{operation=\"blockUser\",outcome=\"done\"} ";
    assert!(page.text.contains(changes), "{}", page.text);
    assert!(
        !page
            .text
            .contains("admin_changes_total{operation=\"getUser\"")
    );
    assert!(!page.text.contains(id.as_str()), "a label for each user");
}

#[tokio::test]
async fn it_is_ready_when_the_identity_provider_can_be_asked() {
    let fake = FakeIdpflare::new();
    let admin = Admin::of(&fake).await;
    assert_eq!(admin.get("/readyz").await.status, StatusCode::OK);

    let down = FaultRule::new(Fault::status(StatusCode::INTERNAL_SERVER_ERROR)).times(u64::MAX);
    fake.set_faults(FaultScript::new().rule(down));
    let reply = admin.get("/readyz").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(
        reply.json()["type"],
        "https://example.com/problems/not-ready"
    );
    // Another process would not do better.
    assert_eq!(admin.get("/healthz").await.status, StatusCode::OK);

    fake.clear_faults();
    assert_eq!(admin.get("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn it_is_not_ready_with_a_key_that_may_not_ask() {
    let fake = FakeIdpflare::new();
    let client = settings(&fake)
        .api_key(fake.api_key_with_scopes([Scope::UsersRead]))
        .build_with(fake.service())
        .expect("a client");
    assert!(client.send(GetUserStats::new()).await.is_err());
    let admin = Admin::with(client, std::time::Duration::from_secs(30)).await;
    let reply = admin.get("/readyz").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(!reply.text.contains("stats:read"), "{}", reply.text);
}

#[tokio::test]
async fn it_does_not_wait_long_to_say_that_it_is_not_ready() {
    let fake = FakeIdpflare::new();
    let hangs = Fault::delay(std::time::Duration::from_secs(600));
    fake.set_faults(FaultScript::new().rule(FaultRule::new(hangs)));
    let admin = Admin::of(&fake).await;
    let reply = admin.get("/readyz").await;
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.json()["detail"], "It does not answer.");
}
