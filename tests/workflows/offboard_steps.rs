//! Each step of an offboarding, failing in each way.

use std::time::Duration;

use idpflare_management::workflows::{OffboardReport, StepOutcome};
use idpflare_management::*;

use crate::leaver::{State, assert_true, job, somebody};
use crate::support::assert_discreet;
use crate::ways::{self, Verdict};

/// All that is asked for, and how often before.
const STEPS: [(&Operation, u64); 16] = [
    (ListApiKeys::OPERATION, 0),
    (GetUser::OPERATION, 0),
    (BlockUser::OPERATION, 0),
    (RevokeAllUserSessions::OPERATION, 0),
    (ListUserTokens::OPERATION, 0),
    (RevokeAllUserTokens::OPERATION, 0),
    (ListUserIdentities::OPERATION, 0),
    (UnlinkUserIdentity::OPERATION, 0),
    (GetUserMfaEnrollments::OPERATION, 0),
    (ResetUserMfa::OPERATION, 0),
    (GetClient::OPERATION, 0),
    // What was done is looked at.
    (GetUser::OPERATION, 1),
    (ListUserSessions::OPERATION, 0),
    (ListUserTokens::OPERATION, 1),
    (ListUserIdentities::OPERATION, 1),
    (GetUserMfaEnrollments::OPERATION, 1),
];

#[tokio::test(start_paused = true)]
async fn each_step_fails_in_each_way_and_a_second_run_completes_it() {
    for (step, after) in STEPS {
        for way in ways::all() {
            let case = format!("{} after {after}: {}", step.id, way.name);
            let (fake, id, was) = somebody().await;
            let client = fake.client();
            fake.set_faults(way.script(step, after));
            let report = job(&id, &fake).run(&client).await;
            fake.clear_faults();
            let is = State::of(&fake, &id).await;
            // After 429 nothing more is sent.
            let read = |operation: &Operation| way.name != "429" && operation.id != step.id;
            assert_true(&report, (&was, &is), read, &case);
            assert_discreet(&report, &[&fake.api_key()]);
            if way.verdict == Verdict::Passes {
                assert!(report.is_complete(), "{case}: {report}");
            }

            // What the server asked to wait for is over.
            tokio::time::sleep(Duration::from_secs(180)).await;
            let report = job(&id, &fake).run(&client).await;
            assert!(report.is_complete(), "{case}: {report}");
            assert!(report.error().is_none(), "{case}: {report}");
            assert!(State::of(&fake, &id).await.is_clean(), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_nobody_can_look_an_unclear_step_stays_unknown() {
    type Look = fn(&OffboardReport) -> &StepOutcome;
    let steps: [(&Operation, &Operation, u64, Look); 5] = [
        (BlockUser::OPERATION, GetUser::OPERATION, 1, |report| {
            &report.block
        }),
        (
            RevokeAllUserSessions::OPERATION,
            ListUserSessions::OPERATION,
            0,
            |report| &report.revoke_sessions,
        ),
        (
            RevokeAllUserTokens::OPERATION,
            ListUserTokens::OPERATION,
            1,
            |report| &report.revoke_tokens,
        ),
        (
            UnlinkUserIdentity::OPERATION,
            ListUserIdentities::OPERATION,
            1,
            |report| &report.unlink_identities,
        ),
        (
            ResetUserMfa::OPERATION,
            GetUserMfaEnrollments::OPERATION,
            1,
            |report| &report.reset_mfa,
        ),
    ];
    let unclear = |way: &ways::Way| way.verdict == Verdict::Unclear;
    for (step, look, after, outcome) in steps {
        for way in ways::all().into_iter().filter(unclear) {
            let case = format!("{}: {}", step.id, way.name);
            let (fake, id, was) = somebody().await;
            let client = fake.client();
            let blind = ways::named("500").rule(look, after);
            fake.set_faults(way.script(step, 0).rule(blind));
            let report = job(&id, &fake).run(&client).await;
            fake.clear_faults();
            let unknown = matches!(outcome(&report), StepOutcome::Unknown(_));
            assert!(unknown, "{case}: {report}");
            assert!(!report.is_complete(), "{case}: {report}");
            assert!(report.to_string().contains("UNKNOWN: "), "{case}");
            let is = State::of(&fake, &id).await;
            let read = |operation: &Operation| operation.id != look.id;
            assert_true(&report, (&was, &is), read, &case);

            tokio::time::sleep(Duration::from_secs(180)).await;
            let report = job(&id, &fake).run(&client).await;
            assert!(report.is_complete(), "{case}: {report}");
            assert!(State::of(&fake, &id).await.is_clean(), "{case}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn outcomes_tell_what_is_known() {
    type Look = fn(&OffboardReport) -> &StepOutcome;
    let steps: [(&Operation, Look); 5] = [
        (BlockUser::OPERATION, |report| &report.block),
        (RevokeAllUserSessions::OPERATION, |report| {
            &report.revoke_sessions
        }),
        (RevokeAllUserTokens::OPERATION, |report| {
            &report.revoke_tokens
        }),
        (UnlinkUserIdentity::OPERATION, |report| {
            &report.unlink_identities
        }),
        (ResetUserMfa::OPERATION, |report| &report.reset_mfa),
    ];
    for (step, look) in steps {
        for way in ways::all() {
            let case = format!("{}: {}", step.id, way.name);
            let (fake, id, _) = somebody().await;
            fake.set_faults(way.script(step, 0));
            let report = job(&id, &fake).run(&fake.client()).await;
            let outcome = look(&report);
            match way.verdict {
                Verdict::Passes => assert!(outcome.is_done(), "{case}: {outcome}"),
                // That it is gone says that it was done.
                Verdict::Unclear if step.id == "unlinkUserIdentity" && outcome.is_done() => {}
                Verdict::Refused => {
                    assert!(
                        matches!(outcome, StepOutcome::Failed(_)),
                        "{case}: {outcome}"
                    );
                }
                Verdict::Unclear => {
                    assert!(
                        matches!(outcome, StepOutcome::Unknown(_)),
                        "{case}: {outcome}"
                    );
                }
            }
            if way.name == "403" {
                let error = outcome.error().expect("an error");
                assert_eq!(error.required_scope(), Some("users:write"), "{case}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_dropped_is_completed_by_the_next() {
    for (step, after) in STEPS {
        for after_performing in [false, true] {
            let (fake, id, _) = somebody().await;
            let client = fake.client();
            let way = ways::hang(after_performing);
            fake.set_faults(way.script(step, after));
            let limit = Duration::from_secs(1);
            let dropped = tokio::time::timeout(limit, job(&id, &fake).run(&client)).await;
            assert!(dropped.is_err(), "{}", step.id);
            fake.clear_faults();
            let report = job(&id, &fake).run(&client).await;
            assert!(report.is_complete(), "{}: {report}", step.id);
        }
    }
}
