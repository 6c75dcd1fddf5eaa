use std::fmt;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::Service;

use super::steps::revoke;
use super::unfit_key::outlives;
use crate::one_line::one_line;
use crate::workflows::step::FailuresInARow;
use crate::workflows::{KeyNotFound, ScopeCheck, StepOutcome};
use crate::{ApiKey, ApiKeyId, Client};

/// What [`RotateApiKey`](super::RotateApiKey) did.
#[derive(Debug)]
#[non_exhaustive]
pub struct RotateApiKeyReport {
    /// Whether nothing was to be changed.
    pub dry_run: bool,
    /// Whether the running key has the scopes, and the new one what it takes to revoke the old.
    pub scopes: ScopeCheck,
    /// The key that is replaced, where it was found.
    pub old_key: Option<ApiKey>,
    /// The key that was created.
    pub new_key: Option<ApiKey>,
    /// The old key is found.
    pub find: StepOutcome<KeyNotFound>,
    /// The new key is created.
    pub create: StepOutcome,
    /// The new key works; the error is that of the caller's function, or an
    /// [`UnfitKey`](super::UnfitKey) where the key was not even worth probing.
    pub probe: StepOutcome<BoxError>,
    /// The new key is stored; the error is that of the caller's function.
    pub store: StepOutcome<BoxError>,
    /// The running clients have the new key.
    pub swap: StepOutcome,
    /// Calls in flight have had the time to end.
    pub drain: StepOutcome,
    /// The old key is revoked.
    pub revoke_old: StepOutcome,
    /// The new key is revoked, because it does not work or is unfit. It was not stored.
    pub roll_back: StepOutcome,
    /// Where nobody knows whether a key was created: which it may be.
    pub suspects: Suspects,
    /// Other active keys that an earlier run may have left, found before anything was done: those of
    /// the name and the scopes that the old key has, or the new one is given. Never one that the
    /// [running key](super::RotateApiKey::running_key) may be.
    pub leftovers: Vec<ApiKey>,
    /// The other active keys of the same name, which are left alone: they have other scopes, or the
    /// client may run with them.
    pub namesakes: Vec<ApiKey>,
    /// The leftovers are revoked; of several errors, the first.
    pub revoke_leftovers: StepOutcome,
}

/// Keys that may have been created without anybody knowing their secret.
#[derive(Debug)]
#[non_exhaustive]
pub enum Suspects {
    /// There was no need to look for them.
    NotLookedUp,
    /// The active keys of that name that have appeared since, and have no scopes that were not asked
    /// for. None means that none was created, or not yet: a request that was lost may still arrive.
    Found(Vec<ApiKey>),
    /// The keys could not be listed.
    Unknown(KeyNotFound),
}

impl RotateApiKeyReport {
    pub(super) fn new(dry_run: bool) -> Self {
        Self {
            dry_run,
            scopes: ScopeCheck::Unknown(KeyNotFound::NotLookedFor),
            old_key: None,
            new_key: None,
            find: StepOutcome::Skipped,
            create: StepOutcome::Skipped,
            probe: StepOutcome::Skipped,
            store: StepOutcome::Skipped,
            swap: StepOutcome::Skipped,
            drain: StepOutcome::Skipped,
            revoke_old: StepOutcome::Skipped,
            roll_back: StepOutcome::Skipped,
            suspects: Suspects::NotLookedUp,
            leftovers: Vec::new(),
            namesakes: Vec::new(),
            revoke_leftovers: StepOutcome::Skipped,
        }
    }

    pub(super) fn foresee(&mut self, swaps: bool, revokes_leftovers: bool) {
        self.create = StepOutcome::WouldDo;
        self.probe = StepOutcome::WouldDo;
        self.store = StepOutcome::WouldDo;
        if swaps {
            self.swap = StepOutcome::WouldDo;
        }
        self.drain = StepOutcome::WouldDo;
        self.revoke_old = StepOutcome::WouldDo;
        if revokes_leftovers && !self.leftovers.is_empty() {
            self.revoke_leftovers = StepOutcome::WouldDo;
        }
    }

