//! Each operation once, in an order in which all succeed.

use idpflare_management::*;

/// Performs each operation once against an instance that was seeded with 30 users, in an order in
/// which all succeed.
pub(crate) async fn drive_all(client: &Client) -> Result<(), Error> {
    let before = client.send(GetUserStats::new()).await?;
    let new = CreateUser::new("drive@example.com")
        .given_name("Drive")
        .password("a password of some length")
        .roles(["user"]);
    let user = client.send(new).await?;
    assert_eq!(client.send(GetUser::new(&user.id)).await?, user);
    let after = client.send(GetUserStats::new()).await?;
    assert_eq!(after.total, before.total + 1);

    let seeded = client.send(ListUsers::new().limit(100)).await?;
    let with_sessions = find(client, &seeded.users).await?;
    let sessions = client
        .send(ListUserSessions::new(&with_sessions.id))
        .await?;
    let session = sessions.iter().find(|session| session.is_active);
    let session = session.expect("a session is active");
    client
        .send(RevokeUserSession::new(&with_sessions.id, &session.id))
        .await?;
    let active = sessions.iter().filter(|session| session.is_active).count();
    let revoked = client
        .send(RevokeAllUserSessions::new(&with_sessions.id))
        .await?;
    assert_eq!(revoked.sessions_revoked, active as u64 - 1);

    let enrollments = client
        .send(GetUserMfaEnrollments::new(&with_sessions.id))
        .await?;
    assert!(!enrollments.is_empty());
    client.send(ResetUserMfa::new(&with_sessions.id)).await?;
    let identities = client
        .send(ListUserIdentities::new(&with_sessions.id))
        .await?;
    let identity = identities.first().expect("an identity is linked");
    client
        .send(UnlinkUserIdentity::new(&with_sessions.id, &identity.id))
        .await?;
    let tokens = client.send(ListUserTokens::new(&with_sessions.id)).await?;
    let usable = tokens.iter().filter(|token| !token.is_revoked).count();
    let revoked = client
        .send(RevokeAllUserTokens::new(&with_sessions.id))
        .await?;
    assert_eq!(revoked.tokens_revoked, usable as u64);

    let updated = client
        .send(
            UpdateUser::new(&user.id)
                .given_name(Patch::Clear)
                .locale("fr"),
        )
        .await?;
    assert_eq!((updated.given_name, updated.locale.as_str()), (None, "fr"));
    client
        .send(UpdateUserPassword::new(&user.id, "another long password"))
        .await?;
    client
        .send(BlockUser::new(&user.id).reason("a test"))
        .await?;
    client.send(UnblockUser::new(&user.id)).await?;

    let created = client
        .send(CreateApiKey::new("drive").scopes([Scope::UsersRead]))
        .await?;
    let keys = client.send(ListApiKeys::new().active_only(true)).await?;
    assert!(keys.contains(&created.api_key));
    client.send(RevokeApiKey::new(&created.api_key.id)).await?;

    let created = client
        .send(CreateClient::new("drive", ["https://app.example.com/cb"]).is_confidential(true))
        .await?;
    assert!(created.client_secret.is_some());
    let id = &created.client.id;
    assert_eq!(client.send(GetClient::new(id)).await?, created.client);
    let page = client.send(ListClients::new().limit(1)).await?;
    assert_eq!(page.clients.first(), Some(&created.client));
    let updated = client
        .send(UpdateClient::new(id).description("driven"))
        .await?;
    assert_eq!(updated.description.as_deref(), Some("driven"));
    client.send(RotateClientSecret::new(id)).await?;
    client.send(DeleteClient::new(id)).await?;

    let log = client
        .send(
            QueryAuditLogs::new()
                .event_type("user_blocked")
                .user_id(&user.id),
        )
        .await?;
    assert_eq!(log.total, 1);
    let log = client.send(GetUserAuditLogs::new(&user.id)).await?;
    assert!(log.total >= 4, "{log:?}");
    let events = client.send(GetUserSecurityEvents::new(&user.id)).await?;
    assert!(!events.is_empty());
    client.send(DeleteUser::new(&user.id)).await?;
    let gone = client.send(GetUser::new(&user.id)).await;
    assert_eq!(gone.expect_err("deleted").message(), "User not found");
    Ok(())
}

/// A user that has something of everything.
async fn find(client: &Client, users: &[User]) -> Result<User, Error> {
    for user in users {
        let identities = client.send(ListUserIdentities::new(&user.id)).await?;
        let enrollments = client.send(GetUserMfaEnrollments::new(&user.id)).await?;
        let sessions = client.send(ListUserSessions::new(&user.id)).await?;
        let active = sessions.iter().any(|session| session.is_active);
        if active && !identities.is_empty() && !enrollments.is_empty() {
            return Ok(user.clone());
        }
    }
    panic!("no seeded user has something of everything");
}
