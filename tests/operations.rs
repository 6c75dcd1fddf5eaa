//! The 30 operations, one by one: what is known of each, and each against the fake, in process and
//! over a socket.

mod support;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;
use serde::de::DeserializeOwned;
use serde_json::json;
use support::drive::drive_all;
use support::{arguments, recorded, with_operation};
use tower::ServiceBuilder;

type Row = (
    &'static str,
    Method,
    &'static str,
    &'static str,
    Safety,
    bool,
);

/// The protocol's own table: operation, method, path, scope, safety, and whether a secret returns.
fn protocol() -> [Row; 30] {
    use Safety::{Idempotent, Once, ReadOnly};
    let (get, post, put) = (Method::GET, Method::POST, Method::PUT);
    let (patch, delete) = (Method::PATCH, Method::DELETE);
    let row = |id, method: &Method, path, scope, safety, secret| {
        (id, method.clone(), path, scope, safety, secret)
    };
    [
        row("listUsers", &get, "/users", "users:read", ReadOnly, false),
        row(
            "getUser",
            &get,
            "/users/{user_id}",
            "users:read",
            ReadOnly,
            false,
        ),
        row("createUser", &post, "/users", "users:write", Once, false),
        row(
            "updateUser",
            &patch,
            "/users/{user_id}",
            "users:write",
            Idempotent,
            false,
        ),
        row(
            "deleteUser",
            &delete,
            "/users/{user_id}",
            "users:delete",
            Idempotent,
            false,
        ),
        row(
            "updateUserPassword",
            &put,
            "/users/{user_id}/password",
            "users:write",
            Idempotent,
            false,
        ),
        row(
            "blockUser",
            &post,
            "/users/{user_id}/block",
            "users:write",
            Idempotent,
            false,
        ),
        row(
            "unblockUser",
            &post,
            "/users/{user_id}/unblock",
            "users:write",
            Idempotent,
            false,
        ),
        row(
            "listUserSessions",
            &get,
            "/users/{user_id}/sessions",
            "users:read",
            ReadOnly,
            false,
        ),
        row(
            "revokeUserSession",
            &delete,
            "/users/{user_id}/sessions/{session_id}",
            "users:write",
            Idempotent,
            false,
        ),
        row(
            "revokeAllUserSessions",
            &delete,
            "/users/{user_id}/sessions",
            "users:write",
            Idempotent,
            false,
        ),
        row(
            "getUserMfaEnrollments",
            &get,
            "/users/{user_id}/mfa",
            "users:read",
            ReadOnly,
            false,
        ),
        row(
            "resetUserMfa",
            &delete,
            "/users/{user_id}/mfa",
            "users:write",
            Idempotent,
            false,
        ),
        row(
            "listUserIdentities",
            &get,
            "/users/{user_id}/identities",
            "users:read",
            ReadOnly,
            false,
        ),
        row(
            "unlinkUserIdentity",
            &delete,
            "/users/{user_id}/identities/{identity_id}",
            "users:write",
            Idempotent,
            false,
        ),
        row(
            "listUserTokens",
            &get,
            "/users/{user_id}/tokens",
            "users:read",
            ReadOnly,
            false,
        ),
        row(
            "revokeAllUserTokens",
            &delete,
            "/users/{user_id}/tokens",
            "users:write",
            Idempotent,
            false,
        ),
        row(
            "listApiKeys",
            &get,
            "/api-keys",
            "api-keys:read",
            ReadOnly,
            false,
        ),
        row(
            "createApiKey",
            &post,
            "/api-keys",
            "api-keys:write",
            Once,
            true,
        ),
        row(
            "revokeApiKey",
            &delete,
            "/api-keys/{key_id}",
            "api-keys:delete",
            Idempotent,
            false,
        ),
        row(
            "listClients",
            &get,
            "/clients",
            "clients:read",
            ReadOnly,
            false,
        ),
        row(
            "getClient",
            &get,
            "/clients/{client_id}",
            "clients:read",
            ReadOnly,
            false,
        ),
        row(
            "createClient",
            &post,
            "/clients",
            "clients:write",
            Once,
            true,
        ),
        row(
            "updateClient",
            &patch,
            "/clients/{client_id}",
            "clients:write",
            Idempotent,
            false,
        ),
        row(
            "deleteClient",
            &delete,
            "/clients/{client_id}",
            "clients:delete",
            Idempotent,
            false,
        ),
        row(
            "rotateClientSecret",
            &post,
            "/clients/{client_id}/rotate-secret",
            "clients:write",
            Once,
            true,
        ),
        row(
            "queryAuditLogs",
            &get,
            "/audit-logs",
            "audit:read",
            ReadOnly,
            false,
        ),
        row(
            "getUserAuditLogs",
            &get,
            "/audit-logs/user/{user_id}",
            "audit:read",
            ReadOnly,
            false,
        ),
        row(
            "getUserSecurityEvents",
            &get,
            "/audit-logs/user/{user_id}/security",
            "audit:read",
            ReadOnly,
            false,
        ),
        row(
            "getUserStats",
            &get,
            "/stats/users",
            "stats:read",
            ReadOnly,
            false,
        ),
    ]
}

