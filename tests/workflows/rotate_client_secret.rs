//! Replacing the secret of an OAuth client.

use std::time::Duration;

use idpflare_management::layers::BoxError;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::workflows::{RotateClientSecret, StepOutcome};
use idpflare_management::{
    ApiRequest, CreateClient, ExposeSecret, GetClient, ListApiKeys, OAuthClientId, Operation,
    RotateClientSecret as Rotate, Scope, SecretString,
};

use crate::support::{Ledger, assert_discreet, connect, key};
use crate::ways::{self, Verdict};

async fn application(is_confidential: bool) -> (FakeIdpflare, OAuthClientId) {
    let fake = FakeIdpflare::new();
    let create = CreateClient::new("App", ["https://app.example.com/cb"]);
    let created = fake.client().send(create.is_confidential(is_confidential));
    let id = created.await.expect("a client").client.id;
    (fake, id)
}

fn job(id: &OAuthClientId, fake: &FakeIdpflare) -> RotateClientSecret {
    RotateClientSecret::new(id).running_key(&key(&fake.api_key()))
}

async fn store(_: SecretString) -> Result<(), BoxError> {
    Ok(())
}

async fn never_stored(_: SecretString) -> Result<(), BoxError> {
    panic!("there is nothing to store")
}

#[tokio::test(start_paused = true)]
async fn each_step_fails_in_each_way_and_a_second_run_completes_it() {
    let steps: [&Operation; 3] = [
        ListApiKeys::OPERATION,
        GetClient::OPERATION,
        Rotate::OPERATION,
    ];
    for step in steps {
        for way in ways::all() {
            let case = format!("{}: {}", step.id, way.name);
            let (fake, id) = application(true).await;
            let client = fake.client();
            let ledger = Ledger::of(&fake);
            fake.set_faults(way.script(step, 0));
            let report = job(&id, &fake).run(&client, store).await;
            let (asked, performed) = ledger.count(Rotate::OPERATION);
            assert!(asked <= 1, "{case}");
            match &report.rotate {
                StepOutcome::Done => assert_eq!(performed, 1, "{case}"),
                StepOutcome::Unknown(_) => {
                    assert_eq!(report.client_has_changed, Some(performed == 1), "{case}");
                    assert!(report.to_string().contains("run it again"), "{report}");
                }
                _ => assert_eq!(performed, 0, "{case}"),
            }
            if step.id == "rotateClientSecret" {
                let unknown = matches!(report.rotate, StepOutcome::Unknown(_));
                assert_eq!(unknown, way.verdict != Verdict::Refused, "{case}: {report}");
                assert!(!report.is_complete(), "{case}");
            }
            assert_discreet(&report, &[&fake.api_key()]);

            fake.clear_faults();
            tokio::time::sleep(Duration::from_secs(180)).await;
            let report = job(&id, &fake).run(&client, store).await;
            assert!(report.is_complete(), "{case}: {report}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_look_it_is_not_known_whether_the_old_secret_is_dead() {
    for way in ways::all() {
        let case = way.name;
        let (fake, id) = application(true).await;
        let client = fake.client();
        let ledger = Ledger::of(&fake);
        let blind = ways::named("500").rule(GetClient::OPERATION, 1);
        fake.set_faults(way.script(Rotate::OPERATION, 0).rule(blind));
        let report = job(&id, &fake).run(&client, never_stored).await;
        fake.clear_faults();
        assert_eq!(ledger.count(Rotate::OPERATION).0, 1, "{case}");
        assert_eq!(report.client_has_changed, None, "{case}");
        let text = report.to_string();
        if way.verdict == Verdict::Refused {
            assert!(matches!(report.rotate, StepOutcome::Failed(_)), "{text}");
            assert_eq!(ledger.count(Rotate::OPERATION).1, 0, "{case}");
        } else {
            assert!(matches!(report.rotate, StepOutcome::Unknown(_)), "{text}");
            assert!(text.contains("may be dead: nobody knows; run it again"));
        }
        assert!(matches!(report.store, StepOutcome::Skipped) && !report.is_complete());

        tokio::time::sleep(Duration::from_secs(180)).await;
        let report = job(&id, &fake).run(&client, store).await;
        assert!(report.is_complete(), "{case}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_is_completed_by_the_next() {
    let steps = [
        ListApiKeys::OPERATION,
        GetClient::OPERATION,
        Rotate::OPERATION,
    ];
    for step in steps {
        for after_performing in [false, true] {
            let (fake, id) = application(true).await;
            let client = fake.client();
            let ledger = Ledger::of(&fake);
            fake.set_faults(ways::hang(after_performing).script(step, 0));
            let limit = Duration::from_secs(1);
            let dropped = job(&id, &fake);
            let dropped = tokio::time::timeout(limit, dropped.run(&client, never_stored)).await;
            assert!(dropped.is_err(), "{}", step.id);
            fake.clear_faults();
            let asked = ledger.count(Rotate::OPERATION).0;
            let report = job(&id, &fake).run(&client, store).await;
            assert!(report.is_complete(), "{}: {report}", step.id);
            assert_eq!(ledger.count(Rotate::OPERATION).0, asked + 1, "{}", step.id);
        }
    }
    // While it is stored, the secret is with the caller alone.
    let (fake, id) = application(true).await;
    let client = fake.client();
    let never = async |_: SecretString| std::future::pending::<Result<(), BoxError>>().await;
    let dropped = job(&id, &fake);
    let dropped = tokio::time::timeout(Duration::from_secs(1), dropped.run(&client, never)).await;
    assert!(dropped.is_err());
    let report = job(&id, &fake).run(&client, store).await;
    assert!(report.is_complete(), "{report}");
}

#[tokio::test]
async fn a_secret_that_can_not_be_stored_is_not_lost() {
    let (fake, id) = application(true).await;
    let mut report = job(&id, &fake)
        .run(&fake.client(), async |_: SecretString| {
            Err::<(), BoxError>("the disk is full".into())
        })
        .await;
    assert!(report.rotate.is_done() && !report.is_complete());
    let text = report.to_string();
    assert!(text.contains("FAILED: the disk is full"), "{text}");
    assert!(text.contains("in this report, and nowhere else"), "{text}");
    let debug = format!("{report:?}{report:#?}");
    let secret = report.take_unstored_secret().expect("it is there");
    let secret = secret.expose_secret();
    assert!(secret.starts_with("ids_"));
    assert!(!debug.contains(&secret[4..]) && !text.contains(&secret[4..]));
    assert!(report.take_unstored_secret().is_none());
}

#[tokio::test]
async fn nothing_is_rotated_that_is_not_there_or_only_looked_at() {
    let (fake, public) = application(false).await;
    let ledger = Ledger::of(&fake);
    let report = job(&public, &fake).run(&fake.client(), store).await;
    assert_eq!(report.has_secret, Some(false));
    assert!(report.to_string().contains("it is a public client"));
    let report = job(&"cli_unknown".into(), &fake);
    let report = report.run(&fake.client(), store).await;
    assert!(matches!(report.look_up, StepOutcome::Failed(_)));

    let create = CreateClient::new("Other", ["https://app.example.com/cb"]);
    let other = fake.client().send(create).await.expect("a client");
    let before = ledger.changes();
    let report = job(&other.client.id, &fake).dry_run(true);
    let report = report.run(&fake.client(), store).await;
    assert!(matches!(report.rotate, StepOutcome::WouldDo));
    assert_eq!(ledger.changes(), before);
}

#[tokio::test]
async fn a_key_that_may_not_read_can_rotate() {
    let (fake, id) = application(true).await;
    let client = connect(&fake, key(&fake.api_key_with_scopes([Scope::ClientsWrite])));
    let report = RotateClientSecret::new(&id).run(&client, store).await;
    assert!(report.is_complete(), "{report}");
    assert!(report.look_up.error().is_some());
}
