//! Jobs and their reports, with the secrets that they hand over.

use std::time::Duration;

use idpflare_management::layers::{ApiKey, BoxError};
use idpflare_management::workflows::{
    AccessTokens, KeyRef, NewApiKey, Offboard, RotateApiKey, RotateClientSecret, UnfitKey,
};
use idpflare_management::*;

use crate::secrets::API_KEY;
use crate::sites::Site;
use crate::witness::Notes;

pub(crate) async fn jobs(notes: &Notes) {
    let site = Site::over_loopback(notes).await;
    let client = site.client(notes);
    let key = ApiKey::new(site.key.as_str()).expect("a key");
    notes.debug(&KeyRef::from(&key));
    notes.debug(&KeyRef::prefix(API_KEY));
    offboard(notes, &client, &key).await;
    rotate_client_secret(notes, &client, &key).await;
    rotate_api_key(notes, &site, key).await;
}

async fn offboard(notes: &Notes, client: &Client, key: &ApiKey) {
    let users = client.send(ListUsers::new()).await.expect("users").users;
    let job = Offboard::new(&users[0].id).running_key(key).reset_mfa(true);
    notes.debug(&job);
    let report = job.unlink_identities(true).run(client).await;
    notes.debug(&report);
    notes.display(&report);
    notes.debug(&report.scopes);
    notes.debug(&report.block);
    let found = &report.verification;
    notes.debug(found);
    notes.debug(&found.lock);
    notes.debug(&found.sessions);
    notes.debug(&report.access_tokens);
    if let AccessTokens::Of(clients) = &report.access_tokens {
        notes.debug(clients);
    }
}

async fn rotate_client_secret(notes: &Notes, client: &Client, key: &ApiKey) {
    let clients = client.send(ListClients::new()).await.expect("clients");
    let confidential = clients.clients.iter().find(|it| it.is_confidential);
    let job = RotateClientSecret::new(&confidential.expect("one of them").id).running_key(key);
    notes.debug(&job);
    for is_stored in [true, false] {
        let report = job
            .run(client, async |secret: SecretString| {
                notes.debug(&secret);
                let stored: Result<(), BoxError> = Err("the store is down".into());
                stored.or_else(|error| if is_stored { Ok(()) } else { Err(error) })
            })
            .await;
        assert_eq!(report.is_complete(), is_stored);
        notes.debug(&report);
        notes.display(&report);
    }
}

async fn rotate_api_key(notes: &Notes, site: &Site, key: ApiKey) {
    let handle = KeyHandle::new(key.clone());
    let client = site.client_with(notes, handle.clone());
    let lost = RotateApiKey::new(ApiKeyId::from("key_unknown"));
    let store = async |new: NewApiKey| {
        notes.debug(&new);
        notes.debug(new.record());
        Ok::<_, BoxError>(())
    };
    let probe = async |new: NewApiKey| {
        let candidate = site.client_with(notes, new.key().into());
        new.probe(&candidate).await
    };
    let report = lost.run(&client, probe, store).await;
    notes.error(report.find.error().expect("there is no such key"));
    let unsendable = ApiKey::new(format!("{API_KEY}\n")).expect_err("a line break");
    for unfit in [
        UnfitKey::Lacks(Scope::UsersRead),
        UnfitKey::Outlives { ends_at: None },
        UnfitKey::Invalid(unsendable),
    ] {
        notes.error(&unfit);
    }

    let job = RotateApiKey::new(&key).swap(handle).drain(Duration::ZERO);
    notes.debug(&job);
    let report = job.run(&client, probe, store).await;
    assert!(report.is_complete(), "{report}");
    notes.debug(&report);
    notes.display(&report);
    notes.debug(&report.suspects);
}
