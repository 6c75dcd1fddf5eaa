//! The running key's scopes, before anything is changed.

use http::StatusCode;
use idpflare_management::layers::BoxError;
use idpflare_management::testing::{CannedReply, FakeIdpflare, Fixture, ReplayService};
use idpflare_management::workflows::*;
use idpflare_management::{
    ApiKey, ApiRequest, Client, CreateApiKey, CreateClient, CreateUser, ErrorKind, ListApiKeys,
    RevokeApiKey, Scope, SecretString,
};

use crate::support::{AUTHORITY, Ledger, connect, key};

async fn no_store(_: SecretString) -> Result<(), BoxError> {
    panic!("there is nothing to store")
}

async fn nothing_new(_: NewApiKey) -> Result<(), BoxError> {
    panic!("there is no new key")
}

#[tokio::test]
async fn a_missing_scope_is_refused_before_the_first_change() {
    use Scope::*;
    let fake = FakeIdpflare::new();
    let admin = fake.client();
    let ada = admin.send(CreateUser::new("ada@example.com")).await;
    let ada = ada.expect("a user").id;
    let app = admin.send(CreateClient::new("App", ["https://app.example.com/cb"]));
    let app = app.await.expect("a client").client.id;
    let ledger = Ledger::of(&fake);

    let refused = |check: &ScopeCheck, missing: &[Scope]| match check {
        ScopeCheck::Missing(scopes) => assert_eq!(scopes, missing),
        check => panic!("{check}"),
    };
    for (has, missing) in [
        (vec![ApiKeysRead], vec![UsersRead, UsersWrite]),
        (vec![ApiKeysRead, UsersRead], vec![UsersWrite]),
        // Without `api-keys:read`, the first read tells.
        (vec![UsersWrite], vec![UsersRead]),
    ] {
        let key = key(&fake.api_key_with_scopes(has));
        let client = connect(&fake, key.clone());
        let job = Offboard::new(&ada).running_key(&key);
        let report = job.run(&client).await;
        refused(&report.scopes, &missing);
        assert!(!report.is_complete());
        let text = report.to_string();
        assert!(text.contains("MISSING: users:"), "{text}");
    }
    for (has, missing) in [
        (vec![ApiKeysRead], vec![ApiKeysWrite, ApiKeysDelete]),
        (vec![ApiKeysRead, ApiKeysWrite], vec![ApiKeysDelete]),
        (vec![ApiKeysWrite, ApiKeysDelete], vec![ApiKeysRead]),
    ] {
        let key = key(&fake.api_key_with_scopes(has));
        let client = connect(&fake, key.clone());
        let job = RotateApiKey::new(&key);
        let report = job.run(&client, nothing_new, nothing_new).await;
        refused(&report.scopes, &missing);
    }
    // The client goes on with the new key, which could not revoke the old one.
    let root = key(&fake.api_key());
    let client = connect(&fake, root.clone());
    let job = RotateApiKey::new(&root).scopes([UsersRead]);
    let job = job.swap(root.clone().into());
    let report = job.run(&client, nothing_new, nothing_new).await;
    refused(&report.scopes, &[ApiKeysDelete]);

    let reader = key(&fake.api_key_with_scopes([ApiKeysRead, ClientsRead]));
    let job = RotateClientSecret::new(&app).running_key(&reader);
    let report = job.run(&connect(&fake, reader), no_store).await;
    refused(&report.scopes, &[ClientsWrite]);

    assert_eq!(ledger.changes(), 0);
}

#[tokio::test]
async fn what_can_not_be_checked_is_told_by_the_step_that_is_refused() {
    let fake = FakeIdpflare::new();
    let ada = fake.client().send(CreateUser::new("ada@example.com")).await;
    let ada = ada.expect("a user").id;
    let key = key(&fake.api_key_with_scopes([Scope::UsersRead]));
    let report = Offboard::new(&ada)
        .running_key(&key)
        .run(&connect(&fake, key))
        .await;
    let ScopeCheck::Unknown(KeyNotFound::NotListed(error)) = &report.scopes else {
        panic!("{report}");
    };
    assert_eq!(error.required_scope(), Some("api-keys:read"));
    let error = report.block.error().expect("refused");
    assert_eq!(error.required_scope(), Some("users:write"));
}

