//! Which API keys a rotation takes for which, and which ones it leaves alone.

use std::time::Duration;

use idpflare_management::layers::BoxError;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::workflows::{
    KeyRef, NewApiKey, RotateApiKey, RotateApiKeyReport, ScopeCheck,
};
use idpflare_management::{Client, Scope};

use crate::support::{Ledger, connect, key};

async fn run(job: RotateApiKey, fake: &FakeIdpflare, client: &Client) -> RotateApiKeyReport {
    job.drain(Duration::ZERO)
        .run(
            client,
            async |_: NewApiKey| Ok::<_, BoxError>(()),
            async |new: NewApiKey| new.probe(&connect(fake, new.key())).await,
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
