//! Users and their accounts.

use bytes::Bytes;
use http::Method;
use idpflare_layers::{Operation, Safety};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::patch::Patch;
use super::setters::setters;
use super::{Timestamp, UserId, secret, timestamp};
use crate::{ApiRequest, DecodeError, EncodeError, Encoder, decode_json};

/// An account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct User {
    /// Identifies the user.
    pub id: UserId,
    /// The e-mail address; no two users have the same.
    pub email: String,
    /// Whether the address is known to be the user's.
    pub email_verified: bool,
    /// The given name.
    pub given_name: Option<String>,
    /// The family name.
    pub family_name: Option<String>,
    /// The URL of a picture.
    pub picture_url: Option<String>,
    /// The language tag of the user's preferred language, such as `en`.
    pub locale: String,
    /// The roles, such as `admin`.
    pub roles: Vec<String>,
    /// Whether multi-factor authentication is on.
    pub mfa_enabled: bool,
    /// Whether the account is in use; one that is not can't sign in.
    pub is_active: bool,
    /// Whether the account is locked: blocked, or after too many failed attempts to sign in.
    pub is_locked: bool,
    /// How many attempts to sign in have failed since the last that succeeded.
    pub failed_login_attempts: u64,
    /// When the lock ends by itself.
    #[serde(default, with = "timestamp::optional")]
    pub locked_until: Option<Timestamp>,
    /// What applications keep with the user.
    pub metadata: Option<Map<String, Value>>,
    /// When the user was created.
    #[serde(with = "timestamp::required")]
    pub created_at: Timestamp,
    /// When the user was last changed.
    #[serde(with = "timestamp::required")]
    pub updated_at: Timestamp,
    /// When the user last signed in.
    #[serde(default, with = "timestamp::optional")]
    pub last_login_at: Option<Timestamp>,
    /// When the address was verified.
    #[serde(default, with = "timestamp::optional")]
    pub email_verified_at: Option<Timestamp>,
}

/// One page of users.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UserPage {
    /// The users, newest first.
    pub users: Vec<User>,
    /// How many there are on all pages.
    pub total: u64,
    /// The page size that the server went by, which can be less than was asked for.
    pub limit: u64,
    /// How many users are before this page.
    pub offset: u64,
}

/// `listUsers`: one page of the users that fit all filters, newest first.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// # let fake = idpflare_management::testing::FakeIdpflare::new();
/// # fake.seed(3);
/// # let client = fake.client();
/// use idpflare_management::ListUsers;
///
/// let page = client.send(ListUsers::new().is_active(true).limit(2)).await?;
/// println!("{} of {}", page.users.len(), page.total);
/// # assert_eq!(page.users.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct ListUsers {
    /// See [`limit`](Self::limit()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// See [`offset`](Self::offset()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// See [`search`](Self::search()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// See [`role`](Self::role()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// See [`is_active`](Self::is_active()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
    /// See [`email_verified`](Self::email_verified()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
}

impl ListUsers {
    /// The first page of all users.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        /// At most this many users; the server's default is 50, its maximum 100.
        limit: Option<u64>,
        /// Skips this many users.
        offset: Option<u64>,
        /// Only users whose address or name has this in it.
        search: Option<String>,
        /// Only users with this role.
        role: Option<String>,
        /// Only users that are active, or only those that are not.
        is_active: Option<bool>,
        /// Only users whose address is verified, or only those whose is not.
        email_verified: Option<bool>,
    }
}

impl ApiRequest for ListUsers {
    type Response = UserPage;

    const OPERATION: &'static Operation =
        &Operation::new("listUsers", Method::GET, "/users", Safety::ReadOnly)
            .with_scope("users:read");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.query("limit", self.limit)?;
        encoder.query("offset", self.offset)?;
        encoder.query("search", self.search.as_deref())?;
        encoder.query("role", self.role.as_deref())?;
        encoder.query("is_active", self.is_active)?;
        encoder.query("email_verified", self.email_verified)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<UserPage, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}

/// `getUser`: one user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct GetUser {
    /// The user.
    pub user_id: UserId,
}

impl GetUser {
    /// Names the user.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
        }
    }
}

impl ApiRequest for GetUser {
    type Response = User;

    const OPERATION: &'static Operation =
        &Operation::new("getUser", Method::GET, "/users/{user_id}", Safety::ReadOnly)
            .with_scope("users:read");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<User, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}

