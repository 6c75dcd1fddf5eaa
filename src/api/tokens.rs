//! Refresh tokens: what applications renew a user's access with.

use bytes::Bytes;
use http::Method;
use idpflare_layers::{Operation, Safety};
use serde::{Deserialize, Serialize};

use super::{OAuthClientId, RefreshTokenId, Timestamp, UserId, timestamp};
use crate::{ApiRequest, DecodeError, EncodeError, Encoder, decode_json};

/// A refresh token of a user (RFC 6749, section 1.5); the token itself is not told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RefreshToken {
    /// Identifies the token.
    pub id: RefreshTokenId,
    /// The application that it was issued to.
    pub client_id: OAuthClientId,
    /// What it allows: scopes, separated by spaces (RFC 6749, section 3.3).
    pub scope: String,
    /// Whether it can no longer be used.
    pub is_revoked: bool,
    /// When it ends by itself.
    #[serde(with = "timestamp::required")]
    pub expires_at: Timestamp,
    /// The address that it was issued to.
    pub ip_address: Option<String>,
    /// What the browser or app called itself then.
    pub user_agent: Option<String>,
    /// When it was issued.
    #[serde(with = "timestamp::required")]
    pub created_at: Timestamp,
}

/// How many tokens [`RevokeAllUserTokens`] revoked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RevokedTokens {
    /// How many tokens could be used before.
    pub tokens_revoked: u64,
}

/// The envelope of [`ListUserTokens`]' reply.
#[derive(Deserialize)]
struct Tokens {
    tokens: Vec<RefreshToken>,
}

/// `listUserTokens`: all refresh tokens of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct ListUserTokens {
    /// The user.
    pub user_id: UserId,
}

impl ListUserTokens {
    /// Names the user.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
        }
    }
}

impl ApiRequest for ListUserTokens {
    type Response = Vec<RefreshToken>;

    const OPERATION: &'static Operation = &Operation::new(
        "listUserTokens",
        Method::GET,
        "/users/{user_id}/tokens",
        Safety::ReadOnly,
    )
    .with_scope("users:read");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<Vec<RefreshToken>, DecodeError> {
        decode_json(reply, Self::OPERATION).map(|Tokens { tokens }| tokens)
    }
}

/// `revokeAllUserTokens`: revokes all refresh tokens of a user. A repeat answers how many it found itself, so 0. Access
/// tokens that are already issued live until they expire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct RevokeAllUserTokens {
    /// The user.
    pub user_id: UserId,
}

impl RevokeAllUserTokens {
    /// Names the user.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
        }
    }
}

impl ApiRequest for RevokeAllUserTokens {
    type Response = RevokedTokens;

    const OPERATION: &'static Operation = &Operation::new(
        "revokeAllUserTokens",
        Method::DELETE,
        "/users/{user_id}/tokens",
        Safety::Idempotent,
    )
    .with_scope("users:write");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<RevokedTokens, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}
