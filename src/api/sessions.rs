//! Sessions: where a user is signed in.

use bytes::Bytes;
use http::Method;
use idpflare_layers::{Operation, Safety};
use serde::{Deserialize, Serialize};

use super::{SessionId, Timestamp, UserId, timestamp};
use crate::{ApiRequest, DecodeError, EncodeError, Encoder, decode_json};

/// One place where a user is, or was, signed in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UserSession {
    /// Identifies the session.
    pub id: SessionId,
    /// Whose it is.
    pub user_id: UserId,
    /// The address that it came from.
    pub ip_address: Option<String>,
    /// What the browser or app calls itself.
    pub user_agent: Option<String>,
    /// The country that the address is in, as an ISO 3166-1 alpha-2 code.
    pub country: Option<String>,
    /// The city that the address is in.
    pub city: Option<String>,
    /// Whether it can still be used.
    pub is_active: bool,
    /// When it ends by itself.
    #[serde(with = "timestamp::required")]
    pub expires_at: Timestamp,
    /// When the user signed in.
    #[serde(with = "timestamp::required")]
    pub created_at: Timestamp,
    /// When it was last used.
    #[serde(with = "timestamp::required")]
    pub last_activity_at: Timestamp,
}

/// How many sessions [`RevokeAllUserSessions`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RevokedSessions {
    /// How many sessions were active before.
    pub sessions_revoked: u64,
}

/// The envelope of [`ListUserSessions`]' reply.
#[derive(Deserialize)]
struct Sessions {
    sessions: Vec<UserSession>,
}

/// `listUserSessions`: all sessions of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct ListUserSessions {
    /// The user.
    pub user_id: UserId,
}

impl ListUserSessions {
    /// Names the user.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
        }
    }
}

impl ApiRequest for ListUserSessions {
    type Response = Vec<UserSession>;

    const OPERATION: &'static Operation = &Operation::new(
        "listUserSessions",
        Method::GET,
        "/users/{user_id}/sessions",
        Safety::ReadOnly,
    )
    .with_scope("users:read");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<Vec<UserSession>, DecodeError> {
        decode_json(reply, Self::OPERATION).map(|Sessions { sessions }| sessions)
    }
}

/// `revokeUserSession`: ends one session of a user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct RevokeUserSession {
    /// The user.
    pub user_id: UserId,
    /// The session.
    pub session_id: SessionId,
}

impl RevokeUserSession {
    /// Names the user and the session.
    pub fn new(user_id: impl Into<UserId>, session_id: impl Into<SessionId>) -> Self {
        Self {
            user_id: user_id.into(),
            session_id: session_id.into(),
        }
    }
}

impl ApiRequest for RevokeUserSession {
    type Response = ();

    const OPERATION: &'static Operation = &Operation::new(
        "revokeUserSession",
        Method::DELETE,
        "/users/{user_id}/sessions/{session_id}",
        Safety::Idempotent,
    )
    .with_scope("users:write");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)?;
        encoder.id("session_id", &self.session_id)
    }

    fn decode(_: &http::Response<Bytes>) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// `revokeAllUserSessions`: ends all sessions of a user. A repeat answers how many it found itself, so 0.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct RevokeAllUserSessions {
    /// The user.
    pub user_id: UserId,
}

impl RevokeAllUserSessions {
    /// Names the user.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
        }
    }
}

impl ApiRequest for RevokeAllUserSessions {
    type Response = RevokedSessions;

    const OPERATION: &'static Operation = &Operation::new(
        "revokeAllUserSessions",
        Method::DELETE,
        "/users/{user_id}/sessions",
        Safety::Idempotent,
    )
    .with_scope("users:write");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<RevokedSessions, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}