#[tokio::test]
async fn a_key_is_found_by_what_is_known_of_it() {
    let fake = FakeIdpflare::new();
    let admin = fake.client();
    let user = admin.send(CreateUser::new("ada@example.com")).await;
    let user = user.expect("a user").id;
    for number in 0..230 {
        let create = CreateApiKey::new(format!("key {number}"));
        admin.send(create).await.expect("a key");
    }
    let gone = admin.send(CreateApiKey::new("gone")).await.expect("a key");
    let revoke = RevokeApiKey::new(&gone.api_key.id);
    admin.send(revoke).await.expect("revoked");
    let keys = admin.send(ListApiKeys::new().limit(100).offset(200)).await;
    let root = keys.expect("keys").pop().expect("the oldest");

    let raw = fake.api_key();
    for running in [
        KeyRef::from(&key(&raw)),
        KeyRef::prefix(&*raw),
        KeyRef::prefix(&*root.key_prefix),
        KeyRef::id(&root.id),
    ] {
        let job = Offboard::new(&user).dry_run(true);
        let report = job.running_key(running).run(&admin).await;
        assert!(matches!(report.scopes, ScopeCheck::Sufficient), "{report}");
    }
    let check = async |running: KeyRef| {
        let job = Offboard::new(&user).dry_run(true);
        job.running_key(running).run(&admin).await.scopes
    };
    let ambiguous = check(KeyRef::prefix("idk_")).await;
    assert!(
        matches!(
            ambiguous,
            ScopeCheck::Unknown(KeyNotFound::Ambiguous(count)) if count >= 231
        ),
        "{ambiguous}"
    );
    for nobody in [
        KeyRef::prefix("idk_zzzz"),
        KeyRef::prefix(""),
        KeyRef::id(&gone.api_key.id),
    ] {
        let check = check(nobody).await;
        assert!(
            matches!(check, ScopeCheck::Unknown(KeyNotFound::NoMatch)),
            "{check}"
        );
    }
}

/// The request for the active keys behind so many.
fn page(offset: u64) -> ListApiKeys {
    let active = ListApiKeys::new().active_only(true).limit(100);
    match offset {
        0 => active,
        _ => active.offset(offset),
    }
}

#[tokio::test]
async fn pages_that_never_end_are_noticed() {
    let keys = Vec::<ApiKey>::fixture();
    let replay = ReplayService::new()
        .exchange(page(0), &keys)
        .exchange(page(1), &keys)
        .exchange(page(2), &keys)
        .exchange(page(3), &keys);
    let client = Client::from_service(AUTHORITY, replay.clone()).expect("a client");
    let job = RotateApiKey::new(&keys[0].id);
    let report = job.run(&client, nothing_new, nothing_new).await;
    let StepOutcome::Failed(KeyNotFound::NotListed(error)) = &report.find else {
        panic!("{report}");
    };
    assert_eq!(error.kind(), ErrorKind::NoProgress);
    replay.finish().expect("no more requests");
}

#[tokio::test]
async fn a_key_that_may_do_less_than_asked_for_is_not_stored() {
    let mut old = ApiKey::fixture();
    old.scopes = Scope::KNOWN.to_vec();
    let mut created = idpflare_management::CreatedApiKey::fixture();
    created.api_key.id = "key_new".into();
    let create = CreateApiKey::new(&*old.name).scopes(old.scopes.clone());
    let replay = ReplayService::new()
        .exchange(page(0), &vec![old.clone()])
        .exchange(page(1), &Vec::<ApiKey>::new())
        .exchange(create, &created)
        .exchange(
            RevokeApiKey::new("key_new"),
            CannedReply::new(StatusCode::NO_CONTENT),
        );
    let client = Client::from_service(AUTHORITY, replay.clone()).expect("a client");
    let job = RotateApiKey::new(&old.id);
    let report = job.run(&client, nothing_new, nothing_new).await;
    assert!(report.roll_back.is_done() && !report.store_is_unclear());
    let text = report.to_string();
    assert!(
        text.contains("the server has not given the new key users:write"),
        "{text}"
    );
    assert_eq!(ListApiKeys::OPERATION.id, "listApiKeys");
    replay.finish().expect("no more requests");
}