#[test]
fn what_is_known_of_each_is_what_the_protocol_says() {
    let known = OPERATIONS.iter().map(|operation| {
        (
            operation.id,
            operation.method.clone(),
            operation.path_template,
            operation.scope.expect("every operation needs a scope"),
            operation.safety,
            operation.sensitive,
        )
    });
    assert_eq!(known.collect::<Vec<_>>(), protocol());
}

#[test]
fn the_readme_lists_them_as_they_are() {
    let readme = include_str!("../README.md");
    let (_, readme) = readme.split_once("## The operations").expect("a section");
    for operation in OPERATIONS {
        let (first, rest) = operation.id.split_at(1);
        let name = format!("`{}{rest}`", first.to_ascii_uppercase());
        let row = readme
            .lines()
            .find(|row| row.contains(&format!("| {name} |")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in the README"));
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        assert_eq!(
            cells[3],
            format!("`{} {}`", operation.method, operation.path_template)
        );
        assert_eq!(cells[4].ends_with('†'), operation.sensitive, "{name}");
        assert_eq!(
            cells[5],
            format!("`{}`", operation.scope.unwrap_or_default())
        );
        let repeating = match operation.safety {
            Safety::ReadOnly => "reads",
            Safety::Idempotent => "idempotent",
            _ => "**once**",
        };
        assert_eq!(cells[6], repeating, "{name}");
    }
}

#[test]
fn a_request_fills_every_hole_and_carries_its_operation() {
    fn check<R: ApiRequest + DeserializeOwned>(input: &serde_json::Value) {
        let request: R = serde_json::from_value(arguments(input)).expect("recorded arguments");
        let authority = Authority::try_from("https://idp.example.com").expect("an authority");
        let http = request.to_http(&authority).expect("a request");
        let operation = R::OPERATION;
        assert_eq!(http.method(), operation.method);
        assert!(
            !http.uri().to_string().contains(['{', '}']),
            "{}",
            http.uri()
        );
        let segments = http.uri().path().split('/').count();
        let template = operation.path_template.split('/').count();
        assert_eq!(segments, template + 2, "{}", http.uri());
        let carried = Operation::of(&http).expect("the operation is in the extensions");
        assert_eq!(carried, operation);
    }
    let mut seen = BTreeSet::new();
    for vector in recorded("requests.jsonl") {
        let id = vector["operation"].as_str().expect("an operation");
        with_operation!(id, check(&vector["input"])).expect("a known operation");
        seen.insert(id.to_owned());
    }
    assert_eq!(seen.len(), OPERATIONS.len());
}

#[test]
fn requests_and_replies_can_be_forwarded() {
    let update: UpdateUser =
        serde_json::from_value(json!({"user_id": "usr_1", "given_name": null, "locale": "de"}))
            .expect("an update");
    assert_eq!(update.changes.given_name, Patch::Clear);
    assert_eq!(update.changes.family_name, Patch::Keep);
    assert_eq!(
        serde_json::to_value(&update).expect("json"),
        json!({"user_id": "usr_1", "given_name": null, "locale": "de"})
    );
    let query = QueryAuditLogs::new()
        .status("success")
        .start_date(Timestamp::from_millisecond(1_700_000_000_000).expect("in range"));
    let json = serde_json::to_value(&query).expect("json");
    assert_eq!(
        json,
        json!({"status": "success", "start_date": 1_700_000_000_000_i64})
    );
    let back: QueryAuditLogs = serde_json::from_value(json).expect("a query");
    assert_eq!(back, query);
    let create: CreateUser =
        serde_json::from_value(json!({"email": "a@example.com", "password": "a long one"}))
            .expect("a user");
    assert!(!format!("{create:?}").contains("a long one"));
}

/// A layer of the tests' own that reads each request's operation.
fn watched(client: &Client, seen: &Arc<Mutex<BTreeSet<&'static str>>>) -> Client {
    let seen = Arc::clone(seen);
    let watch = move |request: Request<Full<Bytes>>| {
        let operation = Operation::of(&request).expect("the operation is in the extensions");
        seen.lock().expect("not poisoned").insert(operation.id);
        request
    };
    let wrap = |service| ServiceBuilder::new().map_request(watch).service(service);
    client.clone().map_service(wrap).boxed()
}

#[tokio::test]
async fn all_work_against_the_fake_in_process() {
    let fake = FakeIdpflare::new();
    fake.seed(30);
    let seen = Arc::default();
    drive_all(&watched(&fake.client(), &seen))
        .await
        .expect("all succeed");
    assert_eq!(seen.lock().expect("not poisoned").len(), OPERATIONS.len());
}

#[cfg(feature = "hyper")]
#[tokio::test]
async fn all_work_against_the_fake_over_a_socket() {
    let fake = FakeIdpflare::new();
    fake.seed(30);
    let server = fake.serve().await.expect("a loopback port");
    let client = Client::builder(server.authority())
        .api_key(fake.api_key())
        .build()
        .expect("a client");
    let seen = Arc::default();
    drive_all(&watched(&client, &seen))
        .await
        .expect("all succeed");
    assert_eq!(seen.lock().expect("not poisoned").len(), OPERATIONS.len());
    server.shutdown().await;
}
