//! Replaces an API key while it is in use.

mod new_key;
mod report;
mod steps;
mod unfit_key;

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use tower::Service;

pub use new_key::NewApiKey;
pub use report::{RotateApiKeyReport, Suspects};
pub use unfit_key::UnfitKey;

use super::{KeyRef, StepOutcome};
use crate::api::setters::setters;
use crate::{Client, KeyHandle, Scope};

/// As long as a call may take unless told otherwise.
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// Replaces an API key by a new one with the same scopes and name: creates the new one, has it probed
/// and stored, swaps the running client over, waits for the calls in flight, and revokes the old one.
///
/// `probe` is given the new key, and tries it out with a client of its own: the running one goes on
/// with the old key until that has worked. [`NewApiKey::probe`] is a harmless read for it. If it fails,
/// the new key is revoked, and no store has seen it. `store` is given the key as well, and keeps it
/// where the next start finds it. If it fails, the key may be there nevertheless: so neither key is
/// revoked, the client goes on with the old one, and the
/// [report](RotateApiKeyReport::store_is_unclear) names both.
///
/// A new key that may do less than was asked for, or would live longer than the old one was made to,
/// is an [`UnfitKey`]: it is revoked at once. See [`may_outlive`](Self::may_outlive).
///
/// Without a [`running_key`](Self::running_key) the client runs with the key that is replaced, which
/// then needs `api-keys:read`, `api-keys:write` and `api-keys:delete`; the new one needs the last, to
/// revoke the old.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// use idpflare_management::layers::{ApiKey, BoxError};
/// use idpflare_management::testing::FakeIdpflare;
/// use idpflare_management::workflows::{NewApiKey, RotateApiKey};
/// use idpflare_management::{Client, GetUserStats, KeyHandle};
///
/// let fake = FakeIdpflare::new();
/// let connect = |handle: KeyHandle| {
///     Client::builder("https://idp.example.com")
///         .key_handle(handle)
///         .build_with(fake.service())
/// };
/// let key = ApiKey::new(fake.api_key())?;
/// let handle = KeyHandle::new(key.clone());
/// let client = connect(handle.clone())?;
///
/// let report = RotateApiKey::new(&key)
///     .swap(handle)
///     .run(
///         &client,
///         async |new: NewApiKey| new.probe(&connect(new.key().into())?).await,
///         async |new: NewApiKey| {
///             let secret = new.secret(); // to the secret store with it
///             # let _ = secret;
///             Ok::<_, BoxError>(())
///         },
///     )
///     .await;
/// println!("{report}");
/// assert!(report.is_complete());
/// client.send(GetUserStats::new()).await?; // with the new key
/// # Ok(())
/// # }
/// ```
///
/// # Where it ends early
///
/// Nothing is sent twice that may act twice: where nobody knows whether the new key was created, the
/// job ends, and [`suspects`](RotateApiKeyReport::suspects) are the keys of that name that have
/// appeared since. Nobody knows the secret of such a key; it should be revoked.
///
/// The future can be dropped at any point. What is left then, and what a second run makes of it:
///
/// | dropped | what is left | where the next run starts from |
/// |---|---|---|
/// | before or while the key is created | perhaps a key whose secret is lost | the old key |
/// | while it is probed | a key whose secret is lost | the old key |
/// | while it is stored | a key that only the store may know | the key that is in the store |
/// | after that | the old key besides the new one | the new key |
///
/// In all cases these are active keys with the name and the scopes of the old key or of the new one.
/// The next run tells of them as [`leftovers`](RotateApiKeyReport::leftovers), and revokes them if told
/// to with [`revoke_leftovers`](Self::revoke_leftovers). When they were created says nothing: where a
/// run starts from the key that is in the store, the one that is left is older. Other keys of that name
/// are told of as [`namesakes`](RotateApiKeyReport::namesakes) and left alone. Where the next run starts
/// from a new key that has other scopes or another name, the one that it was to replace is not known
/// any more: revoke it by hand.
#[derive(Clone, Debug)]
#[must_use = "a job does nothing until it is run"]
pub struct RotateApiKey {
    old_key: KeyRef,
    running_key: Option<KeyRef>,
    name: Option<String>,
    scopes: Option<Vec<Scope>>,
    handle: Option<KeyHandle>,
    drain: Duration,
    may_outlive: bool,
    revoke_leftovers: bool,
    dry_run: bool,
}

