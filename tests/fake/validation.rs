//! What is refused, and how.

use http::StatusCode;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;
use serde_json::json;

use crate::{raw, refusal};

#[tokio::test]
async fn what_is_not_valid_is_refused_by_name() {
    let fake = FakeIdpflare::new();
    let client = fake.client();
    let user = client
        .send(CreateUser::new("ada@example.com"))
        .await
        .unwrap();
    let app = client
        .send(CreateClient::new("app", [""; 0]))
        .await
        .unwrap()
        .client;
    let password = "password: it must have at least 8 characters";
    let (users, one) = ("/users", format!("/users/{}", user.id));
    let (clients, one_client) = ("/clients", format!("/clients/{}", app.id));
    let set_password = format!("{one}/password");
    let block = format!("{one}/block");
    let cases: &[(&str, &str, &str, &str)] = &[
        ("POST", users, "", "body"),
        ("POST", users, "[]", "body"),
        ("POST", users, "{", "body"),
        ("POST", users, "{}", "email"),
        ("POST", users, r#"{"email":null}"#, "email"),
        ("POST", users, r#"{"email":7}"#, "email"),
        ("POST", users, r#"{"email":"x"}"#, "email"),
        ("POST", users, r#"{"email":"@example.com"}"#, "email"),
        ("POST", users, r#"{"email":"a@b"}"#, "email"),
        ("POST", users, r#"{"email":"a@b."}"#, "email"),
        ("POST", users, r#"{"email":"a@b@c.d"}"#, "email"),
        ("POST", users, r#"{"email":"a b@c.d"}"#, "email"),
        (
            "POST",
            users,
            r#"{"email":"a@c.d","password":"7 chars"}"#,
            password,
        ),
        (
            "POST",
            users,
            r#"{"email":"a@c.d","roles":"admin"}"#,
            "roles",
        ),
        ("POST", users, r#"{"email":"a@c.d","roles":[1]}"#, "roles"),
        (
            "POST",
            users,
            r#"{"email":"a@c.d","is_active":"yes"}"#,
            "is_active",
        ),
        (
            "POST",
            users,
            r#"{"email":"a@c.d","metadata":[]}"#,
            "metadata",
        ),
        ("PATCH", &one, r#"{"email":"x"}"#, "email"),
        ("PATCH", &one, r#"{"locale":null}"#, "locale"),
        ("PATCH", &one, r#"{"is_locked":null}"#, "is_locked"),
        ("PATCH", &one, r#"{"given_name":7}"#, "given_name"),
        ("PUT", &set_password, "{}", "password"),
        ("PUT", &set_password, r#"{"password":"short"}"#, password),
        ("POST", &block, r#"{"reason":7}"#, "reason"),
        ("POST", "/api-keys", "{}", "name"),
        ("POST", "/api-keys", r#"{"name":" "}"#, "name"),
        (
            "POST",
            "/api-keys",
            r#"{"name":"x","scopes":["users:all"]}"#,
            "scopes",
        ),
        ("POST", clients, r#"{"redirect_uris":[]}"#, "name"),
        ("POST", clients, r#"{"name":"x"}"#, "redirect_uris"),
        ("POST", clients, r#"{"name":"","redirect_uris":[]}"#, "name"),
        (
            "POST",
            clients,
            r#"{"name":"x","redirect_uris":["/callback"]}"#,
            "redirect_uris",
        ),
        (
            "POST",
            clients,
            r#"{"name":"x","redirect_uris":["https:///a"]}"#,
            "redirect_uris",
        ),
        (
            "POST",
            clients,
            r#"{"name":"x","redirect_uris":["https://a/#b"]}"#,
            "redirect_uris",
        ),
        (
            "PATCH",
            &one_client,
            r#"{"access_token_ttl":-1}"#,
            "access_token_ttl",
        ),
        (
            "PATCH",
            &one_client,
            r#"{"id_token_ttl":1.5}"#,
            "id_token_ttl",
        ),
        ("PATCH", &one_client, r#"{"name":null}"#, "name"),
        ("GET", "/users?limit=ten", "", "limit"),
        ("GET", "/users?offset=-1", "", "offset"),
        ("GET", "/users?is_active=1", "", "is_active"),
        ("GET", "/api-keys?active_only=", "", "active_only"),
        ("GET", "/audit-logs?status=maybe", "", "status"),
        ("GET", "/audit-logs?start_date=today", "", "start_date"),
    ];
    let before = client.send(QueryAuditLogs::new()).await.unwrap();
    for (method, path, body, argument) in cases {
        let (status, _, reply) = raw(&fake, method, &format!("/api/v1{path}"), *body).await;
        let expected = json!({"error": format!("Invalid {argument}"), "status": 400});
        assert_eq!(
            (status.as_u16(), reply),
            (400, expected),
            "{method} {path} {body}"
        );
    }
    assert_eq!(client.send(QueryAuditLogs::new()).await.unwrap(), before);
    assert_eq!(client.send(GetUser::new(&user.id)).await.unwrap(), user);

    for body in [
        r#"{"name":"x","redirect_uris":["com.example.app:/cb","http://localhost:3000/cb?a=b"]}"#,
        r#"{"name":"x","redirect_uris":[],"description":null,"new_member":null}"#,
    ] {
        let (status, _, reply) = raw(&fake, "POST", "/api/v1/clients", body).await;
        assert_eq!(status, StatusCode::CREATED, "{reply}");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let client = FakeIdpflare::new().client();
    let user = client
        .send(CreateUser::new("ada@example.com"))
        .await
        .unwrap()
        .id;
    let unknown = "usr|..%41✓";
    for (refused, what) in [
        (client.send(GetUser::new(unknown)).await.map(drop), "User"),
        (
            client.send(UpdateUser::new(unknown)).await.map(drop),
            "User",
        ),
        (client.send(DeleteUser::new(unknown)).await, "User"),
        (
            client
                .send(UpdateUserPassword::new(unknown, "12345678"))
                .await,
            "User",
        ),
        (client.send(BlockUser::new(unknown)).await, "User"),
        (client.send(UnblockUser::new(unknown)).await, "User"),
        (
            client.send(ListUserSessions::new(unknown)).await.map(drop),
            "User",
        ),
        (
            client.send(RevokeUserSession::new(unknown, "x")).await,
            "User",
        ),
        (
            client.send(RevokeUserSession::new(&user, "x")).await,
            "Session",
        ),
        (
            client
                .send(RevokeAllUserSessions::new(unknown))
                .await
                .map(drop),
            "User",
        ),
        (
            client
                .send(GetUserMfaEnrollments::new(unknown))
                .await
                .map(drop),
            "User",
        ),
        (client.send(ResetUserMfa::new(unknown)).await, "User"),
        (
            client
                .send(ListUserIdentities::new(unknown))
                .await
                .map(drop),
            "User",
        ),
        (
            client.send(UnlinkUserIdentity::new(&user, "x")).await,
            "Identity",
        ),
        (
            client.send(ListUserTokens::new(unknown)).await.map(drop),
            "User",
        ),
        (
            client
                .send(RevokeAllUserTokens::new(unknown))
                .await
                .map(drop),
            "User",
        ),
        (client.send(RevokeApiKey::new(unknown)).await, "API key"),
        (
            client.send(GetClient::new(unknown)).await.map(drop),
            "Client",
        ),
        (
            client.send(UpdateClient::new(unknown)).await.map(drop),
            "Client",
        ),
        (client.send(DeleteClient::new(unknown)).await, "Client"),
        (
            client
                .send(RotateClientSecret::new(unknown))
                .await
                .map(drop),
            "Client",
        ),
    ] {
        assert_eq!(refusal(refused), (404, format!("{what} not found")));
    }
    let log = client.send(GetUserAuditLogs::new(unknown)).await.unwrap();
    assert_eq!(
        (log.entries.len(), log.total),
        (0, 0),
        "the log outlives users"
    );
}
