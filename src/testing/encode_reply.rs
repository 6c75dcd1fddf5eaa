use http::StatusCode;
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::{Value, json};

use super::CannedReply;
use crate::{
    ApiKey, AuditLogEntry, AuditLogPage, ClientSecret, CreatedApiKey, CreatedClient, MfaEnrollment,
    OAuthClient, OAuthClientPage, RefreshToken, RevokedSessions, RevokedTokens, SocialIdentity,
    User, UserAuditLogPage, UserPage, UserSession, UserStats,
};

/// The reply that a value is decoded from: the reverse of
/// [`ApiRequest::decode`](crate::ApiRequest::decode).
///
/// It is implemented for what each operation returns. Implement it for the values of operations of
/// your own.
///
/// ```
/// use http::StatusCode;
/// use idpflare_management::testing::{CannedReply, Fixture, ReplayService};
/// use idpflare_management::{GetUser, User};
///
/// let user = User::fixture();
/// let replay = ReplayService::new().exchange(GetUser::new(&user.id), &user);
/// # let _ = replay;
/// ```
pub trait EncodeReply {
    /// The reply, secrets included.
    fn encode(&self) -> CannedReply;
}

macro_rules! as_they_are {
    ($($type:ty),* $(,)?) => {$(
        impl EncodeReply for $type {
            fn encode(&self) -> CannedReply {
                ok(self)
            }
        }
    )*};
}

as_they_are! {
    User, UserPage, RevokedSessions, RevokedTokens, OAuthClient, OAuthClientPage, AuditLogPage,
    UserAuditLogPage, UserStats,
}

/// Lists that are the one member of an object.
macro_rules! enveloped {
    ($($member:literal: $type:ty),* $(,)?) => {$(
        impl EncodeReply for Vec<$type> {
            fn encode(&self) -> CannedReply {
                ok(&json!({$member: self}))
            }
        }
    )*};
}

enveloped! {
    "sessions": UserSession,
    "enrollments": MfaEnrollment,
    "identities": SocialIdentity,
    "tokens": RefreshToken,
    "api_keys": ApiKey,
    "entries": AuditLogEntry,
}

impl EncodeReply for () {
    fn encode(&self) -> CannedReply {
        CannedReply::new(StatusCode::NO_CONTENT)
    }
}

impl EncodeReply for CreatedApiKey {
    fn encode(&self) -> CannedReply {
        let raw_key = self.raw_key.expose_secret();
        ok(&json!({"api_key": self.api_key, "raw_key": raw_key}))
    }
}

impl EncodeReply for CreatedClient {
    fn encode(&self) -> CannedReply {
        let mut created = json!({"client": self.client});
        if let Some(secret) = &self.client_secret {
            created["client_secret"] = secret.expose_secret().into();
        }
        ok(&created)
    }
}

impl EncodeReply for ClientSecret {
    fn encode(&self) -> CannedReply {
        ok(&json!({"client_secret": self.client_secret.expose_secret()}))
    }
}

fn ok(value: &impl Serialize) -> CannedReply {
    // Nothing of the protocol's fails to be JSON.
    let json = serde_json::to_value(value).unwrap_or(Value::Null);
    CannedReply::new(StatusCode::OK).json(&json)
}
