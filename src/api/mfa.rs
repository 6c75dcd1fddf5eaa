//! Multi-factor authentication.

use bytes::Bytes;
use http::Method;
use idpflare_layers::{Operation, Safety};
use serde::{Deserialize, Serialize};

use super::open_enum::open_enum;
use super::setters::setters;
use super::{Timestamp, UserId, timestamp};
use crate::{ApiRequest, DecodeError, EncodeError, Encoder, decode_json};

open_enum! {
    /// A second factor.
    pub enum MfaMethod {
        /// `totp`: codes of an authenticator app (RFC 6238).
        Totp = "totp",
        /// `email`: codes sent by e-mail.
        Email = "email",
        /// `backup_codes`: codes written down in advance, each good for once.
        BackupCodes = "backup_codes",
    }
}

/// A second factor that a user has set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MfaEnrollment {
    /// Which one.
    pub method: MfaMethod,
    /// Whether it can be used.
    pub is_enabled: bool,
    /// Whether it is the one that is asked for first.
    pub is_primary: bool,
    /// When it was set up.
    #[serde(with = "timestamp::required")]
    pub created_at: Timestamp,
    /// When it was last used.
    #[serde(default, with = "timestamp::optional")]
    pub last_used_at: Option<Timestamp>,
}

/// The envelope of [`GetUserMfaEnrollments`]' reply.
#[derive(Deserialize)]
struct Enrollments {
    enrollments: Vec<MfaEnrollment>,
}

/// `getUserMfaEnrollments`: the second factors that a user has set up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct GetUserMfaEnrollments {
    /// The user.
    pub user_id: UserId,
}

impl GetUserMfaEnrollments {
    /// Names the user.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
        }
    }
}

impl ApiRequest for GetUserMfaEnrollments {
    type Response = Vec<MfaEnrollment>;

    const OPERATION: &'static Operation = &Operation::new(
        "getUserMfaEnrollments",
        Method::GET,
        "/users/{user_id}/mfa",
        Safety::ReadOnly,
    )
    .with_scope("users:read");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<Vec<MfaEnrollment>, DecodeError> {
        decode_json(reply, Self::OPERATION).map(|Enrollments { enrollments }| enrollments)
    }
}

/// `resetUserMfa`: removes one second factor of a user, or all of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct ResetUserMfa {
    /// The user.
    pub user_id: UserId,
    /// See [`method`](Self::method()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<MfaMethod>,
}

impl ResetUserMfa {
    /// Names the user; without a method, all are removed.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
            method: None,
        }
    }

    setters! {
        /// Removes only this one.
        method: Option<MfaMethod>,
    }
}

impl ApiRequest for ResetUserMfa {
    type Response = ();

    const OPERATION: &'static Operation = &Operation::new(
        "resetUserMfa",
        Method::DELETE,
        "/users/{user_id}/mfa",
        Safety::Idempotent,
    )
    .with_scope("users:write");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)?;
        encoder.query("method", self.method.as_ref().map(MfaMethod::as_str))
    }

    fn decode(_: &http::Response<Bytes>) -> Result<(), DecodeError> {
        Ok(())
    }
}
