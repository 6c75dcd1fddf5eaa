//! Somebody who leaves, and what a report of it says.

use idpflare_management::testing::FakeIdpflare;
use idpflare_management::workflows::{Lock, Offboard, OffboardReport, Remaining, StepOutcome};
use idpflare_management::*;

use crate::support::key;

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) locked: bool,
    pub(crate) sessions: usize,
    pub(crate) tokens: usize,
    pub(crate) identities: usize,
    pub(crate) mfa: usize,
}

impl State {
    pub(crate) async fn of(fake: &FakeIdpflare, id: &UserId) -> Self {
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

    pub(crate) fn is_clean(&self) -> bool {
        self.locked && self.sessions + self.tokens + self.identities + self.mfa == 0
    }
}

/// A fake with somebody who has everything that can be taken away.
pub(crate) async fn somebody() -> (FakeIdpflare, UserId, State) {
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

pub(crate) fn job(id: &UserId, fake: &FakeIdpflare) -> Offboard {
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
pub(crate) fn assert_true(
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
