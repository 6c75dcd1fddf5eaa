//! Users for a demonstration.

use std::collections::HashSet;

use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;
use serde_json::{Value, json};

/// All that can be listed, without the times.
async fn everything(fake: &FakeIdpflare) -> Value {
    let client = fake.client();
    let users = client.send(ListUsers::new().limit(100)).await.unwrap();
    let mut all = vec![
        serde_json::to_value(client.send(QueryAuditLogs::new()).await.unwrap()).unwrap(),
        serde_json::to_value(client.send(ListClients::new()).await.unwrap()).unwrap(),
    ];
    for user in &users.users {
        let id = &user.id;
        all.push(json!({
            "user": user,
            "sessions": client.send(ListUserSessions::new(id)).await.unwrap(),
            "mfa": client.send(GetUserMfaEnrollments::new(id)).await.unwrap(),
            "identities": client.send(ListUserIdentities::new(id)).await.unwrap(),
            "tokens": client.send(ListUserTokens::new(id)).await.unwrap(),
        }));
    }
    fn without_times(value: Value) -> Value {
        match value {
            Value::Object(members) => members
                .into_iter()
                .map(|(name, value)| {
                    let is_time = name.ends_with("_at") || name == "locked_until";
                    let value = if is_time {
                        json!(value.is_null())
                    } else {
                        without_times(value)
                    };
                    (name, value)
                })
                .collect(),
            Value::Array(items) => items.into_iter().map(without_times).collect(),
            other => other,
        }
    }
    without_times(Value::from(all))
}

#[tokio::test]
async fn seeding_is_plausible_and_repeatable() {
    let (fake, same) = (FakeIdpflare::new(), FakeIdpflare::new());
    for fake in [&fake, &same] {
        fake.seed(0);
        fake.seed(25);
        fake.seed(15);
    }
    assert_eq!(everything(&fake).await, everything(&same).await);

    let client = fake.client();
    let users = client
        .send(ListUsers::new().limit(100))
        .await
        .unwrap()
        .users;
    assert_eq!(users.len(), 40);
    assert!(users.is_sorted_by(|a, b| a.created_at >= b.created_at));
    let addresses: HashSet<_> = users.iter().map(|user| user.email.to_lowercase()).collect();
    assert_eq!(addresses.len(), 40);
    type Sort = fn(&User) -> bool;
    let sorts: [Sort; 9] = [
        |user| user.is_active && user.email_verified && !user.is_locked,
        |user| !user.is_active,
        |user| !user.email_verified,
        |user| user.is_locked && user.locked_until.is_some(),
        |user| user.mfa_enabled,
        |user| user.metadata.is_some(),
        |user| user.roles.iter().any(|role| role == "admin"),
        |user| user.roles.iter().any(|role| role == "support"),
        |user| user.roles == ["user"],
    ];
    for batch in [&users[..15], &users[15..]] {
        let found = sorts.iter().filter(|sort| batch.iter().any(*sort)).count();
        assert!(found >= 7, "{found} sorts of users");
    }
    let now = Timestamp::now();
    for user in &users {
        assert!(user.created_at < user.last_login_at.unwrap() && user.updated_at <= now);
        let sessions = client.send(ListUserSessions::new(&user.id)).await.unwrap();
        assert!(!sessions.is_empty());
        for session in sessions {
            assert!(user.created_at <= session.created_at && session.last_activity_at <= now);
        }
        let enrolled = client
            .send(GetUserMfaEnrollments::new(&user.id))
            .await
            .unwrap();
        assert_eq!(enrolled.is_empty(), !user.mfa_enabled);
        assert!(
            !client
                .send(ListUserTokens::new(&user.id))
                .await
                .unwrap()
                .is_empty()
        );
        let log = client.send(GetUserAuditLogs::new(&user.id)).await.unwrap();
        assert_eq!(log.entries.last().unwrap().event_type, "user_created");
    }
    let stats = client.send(GetUserStats::new()).await.unwrap();
    let count = |sort: Sort| users.iter().filter(|user| sort(user)).count() as u64;
    assert_eq!(stats.total, 40);
    assert_eq!(stats.active, count(|user| user.is_active));
    assert_eq!(stats.verified, count(|user| user.email_verified));
    assert_eq!(stats.mfa_enabled, count(|user| user.mfa_enabled));
    assert_eq!(stats.admins, Some(count(sorts[6])));
}