impl RotateApiKey {
    /// Names the key that is replaced.
    pub fn new(old_key: impl Into<KeyRef>) -> Self {
        Self {
            old_key: old_key.into(),
            running_key: None,
            name: None,
            scopes: None,
            handle: None,
            drain: DEFAULT_DRAIN,
            may_outlive: false,
            revoke_leftovers: false,
            dry_run: false,
        }
    }

    setters! {
        /// Which key the client has, if it is another one than the one that is replaced: that of an
        /// administrator, who replaces the key of a service. Where it turns out to be the one that is
        /// replaced, that is as if it were not given.
        running_key: Option<KeyRef>,
        /// What people call the new key; without, as the old one.
        name: Option<String>,
        /// What the new key may do; without, the same as the old one.
        scopes: [Option<Vec<Scope>>],
    }

    /// Whose clients get the new key. Without, nobody does but who reads it from the store.
    pub fn swap(mut self, handle: KeyHandle) -> Self {
        self.handle = Some(handle);
        self
    }

    /// How long the old key is left alone after the swap, so that calls in flight come to their end.
    /// The default is 30 s.
    pub fn drain(mut self, time: Duration) -> Self {
        self.drain = time;
        self
    }

    /// Whether the new key may live longer than the old one was made to, which is from when it was
    /// created until it ends by itself. The default is no: the protocol has no way to ask for a
    /// lifetime, so a key that the server gives a longer one, or none, is revoked before it is used,
    /// and the old key stays. A key that never ends may be followed by any.
    pub fn may_outlive(mut self, may: bool) -> Self {
        self.may_outlive = may;
        self
    }

    /// Whether the [`leftovers`](RotateApiKeyReport::leftovers) are revoked in the end: all other
    /// active keys with the name and the scopes of the old key or of the new one, but not the
    /// [running key](Self::running_key). Not where several programs have keys that are alike in both:
    /// a name is all that tells them apart.
    pub fn revoke_leftovers(mut self, revoke: bool) -> Self {
        self.revoke_leftovers = revoke;
        self
    }

    /// Whether to say only what would be done.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Does it. `probe` and `store` are called at most once each, in this order, and `store` only after
    /// a probe that has worked.
    pub async fn run<S, B, Probe, Probed, ProbeError, Store, Stored, StoreError>(
        &self,
        client: &Client<S>,
        probe: Probe,
        store: Store,
    ) -> RotateApiKeyReport
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
        S::Error: Into<BoxError>,
        B: Body,
        B::Error: Into<BoxError>,
        Probe: FnOnce(NewApiKey) -> Probed,
        Probed: Future<Output = Result<(), ProbeError>>,
        ProbeError: Into<BoxError>,
        Store: FnOnce(NewApiKey) -> Stored,
        Stored: Future<Output = Result<(), StoreError>>,
        StoreError: Into<BoxError>,
    {
        let mut report = RotateApiKeyReport::new(self.dry_run);
        let job = Job { client, job: self };
        let Some(new) = job.prepare(&mut report).await else {
            return report;
        };
        let new = match new {
            Ok(new) => new,
            Err(unfit) => {
                report.probe = StepOutcome::Failed(unfit.into());
                job.roll_back(&mut report).await;
                return report;
            }
        };
        report.probe = caller(probe(new.clone()).await);
        if !report.probe.is_done() {
            job.roll_back(&mut report).await;
            return report;
        }
        report.store = caller(store(new.clone()).await);
        // A store that has failed may have kept the new key, so the next start may need either.
        if report.store.is_done() {
            job.complete(&mut report, new).await;
        }
        report
    }
}

fn caller<E: Into<BoxError>>(result: Result<(), E>) -> StepOutcome<BoxError> {
    match result {
        Ok(()) => StepOutcome::Done,
        Err(error) => StepOutcome::Failed(error.into()),
    }
}

struct Job<'a, S> {
    client: &'a Client<S>,
    job: &'a RotateApiKey,
}
