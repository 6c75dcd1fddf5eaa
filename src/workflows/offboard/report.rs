use std::fmt;

use super::{AccessTokens, Lock, Remaining, Verification};
use crate::one_line::one_line;
use crate::workflows::step::is_not_found;
use crate::workflows::{KeyNotFound, ScopeCheck, StepOutcome};
use crate::{Error, UserId};

/// What [`Offboard`](super::Offboard) did, and what it found afterwards.
#[derive(Debug)]
#[non_exhaustive]
pub struct OffboardReport {
    /// The user.
    pub user_id: UserId,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// Whether the running key has the scopes.
    pub scopes: ScopeCheck,
    /// Whether the user could be read.
    pub look_up: StepOutcome,
    /// The account is blocked.
    pub block: StepOutcome,
    /// The sessions are revoked. Blocking may have ended them already.
    pub revoke_sessions: StepOutcome,
    /// How many sessions the server says it revoked in that step.
    pub sessions_revoked: Option<u64>,
    /// The refresh tokens are revoked.
    pub revoke_tokens: StepOutcome,
    /// How many tokens the server says it revoked in that step.
    pub tokens_revoked: Option<u64>,
    /// The identities are unlinked; of several errors, the first.
    pub unlink_identities: StepOutcome,
    /// How many identities the server says it unlinked.
    pub identities_unlinked: u64,
    /// The second factors are removed.
    pub reset_mfa: StepOutcome,
    /// What was found when all was done.
    pub verification: Verification,
    /// What can still be alive.
    pub access_tokens: AccessTokens,
}

impl OffboardReport {
    pub(super) fn new(user_id: &UserId, dry_run: bool) -> Self {
        Self {
            user_id: user_id.clone(),
            dry_run,
            scopes: ScopeCheck::Unknown(KeyNotFound::NotLookedFor),
            look_up: StepOutcome::Skipped,
            block: StepOutcome::Skipped,
            revoke_sessions: StepOutcome::Skipped,
            sessions_revoked: None,
            revoke_tokens: StepOutcome::Skipped,
            tokens_revoked: None,
            unlink_identities: StepOutcome::Skipped,
            identities_unlinked: 0,
            reset_mfa: StepOutcome::Skipped,
            verification: Verification::default(),
            access_tokens: AccessTokens::NotLookedUp,
        }
    }

    /// Whether the verification has found the account locked, or gone, and nothing left of what was
    /// to be ended. A lock that ends by itself counts only where the account was blocked; that the user
    /// is gone, where it was blocked or was gone by then. Access tokens that are already issued do not
    /// count.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let found = &self.verification;
        self.is_locked_out()
            && found.sessions.is_clear()
            && found.tokens.is_clear()
            && found.identities.is_clear()
            && found.mfa.is_clear()
    }

    fn is_locked_out(&self) -> bool {
        match self.verification.lock {
            Lock::Locked { until: None } => true,
            Lock::Locked { until: Some(_) } => self.block.is_done(),
            // One 404 may be that of a proxy.
            Lock::UserGone => self.block.is_done() || self.block.error().is_some_and(is_not_found),
            _ => false,
        }
    }

    /// All steps in their order, with names.
    #[must_use]
    pub fn steps(&self) -> [(&'static str, &StepOutcome); 6] {
        [
            ("look up", &self.look_up),
            ("block", &self.block),
            ("revoke sessions", &self.revoke_sessions),
            ("revoke tokens", &self.revoke_tokens),
            ("unlink identities", &self.unlink_identities),
            ("reset mfa", &self.reset_mfa),
        ]
    }

    /// The first step's error, if there is one.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.steps().into_iter().find_map(|(_, step)| step.error())
    }
}

impl fmt::Display for OffboardReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.dry_run, self.is_complete()) {
            (true, _) => "dry run",
            (false, true) => "complete",
            (false, false) => "NOT COMPLETE",
        };
        let user = one_line(self.user_id.as_str());
        writeln!(f, "offboarding of {user}: {verdict}")?;
        writeln!(f, "  {:<18}{}", "scopes", self.scopes)?;
        for (name, outcome) in self.steps() {
            writeln!(f, "  {name:<18}{outcome}")?;
        }
        if !self.dry_run {
            writeln!(f, "  {:<18}{}", "left active", Left(self))?;
        }
        write!(f, "  {:<18}", "still alive")?;
        match &self.access_tokens {
            AccessTokens::NotLookedUp => f.write_str("not looked at"),
            AccessTokens::Unknown(error) => {
                write!(f, "issued access tokens, nobody knows of which clients: ")?;
                f.write_str(&one_line(&error.to_string()))
            }
            AccessTokens::Of(clients) if clients.is_empty() => {
                f.write_str("no access tokens that are known of")
            }
            AccessTokens::Of(clients) => {
                let clients: Vec<_> = clients.iter().map(ToString::to_string).collect();
                write!(f, "issued access tokens of {}", clients.join("; "))
            }
        }
    }
}

/// What is left, in a line.
struct Left<'a>(&'a OffboardReport);

impl fmt::Display for Left<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Verification {
            lock,
            sessions,
            tokens,
            identities,
            mfa,
        } = &self.0.verification;
        let mut left = Vec::new();
        match lock {
            Lock::Open => left.push(String::from("the account, which is not locked")),
            Lock::Unknown(error) => left.push(unknown("the account", error)),
            Lock::Locked { until: Some(at) } => {
                left.push(format!("the lock may end by itself at {at:.0}"));
            }
            Lock::UserGone if !self.0.is_locked_out() => {
                left.push(String::from(
                    "perhaps the account: it seems gone, but nobody has seen it locked",
                ));
            }
            Lock::Locked { until: None } | Lock::UserGone => {}
            Lock::NotChecked => return f.write_str("not looked at"),
        }
        left.extend(remaining(sessions, "sessions"));
        left.extend(remaining(tokens, "refresh tokens"));
        left.extend(remaining(identities, "identities"));
        left.extend(remaining(mfa, "second factors"));
        if left.is_empty() {
            f.write_str("nothing")
        } else {
            f.write_str(&left.join("; "))
        }
    }
}

fn remaining<T>(remaining: &Remaining<T>, what: &str) -> Option<String> {
    match remaining {
        Remaining::NotChecked | Remaining::Nothing => None,
        Remaining::Left(left) => Some(format!("{} {what}", left.len())),
        Remaining::Unknown(error) => Some(unknown(what, error)),
    }
}

fn unknown(what: &str, error: &Error) -> String {
    format!("perhaps {what}: {}", one_line(&error.to_string()))
}