/// `createUser`: a new account. Its address must not be another user's.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), idpflare_management::Error> {
/// # let client = idpflare_management::testing::FakeIdpflare::new().client();
/// use idpflare_management::CreateUser;
///
/// let ada = client
///     .send(
///         CreateUser::new("ada@example.com")
///             .given_name("Ada")
///             .password("correct horse battery staple")
///             .roles(["user"]),
///     )
///     .await?;
/// assert_eq!(ada.given_name.as_deref(), Some("Ada"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct CreateUser {
    /// The e-mail address.
    pub email: String,
    /// See [`password`](Self::password()).
    #[serde(default, deserialize_with = "secret::optional")]
    pub password: Option<SecretString>,
    /// See [`given_name`](Self::given_name()).
    pub given_name: Option<String>,
    /// See [`family_name`](Self::family_name()).
    pub family_name: Option<String>,
    /// See [`picture_url`](Self::picture_url()).
    pub picture_url: Option<String>,
    /// See [`locale`](Self::locale()).
    pub locale: Option<String>,
    /// See [`email_verified`](Self::email_verified()).
    pub email_verified: Option<bool>,
    /// See [`roles`](Self::roles()).
    pub roles: Option<Vec<String>>,
    /// See [`is_active`](Self::is_active()).
    pub is_active: Option<bool>,
    /// See [`metadata`](Self::metadata()).
    pub metadata: Option<Map<String, Value>>,
}

impl CreateUser {
    /// An account with this address; the server decides the rest.
    pub fn new(email: impl Into<String>) -> Self {
        Self {
            email: email.into(),
            password: None,
            given_name: None,
            family_name: None,
            picture_url: None,
            locale: None,
            email_verified: None,
            roles: None,
            is_active: None,
            metadata: None,
        }
    }

    setters! {
        /// The password. Without one, the user can't sign in with a password.
        password: Option<SecretString>,
        /// The given name.
        given_name: Option<String>,
        /// The family name.
        family_name: Option<String>,
        /// The URL of a picture.
        picture_url: Option<String>,
        /// The language tag of the user's preferred language.
        locale: Option<String>,
        /// Whether the address is known to be the user's.
        email_verified: Option<bool>,
        /// The roles.
        roles: [Option<Vec<String>>],
        /// Whether the account is in use.
        is_active: Option<bool>,
        /// What applications keep with the user.
        metadata: Option<Map<String, Value>>,
    }
}

/// The wire form of [`CreateUser`], apart because it exposes the password.
#[derive(Serialize)]
struct CreateUserBody<'a> {
    email: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    given_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    family_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    picture_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    email_verified: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    roles: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_active: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Map<String, Value>>,
}

impl<'a> From<&'a CreateUser> for CreateUserBody<'a> {
    fn from(user: &'a CreateUser) -> Self {
        // Without `..`, so that a new field can't be forgotten.
        let CreateUser {
            email,
            password,
            given_name,
            family_name,
            picture_url,
            locale,
            email_verified,
            roles,
            is_active,
            metadata,
        } = user;
        Self {
            email,
            password: password.as_ref().map(ExposeSecret::expose_secret),
            given_name: given_name.as_deref(),
            family_name: family_name.as_deref(),
            picture_url: picture_url.as_deref(),
            locale: locale.as_deref(),
            email_verified: *email_verified,
            roles: roles.as_deref(),
            is_active: *is_active,
            metadata: metadata.as_ref(),
        }
    }
}

impl ApiRequest for CreateUser {
    type Response = User;

    const OPERATION: &'static Operation =
        &Operation::new("createUser", Method::POST, "/users", Safety::Once)
            .with_scope("users:write");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.json(&CreateUserBody::from(self))
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<User, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}

/// `updateUser`: changes some fields of a user, and leaves the others alone.
///
/// ```
/// use idpflare_management::{Patch, UpdateUser};
///
/// let update = UpdateUser::new("usr_7")
///     .given_name("Ada")
///     .picture_url(Patch::Clear)
///     .roles(["admin"]);
/// # let _ = update;
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct UpdateUser {
    /// The user.
    pub user_id: UserId,
    /// What changes.
    #[serde(flatten)]
    pub changes: UserChanges,
}

/// The body of [`UpdateUser`]: what changes. A service that forwards updates can read it from the
/// requests that it gets.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct UserChanges {
    /// See [`UpdateUser::email`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// See [`UpdateUser::given_name`].
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub given_name: Patch<String>,
    /// See [`UpdateUser::family_name`].
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub family_name: Patch<String>,
    /// See [`UpdateUser::picture_url`].
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub picture_url: Patch<String>,
    /// See [`UpdateUser::locale`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// See [`UpdateUser::email_verified`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email_verified: Option<bool>,
    /// See [`UpdateUser::roles`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// See [`UpdateUser::is_active`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_active: Option<bool>,
    /// See [`UpdateUser::is_locked`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_locked: Option<bool>,
    /// See [`UpdateUser::mfa_enabled`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mfa_enabled: Option<bool>,
    /// See [`UpdateUser::metadata`].
    #[serde(skip_serializing_if = "Patch::is_keep")]
    pub metadata: Patch<Map<String, Value>>,
}

