//! OAuth clients: the applications that users sign in to.

use bytes::Bytes;
use http::Method;
use idpflare_layers::{Operation, Safety};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::open_enum::open_enum;
use super::patch::Patch;
use super::setters::setters;
use super::{OAuthClientId, Timestamp, secret, timestamp};
use crate::{ApiRequest, DecodeError, EncodeError, Encoder, decode_json};

open_enum! {
    /// How a client obtains tokens (RFC 6749, section 1.3).
    pub enum GrantType {
        /// `authorization_code`: a user signs in and is sent back with a code.
        AuthorizationCode = "authorization_code",
        /// `refresh_token`: access is renewed.
        RefreshToken = "refresh_token",
        /// `client_credentials`: the client acts for itself.
        ClientCredentials = "client_credentials",
    }
}

/// An application that users sign in to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OAuthClient {
    /// Identifies the client.
    pub id: OAuthClientId,
    /// What people call it.
    pub name: String,
    /// What it is for.
    pub description: Option<String>,
    /// The URL of a logo.
    pub logo_url: Option<String>,
    /// Whether it can keep a secret (RFC 6749, section 2.1).
    pub is_confidential: bool,
    /// Whether it is the operator's own, so that users are not asked for consent.
    pub is_first_party: bool,
    /// Where users may be sent back after signing in.
    pub redirect_uris: Vec<String>,
    /// The origins that browsers may call from (CORS).
    pub allowed_origins: Option<Vec<String>>,
    /// Where users may be sent after signing out.
    pub post_logout_redirect_uris: Option<Vec<String>>,
    /// How it may obtain tokens.
    pub allowed_grant_types: Vec<GrantType>,
    /// The scopes that it may ask for.
    pub allowed_scopes: Vec<String>,
    /// The scopes that it gets without asking.
    pub default_scopes: Option<Vec<String>>,
    /// How long access tokens live, in seconds.
    pub access_token_ttl: u64,
    /// How long refresh tokens live, in seconds.
    pub refresh_token_ttl: u64,
    /// How long ID tokens live, in seconds.
    pub id_token_ttl: u64,
    /// Whether it must prove possession of the code verifier (RFC 7636).
    pub require_pkce: bool,
    /// Whether it is in use.
    pub is_active: bool,
    /// What applications keep with the client.
    pub metadata: Option<Map<String, Value>>,
    /// When it was created.
    #[serde(with = "timestamp::required")]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[serde(with = "timestamp::required")]
    pub updated_at: Timestamp,
}

/// One page of clients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct OAuthClientPage {
    /// The clients, newest first.
    pub clients: Vec<OAuthClient>,
    /// How many there are on all pages.
    pub total: u64,
    /// The page size that the server went by, which can be less than was asked for.
    pub limit: u64,
    /// How many clients are before this page.
    pub offset: u64,
}

/// A new client, with its secret where it can keep one.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct CreatedClient {
    /// The client.
    pub client: OAuthClient,
    /// Its secret, where it is confidential. The server does not tell it again.
    #[serde(default, deserialize_with = "secret::optional")]
    pub client_secret: Option<SecretString>,
}

/// A client's new secret.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct ClientSecret {
    /// The secret. The server does not tell it again.
    #[serde(deserialize_with = "secret::required")]
    pub client_secret: SecretString,
}

/// `listClients`: one page of the OAuth clients, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct ListClients {
    /// See [`limit`](Self::limit()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// See [`offset`](Self::offset()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// See [`is_active`](Self::is_active()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

impl ListClients {
    /// The first page of all clients.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// At most this many clients; the server's default is 50, its maximum 100.
        limit: Option<u64>,
        /// Skips this many clients.
        offset: Option<u64>,
        /// Only clients that are in use, or only those that are not.
        is_active: Option<bool>,
    }
}

impl ApiRequest for ListClients {
    type Response = OAuthClientPage;

    const OPERATION: &'static Operation =
        &Operation::new("listClients", Method::GET, "/clients", Safety::ReadOnly)
            .with_scope("clients:read");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.query("limit", self.limit)?;
        encoder.query("offset", self.offset)?;
        encoder.query("is_active", self.is_active)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<OAuthClientPage, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}

/// `getClient`: one OAuth client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct GetClient {
    /// The client.
    pub client_id: OAuthClientId,
}

impl GetClient {
    /// Names the client.
    pub fn new(client_id: impl Into<OAuthClientId>) -> Self {
        Self {
            client_id: client_id.into(),
        }
    }
}

impl ApiRequest for GetClient {
    type Response = OAuthClient;

    const OPERATION: &'static Operation = &Operation::new(
        "getClient",
        Method::GET,
        "/clients/{client_id}",
        Safety::ReadOnly,
    )
    .with_scope("clients:read");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("client_id", &self.client_id)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<OAuthClient, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}

