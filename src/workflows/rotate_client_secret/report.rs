use std::fmt;

use idpflare_layers::BoxError;
use secrecy::SecretString;

use crate::OAuthClientId;
use crate::one_line::one_line;
use crate::workflows::{KeyNotFound, ScopeCheck, StepOutcome};

/// What [`RotateClientSecret`](super::RotateClientSecret) did. Its `Debug` does not show the secret.
#[derive(Debug)]
#[non_exhaustive]
pub struct RotateClientSecretReport {
    /// The OAuth client.
    pub client_id: OAuthClientId,
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// Whether the running key has the scopes.
    pub scopes: ScopeCheck,
    /// Whether the client could be read. A key that may not read does not end the job.
    pub look_up: StepOutcome,
    /// Whether the client is confidential, where it could be read. One that is not has no secret, so
    /// nothing is done.
    pub has_secret: Option<bool>,
    /// The secret is replaced.
    pub rotate: StepOutcome,
    /// The new secret is stored; the error is that of the caller's function.
    pub store: StepOutcome<BoxError>,
    /// Where nobody knows whether the secret was replaced: whether the client was changed meanwhile,
    /// by whomever. `None` where that could not be found out.
    pub client_has_changed: Option<bool>,
    pub(super) unstored: Option<SecretString>,
}

impl RotateClientSecretReport {
    pub(super) fn new(client_id: &OAuthClientId, dry_run: bool) -> Self {
        Self {
            client_id: client_id.clone(),
            dry_run,
            scopes: ScopeCheck::Unknown(KeyNotFound::NotLookedFor),
            look_up: StepOutcome::Skipped,
            has_secret: None,
            rotate: StepOutcome::Skipped,
            store: StepOutcome::Skipped,
            client_has_changed: None,
            unstored: None,
        }
    }

    /// Whether the new secret is valid and stored.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.rotate.is_done() && self.store.is_done()
    }

    /// The new secret, where storing it failed. The server does not tell it again.
    #[must_use]
    pub fn take_unstored_secret(&mut self) -> Option<SecretString> {
        self.unstored.take()
    }
}

impl fmt::Display for RotateClientSecretReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.dry_run, self.is_complete()) {
            (true, _) => "dry run",
            (false, true) => "complete",
            (false, false) => "NOT COMPLETE",
        };
        let client = one_line(self.client_id.as_str());
        writeln!(f, "rotation of the secret of {client}: {verdict}")?;
        writeln!(f, "  {:<18}{}", "scopes", self.scopes)?;
        writeln!(f, "  {:<18}{}", "look up", self.look_up)?;
        if self.has_secret == Some(false) {
            writeln!(f, "  it is a public client, which has no secret")?;
        }
        writeln!(f, "  {:<18}{}", "rotate", self.rotate)?;
        write!(f, "  {:<18}{}", "store", self.store)?;
        if self.unstored.is_some() {
            write!(f, "\n  the new secret is in this report, and nowhere else")?;
        }
        if matches!(self.rotate, StepOutcome::Unknown(_)) {
            let hint = match self.client_has_changed {
                Some(true) => "the client has changed since, so probably it is",
                Some(false) => "the client has not changed since, so probably it is not",
                None => "nobody knows",
            };
            write!(
                f,
                "\n  the old secret may be dead: {hint}; run it again for one that is known"
            )?;
        }
        Ok(())
    }
}
