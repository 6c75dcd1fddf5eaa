//! Users: paging, filters, changes, blocking and deletion.

use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;
use serde_json::json;

use crate::{create_users, refusal, rich_user};

#[tokio::test]
async fn pages_have_50_rows_unless_asked_otherwise_and_at_most_100() {
    let client = FakeIdpflare::new().client();
    let users = create_users(&client, 103).await;
    for (request, limit, offset, rows) in [
        (ListUsers::new(), 50, 0, 50),
        (ListUsers::new().limit(7), 7, 0, 7),
        (ListUsers::new().limit(0), 1, 0, 1),
        (ListUsers::new().limit(1000), 100, 0, 100),
        (
            ListUsers::new().limit(u64::MAX).offset(u64::MAX),
            100,
            u64::MAX,
            0,
        ),
        (ListUsers::new().offset(60), 50, 60, 43),
        (ListUsers::new().offset(103), 50, 103, 0),
    ] {
        let page = client.send(request).await.unwrap();
        let shape = (page.limit, page.offset, page.users.len(), page.total);
        assert_eq!(shape, (limit, offset, rows, 103));
    }
    let first = client.send(ListUsers::new().limit(3)).await.unwrap();
    let newest: Vec<_> = users.iter().rev().take(3).cloned().collect();
    assert_eq!(first.users, newest);
    client
        .send(CreateUser::new("late@example.com"))
        .await
        .unwrap();
    let shifted = client
        .send(ListUsers::new().limit(3).offset(1))
        .await
        .unwrap();
    assert_eq!(
        shifted.users, newest,
        "one more before them, and no other change"
    );
}

#[tokio::test]
async fn filters_and_search_narrow_a_list() {
    let client = FakeIdpflare::new().client();
    for new in [
        CreateUser::new("ada@example.com")
            .given_name("Ada")
            .roles(["admin", "user"]),
        CreateUser::new("Grace@Example.org")
            .family_name("Hopper")
            .email_verified(true),
        CreateUser::new("old@example.com").is_active(false),
    ] {
        client.send(new).await.unwrap();
    }
    let all = ["old@example.com", "Grace@Example.org", "ada@example.com"];
    for (request, expected) in [
        (ListUsers::new().search(""), &all[..]),
        (ListUsers::new().search("ADA"), &all[2..]),
        (ListUsers::new().search("hopp"), &all[1..2]),
        (ListUsers::new().search("example.org"), &all[1..2]),
        (ListUsers::new().search("nobody"), &[]),
        (ListUsers::new().role("admin"), &all[2..]),
        (ListUsers::new().role("adm"), &[]),
        (ListUsers::new().is_active(false), &all[..1]),
        (ListUsers::new().is_active(true), &all[1..]),
        (ListUsers::new().email_verified(true), &all[1..2]),
        (
            ListUsers::new().email_verified(false).is_active(true),
            &all[2..],
        ),
    ] {
        let page = client.send(request.clone()).await.unwrap();
        let found: Vec<_> = page.users.iter().map(|user| user.email.as_str()).collect();
        assert_eq!(found, expected, "{request:?}");
        assert_eq!(page.total, expected.len() as u64, "{request:?}");
    }
}

#[tokio::test]
async fn a_new_user_has_defaults_and_an_update_changes_only_what_it_names() {
    let client = FakeIdpflare::new().client();
    let new = client
        .send(CreateUser::new("ada@example.com").given_name("Ada"))
        .await
        .unwrap();
    assert_eq!(
        (new.locale.as_str(), &new.roles[..]),
        ("en", &["user".into()][..])
    );
    assert!(new.is_active && !new.is_locked && !new.mfa_enabled && !new.email_verified);
    assert_eq!(new.email_verified_at, None);

    let update = UpdateUser::new(&new.id)
        .email_verified(true)
        .metadata(json!({"plan": "pro"}).as_object().unwrap().clone());
    let updated = client.send(update).await.unwrap();
    assert!(updated.updated_at > new.updated_at && updated.email_verified_at.is_some());
    assert_eq!(updated.given_name.as_deref(), Some("Ada"));

    let cleared = client
        .send(
            UpdateUser::new(&new.id)
                .given_name(Patch::Clear)
                .metadata(Patch::Clear)
                .email_verified(false),
        )
        .await
        .unwrap();
    assert_eq!((cleared.given_name, cleared.metadata), (None, None));
    assert_eq!(cleared.email_verified_at, None);
    assert_eq!(cleared.email, new.email);
    assert_eq!(cleared.created_at, new.created_at);
}

