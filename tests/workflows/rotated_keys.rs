//! Which API keys a rotation takes for which, and which ones it leaves alone.

use std::time::Duration;

use idpflare_management::layers::BoxError;
use idpflare_management::testing::{FakeIdpflare, Fault, FaultRule, FaultScript};
use idpflare_management::workflows::{
    KeyRef, NewApiKey, RotateApiKey, RotateApiKeyReport, ScopeCheck, StepOutcome, Suspects,
};
use idpflare_management::{
    ApiKey, ApiKeyId, ApiRequest, Client, CreateApiKey, ExposeSecret, ListApiKeys, RevokeApiKey,
    Scope,
};

use crate::support::{Ledger, connect, key};

async fn run(job: RotateApiKey, fake: &FakeIdpflare, client: &Client) -> RotateApiKeyReport {
    job.drain(Duration::ZERO)
        .run(
            client,
            async |new: NewApiKey| new.probe(&connect(fake, new.key())).await,
            async |_: NewApiKey| Ok::<_, BoxError>(()),
        )
        .await
}

#[tokio::test]
async fn a_running_key_that_is_the_old_one_is_checked_as_such() {
    let fake = FakeIdpflare::new();
    let root = key(&fake.api_key());
    let client = connect(&fake, root.clone());
    let ledger = Ledger::of(&fake);
    let report = RotateApiKey::new(&root).dry_run(true);
    let id = run(report, &fake, &client).await.old_key.expect("found").id;
    for running in [KeyRef::from(&root), KeyRef::id(&id)] {
        // The client goes on with the new key, which could not revoke the old one.
        let job = RotateApiKey::new(&root)
            .running_key(running)
            .scopes([Scope::UsersRead])
            .swap(root.clone().into());
        let report = run(job, &fake, &client).await;
        let ScopeCheck::Missing(missing) = &report.scopes else {
            panic!("{report}");
        };
        assert_eq!(*missing, [Scope::ApiKeysDelete]);
    }
    assert_eq!(ledger.changes(), 0);

    // Without a swap it goes on with the old one to the end.
    let job = RotateApiKey::new(&root)
        .running_key(&root)
        .scopes([Scope::UsersRead]);
    let report = run(job, &fake, &client).await;
    assert!(report.is_complete(), "{report}");
    assert!(report.new_key.is_some_and(|new| new.id != id));
}

const NAME: &str = "Reports";

/// A key of the name that is rotated, and how it begins.
async fn namesake(admin: &Client, scopes: &[Scope]) -> (ApiKeyId, String) {
    let create = CreateApiKey::new(NAME).scopes(scopes.to_vec());
    let created = admin.send(create).await.expect("a key");
    let raw = created.raw_key.expose_secret().to_owned();
    (created.api_key.id, raw)
}

async fn is_active(admin: &Client, id: &ApiKeyId) -> bool {
    let keys = admin.send(ListApiKeys::new().active_only(true)).await;
    keys.expect("keys").iter().any(|key| key.id == *id)
}

fn ids(keys: &[ApiKey]) -> Vec<&ApiKeyId> {
    keys.iter().map(|key| &key.id).collect()
}

#[tokio::test]
async fn the_running_key_is_no_leftover_whatever_its_name() {
    let fake = FakeIdpflare::new();
    let admin = fake.client();
    let scopes = [
        Scope::ApiKeysRead,
        Scope::ApiKeysWrite,
        Scope::ApiKeysDelete,
    ];
    let (running, raw) = namesake(&admin, &scopes).await;
    let client = connect(&fake, key(&raw));
    // A beginning that several keys share says not which of them it is.
    for (named, left_alone) in [
        (KeyRef::id(&running), 0),
        (KeyRef::prefix(&*raw), 0),
        (KeyRef::prefix("idk_"), 1),
    ] {
        let case = format!("{named:?}");
        let (old, _) = namesake(&admin, &scopes).await;
        let (left, _) = namesake(&admin, &scopes).await;
        let job = RotateApiKey::new(&old)
            .running_key(named)
            .revoke_leftovers(true);
        let report = run(job, &fake, &client).await;
        assert!(report.is_complete(), "{case}: {report}");
        assert_eq!(
            is_active(&client, &left).await,
            left_alone == 1,
            "{case}: {report}"
        );
        assert!(
            ids(&report.namesakes).contains(&&running),
            "{case}: {report}"
        );
        let new = report.new_key.expect("a key").id;
        for gone in [new, left] {
            admin
                .send(RevokeApiKey::new(gone))
                .await
                .expect("cleaned up");
        }
    }
}

