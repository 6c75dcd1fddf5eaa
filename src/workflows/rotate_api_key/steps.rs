//! What the client does, before and after the caller's functions.

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::Service;

use super::unfit_key::outlives;
use super::{Job, NewApiKey, RotateApiKeyReport, Suspects, UnfitKey};
use crate::workflows::patience::patient;
use crate::workflows::preflight::{active_keys, find};
use crate::workflows::step::FailuresInARow;
use crate::workflows::{KeyNotFound, ScopeCheck, StepOutcome};
use crate::{ApiKey, ApiKeyId, Client, CreateApiKey, CreatedApiKey, RevokeApiKey, Scope};

const NEEDED: [Scope; 3] = [
    Scope::ApiKeysRead,
    Scope::ApiKeysWrite,
    Scope::ApiKeysDelete,
];

impl<S, B> Job<'_, S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    /// All up to the new key, which may be one that can't be used.
    pub(super) async fn prepare(
        &self,
        report: &mut RotateApiKeyReport,
    ) -> Option<Result<NewApiKey, UnfitKey>> {
        let job = self.job;
        let keys = match active_keys(self.client).await {
            Ok(keys) => keys,
            Err(reason) => {
                if let KeyNotFound::NotListed(error) = &reason {
                    report.scopes.heed(error);
                }
                report.find = StepOutcome::Failed(reason);
                return None;
            }
        };
        let old = match find(&keys, &job.old_key) {
            Ok(old) => old.clone(),
            Err(reason) => {
                report.find = StepOutcome::Failed(reason);
                return None;
            }
        };
        report.find = StepOutcome::Done;
        let name = job.name.clone().unwrap_or_else(|| old.name.clone());
        let scopes = job.scopes.clone().unwrap_or_else(|| old.scopes.clone());
        for key in keys.iter().filter(|key| key.id != old.id) {
            let is_left = key.name == old.name && are_same(&key.scopes, &old.scopes)
                || key.name == name && are_same(&key.scopes, &scopes);
            if is_left && !self.may_run_with(key) {
                report.leftovers.push(key.clone());
            } else if key.name == old.name || key.name == name {
                report.namesakes.push(key.clone());
            }
        }
        report.scopes = self.check_scopes(&keys, &old, &scopes);
        report.old_key = Some(old.clone());
        if report.scopes.is_missing() {
            return None;
        }
        if job.dry_run {
            report.foresee(job.handle.is_some(), job.revoke_leftovers);
            return None;
        }
        self.create(report, &keys, &old, name, scopes).await
    }

    /// Whether the caller may have meant this one by the running key, also where others are meant
    /// as well.
    fn may_run_with(&self, key: &ApiKey) -> bool {
        let running_key = self.job.running_key.as_ref();
        running_key.is_some_and(|running_key| running_key.matches(key))
    }

    fn check_scopes(&self, keys: &[ApiKey], old: &ApiKey, new: &[Scope]) -> ScopeCheck {
        let running_key = self.job.running_key.as_ref();
        match running_key.map(|running_key| find(keys, running_key)) {
            Some(Ok(key)) if key.id != old.id => ScopeCheck::of(&key.scopes, &NEEDED),
            Some(Err(reason)) => ScopeCheck::Unknown(reason),
            _ => match ScopeCheck::of(&old.scopes, &NEEDED) {
                // From the swap on it is the new key that the client has.
                ScopeCheck::Sufficient if self.job.handle.is_some() => {
                    ScopeCheck::of(new, &[Scope::ApiKeysDelete])
                }
                check => check,
            },
        }
    }

    async fn create(
        &self,
        report: &mut RotateApiKeyReport,
        before: &[ApiKey],
        old: &ApiKey,
        name: String,
        scopes: Vec<Scope>,
    ) -> Option<Result<NewApiKey, UnfitKey>> {
        let create = CreateApiKey::new(&*name).scopes(scopes.clone());
        match self.client.send(patient(create)).await {
            Ok(CreatedApiKey { api_key, raw_key }) => {
                report.create = StepOutcome::Done;
                report.new_key = Some(api_key.clone());
                if !self.job.may_outlive && outlives(&api_key, old) {
                    let ends_at = api_key.expires_at;
                    return Some(Err(UnfitKey::Outlives { ends_at }));
                }
                Some(NewApiKey::new(api_key, raw_key, &scopes))
            }
            Err(error) => {
                report.create = StepOutcome::failed(error);
                if matches!(report.create, StepOutcome::Unknown(_)) {
                    report.suspects = self.suspects(before, &name, &scopes).await;
                }
                None
            }
        }
    }

    /// The keys of this name that were not there before. What a server gives may be less than what
    /// it was asked for, but not more.
    async fn suspects(&self, before: &[ApiKey], name: &str, asked: &[Scope]) -> Suspects {
        let is_new = |key: &ApiKey| before.iter().all(|known| known.id != key.id);
        match active_keys(self.client).await {
            Ok(mut keys) => {
                keys.retain(|key| key.name == name && are_among(&key.scopes, asked) && is_new(key));
                Suspects::Found(keys)
            }
            Err(reason) => Suspects::Unknown(reason),
        }
    }

    pub(super) async fn complete(&self, report: &mut RotateApiKeyReport, new: NewApiKey) {
        if let Some(handle) = &self.job.handle {
            handle.rotate(new.key());
            report.swap = StepOutcome::Done;
        }
        // Nothing of the secret is kept for the time of the wait.
        drop(new);
        tokio::time::sleep(self.job.drain).await;
        report.drain = StepOutcome::Done;
        let Some(old) = &report.old_key else {
            return;
        };
        if self.job.revoke_leftovers {
            // Before the old key, with which the client may still be running.
            let mut outcome = StepOutcome::AlreadyDone;
            let mut failures = FailuresInARow::default();
            for key in &report.leftovers {
                let revoked = self.revoke(&key.id).await;
                let ends = failures.end_with(&revoked);
                if outcome.is_done() {
                    outcome = revoked;
                }
                if ends {
                    break;
                }
            }
            report.revoke_leftovers = outcome;
        }
        report.revoke_old = self.revoke(&old.id).await;
    }

    pub(super) async fn roll_back(&self, report: &mut RotateApiKeyReport) {
        if let Some(new) = &report.new_key {
            report.roll_back = self.revoke(&new.id).await;
        }
    }

    async fn revoke(&self, id: &ApiKeyId) -> StepOutcome {
        revoke(self.client, id).await
    }
}

fn are_among(scopes: &[Scope], all: &[Scope]) -> bool {
    scopes.iter().all(|scope| all.contains(scope))
}

/// Whether it is the same scopes, in whatever order.
fn are_same(some: &[Scope], others: &[Scope]) -> bool {
    are_among(some, others) && are_among(others, some)
}

/// Revokes a key. Where that fails, whether the key is still there says more than the error: a 404
/// may be that of a proxy, and a reply may be lost after the key was revoked.
pub(super) async fn revoke<S, B>(client: &Client<S>, id: &ApiKeyId) -> StepOutcome
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
{
    match client.send(patient(RevokeApiKey::new(id))).await {
        Ok(()) => StepOutcome::Done,
        Err(error) => match active_keys(client).await {
            Ok(keys) if keys.iter().all(|key| key.id != *id) => StepOutcome::AlreadyDone,
            _ => StepOutcome::failed(error),
        },
    }
}