impl UpdateUser {
    /// Names the user; nothing changes yet.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self::with_changes(user_id, UserChanges::default())
    }

    /// Names the user and all that changes.
    pub fn with_changes(user_id: impl Into<UserId>, changes: UserChanges) -> Self {
        Self {
            user_id: user_id.into(),
            changes,
        }
    }

    setters! {
        /// The e-mail address.
        (changes) email: Option<String>,
        /// The given name.
        (changes) given_name: Patch<String>,
        /// The family name.
        (changes) family_name: Patch<String>,
        /// The URL of a picture.
        (changes) picture_url: Patch<String>,
        /// The language tag of the user's preferred language.
        (changes) locale: Option<String>,
        /// Whether the address is known to be the user's.
        (changes) email_verified: Option<bool>,
        /// All roles; those left out are taken away.
        (changes) roles: [Option<Vec<String>>],
        /// Whether the account is in use.
        (changes) is_active: Option<bool>,
        /// Whether the account is locked.
        (changes) is_locked: Option<bool>,
        /// Whether multi-factor authentication is on.
        (changes) mfa_enabled: Option<bool>,
        /// What applications keep with the user; it replaces what was there.
        (changes) metadata: Patch<Map<String, Value>>,
    }
}

impl ApiRequest for UpdateUser {
    type Response = User;

    const OPERATION: &'static Operation = &Operation::new(
        "updateUser",
        Method::PATCH,
        "/users/{user_id}",
        Safety::Idempotent,
    )
    .with_scope("users:write");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)?;
        encoder.json(&self.changes)
    }

    fn decode(reply: &http::Response<Bytes>) -> Result<User, DecodeError> {
        decode_json(reply, Self::OPERATION)
    }
}

/// `deleteUser`: removes a user and all that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct DeleteUser {
    /// The user.
    pub user_id: UserId,
}

impl DeleteUser {
    /// Names the user.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
        }
    }
}

impl ApiRequest for DeleteUser {
    type Response = ();

    const OPERATION: &'static Operation = &Operation::new(
        "deleteUser",
        Method::DELETE,
        "/users/{user_id}",
        Safety::Idempotent,
    )
    .with_scope("users:delete");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)
    }

    fn decode(_: &http::Response<Bytes>) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// `updateUserPassword`: sets a user's password.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct UpdateUserPassword {
    /// The user.
    pub user_id: UserId,
    /// The new password.
    #[serde(deserialize_with = "secret::required")]
    pub password: SecretString,
}

impl UpdateUserPassword {
    /// Names the user and the new password.
    pub fn new(user_id: impl Into<UserId>, password: impl Into<SecretString>) -> Self {
        Self {
            user_id: user_id.into(),
            password: password.into(),
        }
    }
}

/// The wire form of [`UpdateUserPassword`], apart because it exposes the password.
#[derive(Serialize)]
struct UpdateUserPasswordBody<'a> {
    password: &'a str,
}

impl ApiRequest for UpdateUserPassword {
    type Response = ();

    const OPERATION: &'static Operation = &Operation::new(
        "updateUserPassword",
        Method::PUT,
        "/users/{user_id}/password",
        Safety::Idempotent,
    )
    .with_scope("users:write");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)?;
        encoder.json(&UpdateUserPasswordBody {
            password: self.password.expose_secret(),
        })
    }

    fn decode(_: &http::Response<Bytes>) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// `blockUser`: locks an account and ends its sessions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct BlockUser {
    /// The user.
    pub user_id: UserId,
    /// See [`reason`](Self::reason()).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl BlockUser {
    /// Names the user.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
            reason: None,
        }
    }

    setters! {
        /// Why; it goes into the audit log.
        reason: Option<String>,
    }
}

/// The wire form of [`BlockUser`].
#[derive(Serialize)]
struct BlockUserBody<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl ApiRequest for BlockUser {
    type Response = ();

    const OPERATION: &'static Operation = &Operation::new(
        "blockUser",
        Method::POST,
        "/users/{user_id}/block",
        Safety::Idempotent,
    )
    .with_scope("users:write");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)?;
        encoder.json(&BlockUserBody {
            reason: self.reason.as_deref(),
        })
    }

    fn decode(_: &http::Response<Bytes>) -> Result<(), DecodeError> {
        Ok(())
    }
}

/// `unblockUser`: unlocks an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
#[must_use = "a request does nothing until it is sent"]
pub struct UnblockUser {
    /// The user.
    pub user_id: UserId,
}

impl UnblockUser {
    /// Names the user.
    pub fn new(user_id: impl Into<UserId>) -> Self {
        Self {
            user_id: user_id.into(),
        }
    }
}

impl ApiRequest for UnblockUser {
    type Response = ();

    const OPERATION: &'static Operation = &Operation::new(
        "unblockUser",
        Method::POST,
        "/users/{user_id}/unblock",
        Safety::Idempotent,
    )
    .with_scope("users:write");

    fn encode(&self, encoder: &mut Encoder<'_>) -> Result<(), EncodeError> {
        encoder.id("user_id", &self.user_id)
    }

    fn decode(_: &http::Response<Bytes>) -> Result<(), DecodeError> {
        Ok(())
    }
}