    /// Whether the new key is in use and the old one revoked.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.store.is_done() && self.revoke_old.is_done() && self.revoke_leftovers.error().is_none()
    }

    /// Whether the new key lives longer than the old one was made to.
    #[must_use]
    pub fn new_outlives_old(&self) -> bool {
        let keys = self.new_key.as_ref().zip(self.old_key.as_ref());
        keys.is_some_and(|(new, old)| outlives(new, old))
    }

    /// Whether storing failed, so that the store may hold the old key or the new one. Both work: look
    /// which one it is, and revoke the other, or run the job again from the one that is stored.
    #[must_use]
    pub fn store_is_unclear(&self) -> bool {
        self.store.error().is_some()
    }

    /// Revokes the [suspects](Self::suspects), whose secret nobody knows. Look at them first: another
    /// program may have created such a key at the same time.
    ///
    /// After ten failures in a row the rest is not tried, and has the outcome
    /// [`Skipped`](StepOutcome::Skipped).
    pub async fn revoke_suspects<S, B>(&self, client: &Client<S>) -> Vec<(ApiKeyId, StepOutcome)>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
        S::Error: Into<BoxError>,
        B: Body,
        B::Error: Into<BoxError>,
    {
        let Suspects::Found(keys) = &self.suspects else {
            return Vec::new();
        };
        let mut outcomes = Vec::new();
        let mut failures = FailuresInARow::default();
        let mut ends = false;
        for key in keys {
            let outcome = if ends {
                StepOutcome::Skipped
            } else {
                let revoked = revoke(client, &key.id).await;
                ends = failures.end_with(&revoked);
                revoked
            };
            outcomes.push((key.id.clone(), outcome));
        }
        outcomes
    }
}

impl fmt::Display for RotateApiKeyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match (self.dry_run, self.is_complete()) {
            (true, _) => "dry run",
            (false, true) => "complete",
            (false, false) => "NOT COMPLETE",
        };
        match &self.old_key {
            Some(key) => writeln!(f, "rotation of API key {}: {verdict}", Named(key))?,
            None => writeln!(f, "rotation of an API key: {verdict}")?,
        }
        line(f, "scopes", &self.scopes)?;
        line(f, "find old", &self.find)?;
        match &self.new_key {
            Some(key) => line(
                f,
                "create",
                &format_args!("{}, {}", self.create, Named(key)),
            )?,
            None => line(f, "create", &self.create)?,
        }
        if self.new_outlives_old() {
            line(f, "lifetime", &"LONGER than the old key was made to live")?;
        } else if self.dry_run && ends_by_itself(self.old_key.as_ref()) {
            line(f, "lifetime", &"the server decides on that of the new key")?;
        }
        line(f, "probe", &self.probe)?;
        line(f, "store", &self.store)?;
        line(f, "swap", &self.swap)?;
        line(f, "drain", &self.drain)?;
        write!(f, "  {:<18}{}", "revoke old", self.revoke_old)?;
        if !matches!(self.roll_back, StepOutcome::Skipped) {
            write!(f, "\n  {:<18}{}", "revoke new", self.roll_back)?;
        }
        if self.store_is_unclear()
            && let (Some(old), Some(new)) = (&self.old_key, &self.new_key)
        {
            let (old, new) = (Named(old), Named(new));
            write!(f, "\n  both keys work, and either may be in the store: ")?;
            write!(f, "{old}; {new}. Revoke the one that is not")?;
        }
        match &self.suspects {
            Suspects::NotLookedUp => {}
            Suspects::Found(keys) if keys.is_empty() => {
                write!(
                    f,
                    "\n  no key of that name has appeared, as far as is known"
                )?;
            }
            Suspects::Found(keys) => {
                write!(f, "\n  {:<18}{}", "perhaps created", All(keys))?;
            }
            Suspects::Unknown(reason) => {
                write!(f, "\n  a key whose secret is lost may be there: {reason}")?;
            }
        }
        if !self.leftovers.is_empty() {
            write!(f, "\n  {:<18}{}", "perhaps left", All(&self.leftovers))?;
            write!(f, "\n  {:<18}{}", "revoke these", self.revoke_leftovers)?;
        }
        if !self.namesakes.is_empty() {
            let keys = All(&self.namesakes);
            write!(f, "\n  {:<18}left alone: {keys}", "same name")?;
        }
        Ok(())
    }
}

fn line(f: &mut fmt::Formatter<'_>, name: &str, text: &dyn fmt::Display) -> fmt::Result {
    writeln!(f, "  {name:<18}{text}")
}

fn ends_by_itself(key: Option<&ApiKey>) -> bool {
    key.is_some_and(|key| key.expires_at.is_some())
}

struct Named<'a>(&'a ApiKey);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(ApiKey {
            id,
            name,
            created_at,
            expires_at,
            ..
        }) = self;
        let (id, name) = (one_line(id.as_str()), one_line(name));
        write!(f, "{id} ({name}, created at {created_at:.0}")?;
        if let Some(at) = expires_at {
            write!(f, ", ends at {at:.0}")?;
        }
        f.write_str(")")
    }
}

struct All<'a>(&'a [ApiKey]);

impl fmt::Display for All<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.0.iter().map(|key| Named(key).to_string()).collect();
        f.write_str(&keys.join("; "))
    }
}
