//! The protocol: its operations and the types of their arguments and replies.

mod api_keys;
mod audit_logs;
pub(crate) mod id;
mod identities;
mod mfa;
mod oauth_clients;
mod open_enum;
mod patch;
mod scope;
mod secret;
mod sessions;
pub(crate) mod setters;
mod stats;
pub(crate) mod timestamp;
mod tokens;
mod users;

use idpflare_layers::Operation;

use crate::ApiRequest;

pub use api_keys::{ApiKey, CreateApiKey, CreatedApiKey, ListApiKeys, RevokeApiKey};
pub use audit_logs::{
    AuditLogEntry, AuditLogPage, AuditStatus, GetUserAuditLogs, GetUserSecurityEvents,
    QueryAuditLogs, UserAuditLogPage,
};
pub use id::{ApiKeyId, AuditLogId, IdentityId, OAuthClientId, RefreshTokenId, SessionId, UserId};
pub use identities::{IdentityProvider, ListUserIdentities, SocialIdentity, UnlinkUserIdentity};
pub use mfa::{GetUserMfaEnrollments, MfaEnrollment, MfaMethod, ResetUserMfa};
pub use oauth_clients::{
    ClientChanges, ClientSecret, CreateClient, CreatedClient, DeleteClient, GetClient, GrantType,
    ListClients, OAuthClient, OAuthClientPage, RotateClientSecret, UpdateClient,
};
pub use open_enum::UnknownValue;
pub use patch::Patch;
pub use scope::Scope;
pub use sessions::{
    ListUserSessions, RevokeAllUserSessions, RevokeUserSession, RevokedSessions, UserSession,
};
pub use stats::{GetUserStats, UserStats};
pub use timestamp::Timestamp;
pub use tokens::{ListUserTokens, RefreshToken, RevokeAllUserTokens, RevokedTokens};
pub use users::{
    BlockUser, CreateUser, DeleteUser, GetUser, ListUsers, UnblockUser, UpdateUser,
    UpdateUserPassword, User, UserChanges, UserPage,
};

/// All operations of the protocol, in the order of its documentation.
///
/// ```
/// use idpflare_management::OPERATIONS;
///
/// assert_eq!(OPERATIONS.len(), 30);
/// let once: Vec<_> = OPERATIONS
///     .iter()
///     .filter(|operation| operation.safety == idpflare_management::Safety::Once)
///     .map(|operation| operation.id)
///     .collect();
/// assert_eq!(once, ["createUser", "createApiKey", "createClient", "rotateClientSecret"]);
/// ```
pub const OPERATIONS: &[&Operation] = &[
    ListUsers::OPERATION,
    GetUser::OPERATION,
    CreateUser::OPERATION,
    UpdateUser::OPERATION,
    DeleteUser::OPERATION,
    UpdateUserPassword::OPERATION,
    BlockUser::OPERATION,
    UnblockUser::OPERATION,
    ListUserSessions::OPERATION,
    RevokeUserSession::OPERATION,
    RevokeAllUserSessions::OPERATION,
    GetUserMfaEnrollments::OPERATION,
    ResetUserMfa::OPERATION,
    ListUserIdentities::OPERATION,
    UnlinkUserIdentity::OPERATION,
    ListUserTokens::OPERATION,
    RevokeAllUserTokens::OPERATION,
    ListApiKeys::OPERATION,
    CreateApiKey::OPERATION,
    RevokeApiKey::OPERATION,
    ListClients::OPERATION,
    GetClient::OPERATION,
    CreateClient::OPERATION,
    UpdateClient::OPERATION,
    DeleteClient::OPERATION,
    RotateClientSecret::OPERATION,
    QueryAuditLogs::OPERATION,
    GetUserAuditLogs::OPERATION,
    GetUserSecurityEvents::OPERATION,
    GetUserStats::OPERATION,
];
