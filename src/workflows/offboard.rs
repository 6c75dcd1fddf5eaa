//! Ends all access of a user.

mod access;
mod foresee;
mod report;
mod verify;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::Service;

pub use access::{AccessTokens, ClientAccess};
pub use report::OffboardReport;
pub use verify::{Lock, Remaining, Verification};

use super::patience::patient;
use super::preflight::{check_scopes, is_forbidden};
use super::server_clock;
use super::step::{FailuresInARow, is_not_found};
use super::{KeyRef, StepOutcome};
use crate::api::setters::setters;
use crate::{
    BlockUser, Client, Error, ErrorKind, GetUser, GetUserMfaEnrollments, IdentityId,
    ListUserIdentities, ListUserTokens, ResetUserMfa, RevokeAllUserSessions, RevokeAllUserTokens,
    Scope, UnlinkUserIdentity, User, UserId,
};

const NEEDED: [Scope; 2] = [Scope::UsersRead, Scope::UsersWrite];

/// Ends all access of a user: blocks the account, revokes sessions and refresh tokens, and where
/// asked for unlinks identities and resets multi-factor authentication. Then it looks whether
/// anything is left.
///
/// It needs `users:read` and `users:write`. With `clients:read` as well, the report says until when
/// access tokens that are already issued can live, which nobody can revoke.
///
/// A step that fails does not stop those after it: where blocking fails, sessions and tokens are
/// revoked nevertheless. Only a user that does not exist, and a key that may not even read, end the
/// job. Running it again completes it, also where the future was dropped: then each step is done, or
/// not, and none is left half-done but for identities, which are unlinked one by one.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// use idpflare_management::testing::FakeIdpflare;
/// use idpflare_management::workflows::Offboard;
/// use idpflare_management::{GetUser, ListUsers};
///
/// let fake = FakeIdpflare::new();
/// fake.seed(1);
/// let client = fake.client();
/// let user = client.send(ListUsers::new()).await?.users.remove(0);
///
/// let offboard = Offboard::new(&user.id).reason("has left").unlink_identities(true);
/// let report = offboard.clone().dry_run(true).run(&client).await;
/// assert!(!report.is_complete() && !client.send(GetUser::new(&user.id)).await?.is_locked);
///
/// let report = offboard.run(&client).await;
/// println!("{report}");
/// assert!(report.is_complete());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a job does nothing until it is run"]
pub struct Offboard {
    user_id: UserId,
    reason: Option<String>,
    unlink_identities: bool,
    reset_mfa: bool,
    running_key: Option<KeyRef>,
    dry_run: bool,
}

impl Offboard {
    /// Names the user.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
            reason: None,
            unlink_identities: false,
            reset_mfa: false,
            running_key: None,
            dry_run: false,
        }
    }

    setters! {
        /// Why the user is blocked, for the audit log.
        reason: Option<String>,
        /// Which key the client has, so that its scopes can be checked first.
        running_key: Option<KeyRef>,
    }

    /// Whether the accounts elsewhere, which the user can sign in with, are unlinked.
    pub fn unlink_identities(mut self, unlink: bool) -> Self {
        self.unlink_identities = unlink;
        self
    }

    /// Whether all second factors are removed.
    pub fn reset_mfa(mut self, reset: bool) -> Self {
        self.reset_mfa = reset;
        self
    }

    /// Whether to say only what would be done.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Does it.
    pub async fn run<S, B>(&self, client: &Client<S>) -> OffboardReport
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
        S::Error: Into<BoxError>,
        B: Body,
        B::Error: Into<BoxError>,
    {
        let mut report = OffboardReport::new(&self.user_id, self.dry_run);
        let job = Job { client, job: self };
        job.run(&mut report).await;
        report
    }
}

struct Job<'a, S> {
    client: &'a Client<S>,
    job: &'a Offboard,
}

