use std::fmt;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use idpflare_layers::BoxError;
use secrecy::SecretString;
use tower::Service;

use super::UnfitKey;
use crate::workflows::patience::patient;
use crate::workflows::preflight::is_forbidden;
use crate::{
    ApiKey, ApiRequest, Client, Error, GetUserStats, ListApiKeys, ListClients, ListUsers,
    QueryAuditLogs, Scope, layers,
};

/// A new API key, to be probed and stored. Its `Debug` does not show the key.
#[derive(Clone)]
pub struct NewApiKey {
    record: ApiKey,
    secret: SecretString,
    key: layers::ApiKey,
}

impl NewApiKey {
    /// Refuses a key that can't be sent, or may do less than was asked for.
    pub(super) fn new(
        record: ApiKey,
        secret: SecretString,
        asked: &[Scope],
    ) -> Result<Self, UnfitKey> {
        let lacking = asked.iter().find(|scope| !record.scopes.contains(scope));
        if let Some(scope) = lacking {
            return Err(UnfitKey::Lacks(scope.clone()));
        }
        let key = layers::ApiKey::new(secret.clone()).map_err(UnfitKey::Invalid)?;
        Ok(Self {
            record,
            secret,
            key,
        })
    }

    /// What is known of it.
    #[must_use]
    pub fn record(&self) -> &ApiKey {
        &self.record
    }

    /// The key itself, to be stored.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// The key, ready to make a client with.
    #[must_use]
    pub fn key(&self) -> layers::ApiKey {
        self.key.clone()
    }

    /// Tries the key out with a harmless read: one that its scopes allow, or else any, which a key
    /// that the server knows is refused with 403 instead of 401.
    ///
    /// `client` must be one that has this key, and not the running one.
    ///
    /// # Errors
    ///
    /// That of the read.
    pub async fn probe<S, B>(&self, client: &Client<S>) -> Result<(), Error>
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
        S::Error: Into<BoxError>,
        B: Body,
        B::Error: Into<BoxError>,
    {
        let scopes = &self.record.scopes;
        if allows::<ListApiKeys>(scopes) {
            read(client, ListApiKeys::new().limit(1)).await
        } else if allows::<ListUsers>(scopes) {
            read(client, ListUsers::new().limit(1)).await
        } else if allows::<ListClients>(scopes) {
            read(client, ListClients::new().limit(1)).await
        } else if allows::<QueryAuditLogs>(scopes) {
            read(client, QueryAuditLogs::new().limit(1)).await
        } else {
            match read(client, GetUserStats::new()).await {
                Err(error) if is_forbidden(&error) => Ok(()),
                result => result,
            }
        }
    }
}

/// Whether the operation is among what `scopes` allow.
fn allows<R: ApiRequest>(scopes: &[Scope]) -> bool {
    let scope = R::OPERATION.scope;
    scopes.iter().any(|has| Some(has.as_str()) == scope)
}

async fn read<S, B, R>(client: &Client<S>, request: R) -> Result<(), Error>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>> + Clone,
    S::Error: Into<BoxError>,
    B: Body,
    B::Error: Into<BoxError>,
    R: ApiRequest,
{
    client.send(patient(request)).await.map(drop)
}

impl fmt::Debug for NewApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewApiKey")
            .field("record", &self.record)
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}
