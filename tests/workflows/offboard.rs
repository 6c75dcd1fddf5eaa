//! Ending all access of a user.

use std::time::Duration;

use http::StatusCode;
use idpflare_management::testing::{
    CannedReply, FakeIdpflare, Fault, FaultRule, FaultScript, Fixture, ReplayService,
};
use idpflare_management::workflows::{
    AccessTokens, Lock, Offboard, OffboardReport, Remaining, ScopeCheck, StepOutcome,
};
use idpflare_management::*;

use crate::support::{AUTHORITY, Ledger, assert_discreet, connect, key};
use crate::ways::{self, Verdict};

#[derive(Debug, PartialEq, Eq)]
struct State {
    locked: bool,
    sessions: usize,
    tokens: usize,
    identities: usize,
    mfa: usize,
}

impl State {
    async fn of(fake: &FakeIdpflare, id: &UserId) -> Self {
        let client = fake.client();
        let now = Timestamp::now();
        let user = client.send(GetUser::new(id)).await.expect("a user");
        let sessions = client.send(ListUserSessions::new(id)).await;
        let tokens = client.send(ListUserTokens::new(id)).await;
        let identities = client.send(ListUserIdentities::new(id)).await;
        let mfa = client.send(GetUserMfaEnrollments::new(id)).await;
        let sessions = sessions.expect("sessions").into_iter();
        let tokens = tokens.expect("tokens").into_iter();
        Self {
            locked: user.is_locked,
            sessions: sessions.filter(|session| session.is_active).count(),
            tokens: tokens
                .filter(|token| !token.is_revoked && now < token.expires_at)
                .count(),
            identities: identities.expect("identities").len(),
            mfa: mfa.expect("factors").len(),
        }
    }

    fn is_clean(&self) -> bool {
        self.locked && self.sessions + self.tokens + self.identities + self.mfa == 0
    }
}

/// A fake with somebody who has everything that can be taken away.
async fn somebody() -> (FakeIdpflare, UserId, State) {
    let fake = FakeIdpflare::new();
    fake.seed(40);
    let client = fake.client();
    let users = client.send(ListUsers::new()).await.expect("users").users;
    for user in users {
        let state = State::of(&fake, &user.id).await;
        let all = [state.sessions, state.tokens, state.identities, state.mfa];
        if !state.locked && all.iter().all(|count| *count > 0) {
            return (fake, user.id, state);
        }
    }
    panic!("nobody has everything");
}

fn job(id: &UserId, fake: &FakeIdpflare) -> Offboard {
    Offboard::new(id)
        .reason("has left")
        .unlink_identities(true)
        .reset_mfa(true)
        .running_key(&key(&fake.api_key()))
}

fn assert_says(step: &StepOutcome, was: usize, is: usize, case: &str) {
    match step {
        StepOutcome::Done | StepOutcome::AlreadyDone => assert_eq!(is, 0, "{case}"),
        StepOutcome::Failed(_) | StepOutcome::Skipped => assert_eq!(is, was, "{case}"),
        // Nobody knows; the verification looks.
        StepOutcome::Unknown(_) => {}
        step => panic!("{case}: {step}"),
    }
}

/// `read` is what tells it, which only fails where that is what fails.
fn assert_found<T>(found: &Remaining<T>, is: usize, read: bool, case: &str) {
    match found {
        Remaining::Nothing => assert_eq!(is, 0, "{case}"),
        Remaining::Left(left) => assert_eq!(left.len(), is, "{case}"),
        Remaining::Unknown(_) => assert!(!read, "{case}"),
        Remaining::NotChecked => panic!("{case}: not looked at"),
        _ => panic!("{case}"),
    }
}

