//! The audit log.

use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;

use crate::{raw, rich_user};

#[tokio::test]
async fn every_change_writes_its_audit_event() {
    let fake = FakeIdpflare::new();
    let client = fake.client();
    let user = rich_user(&fake).await.id;
    let session = client.send(ListUserSessions::new(&user)).await.unwrap()[0]
        .id
        .clone();
    let identity = client.send(ListUserIdentities::new(&user)).await.unwrap()[0]
        .id
        .clone();
    let app = client.send(ListClients::new()).await.unwrap().clients;
    let app = app
        .iter()
        .find(|app| app.is_confidential)
        .unwrap()
        .id
        .clone();
    let key = client
        .send(CreateApiKey::new("spare"))
        .await
        .unwrap()
        .api_key
        .id;
    let (of_user, of_client) = (Some(user.clone()), Some(app.clone()));

    /// Performs a request, and says what the newest entry of the log is then.
    async fn newest<R: ApiRequest>(client: &Client, request: R) -> AuditLogEntry {
        let before = client
            .send(QueryAuditLogs::new().limit(1))
            .await
            .unwrap()
            .total;
        client.send(request).await.unwrap();
        let page = client.send(QueryAuditLogs::new().limit(1)).await.unwrap();
        assert_eq!(
            page.total,
            before + 1,
            "{} writes one entry",
            R::OPERATION.id
        );
        page.entries.into_iter().next().unwrap()
    }

    for (entry, event_type, user_id) in [
        (
            newest(&client, UpdateUser::new(&user)).await,
            "user_updated",
            &of_user,
        ),
        (
            newest(&client, UpdateUserPassword::new(&user, "12345678")).await,
            "password_changed",
            &of_user,
        ),
        (
            newest(&client, BlockUser::new(&user)).await,
            "user_blocked",
            &of_user,
        ),
        (
            newest(&client, UnblockUser::new(&user)).await,
            "user_unblocked",
            &of_user,
        ),
        (
            newest(&client, RevokeUserSession::new(&user, &session)).await,
            "session_revoked",
            &of_user,
        ),
        (
            newest(&client, RevokeAllUserSessions::new(&user)).await,
            "sessions_revoked",
            &of_user,
        ),
        (
            newest(&client, ResetUserMfa::new(&user)).await,
            "mfa_reset",
            &of_user,
        ),
        (
            newest(&client, UnlinkUserIdentity::new(&user, &identity)).await,
            "identity_unlinked",
            &of_user,
        ),
        (
            newest(&client, RevokeAllUserTokens::new(&user)).await,
            "tokens_revoked",
            &of_user,
        ),
        (
            newest(&client, DeleteUser::new(&user)).await,
            "user_deleted",
            &of_user,
        ),
        (
            newest(&client, CreateApiKey::new("x")).await,
            "api_key_created",
            &None,
        ),
        (
            newest(&client, RevokeApiKey::new(&key)).await,
            "api_key_revoked",
            &None,
        ),
    ] {
        assert_eq!((&*entry.event_type, &entry.user_id), (event_type, user_id));
        assert_eq!(entry.status, AuditStatus::Success, "{event_type}");
    }
    for (entry, event_type) in [
        (
            newest(&client, UpdateClient::new(&app)).await,
            "client_updated",
        ),
        (
            newest(&client, RotateClientSecret::new(&app)).await,
            "client_secret_rotated",
        ),
        (
            newest(&client, DeleteClient::new(&app)).await,
            "client_deleted",
        ),
    ] {
        assert_eq!(
            (&*entry.event_type, &entry.client_id),
            (event_type, &of_client)
        );
    }
    let entry = newest(&client, CreateUser::new("new@example.com")).await;
    assert_eq!(
        (&*entry.event_type, entry.user_id.is_some()),
        ("user_created", true)
    );
    let entry = newest(&client, CreateClient::new("new", [""; 0])).await;
    assert_eq!(
        (&*entry.event_type, entry.client_id.is_some()),
        ("client_created", true)
    );

    let total = client.send(QueryAuditLogs::new()).await.unwrap().total;
    for operation in OPERATIONS {
        if operation.safety == Safety::ReadOnly {
            let path = operation.path_template.replace("{user_id}", user.as_str());
            let path = path.replace("{client_id}", app.as_str());
            raw(&fake, "GET", &format!("/api/v1{path}"), "").await;
        }
    }
    let after = client.send(QueryAuditLogs::new()).await.unwrap().total;
    assert_eq!(after, total, "reading writes nothing");
}

#[tokio::test]
async fn the_audit_log_is_filtered() {
    let fake = FakeIdpflare::new();
    fake.seed(30);
    let client = fake.client();
    let all = client.send(QueryAuditLogs::new().limit(100)).await.unwrap();
    assert!(
        all.entries
            .is_sorted_by(|a, b| a.created_at >= b.created_at)
    );
    let login = all
        .entries
        .iter()
        .find(|entry| entry.event_type == "login_success")
        .unwrap();
    let (user, app) = (
        login.user_id.clone().unwrap(),
        login.client_id.clone().unwrap(),
    );
    type Check<'a> = Box<dyn Fn(&AuditLogEntry) -> bool + 'a>;
    let cases: Vec<(QueryAuditLogs, Check<'_>)> = vec![
        (
            QueryAuditLogs::new().user_id(&user),
            Box::new(|entry| entry.user_id.as_ref() == Some(&user)),
        ),
        (
            QueryAuditLogs::new().client_id(&app),
            Box::new(|entry| entry.client_id.as_ref() == Some(&app)),
        ),
        (
            QueryAuditLogs::new().event_type("login_failure"),
            Box::new(|entry| entry.event_type == "login_failure"),
        ),
        (
            QueryAuditLogs::new().status(AuditStatus::Failure),
            Box::new(|entry| entry.status == AuditStatus::Failure),
        ),
        (
            QueryAuditLogs::new()
                .start_date(login.created_at)
                .end_date(login.created_at),
            Box::new(|entry| entry.created_at == login.created_at),
        ),
        (
            QueryAuditLogs::new().start_date(login.created_at),
            Box::new(|entry| entry.created_at >= login.created_at),
        ),
    ];
    for (request, fits) in cases {
        let page = client.send(request.clone().limit(100)).await.unwrap();
        assert!(!page.entries.is_empty(), "{request:?}");
        assert!(page.entries.iter().all(fits), "{request:?}");
        assert!(page.total < all.total, "{request:?}");
    }
    let own = client
        .send(GetUserAuditLogs::new(&user).limit(1).offset(1))
        .await
        .unwrap();
    let same = client
        .send(QueryAuditLogs::new().user_id(&user))
        .await
        .unwrap();
    assert_eq!((&own.entries[0], own.total), (&same.entries[1], same.total));
    let security = client
        .send(GetUserSecurityEvents::new(&user))
        .await
        .unwrap();
    assert!(
        security
            .iter()
            .all(|entry| entry.event_type != "login_success")
    );
}
