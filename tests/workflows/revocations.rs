//! The revocations that a rotation ends with, each failing in each way, whether or not one can look
//! afterwards what came of it.

use std::time::Duration;

use idpflare_management::layers::BoxError;
use idpflare_management::workflows::{
    KeyNotFound, NewApiKey, RotateApiKeyReport, StepOutcome, Suspects,
};
use idpflare_management::{
    ApiKey, ApiKeyId, ApiRequest, CreateApiKey, ListApiKeys, RevokeApiKey, Scope,
};

use crate::program::Program;
use crate::ways::{self, Verdict, Way};

/// What a rotation comes to before it revokes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Swapped,
    NotProbed,
    WithLeftovers,
}

impl Before {
    /// How many pages of keys are read until then: two to find the old one, and one by the probe.
    fn pages(self) -> u64 {
        match self {
            Self::NotProbed => 2,
            Self::Swapped | Self::WithLeftovers => 3,
        }
    }

    async fn run(self, program: &Program) -> RotateApiKeyReport {
        let job = program.job(&program.fake.api_key());
        match self {
            Self::Swapped => program.run(&job).await,
            Self::WithLeftovers => {
                for _ in 0..2 {
                    let create = CreateApiKey::new("Root key").scopes(Scope::KNOWN.to_vec());
                    program.admin.send(create).await.expect("a key");
                }
                program.run(&job.revoke_leftovers(true)).await
            }
            Self::NotProbed => {
                let probe = async |_: NewApiKey| Err::<(), BoxError>("it does not work".into());
                let store = async |_: NewApiKey| -> Result<(), BoxError> {
                    panic!("a key that does not work is stored")
                };
                job.run(&program.client, probe, store).await
            }
        }
    }
}

/// The outcomes of all revocations that should have been made, and the keys that they were about.
fn revocations(before: Before, report: &RotateApiKeyReport) -> Vec<(&StepOutcome, Vec<ApiKeyId>)> {
    let of = |key: &Option<ApiKey>| vec![key.as_ref().expect("known").id.clone()];
    match before {
        Before::NotProbed => {
            assert!(matches!(report.swap, StepOutcome::Skipped), "{report}");
            assert!(matches!(report.revoke_old, StepOutcome::Skipped));
            vec![(&report.roll_back, of(&report.new_key))]
        }
        Before::Swapped => vec![(&report.revoke_old, of(&report.old_key))],
        Before::WithLeftovers => {
            assert_eq!(report.leftovers.len(), 2, "{report}");
            let left = report.leftovers.iter().map(|key| key.id.clone());
            vec![
                (&report.revoke_leftovers, left.collect()),
                (&report.revoke_old, of(&report.old_key)),
            ]
        }
    }
}

async fn fails(before: Before, way: &Way, can_look: bool) {
    let case = format!("{before:?}, {}, {can_look}", way.name);
    let program = Program::start();
    let mut script = way.script(RevokeApiKey::OPERATION, 0);
    if !can_look {
        let blind = ways::named("500").rule(ListApiKeys::OPERATION, before.pages());
        script = script.rule(blind);
    }
    program.fake.set_faults(script);
    let report = before.run(&program).await;
    program.fake.clear_faults();
    // The server's pause after 429.
    tokio::time::sleep(Duration::from_secs(180)).await;

    let active = program.active().await;
    let is_active = |id: &ApiKeyId| active.iter().any(|key| key.id == *id);
    let mut all_done = true;
    for (outcome, keys) in revocations(before, &report) {
        all_done &= outcome.is_done();
        match outcome {
            StepOutcome::Done | StepOutcome::AlreadyDone => {
                assert!(!keys.iter().any(is_active), "{case}: {report}");
                let is_seen = can_look && way.verdict != Verdict::Refused;
                assert!(
                    way.verdict == Verdict::Passes || is_seen,
                    "{case}: {report}"
                );
            }
            StepOutcome::Failed(_) => {
                assert!(keys.iter().all(is_active), "{case}: {report}");
                assert_eq!(way.verdict, Verdict::Refused, "{case}: {report}");
            }
            StepOutcome::Unknown(_) => {
                assert_eq!(way.verdict, Verdict::Unclear, "{case}: {report}");
                // Who can look knows that it was done.
                assert!(!can_look || keys.iter().any(is_active), "{case}: {report}");
            }
            outcome => panic!("{case}: {outcome}"),
        }
    }
    let is_swapped = matches!(before, Before::Swapped | Before::WithLeftovers);
    assert_eq!(
        report.is_complete(),
        is_swapped && all_done,
        "{case}: {report}"
    );
    assert!(!report.store_is_unclear(), "{case}: {report}");
    program.assert_true(&report, &case).await;
    program.repair(&case).await;
}

#[tokio::test(start_paused = true)]
async fn each_revocation_fails_in_each_way_and_a_second_run_completes_it() {
    for before in [Before::Swapped, Before::NotProbed, Before::WithLeftovers] {
        for way in ways::all() {
            for can_look in [true, false] {
                fails(before, &way, can_look).await;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_keys_can_not_be_listed_a_key_may_be_there_whose_secret_is_lost() {
    for way in ways::all() {
        let case = way.name;
        let program = Program::start();
        let blind = ways::named("500").rule(ListApiKeys::OPERATION, 2);
        let script = way.script(CreateApiKey::OPERATION, 0).rule(blind);
        program.fake.set_faults(script);
        let report = program.run(&program.job(&program.fake.api_key())).await;
        program.fake.clear_faults();
        if way.verdict == Verdict::Refused {
            assert!(matches!(report.create, StepOutcome::Failed(_)), "{case}");
            assert!(matches!(report.suspects, Suspects::NotLookedUp), "{case}");
            assert_eq!(program.active().await.len(), 1, "{case}");
        } else {
            assert!(matches!(report.create, StepOutcome::Unknown(_)), "{case}");
            let Suspects::Unknown(KeyNotFound::NotListed(_)) = &report.suspects else {
                panic!("{case}: {report}");
            };
            let text = report.to_string();
            assert!(text.contains("a key whose secret is lost may be"), "{text}");
            assert!(report.revoke_suspects(&program.client).await.is_empty());
        }
        assert!(!report.is_complete() && report.new_key.is_none(), "{case}");
        program.repair(case).await;
    }
}