/// Fails where the report does not say what the server's state is. `read` is which operations can't
/// have failed.
fn assert_true(
    report: &OffboardReport,
    (was, is): (&State, &State),
    read: impl Fn(&Operation) -> bool,
    case: &str,
) {
    let case = &*format!("{case}: {report}");
    if matches!(report.verification.lock, Lock::NotChecked) {
        // It has ended before the first change.
        assert!(!read(GetUser::OPERATION), "{case}");
        assert!(matches!(report.look_up, StepOutcome::Failed(_)), "{case}");
        assert_eq!(was, is, "{case}");
        assert!(!report.is_complete(), "{case}");
        return;
    }
    assert_says(&report.block, 1, usize::from(!is.locked), case);
    // Blocking ends them as well.
    let had_sessions = if is.locked { 0 } else { was.sessions };
    assert_says(&report.revoke_sessions, had_sessions, is.sessions, case);
    assert_says(&report.revoke_tokens, was.tokens, is.tokens, case);
    let unlinked = usize::try_from(report.identities_unlinked).expect("some");
    let linked = was.identities - unlinked;
    assert_says(&report.unlink_identities, linked, is.identities, case);
    assert_says(&report.reset_mfa, was.mfa, is.mfa, case);
    let found = &report.verification;
    match &found.lock {
        Lock::Locked { until: None } => assert!(is.locked, "{case}"),
        Lock::Open => assert!(!is.locked, "{case}"),
        Lock::Unknown(_) => assert!(!read(GetUser::OPERATION), "{case}"),
        // What a 404 says is believed; it is the user that was asked for.
        Lock::UserGone => assert!(!read(GetUser::OPERATION), "{case}"),
        lock => panic!("{case}: {lock:?}"),
    }
    let sessions = read(ListUserSessions::OPERATION);
    assert_found(&found.sessions, is.sessions, sessions, case);
    let tokens = read(ListUserTokens::OPERATION);
    assert_found(&found.tokens, is.tokens, tokens, case);
    let identities = read(ListUserIdentities::OPERATION);
    assert_found(&found.identities, is.identities, identities, case);
    let mfa = read(GetUserMfaEnrollments::OPERATION);
    assert_found(&found.mfa, is.mfa, mfa, case);
    let is_seen = !matches!(found.lock, Lock::Unknown(_))
        && !matches!(found.sessions, Remaining::Unknown(_))
        && !matches!(found.tokens, Remaining::Unknown(_))
        && !matches!(found.identities, Remaining::Unknown(_))
        && !matches!(found.mfa, Remaining::Unknown(_));
    assert_eq!(report.is_complete(), is_seen && is.is_clean(), "{case}");
}

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
async fn failing_to_block_does_not_keep_anybody_in() {
    let (fake, id, _) = somebody().await;
    let way = ways::all().swap_remove(0);
    fake.set_faults(way.script(BlockUser::OPERATION, 0));
    let report = job(&id, &fake).run(&fake.client()).await;
    let state = State::of(&fake, &id).await;
    assert_eq!((state.locked, state.sessions, state.tokens), (false, 0, 0));
    assert!(!report.is_complete());
    let text = report.to_string();
    assert!(text.contains("NOT COMPLETE"), "{text}");
    assert!(
        text.contains("block             UNKNOWN: blockUser"),
        "{text}"
    );
    assert!(text.contains("the account, which is not locked"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_user_that_seems_gone_was_blocked_or_is_not_offboarded() {
    for (block, is_complete) in [("403", false), ("503", false), ("404", true), ("", true)] {
        let (fake, id, _) = somebody().await;
        let gone = ways::named("404").rule(GetUser::OPERATION, 1);
        let mut script = FaultScript::new().rule(gone);
        if !block.is_empty() {
            script = script.rule(ways::named(block).rule(BlockUser::OPERATION, 0));
        }
        fake.set_faults(script);
        let report = job(&id, &fake).run(&fake.client()).await;
        assert!(
            matches!(report.verification.lock, Lock::UserGone),
            "{report}"
        );
        assert_eq!(report.is_complete(), is_complete, "{block}: {report}");
        let text = report.to_string();
        let is_told = text.contains("nobody has seen it locked");
        assert_eq!(is_told, !is_complete, "{text}");
    }
}

#[tokio::test]
async fn a_dry_run_only_reads() {
    let (fake, id, was) = somebody().await;
    let ledger = Ledger::of(&fake);
    let report = job(&id, &fake).dry_run(true).run(&fake.client()).await;
    assert_eq!(ledger.changes(), 0);
    assert_eq!(State::of(&fake, &id).await, was);
    assert!(matches!(report.scopes, ScopeCheck::Sufficient));
    for (name, step) in report.steps().into_iter().skip(1) {
        assert!(matches!(step, StepOutcome::WouldDo), "{name}: {step}");
    }

    job(&id, &fake).run(&fake.client()).await;
    let report = job(&id, &fake).dry_run(true).run(&fake.client()).await;
    for (name, step) in report.steps().into_iter().skip(1) {
        assert!(matches!(step, StepOutcome::AlreadyDone), "{name}: {step}");
    }
}

#[tokio::test]
async fn what_was_not_asked_for_is_left_alone() {
    let (fake, id, was) = somebody().await;
    let report = Offboard::new(&id).run(&fake.client()).await;
    assert!(report.is_complete(), "{report}");
    let is = State::of(&fake, &id).await;
    assert_eq!((is.identities, is.mfa), (was.identities, was.mfa));
    assert!(matches!(report.unlink_identities, StepOutcome::Skipped));
    assert!(matches!(report.verification.mfa, Remaining::NotChecked));
}

#[tokio::test]
async fn a_user_that_is_not_there_is_no_success() {
    for id in ["usr_unknown", ".."] {
        let fake = FakeIdpflare::new();
        let ledger = Ledger::of(&fake);
        let report = Offboard::new(id).run(&fake.client()).await;
        assert!(matches!(report.look_up, StepOutcome::Failed(_)), "{report}");
        assert!(!report.is_complete());
        assert_eq!(ledger.changes(), 0);
    }
}

#[tokio::test]
async fn access_tokens_that_are_alive_are_told_of() {
    let (fake, id, _) = somebody().await;
    let report = Offboard::new(&id).run(&fake.client()).await;
    let AccessTokens::Of(clients) = &report.access_tokens else {
        panic!("{report}");
    };
    assert!(!clients.is_empty());
    let now = Timestamp::now();
    for client in clients {
        let ttl = i64::try_from(client.access_token_ttl.expect("readable")).expect("short");
        let ends_in = client.ends_at.expect("known").as_second() - now.as_second();
        assert!((ttl - 60..=ttl + 1).contains(&ends_in), "{client}");
        let name = client.name.as_deref().expect("readable");
        assert!(report.to_string().contains(name), "{report}");
    }

    // Who may not read clients is told which they are, and nothing more.
    let scopes = [Scope::UsersRead, Scope::UsersWrite];
    let ledger = Ledger::of(&fake);
    let client = connect(&fake, key(&fake.api_key_with_scopes(scopes)));
    let report = Offboard::new(&id).run(&client).await;
    let AccessTokens::Of(clients) = &report.access_tokens else {
        panic!("{report}");
    };
    assert!(clients.iter().all(|client| client.ends_at.is_none()));
    assert!(report.to_string().contains("nobody knows for how long"));
    assert_eq!(ledger.count(GetClient::OPERATION).0, 1);
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

#[tokio::test]
async fn it_can_be_spawned() {
    let (fake, id, _) = somebody().await;
    let client = fake.client();
    let job = job(&id, &fake);
    let report = tokio::spawn(async move { job.run(&client).await }).await;
    assert!(report.expect("no panic").is_complete());
}

#[tokio::test]
async fn a_lock_that_ends_by_itself_is_no_block() {
    let fake = FakeIdpflare::new();
    fake.seed(100);
    let client = fake.client();
    let users = client.send(ListUsers::new().limit(100)).await;
    let mut users = users.expect("users").users.into_iter();
    let locked = users.find(|user| user.is_locked && user.locked_until.is_some());
    let locked = locked.expect("the seed has some");
    let refused = FaultRule::new(Fault::status(StatusCode::BAD_REQUEST));
    let refused = refused.operation(BlockUser::OPERATION);
    fake.set_faults(FaultScript::new().rule(refused));
    let report = job(&locked.id, &fake).run(&client).await;
    assert!(!report.is_complete(), "{report}");
    let report = job(&locked.id, &fake).run(&client).await;
    assert!(report.is_complete(), "{report}");
}

#[tokio::test]
async fn one_identity_that_stays_does_not_keep_the_others() {
    let mut ada = User::fixture();
    ada.is_locked = true;
    ada.locked_until = None;
    let linked: Vec<_> = ["idn_1", "idn_2", "idn_3"]
        .into_iter()
        .map(|id| {
            let mut identity = SocialIdentity::fixture();
            identity.id = id.into();
            identity
        })
        .collect();
    let unlink = |index: usize| UnlinkUserIdentity::new(&ada.id, &linked[index].id);
    let list = ListUserIdentities::new(&ada.id);
    let replay = ReplayService::new()
        .exchange(GetUser::new(&ada.id), &ada)
        .exchange(
            RevokeAllUserSessions::OPERATION,
            &RevokedSessions::fixture(),
        )
        .exchange(ListUserTokens::OPERATION, &Vec::<RefreshToken>::new())
        .exchange(RevokeAllUserTokens::OPERATION, &RevokedTokens::fixture())
        .exchange(list.clone(), &linked)
        .exchange(unlink(0), &())
        .exchange(unlink(1), CannedReply::error(StatusCode::CONFLICT, "no"))
        .exchange(list.clone(), &linked[1..].to_vec())
        .exchange(unlink(2), &())
        .exchange(GetUser::new(&ada.id), &ada)
        .exchange(ListUserSessions::OPERATION, &Vec::<UserSession>::new())
        .exchange(ListUserTokens::OPERATION, &Vec::<RefreshToken>::new())
        .exchange(list, &linked[1..2].to_vec());
    let client = Client::from_service(AUTHORITY, replay.clone()).expect("a client");
    let job = Offboard::new(&ada.id).unlink_identities(true);
    let report = job.run(&client).await;
    replay.finish().expect("as it is written");
    assert!(matches!(
        report.unlink_identities,
        StepOutcome::Failed(ref error) if error.status() == Some(StatusCode::CONFLICT)
    ));
    assert_eq!(report.identities_unlinked, 2);
    assert!(!report.is_complete());
    let text = report.to_string();
    assert!(text.contains("left active       1 identities"), "{text}");
}
