//! API keys: what services manage IDPFlare with.

use bytes::Bytes;
use http::Method;
use idpflare_layers::{Operation, Safety};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::setters::setters;
use super::{ApiKeyId, Scope, Timestamp, UserId, secret, timestamp};
use crate::{ApiRequest, DecodeError, EncodeError, Encoder, decode_json};

/// An API key; the key itself is told once, by [`CreateApiKey`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ApiKey {
    /// Identifies the key.
    pub id: ApiKeyId,
    /// What people call it.
    pub name: String,
    /// How the key itself begins.
    pub key_prefix: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Who created it.
    pub created_by: UserId,
    /// Whether it can be used.
    pub is_active: bool,
    /// When it was last used.
    #[serde(default, with = "timestamp::optional")]
    pub last_used_at: Option<Timestamp>,
    /// When it ends by itself.
    #[serde(default, with = "timestamp::optional")]
    pub expires_at: Option<Timestamp>,
    /// When it was created.
    #[serde(with = "timestamp::required")]
    pub created_at: Timestamp,
}

/// A new API key, with the key itself.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct CreatedApiKey {
    /// What is known of it.
    pub api_key: ApiKey,
    /// The key itself. The server does not tell it again.
    #[serde(deserialize_with = "secret::required")]
    pub raw_key: SecretString,
}

/// The envelope of [`ListApiKeys`]' reply.
#[derive(Deserialize)]
struct ApiKeys {
    api_keys: Vec<ApiKey>,
}

/// `listApiKeys`: one page of the API keys, newest first. The protocol does not tell how many there
/// are on all pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct ListApiKeys {
    /// See [`limit`](Self::limit()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// See [`offset`](Self::offset()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// See [`active_only`](Self::active_only()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_only: Option<bool>,
}

impl ListApiKeys {
    /// The first page of all keys.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// At most this many keys; the server's default is 50, its maximum 100.
        limit: Option<u64>,
        /// Skips this many keys.
        offset: Option<u64>,
        /// Leaves out keys that can't be used any more.
        active_only: Option<bool>,
    }
}

impl ApiRequest for ListApiKeys {
    type Response = Vec<ApiKey>;

    const OPERATION: &'static Operation =
        &Operation::new("listApiKeys", Method::GET, "/api-keys", Safety::ReadOnly)
            .with_scope("api-keys:read");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.query("limit", self.limit)?;
        encoder.query("offset", self.offset)?;
        encoder.query("active_only", self.active_only)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<Vec<ApiKey>, DecodeError> {
        decode_json(reply, Self::OPERATION).map(|ApiKeys { api_keys }| api_keys)
    }
}

/// `createApiKey`: a new API key. Keep the key from the reply: it is not told again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// # let client = idpflare_management::testing::FakeIdpflare::new().client();
/// use idpflare_management::{CreateApiKey, Scope};
/// use secrecy::ExposeSecret;
///
/// let created = client
///     .send(CreateApiKey::new("reports").scopes([Scope::UsersRead, Scope::StatsRead]))
///     .await?;
/// assert!(created.raw_key.expose_secret().starts_with(&created.api_key.key_prefix));
/// assert!(!format!("{created:?}").contains(created.raw_key.expose_secret()));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct CreateApiKey {
    /// What people call it.
    pub name: String,
    /// See [`scopes`](Self::scopes()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Scope>>,
}

impl CreateApiKey {
    /// A key with this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            scopes: None,
        }
    }

    setters! {
        /// What it may do; without, the server decides.
        scopes: [Option<Vec<Scope>>],
    }
}

impl ApiRequest for CreateApiKey {
    type Response = CreatedApiKey;

    const OPERATION: &'static Operation =
        &Operation::new("createApiKey", Method::POST, "/api-keys", Safety::Once)
            .with_scope("api-keys:write")
            .with_secret_reply();

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.json(self)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<CreatedApiKey, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}

/// `revokeApiKey`: a key can't be used from now on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct RevokeApiKey {
    /// The key.
    pub key_id: ApiKeyId,
}

impl RevokeApiKey {
    /// Names the key.
    pub fn new(key_id: impl Into<ApiKeyId>) -> Self {
        Self {
            key_id: key_id.into(),
        }
    }
}

impl ApiRequest for RevokeApiKey {
    type Response = ();

    const OPERATION: &'static Operation = &Operation::new(
        "revokeApiKey",
        Method::DELETE,
        "/api-keys/{key_id}",
        Safety::Idempotent,
    )
    .with_scope("api-keys:delete");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("key_id", &self.key_id)
    }

    fn decode(_: &http::Response<Bytes>) -> Result<(), DecodeError> {
        Ok(())
    }
}
