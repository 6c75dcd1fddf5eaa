//! API keys and OAuth clients.

use std::collections::HashSet;

use idpflare_management::testing::FakeIdpflare;
use idpflare_management::*;
use secrecy::ExposeSecret;

use crate::refusal;

#[tokio::test]
async fn a_key_works_until_it_is_revoked() {
    let fake = FakeIdpflare::new();
    let admin = fake.client();
    let created = admin
        .send(CreateApiKey::new("reports").scopes([Scope::StatsRead]))
        .await
        .unwrap();
    assert!(
        created
            .raw_key
            .expose_secret()
            .starts_with(&created.api_key.key_prefix)
    );
    assert!(created.raw_key.expose_secret().len() > created.api_key.key_prefix.len() + 16);
    let reports = Client::builder("https://idp.example.com")
        .api_key(created.raw_key.expose_secret())
        .build_with(fake.service())
        .unwrap();
    reports.send(GetUserStats::new()).await.unwrap();

    let keys = admin.send(ListApiKeys::new()).await.unwrap();
    assert_eq!(keys.len(), 2, "and the one that listed them");
    assert_eq!(keys[0].id, created.api_key.id);
    assert!(keys.iter().all(|key| key.last_used_at.is_some()));

    admin
        .send(RevokeApiKey::new(&created.api_key.id))
        .await
        .unwrap();
    let invalid = (401, String::from("Invalid API key"));
    assert_eq!(refusal(reports.send(GetUserStats::new()).await), invalid);
    let active = admin
        .send(ListApiKeys::new().active_only(true))
        .await
        .unwrap();
    assert_eq!(active.len(), 1);
    assert_eq!(active[0].id, keys[1].id);

    let bare = admin.send(CreateApiKey::new("bare")).await.unwrap();
    assert_eq!(bare.api_key.scopes, []);
}

#[tokio::test]
async fn only_confidential_clients_have_secrets_and_each_is_another() {
    let client = FakeIdpflare::new().client();
    let confidential = client
        .send(CreateClient::new("web", [""; 0]))
        .await
        .unwrap();
    let public = client
        .send(CreateClient::new("app", ["com.example:/cb"]).is_confidential(false))
        .await
        .unwrap();
    assert!(public.client_secret.is_none());
    let refused = client
        .send(RotateClientSecret::new(&public.client.id))
        .await;
    assert_eq!(refusal(refused).0, 400);

    let mut secrets = HashSet::new();
    secrets.insert(
        confidential
            .client_secret
            .unwrap()
            .expose_secret()
            .to_owned(),
    );
    for _ in 0..10 {
        let rotate = RotateClientSecret::new(&confidential.client.id);
        let rotated = client.send(rotate).await.unwrap();
        assert!(secrets.insert(rotated.client_secret.expose_secret().to_owned()));
    }

    let update = UpdateClient::new(&public.client.id)
        .description("The app")
        .is_active(false);
    let updated = client.send(update).await.unwrap();
    assert_eq!(updated.description.as_deref(), Some("The app"));
    let clear = UpdateClient::new(&public.client.id).description(Patch::Clear);
    assert_eq!(client.send(clear).await.unwrap().description, None);
    let inactive = client
        .send(ListClients::new().is_active(false))
        .await
        .unwrap();
    assert_eq!((inactive.total, &inactive.clients[0].id), (1, &updated.id));
}
