//! Replaces the secret of an OAuth client.

mod report;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use secrecy::SecretString;
use tower::Service;

pub use report::RotateClientSecretReport;

use super::patience::patient;
use super::preflight::{check_scopes, is_forbidden};
use super::{KeyRef, StepOutcome};
use crate::api::setters::setters;
use crate::{Client, GetClient, OAuthClient, OAuthClientId, RotateClientSecret as Rotate, Scope};

/// Replaces the secret of an OAuth client, and has the new one stored. The old one stops working at
/// once, so the application is without a secret until it reads the new one.
///
/// It needs `clients:write`. With `clients:read` as well, it looks first whether there is such a
/// client and whether it has a secret at all.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// # use idpflare_management::{CreateClient, testing::FakeIdpflare};
/// # let client = FakeIdpflare::new().client();
/// # let create = CreateClient::new("Storefront", ["https://shop.example.com/callback"]);
/// # let id = client.send(create).await?.client.id;
/// use idpflare_management::SecretString;
/// use idpflare_management::layers::BoxError;
/// use idpflare_management::workflows::RotateClientSecret;
///
/// let mut report = RotateClientSecret::new(&id)
///     .run(&client, async |secret: SecretString| {
///         # let _ = secret;
///         Err::<(), BoxError>("the secret store is down".into())
///     })
///     .await;
/// assert!(report.rotate.is_done() && !report.is_complete());
/// // It is not told again, so it is not lost with the failure.
/// let secret = report.take_unstored_secret().expect("not stored");
/// # let _ = secret;
/// # Ok(())
/// # }
/// ```
///
/// # Where it ends early
///
/// A rotation is never sent again by itself. Where its outcome is
/// [`Unknown`](StepOutcome::Unknown), or the future was dropped, the old secret may be dead and the
/// new one is lost. Run it again: whatever came of the first one, the secret of the second is known.
#[derive(Clone, Debug)]
#[must_use = "a job does nothing until it is run"]
pub struct RotateClientSecret {
    client_id: OAuthClientId,
    running_key: Option<KeyRef>,
    dry_run: bool,
}

impl RotateClientSecret {
    /// Names the OAuth client.
    pub fn new(client_id: impl Into<OAuthClientId>) -> Self {
        Self {
            client_id: client_id.into(),
            running_key: None,
            dry_run: false,
        }
    }

    setters! {
        /// Which key the client has, so that its scopes can be checked first.
        running_key: Option<KeyRef>,
    }

    /// Whether to say only what would be done.
    pub fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }

    /// Does it. `store` is called at most once.
    pub async fn run<S, B, Store, Stored, StoreError>(
        &self,
        client: &Client<S>,
        store: Store,
    ) -> RotateClientSecretReport
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
        S::Error: Into<BoxError>,
        B: Body,
        B::Error: Into<BoxError>,
        Store: FnOnce(SecretString) -> Stored,
        Stored: Future<Output = Result<(), StoreError>>,
        StoreError: Into<BoxError>,
    {
        let mut report = RotateClientSecretReport::new(&self.client_id, self.dry_run);
        let needed = [Scope::ClientsWrite];
        report.scopes = check_scopes(client, self.running_key.as_ref(), &needed).await;
        if report.scopes.is_missing() {
            return report;
        }
        let before = match client.send(patient(GetClient::new(&self.client_id))).await {
            Ok(found) => {
                report.look_up = StepOutcome::Done;
                report.has_secret = Some(found.is_confidential);
                Some(found)
            }
            Err(error) => {
                let may_go_on = is_forbidden(&error);
                report.look_up = StepOutcome::Failed(error);
                if !may_go_on {
                    return report;
                }
                None
            }
        };
        if report.has_secret == Some(false) {
            return report;
        }
        if self.dry_run {
            report.rotate = StepOutcome::WouldDo;
            report.store = StepOutcome::WouldDo;
            return report;
        }
        match client.send(patient(Rotate::new(&self.client_id))).await {
            Ok(new) => {
                report.rotate = StepOutcome::Done;
                match store(new.client_secret.clone()).await {
                    Ok(()) => report.store = StepOutcome::Done,
                    Err(error) => {
                        report.store = StepOutcome::Failed(error.into());
                        report.unstored = Some(new.client_secret);
                    }
                }
            }
            Err(error) => {
                report.rotate = StepOutcome::failed(error);
                if matches!(report.rotate, StepOutcome::Unknown(_)) {
                    report.client_has_changed = self.has_changed(client, before).await;
                }
            }
        }
        report
    }

    async fn has_changed<S, B>(
        &self,
        client: &Client<S>,
        before: Option<OAuthClient>,
    ) -> Option<bool>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
        S::Error: Into<BoxError>,
        B: Body,
        B::Error: Into<BoxError>,
    {
        let before = before?;
        let now = client
            .send(patient(GetClient::new(&self.client_id)))
            .await
            .ok()?;
        Some(now.updated_at != before.updated_at)
    }
}
