//! Replacing the API key of a running client.

use std::time::Duration;

use idpflare_management::layers::BoxError;
use idpflare_management::workflows::{KeyRef, NewApiKey, RotateApiKey, StepOutcome};
use idpflare_management::{
    ApiRequest, CreateApiKey, ExposeSecret, GetUserStats, KeyHandle, ListApiKeys, ListUsers,
    Operation, RevokeApiKey, Scope,
};
use tokio::time::Instant;

use crate::program::{DRAIN, Program};
use crate::support::{Ledger, connect, key};
use crate::ways::{self, Verdict};

#[tokio::test(start_paused = true)]
async fn the_running_client_goes_on_and_the_old_key_ends() {
    let program = Program::start();
    let old = program.fake.api_key();
    let ledger = Ledger::of(&program.fake);
    let started = Instant::now();
    let report = program.run(&program.job(&old)).await;
    assert!(report.is_complete(), "{report}");
    assert!(started.elapsed() >= DRAIN);
    program.assert_true(&report, "all is well").await;

    let new = report.new_key.as_ref().expect("a key");
    let before = report.old_key.as_ref().expect("a key");
    assert_eq!((&new.name, &new.scopes), (&before.name, &before.scopes));
    assert!(program.stored().starts_with(&new.key_prefix));
    let error = connect(&program.fake, key(&old)).send(GetUserStats::new());
    let status = error.await.expect_err("it is revoked").status();
    assert_eq!(status.map(|status| status.as_u16()), Some(401));
    assert_eq!(ledger.count(CreateApiKey::OPERATION), (1, 1));
    let text = report.to_string();
    assert!(text.starts_with("rotation of API key key_"), "{text}");
    assert!(text.contains("revoke old        done"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn each_step_fails_in_each_way_and_a_second_run_completes_it() {
    // The third time that keys are listed is the probe.
    let steps: [(&Operation, u64); 5] = [
        (ListApiKeys::OPERATION, 0),
        (ListApiKeys::OPERATION, 1),
        (CreateApiKey::OPERATION, 0),
        (ListApiKeys::OPERATION, 2),
        (RevokeApiKey::OPERATION, 0),
    ];
    for (step, after) in steps {
        for way in ways::all() {
            let case = format!("{} after {after}: {}", step.id, way.name);
            let program = Program::start();
            let old = program.fake.api_key();
            let ledger = Ledger::of(&program.fake);
            program.fake.set_faults(way.script(step, after));
            let report = program.run(&program.job(&old)).await;
            program.fake.clear_faults();
            assert!(ledger.count(CreateApiKey::OPERATION).0 <= 1, "{case}");
            tokio::time::sleep(Duration::from_secs(180)).await;
            program.assert_true(&report, &case).await;

            let is_create = step.id == "createApiKey";
            if way.verdict == Verdict::Passes && !is_create {
                assert!(report.is_complete(), "{case}: {report}");
            }
            if is_create {
                let unknown = matches!(report.create, StepOutcome::Unknown(_));
                assert_eq!(unknown, way.verdict != Verdict::Refused, "{case}: {report}");
                report.revoke_suspects(&program.client).await;
                assert_eq!(program.active().await.len(), 1, "{case}");
            }
            if after == 2 && way.verdict != Verdict::Passes {
                assert!(report.probe.error().is_some(), "{case}: {report}");
                assert_eq!(
                    program.stored(),
                    old,
                    "{case}: the store has seen the new key"
                );
                assert!(report.roll_back.is_done(), "{case}: {report}");
            }
            program.repair(&case).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_storing_fails_neither_key_is_revoked_and_the_report_names_both() {
    for is_stored in [true, false] {
        let program = Program::start();
        let fake = &program.fake;
        let ledger = Ledger::of(fake);
        let old = fake.api_key();
        let report = program
            .job(&old)
            .run(
                &program.client,
                async |new: NewApiKey| new.probe(&connect(fake, new.key())).await,
                async |new: NewApiKey| {
                    if is_stored {
                        let mut stored = program.stored.lock().expect("not poisoned");
                        *stored = new.secret().expose_secret().into();
                    }
                    Err::<(), BoxError>("the reply of the store was lost".into())
                },
            )
            .await;
        assert_eq!(ledger.count(RevokeApiKey::OPERATION), (0, 0));
        assert!(report.store_is_unclear() && !report.is_complete());
        for step in [&report.swap, &report.roll_back, &report.revoke_old] {
            assert!(matches!(step, StepOutcome::Skipped), "{report}");
        }
        let text = report.to_string();
        let text = text.split("both keys work").nth(1).expect("a hint");
        for key in [&report.old_key, &report.new_key] {
            let id = key.as_ref().expect("known").id.as_str();
            assert!(text.contains(id), "{text}");
        }
        program.assert_true(&report, "no store").await;
        // Whichever the next start finds, it works.
        let next = connect(fake, key(&program.stored()));
        next.send(GetUserStats::new()).await.expect("it works");
        program.repair("no store").await;
    }
}

/// The process ends while the new key is probed.
#[tokio::test(start_paused = true)]
async fn a_key_that_was_created_and_not_stored_is_found_as_a_leftover() {
    let program = Program::start();
    let old = program.fake.api_key();
    let job = program.job(&old).drain(Duration::ZERO);
    let run = job.run(
        &program.client,
        async |_: NewApiKey| std::future::pending::<Result<(), BoxError>>().await,
        async |_: NewApiKey| -> Result<(), BoxError> { panic!("not probed, not stored") },
    );
    let dropped = tokio::time::timeout(DRAIN, run).await;
    assert!(dropped.is_err());
    assert_eq!(program.active().await.len(), 2);
    assert_eq!(program.stored(), old);
    let report = program.run(&job.dry_run(true)).await;
    assert_eq!(report.leftovers.len(), 1, "{report}");
    program.repair("not stored").await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_is_cleaned_up_by_the_next() {
    let steps: [(&Operation, u64); 4] = [
        (ListApiKeys::OPERATION, 0),
        (CreateApiKey::OPERATION, 0),
        (ListApiKeys::OPERATION, 2),
        (RevokeApiKey::OPERATION, 0),
    ];
    for (step, after) in steps {
        for after_performing in [false, true] {
            let case = format!("{} after {after}, {after_performing}", step.id);
            let program = Program::start();
            let way = ways::hang(after_performing);
            program.fake.set_faults(way.script(step, after));
            let job = program.job(&program.fake.api_key());
            let limit = DRAIN + Duration::from_secs(1);
            let dropped = tokio::time::timeout(limit, program.run(&job)).await;
            assert!(dropped.is_err(), "{case}");
            program.fake.clear_faults();
            program.repair(&case).await;
        }
    }
    // In the middle of the drain.
    let program = Program::start();
    let job = program.job(&program.fake.api_key());
    let dropped = tokio::time::timeout(DRAIN / 2, program.run(&job)).await;
    assert!(dropped.is_err());
    assert_eq!(program.active().await.len(), 2);
    program.repair("drain").await;
}

#[tokio::test]
async fn a_dry_run_only_reads() {
    let program = Program::start();
    let ledger = Ledger::of(&program.fake);
    let job = program.job(&program.fake.api_key()).dry_run(true);
    let report = program.run(&job).await;
    assert_eq!(ledger.changes(), 0);
    for step in [&report.create, &report.swap, &report.revoke_old] {
        assert!(matches!(step, StepOutcome::WouldDo), "{report}");
    }
    assert!(!report.is_complete());
    assert_eq!(program.stored(), program.fake.api_key());
}

#[tokio::test(start_paused = true)]
async fn an_administrator_replaces_the_key_of_a_service() {
    let program = Program::start();
    let fake = &program.fake;
    for scopes in [vec![Scope::UsersRead], vec![Scope::UsersWrite], vec![]] {
        let service = fake.api_key_with_scopes(scopes.clone());
        let handle = KeyHandle::new(key(&service));
        let running = connect(fake, handle.clone());
        let report = RotateApiKey::new(&key(&service))
            .running_key(KeyRef::prefix(fake.api_key()))
            .name("renamed")
            .swap(handle)
            .run(
                &program.client,
                // Write-only keys have nothing to read, and are known nevertheless.
                async |new: NewApiKey| new.probe(&connect(fake, new.key())).await,
                async |_: NewApiKey| Ok::<_, BoxError>(()),
            )
            .await;
        assert!(report.is_complete(), "{report}");
        let new = report.new_key.expect("a key");
        assert_eq!((new.name.as_str(), &new.scopes), ("renamed", &scopes));
        let reads = running.send(ListUsers::new()).await;
        assert_eq!(reads.is_ok(), scopes.contains(&Scope::UsersRead));
    }
}

#[tokio::test]
async fn a_key_that_is_not_valid_is_no_success_of_the_probe() {
    let program = Program::start();
    let report = program
        .job(&program.fake.api_key())
        .run(
            &program.client,
            async |new: NewApiKey| new.probe(&connect(&program.fake, key("idk_other"))).await,
            async |_: NewApiKey| -> Result<(), BoxError> { panic!("it is stored") },
        )
        .await;
    assert!(report.probe.error().is_some() && report.roll_back.is_done());
    assert_eq!(program.active().await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_can_be_spawned() {
    let program = Program::start();
    let fake = program.fake.clone();
    let job = program.job(&fake.api_key());
    let report = tokio::spawn(async move {
        let store = |_: NewApiKey| async { Ok::<_, BoxError>(()) };
        let probe = |new: NewApiKey| async move { new.probe(&connect(&fake, new.key())).await };
        job.run(&program.client, probe, store).await
    });
    assert!(report.await.expect("no panic").is_complete());
}
