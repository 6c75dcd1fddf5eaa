//! Identifiers: one definition, a type for each kind, so that they can't be confused.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        ///
        /// Any text makes one. [`Encoder::id`](crate::Encoder::id) refuses to send an id that could
        /// reach another operation, such as one with a slash.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The id as it is in the protocol.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(id: &str) -> Self {
                Self(id.to_owned())
            }
        }

        impl From<String> for $name {
            fn from(id: String) -> Self {
                Self(id)
            }
        }

        impl From<&String> for $name {
            fn from(id: &String) -> Self {
                Self(id.clone())
            }
        }

        impl From<&$name> for $name {
            fn from(id: &$name) -> Self {
                id.clone()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )*};
}

ids! {
    /// Identifies a [`User`](crate::User).
    UserId,
    /// Identifies a [`UserSession`](crate::UserSession).
    SessionId,
    /// Identifies a [`SocialIdentity`](crate::SocialIdentity).
    IdentityId,
    /// Identifies a [`RefreshToken`](crate::RefreshToken).
    RefreshTokenId,
    /// Identifies an API key, see [`ApiKey`](crate::ApiKey).
    ApiKeyId,
    /// Identifies an [`OAuthClient`](crate::OAuthClient).
    OAuthClientId,
    /// Identifies an [`AuditLogEntry`](crate::AuditLogEntry).
    AuditLogId,
}