/// `createClient`: a new OAuth client. Keep the secret from the reply: it is not told again.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// # let client = idpflare_management::testing::FakeIdpflare::new().client();
/// use idpflare_management::{CreateClient, GrantType};
///
/// let created = client
///     .send(
///         CreateClient::new("shop", ["https://shop.example.com/callback"])
///             .allowed_grant_types([GrantType::AuthorizationCode, GrantType::RefreshToken])
///             .is_confidential(true),
///     )
///     .await?;
/// assert!(created.client_secret.is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct CreateClient {
    /// What people call it.
    pub name: String,
    /// Where users may be sent back after signing in.
    pub redirect_uris: Vec<String>,
    /// See [`description`](Self::description()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// See [`logo_url`](Self::logo_url()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_url: Option<String>,
    /// See [`is_confidential`](Self::is_confidential()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_confidential: Option<bool>,
    /// See [`is_first_party`](Self::is_first_party()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_first_party: Option<bool>,
    /// See [`allowed_origins`](Self::allowed_origins()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_origins: Option<Vec<String>>,
    /// See [`post_logout_redirect_uris`](Self::post_logout_redirect_uris()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub post_logout_redirect_uris: Option<Vec<String>>,
    /// See [`allowed_grant_types`](Self::allowed_grant_types()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_grant_types: Option<Vec<GrantType>>,
    /// See [`allowed_scopes`](Self::allowed_scopes()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_scopes: Option<Vec<String>>,
    /// See [`default_scopes`](Self::default_scopes()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_scopes: Option<Vec<String>>,
    /// See [`access_token_ttl`](Self::access_token_ttl()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token_ttl: Option<u64>,
    /// See [`refresh_token_ttl`](Self::refresh_token_ttl()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token_ttl: Option<u64>,
    /// See [`id_token_ttl`](Self::id_token_ttl()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token_ttl: Option<u64>,
    /// See [`require_pkce`](Self::require_pkce()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_pkce: Option<bool>,
    /// See [`metadata`](Self::metadata()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
}

impl CreateClient {
    /// A client with this name and these redirect URIs; the server decides the rest.
    pub fn new(
        name: impl Into<String>,
        redirect_uris: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        Self {
            name: name.into(),
            redirect_uris: redirect_uris.into_iter().map(Into::into).collect(),
            description: None,
            logo_url: None,
            is_confidential: None,
            is_first_party: None,
            allowed_origins: None,
            post_logout_redirect_uris: None,
            allowed_grant_types: None,
            allowed_scopes: None,
            default_scopes: None,
            access_token_ttl: None,
            refresh_token_ttl: None,
            id_token_ttl: None,
            require_pkce: None,
            metadata: None,
        }
    }

    setters! {
        /// What it is for.
        description: Option<String>,
        /// The URL of a logo.
        logo_url: Option<String>,
        /// Whether it can keep a secret (RFC 6749, section 2.1). Only such a client is given one.
        is_confidential: Option<bool>,
        /// Whether it is the operator's own, so that users are not asked for consent.
        is_first_party: Option<bool>,
        /// The origins that browsers may call from (CORS).
        allowed_origins: [Option<Vec<String>>],
        /// Where users may be sent after signing out (OpenID Connect RP-Initiated Logout 1.0,
        /// section 3.1).
        post_logout_redirect_uris: [Option<Vec<String>>],
        /// How it may obtain tokens.
        allowed_grant_types: [Option<Vec<GrantType>>],
        /// The scopes that it may ask for.
        allowed_scopes: [Option<Vec<String>>],
        /// The scopes that it gets without asking.
        default_scopes: [Option<Vec<String>>],
        /// How long access tokens live, in seconds.
        access_token_ttl: Option<u64>,
        /// How long refresh tokens live, in seconds.
        refresh_token_ttl: Option<u64>,
        /// How long ID tokens live, in seconds.
        id_token_ttl: Option<u64>,
        /// Whether it must prove possession of the code verifier (RFC 7636).
        require_pkce: Option<bool>,
        /// What applications keep with the client.
        metadata: Option<Map<String, Value>>,
    }
}

impl ApiRequest for CreateClient {
    type Response = CreatedClient;

    const OPERATION: &'static Operation =
        &Operation::new("createClient", Method::POST, "/clients", Safety::Once)
            .with_scope("clients:write")
            .with_secret_reply();

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.json(self)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<CreatedClient, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}

/// `updateClient`: changes some fields of an OAuth client, and leaves the others alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct UpdateClient {
    /// The client.
    pub client_id: OAuthClientId,
    /// What changes.
    #[serde(flatten)]
    pub changes: ClientChanges,
}

