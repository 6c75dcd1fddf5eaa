//! Ending all access of a user.

use http::StatusCode;
use idpflare_management::testing::{
    CannedReply, FakeIdpflare, Fault, FaultRule, FaultScript, Fixture, ReplayService,
};
use idpflare_management::workflows::{
    AccessTokens, Lock, Offboard, Remaining, ScopeCheck, StepOutcome,
};
use idpflare_management::*;

use crate::leaver::{State, job, somebody};
use crate::support::{AUTHORITY, Ledger, connect, key};
use crate::ways;

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
