//! A program whose API key is rotated.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use idpflare_management::layers::BoxError;
use idpflare_management::testing::FakeIdpflare;
use idpflare_management::workflows::{
    NewApiKey, RotateApiKey, RotateApiKeyReport, StepOutcome, Suspects,
};
use idpflare_management::{
    ApiKey, Client, ExposeSecret, GetUserStats, KeyHandle, ListApiKeys, Scope,
};

use crate::support::{assert_discreet, connect, key};

pub(crate) const DRAIN: Duration = Duration::from_secs(5);

/// A program that keeps its key in a store.
pub(crate) struct Program {
    pub(crate) fake: FakeIdpflare,
    pub(crate) handle: KeyHandle,
    pub(crate) client: Client,
    /// What a start of the program would find.
    pub(crate) stored: Arc<Mutex<String>>,
    pub(crate) admin: Client,
}

impl Program {
    pub(crate) fn start() -> Self {
        let fake = FakeIdpflare::new();
        let handle = KeyHandle::new(key(&fake.api_key()));
        Self {
            client: connect(&fake, handle.clone()),
            stored: Arc::new(Mutex::new(fake.api_key())),
            admin: fake.client_with_scopes(Scope::KNOWN.to_vec()),
            handle,
            fake,
        }
    }

    pub(crate) fn stored(&self) -> String {
        self.stored.lock().expect("not poisoned").clone()
    }

    pub(crate) fn job(&self, running: &str) -> RotateApiKey {
        RotateApiKey::new(&key(running))
            .swap(self.handle.clone())
            .drain(DRAIN)
    }

    pub(crate) async fn run(&self, job: &RotateApiKey) -> RotateApiKeyReport {
        let store = async |new: NewApiKey| {
            *self.stored.lock().expect("not poisoned") = new.secret().expose_secret().into();
            Ok::<_, BoxError>(())
        };
        let probe = async |new: NewApiKey| new.probe(&connect(&self.fake, new.key())).await;
        job.run(&self.client, probe, store).await
    }

    /// The active keys of the name that is rotated.
    pub(crate) async fn active(&self) -> Vec<ApiKey> {
        let keys = self.admin.send(ListApiKeys::new().active_only(true)).await;
        let mut keys = keys.expect("keys");
        keys.retain(|key| key.name == "Root key");
        keys
    }

    pub(crate) async fn runs(&self) -> bool {
        self.client.send(GetUserStats::new()).await.is_ok()
    }

    /// What an operator does after a failure: runs it again with the key that works.
    pub(crate) async fn repair(&self, case: &str) {
        tokio::time::sleep(Duration::from_secs(180)).await;
        let candidates = [self.stored(), self.fake.api_key()];
        let mut works = None;
        for raw in candidates {
            let client = connect(&self.fake, key(&raw));
            if works.is_none() && client.send(GetUserStats::new()).await.is_ok() {
                works = Some(raw);
            }
        }
        let works = works.unwrap_or_else(|| panic!("{case}: no key works"));
        self.handle.rotate(key(&works));
        let report = self.run(&self.job(&works).revoke_leftovers(true)).await;
        assert!(report.is_complete(), "{case}: {report}");
        let active = self.active().await;
        assert_eq!(active.len(), 1, "{case}: {active:?}");
        assert!(self.stored().starts_with(&active[0].key_prefix), "{case}");
        assert!(self.runs().await, "{case}");
    }

    pub(crate) async fn assert_true(&self, report: &RotateApiKeyReport, case: &str) {
        let active = self.active().await;
        let is_active = |key: &Option<ApiKey>| {
            let id = key.as_ref().map(|key| &key.id);
            active.iter().any(|active| Some(&active.id) == id)
        };
        match &report.create {
            StepOutcome::Unknown(_) => match &report.suspects {
                Suspects::Found(keys) => assert_eq!(keys.len(), active.len() - 1, "{case}"),
                suspects => panic!("{case}: {suspects:?}"),
            },
            StepOutcome::Done => {}
            _ => assert_eq!(active.len(), 1, "{case}: {active:?}"),
        }
        for (step, key) in [
            (&report.roll_back, &report.new_key),
            (&report.revoke_old, &report.old_key),
        ] {
            match step {
                step if step.is_done() => assert!(!is_active(key), "{case}"),
                StepOutcome::Failed(_) => assert!(is_active(key), "{case}"),
                _ => {}
            }
        }
        assert!(self.runs().await, "{case}: the running client has no key");
        assert_discreet(report, &[&self.fake.api_key(), &self.stored()]);
    }
}