/// The body of [`UpdateClient`]: what changes. A service that forwards updates can read it from the
/// requests that it gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct ClientChanges {
    /// See [`UpdateClient::name`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// See [`UpdateClient::redirect_uris`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub redirect_uris: Option<Vec<String>>,
    /// See [`UpdateClient::description`].
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub description: Patch<String>,
    /// See [`UpdateClient::logo_url`].
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub logo_url: Patch<String>,
    /// See [`UpdateClient::is_first_party`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_first_party: Option<bool>,
    /// See [`UpdateClient::allowed_origins`].
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub allowed_origins: Patch<Vec<String>>,
    /// See [`UpdateClient::post_logout_redirect_uris`].
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub post_logout_redirect_uris: Patch<Vec<String>>,
    /// See [`UpdateClient::allowed_grant_types`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_grant_types: Option<Vec<GrantType>>,
    /// See [`UpdateClient::allowed_scopes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_scopes: Option<Vec<String>>,
    /// See [`UpdateClient::default_scopes`].
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub default_scopes: Patch<Vec<String>>,
    /// See [`UpdateClient::access_token_ttl`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token_ttl: Option<u64>,
    /// See [`UpdateClient::refresh_token_ttl`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token_ttl: Option<u64>,
    /// See [`UpdateClient::id_token_ttl`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token_ttl: Option<u64>,
    /// See [`UpdateClient::require_pkce`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_pkce: Option<bool>,
    /// See [`UpdateClient::metadata`].
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub metadata: Patch<Map<String, Value>>,
    /// See [`UpdateClient::is_active`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
}

impl UpdateClient {
    /// Names the client; nothing changes yet.
    pub fn new(client_id: impl Into<OAuthClientId>) -> Self {
        Self::with_changes(client_id, ClientChanges::default())
    }

    /// Names the client and all that changes.
    pub fn with_changes(client_id: impl Into<OAuthClientId>, changes: ClientChanges) -> Self {
        Self {
            client_id: client_id.into(),
            changes,
        }
    }

    setters! {
        /// What people call it.
        (changes) name: Option<String>,
        /// Where users may be sent back after signing in; it replaces what was there.
        (changes) redirect_uris: [Option<Vec<String>>],
        /// What it is for.
        (changes) description: Patch<String>,
        /// The URL of a logo.
        (changes) logo_url: Patch<String>,
        /// Whether it is the operator's own, so that users are not asked for consent.
        (changes) is_first_party: Option<bool>,
        /// The origins that browsers may call from (CORS).
        (changes) allowed_origins: Patch<Vec<String>>,
        /// Where users may be sent after signing out (OpenID Connect RP-Initiated Logout 1.0,
        /// section 3.1).
        (changes) post_logout_redirect_uris: Patch<Vec<String>>,
        /// How it may obtain tokens.
        (changes) allowed_grant_types: [Option<Vec<GrantType>>],
        /// The scopes that it may ask for.
        (changes) allowed_scopes: [Option<Vec<String>>],
        /// The scopes that it gets without asking.
        (changes) default_scopes: Patch<Vec<String>>,
        /// How long access tokens live, in seconds.
        (changes) access_token_ttl: Option<u64>,
        /// How long refresh tokens live, in seconds.
        (changes) refresh_token_ttl: Option<u64>,
        /// How long ID tokens live, in seconds.
        (changes) id_token_ttl: Option<u64>,
        /// Whether it must prove possession of the code verifier (RFC 7636).
        (changes) require_pkce: Option<bool>,
        /// What applications keep with the client.
        (changes) metadata: Patch<Map<String, Value>>,
        /// Whether it is in use.
        (changes) is_active: Option<bool>,
    }
}

impl ApiRequest for UpdateClient {
    type Response = OAuthClient;

    const OPERATION: &'static Operation = &Operation::new(
        "updateClient",
        Method::PATCH,
        "/clients/{client_id}",
        Safety::Idempotent,
    )
    .with_scope("clients:write");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("client_id", &self.client_id)?;
        encoder.json(&self.changes)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<OAuthClient, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}

/// `deleteClient`: removes an OAuth client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct DeleteClient {
    /// The client.
    pub client_id: OAuthClientId,
}

impl DeleteClient {
    /// Names the client.
    pub fn new(client_id: impl Into<OAuthClientId>) -> Self {
        Self {
            client_id: client_id.into(),
        }
    }
}

impl ApiRequest for DeleteClient {
    type Response = ();

    const OPERATION: &'static Operation = &Operation::new(
        "deleteClient",
        Method::DELETE,
        "/clients/{client_id}",
        Safety::Idempotent,
    )
    .with_scope("clients:delete");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("client_id", &self.client_id)
    }

    fn decode(_: &http::Response<Bytes>) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// `rotateClientSecret`: replaces a client's secret. The old one stops working; the new one is not told
/// again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct RotateClientSecret {
    /// The client.
    pub client_id: OAuthClientId,
}

impl RotateClientSecret {
    /// Names the client.
    pub fn new(client_id: impl Into<OAuthClientId>) -> Self {
        Self {
            client_id: client_id.into(),
        }
    }
}

impl ApiRequest for RotateClientSecret {
    type Response = ClientSecret;

    const OPERATION: &'static Operation = &Operation::new(
        "rotateClientSecret",
        Method::POST,
        "/clients/{client_id}/rotate-secret",
        Safety::Once,
    )
    .with_scope("clients:write")
    .with_secret_reply();

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("client_id", &self.client_id)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<ClientSecret, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}