#[tokio::test]
async fn an_address_belongs_to_one_user() {
    let client = FakeIdpflare::new().client();
    let taken = (409, String::from("Email already exists"));
    let ada = client
        .send(CreateUser::new("ada@example.com"))
        .await
        .unwrap();
    let bob = client
        .send(CreateUser::new("bob@example.com"))
        .await
        .unwrap();
    assert_eq!(
        refusal(client.send(CreateUser::new("ADA@example.com")).await),
        taken
    );
    let steal = UpdateUser::new(&bob.id).email("Ada@Example.com");
    assert_eq!(refusal(client.send(steal).await), taken);

    let respell = UpdateUser::new(&ada.id).email("Ada@example.com");
    assert_eq!(client.send(respell).await.unwrap().email, "Ada@example.com");
    client
        .send(UpdateUser::new(&ada.id).email("countess@example.com"))
        .await
        .unwrap();
    client
        .send(UpdateUser::new(&bob.id).email("ada@example.com"))
        .await
        .unwrap();
    client.send(DeleteUser::new(&bob.id)).await.unwrap();
    client
        .send(CreateUser::new("ada@example.com"))
        .await
        .unwrap();
}

#[tokio::test]
async fn blocking_locks_and_ends_sessions_and_unblocking_unlocks() {
    let fake = FakeIdpflare::new();
    let client = fake.client();
    let id = rich_user(&fake).await.id;
    client
        .send(BlockUser::new(&id).reason("Suspicious activity"))
        .await
        .unwrap();
    assert!(client.send(GetUser::new(&id)).await.unwrap().is_locked);
    let sessions = client.send(ListUserSessions::new(&id)).await.unwrap();
    assert!(!sessions.is_empty() && sessions.iter().all(|session| !session.is_active));
    let events = client
        .send(GetUserSecurityEvents::new(&id).limit(1))
        .await
        .unwrap();
    let details = events[0].details.as_ref().unwrap();
    assert_eq!(events[0].event_type, "user_blocked");
    assert_eq!(details["reason"], "Suspicious activity");
    assert!(details["sessions_revoked"].as_u64().unwrap() > 1);

    client.send(UnblockUser::new(&id)).await.unwrap();
    let user = client.send(GetUser::new(&id)).await.unwrap();
    assert!(!user.is_locked && user.locked_until.is_none());
    assert_eq!(user.failed_login_attempts, 0);
}

#[tokio::test]
async fn deleting_a_user_removes_what_belonged_to_it_but_not_its_log() {
    let fake = FakeIdpflare::new();
    let client = fake.client();
    let id = rich_user(&fake).await.id;
    let before = client.send(GetUserAuditLogs::new(&id)).await.unwrap().total;
    client.send(DeleteUser::new(&id)).await.unwrap();
    let gone = (404, String::from("User not found"));
    assert_eq!(refusal(client.send(GetUser::new(&id)).await), gone);
    assert_eq!(refusal(client.send(ListUserSessions::new(&id)).await), gone);
    assert_eq!(
        refusal(client.send(GetUserMfaEnrollments::new(&id)).await),
        gone
    );
    assert_eq!(
        refusal(client.send(ListUserIdentities::new(&id)).await),
        gone
    );
    assert_eq!(refusal(client.send(ListUserTokens::new(&id)).await), gone);
    assert_eq!(refusal(client.send(DeleteUser::new(&id)).await), gone);
    let log = client.send(GetUserAuditLogs::new(&id)).await.unwrap();
    assert_eq!(log.total, before + 1);
    assert_eq!(log.entries[0].event_type, "user_deleted");
    assert_eq!(client.send(GetUserStats::new()).await.unwrap().total, 59);
}