#[tokio::test]
async fn what_is_left_has_the_scopes_that_are_rotated() {
    use Scope::{AuditRead, StatsRead, UsersRead, UsersWrite};

    let fake = FakeIdpflare::new();
    let admin = fake.client();
    // Where a run ended between storing and swapping, the next starts from the new key, and the old
    // one is left: it is older.
    let (older, _) = namesake(&admin, &[UsersRead, StatsRead]).await;
    let (old, _) = namesake(&admin, &[StatsRead, UsersRead]).await;
    let (newer, _) = namesake(&admin, &[UsersRead, StatsRead]).await;
    let mut others = Vec::new();
    for scopes in [
        &[UsersRead, StatsRead, UsersWrite][..],
        &[UsersRead],
        &[UsersRead, AuditRead],
        &[],
    ] {
        others.push(namesake(&admin, scopes).await.0);
    }
    let job = |revoke| {
        RotateApiKey::new(&old)
            .running_key(KeyRef::prefix(fake.api_key()))
            .revoke_leftovers(revoke)
    };
    let foreseen = run(job(true).dry_run(true), &fake, &admin).await;
    assert!(matches!(foreseen.revoke_leftovers, StepOutcome::WouldDo));
    let report = run(job(true), &fake, &admin).await;
    assert!(report.is_complete(), "{report}");
    for report in [&foreseen, &report] {
        assert_eq!(ids(&report.leftovers), [&newer, &older]);
        let mut namesakes = ids(&report.namesakes);
        namesakes.reverse();
        assert_eq!(namesakes, others.iter().collect::<Vec<_>>());
        let text = report.to_string();
        assert!(text.contains("left alone"), "{text}");
    }
    for (id, stays) in [(&older, false), (&old, false), (&newer, false)]
        .into_iter()
        .chain(others.iter().map(|id| (id, true)))
    {
        assert_eq!(is_active(&admin, id).await, stays, "{report}");
    }
}

#[tokio::test]
async fn a_rotation_to_other_scopes_knows_the_keys_of_both() {
    use Scope::{StatsRead, UsersRead, UsersWrite};

    let fake = FakeIdpflare::new();
    let admin = fake.client();
    let (as_old, _) = namesake(&admin, &[UsersRead]).await;
    let (as_new, _) = namesake(&admin, &[StatsRead]).await;
    let (as_neither, _) = namesake(&admin, &[UsersRead, UsersWrite]).await;
    let (old, _) = namesake(&admin, &[UsersRead]).await;
    let renamed = CreateApiKey::new("Renamed").scopes([StatsRead]);
    let renamed = admin.send(renamed).await.expect("a key").api_key.id;
    let mixed = CreateApiKey::new("Renamed").scopes([UsersRead]);
    let mixed = admin.send(mixed).await.expect("a key").api_key.id;
    let job = |name| {
        let job = RotateApiKey::new(&old).running_key(KeyRef::prefix(fake.api_key()));
        job.scopes([StatsRead]).name(name).dry_run(true)
    };
    let report = run(job(NAME), &fake, &admin).await;
    assert_eq!(ids(&report.leftovers), [&as_new, &as_old]);
    assert_eq!(ids(&report.namesakes), [&as_neither]);
    // What is created has the new name and the new scopes, what is replaced has the old ones.
    let report = run(job("Renamed"), &fake, &admin).await;
    assert_eq!(ids(&report.leftovers), [&renamed, &as_old]);
    assert_eq!(ids(&report.namesakes), [&mixed, &as_neither, &as_new]);
}

#[tokio::test(start_paused = true)]
async fn what_another_program_creates_meanwhile_is_no_suspect() {
    let fake = FakeIdpflare::new();
    let admin = fake.client();
    let (old, _) = namesake(&admin, &[Scope::UsersRead]).await;
    let too_long = Fault::delay(Duration::from_secs(3600)).after_performing();
    let rule = FaultRule::new(too_long)
        .operation(CreateApiKey::OPERATION)
        .times(1);
    fake.set_faults(FaultScript::new().rule(rule));
    let job = RotateApiKey::new(&old).running_key(KeyRef::prefix(fake.api_key()));
    let meanwhile = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        namesake(&admin, &[Scope::UsersRead, Scope::UsersWrite]).await
    };
    let (report, (other, _)) = tokio::join!(run(job, &fake, &admin), meanwhile);
    let Suspects::Found(suspects) = &report.suspects else {
        panic!("{report}");
    };
    assert_eq!(suspects.len(), 1, "{report}");
    let revoked = report.revoke_suspects(&admin).await;
    assert!(revoked[0].1.is_done(), "{report}");
    assert!(!is_active(&admin, &suspects[0].id).await);
    assert!(is_active(&admin, &other).await);
}
