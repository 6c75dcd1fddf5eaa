//! Sessions, second factors, identities and tokens.

use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;

use crate::rich_user;

#[tokio::test]
async fn access_is_revoked_piece_by_piece() {
    let fake = FakeIdpflare::new();
    let client = fake.client();
    let id = rich_user(&fake).await.id;

    let sessions = client.send(ListUserSessions::new(&id)).await.unwrap();
    assert!(sessions.is_sorted_by(|a, b| a.created_at >= b.created_at));
    let usable: Vec<_> = sessions
        .iter()
        .filter(|session| session.is_active)
        .collect();
    for _ in 0..2 {
        client
            .send(RevokeUserSession::new(&id, &usable[0].id))
            .await
            .unwrap();
    }
    let rest = client.send(RevokeAllUserSessions::new(&id)).await.unwrap();
    assert_eq!(rest.sessions_revoked, usable.len() as u64 - 1);
    let again = client.send(RevokeAllUserSessions::new(&id)).await.unwrap();
    assert_eq!(again.sessions_revoked, 0);

    let tokens = client.send(ListUserTokens::new(&id)).await.unwrap();
    let revoked = client.send(RevokeAllUserTokens::new(&id)).await.unwrap();
    assert_eq!(revoked.tokens_revoked, tokens.len() as u64);
    let tokens = client.send(ListUserTokens::new(&id)).await.unwrap();
    assert!(tokens.iter().all(|token| token.is_revoked));

    let identities = client.send(ListUserIdentities::new(&id)).await.unwrap();
    client
        .send(UnlinkUserIdentity::new(&id, &identities[0].id))
        .await
        .unwrap();
    assert_eq!(client.send(ListUserIdentities::new(&id)).await.unwrap(), []);
}

#[tokio::test]
async fn the_last_second_factor_to_go_turns_them_off() {
    let fake = FakeIdpflare::new();
    fake.seed(2);
    let client = fake.client();
    let id = client.send(ListUsers::new().limit(1)).await.unwrap().users[0]
        .id
        .clone();
    let enrolled = client.send(GetUserMfaEnrollments::new(&id)).await.unwrap();
    assert_eq!(enrolled.len(), 2);
    client
        .send(ResetUserMfa::new(&id).method(MfaMethod::BackupCodes))
        .await
        .unwrap();
    let left = client.send(GetUserMfaEnrollments::new(&id)).await.unwrap();
    assert_eq!(left, &enrolled[..1]);
    assert!(client.send(GetUser::new(&id)).await.unwrap().mfa_enabled);
    for _ in 0..2 {
        client.send(ResetUserMfa::new(&id)).await.unwrap();
    }
    assert_eq!(
        client.send(GetUserMfaEnrollments::new(&id)).await.unwrap(),
        []
    );
    assert!(!client.send(GetUser::new(&id)).await.unwrap().mfa_enabled);
}