impl<S, B> Job<'_, S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    async fn run(&self, report: &mut OffboardReport) {
        let Offboard {
            user_id,
            running_key,
            ..
        } = self.job;
        report.scopes = check_scopes(self.client, running_key.as_ref(), &NEEDED).await;
        if report.scopes.is_missing() {
            return;
        }
        let user = match self.client.send(patient(GetUser::new(user_id))).await {
            Ok(user) => {
                report.look_up = StepOutcome::Done;
                Some(user)
            }
            Err(error) => {
                report.scopes.heed(&error);
                let is_final = is_not_found(&error)
                    || is_forbidden(&error)
                    || error.kind() == ErrorKind::Encode;
                report.look_up = StepOutcome::Failed(error);
                if is_final {
                    return;
                }
                // Whoever has to leave must not stay because of a read.
                None
            }
        };
        if self.job.dry_run {
            self.foresee(report, user.as_ref()).await;
        } else {
            self.act(report, user.as_ref()).await;
            report.verification = self.verify().await;
        }
    }

    async fn act(&self, report: &mut OffboardReport, before: Option<&User>) {
        let Self { client, job } = self;
        let user_id = &job.user_id;
        report.block = if before.is_some_and(is_blocked) {
            StepOutcome::AlreadyDone
        } else {
            let mut block = BlockUser::new(user_id);
            block.reason.clone_from(&job.reason);
            StepOutcome::of(client.send(patient(block)).await)
        };

        let revoked = client
            .send(patient(RevokeAllUserSessions::new(user_id)))
            .await;
        report.revoke_sessions = counted(
            revoked.map(|revoked| revoked.sessions_revoked),
            &mut report.sessions_revoked,
        );

        // Before they are revoked, which a server may take as a reason not to list them any more.
        let tokens = server_clock::send(client, ListUserTokens::new(user_id)).await;
        let revoked = server_clock::send(client, RevokeAllUserTokens::new(user_id)).await;
        let now = match (&revoked, &tokens) {
            (Ok(revoked), _) => revoked.at,
            (Err(_), Ok(tokens)) => tokens.at,
            (Err(_), Err(_)) => None,
        };
        report.revoke_tokens = counted(
            revoked.map(|revoked| revoked.value.tokens_revoked),
            &mut report.tokens_revoked,
        );
        let is_over = report.revoke_tokens.is_done();

        if job.unlink_identities {
            report.unlink_identities = self.unlink(&mut report.identities_unlinked).await;
        }
        if job.reset_mfa {
            report.reset_mfa = self.reset_mfa().await;
        }
        let tokens = tokens.map(|tokens| tokens.value);
        report.access_tokens = self.access_tokens(tokens, is_over, now).await;
    }

    /// Unlinks one identity after the other, until too many in a row have failed. The first of several
    /// errors is kept; the verification reports the identities that are left.
    async fn unlink(&self, unlinked: &mut u64) -> StepOutcome {
        let user_id = &self.job.user_id;
        let identities = self
            .client
            .send(patient(ListUserIdentities::new(user_id)))
            .await;
        let identities = match identities {
            Ok(identities) => identities,
            Err(error) => return StepOutcome::Failed(error),
        };
        let mut outcome = StepOutcome::AlreadyDone;
        let mut failures = FailuresInARow::default();
        for identity in identities {
            let unlinking = self.unlink_one(&identity.id).await;
            let ends = failures.end_with(&unlinking);
            *unlinked += u64::from(matches!(unlinking, StepOutcome::Done));
            match (&outcome, &unlinking) {
                (StepOutcome::AlreadyDone, _) => outcome = unlinking,
                (StepOutcome::Done, failed) if !failed.is_done() => outcome = unlinking,
                _ => {}
            }
            if ends {
                break;
            }
        }
        outcome
    }

    /// Where it fails, whether the identity is still there says more than the error: a 404 may be
    /// that of a proxy, and a reply may be lost after the identity was unlinked.
    async fn unlink_one(&self, id: &IdentityId) -> StepOutcome {
        let Self { client, job } = self;
        let unlinked = client
            .send(patient(UnlinkUserIdentity::new(&job.user_id, id)))
            .await;
        let Err(error) = unlinked else {
            return StepOutcome::Done;
        };
        match client
            .send(patient(ListUserIdentities::new(&job.user_id)))
            .await
        {
            Ok(linked) if linked.iter().all(|linked| linked.id != *id) => StepOutcome::AlreadyDone,
            _ => StepOutcome::failed(error),
        }
    }

    async fn reset_mfa(&self) -> StepOutcome {
        let user_id = &self.job.user_id;
        let enrollments = self
            .client
            .send(patient(GetUserMfaEnrollments::new(user_id)))
            .await;
        if enrollments.is_ok_and(|enrollments| enrollments.is_empty()) {
            return StepOutcome::AlreadyDone;
        }
        StepOutcome::of(self.client.send(patient(ResetUserMfa::new(user_id))).await)
    }
}

/// Whether the account is locked for good: a lock with an end is there for other reasons.
fn is_blocked(user: &User) -> bool {
    user.is_locked && user.locked_until.is_none()
}

fn counted(revoked: Result<u64, Error>, count: &mut Option<u64>) -> StepOutcome {
    match revoked {
        Ok(revoked) => {
            *count = Some(revoked);
            if revoked == 0 {
                StepOutcome::AlreadyDone
            } else {
                StepOutcome::Done
            }
        }
        Err(error) => StepOutcome::failed(error),
    }
}
