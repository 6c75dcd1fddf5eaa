//! Identities at other providers that users sign in with.

use bytes::Bytes;
use http::Method;
use idpflare_layers::{Operation, Safety};
use serde::{Deserialize, Serialize};

use super::open_enum::open_enum;
use super::{IdentityId, Timestamp, UserId, timestamp};
use crate::{ApiRequest, DecodeError, EncodeError, Encoder, decode_json};

open_enum! {
    /// Who vouches for a [`SocialIdentity`].
    pub enum IdentityProvider {
        /// `google`.
        Google = "google",
        /// `github`.
        GitHub = "github",
        /// `microsoft`.
        Microsoft = "microsoft",
        /// `facebook`.
        Facebook = "facebook",
    }
}

/// An account elsewhere that a user can sign in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SocialIdentity {
    /// Identifies the link between user and account.
    pub id: IdentityId,
    /// Whose account it is at.
    pub provider: IdentityProvider,
    /// What the provider calls the account.
    pub provider_user_id: String,
    /// The address that the provider has for it.
    pub provider_email: Option<String>,
    /// When it was linked.
    #[serde(with = "timestamp::required")]
    pub created_at: Timestamp,
    /// When it was last changed.
    #[serde(with = "timestamp::required")]
    pub updated_at: Timestamp,
}

/// The envelope of [`ListUserIdentities`]' reply.
#[derive(Deserialize)]
struct Identities {
    identities: Vec<SocialIdentity>,
}

/// `listUserIdentities`: the accounts elsewhere that a user can sign in with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct ListUserIdentities {
    /// The user.
    pub user_id: UserId,
}

impl ListUserIdentities {
    /// Names the user.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
        }
    }
}

impl ApiRequest for ListUserIdentities {
    type Response = Vec<SocialIdentity>;

    const OPERATION: &'static Operation = &Operation::new(
        "listUserIdentities",
        Method::GET,
        "/users/{user_id}/identities",
        Safety::ReadOnly,
    )
    .with_scope("users:read");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<Vec<SocialIdentity>, DecodeError> {
        decode_json(reply, Self::OPERATION).map(|Identities { identities }| identities)
    }
}

/// `unlinkUserIdentity`: a user can no longer sign in with one account elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct UnlinkUserIdentity {
    /// The user.
    pub user_id: UserId,
    /// The identity.
    pub identity_id: IdentityId,
}

impl UnlinkUserIdentity {
    /// Names the user and the identity.
    pub fn new(user_id: impl Into<UserId>, identity_id: impl Into<IdentityId>) -> Self {
        Self {
            user_id: user_id.into(),
            identity_id: identity_id.into(),
        }
    }
}

impl ApiRequest for UnlinkUserIdentity {
    type Response = ();

    const OPERATION: &'static Operation = &Operation::new(
        "unlinkUserIdentity",
        Method::DELETE,
        "/users/{user_id}/identities/{identity_id}",
        Safety::Idempotent,
    )
    .with_scope("users:write");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)?;
        encoder.id("identity_id", &self.identity_id)
    }

    fn decode(_: &http::Response<Bytes>) -> Result<(), DecodeError> {
        Ok(())
    }
}
