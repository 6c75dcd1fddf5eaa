use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use crate::{ApiKey, ApiKeyId, layers};

/// How much of a key is kept: more than the server tells of one, too little to use.
const KEPT: usize = "idk_".len() + 12;

/// Which API key is meant: by its id, or by how the key itself begins, as
/// [`ApiKey::key_prefix`] tells. The protocol has no other way to say "this one".
///
/// Of a key itself the first 16 characters are kept, and its `Debug` shows none of them.
///
/// ```
/// use idpflare_management::layers::ApiKey;
/// use idpflare_management::workflows::KeyRef;
///
/// let key = ApiKey::new("idk_8a0fa170c2d94e6b")?;
/// assert_eq!(format!("{:?}", KeyRef::from(&key)), "KeyRef(prefix [REDACTED])");
/// let same = KeyRef::prefix("idk_8a0fa170");
/// let same = KeyRef::id("key_5a7e31f0c94b");
/// # Ok::<(), idpflare_management::layers::InvalidApiKey>(())
/// ```
#[derive(Clone)]
pub struct KeyRef(Means);

#[derive(Clone)]
enum Means {
    Id(ApiKeyId),
    Prefix(SecretString),
}

impl KeyRef {
    /// The key with this id.
    #[must_use]
    pub fn id(id: impl Into<ApiKeyId>) -> Self {
        Self(Means::Id(id.into()))
    }

    /// The key that begins like this. The whole key may be given as well.
    #[must_use]
    pub fn prefix(beginning: impl Into<SecretString>) -> Self {
        let beginning: SecretString = beginning.into();
        let kept: String = beginning.expose_secret().chars().take(KEPT).collect();
        Self(Means::Prefix(kept.into()))
    }

    /// Whether `key` may be the one. Either may tell more of the beginning than the other.
    pub(super) fn matches(&self, key: &ApiKey) -> bool {
        match &self.0 {
            Means::Id(id) => key.id == *id,
            Means::Prefix(kept) => {
                let (kept, told) = (kept.expose_secret(), key.key_prefix.as_str());
                let is_told = !kept.is_empty() && !told.is_empty();
                is_told && (kept.starts_with(told) || told.starts_with(kept))
            }
        }
    }
}

impl From<&layers::ApiKey> for KeyRef {
    fn from(key: &layers::ApiKey) -> Self {
        let authorization = key.authorization().to_str().unwrap_or_default();
        let key = authorization.strip_prefix("Bearer ").unwrap_or_default();
        Self::prefix(key)
    }
}

impl From<ApiKeyId> for KeyRef {
    fn from(id: ApiKeyId) -> Self {
        Self::id(id)
    }
}

impl From<&ApiKeyId> for KeyRef {
    fn from(id: &ApiKeyId) -> Self {
        Self::id(id)
    }
}

impl fmt::Debug for KeyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Means::Id(id) => write!(f, "KeyRef(id {:?})", id.as_str()),
            Means::Prefix(_) => f.write_str("KeyRef(prefix [REDACTED])"),
        }
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::Fixture;

    #[test]
    fn a_key_is_known_by_its_beginning() {
        let raw = "idk_8a0fa170c2d94e6b1122334455667788";
        let credential = layers::ApiKey::new(raw).expect("a key");
        for (told, given, matches) in [
            ("idk_8a0fa170", KeyRef::from(&credential), true),
            ("idk_8a0fa170c2d94e6b1122", KeyRef::from(&credential), true),
            ("idk_8a0fa171", KeyRef::from(&credential), false),
            ("idk_8a0fa170", KeyRef::prefix("idk_8a0fa170"), true),
            ("idk_8a0fa170", KeyRef::prefix("idk_8a"), true),
            ("idk_8a0fa170", KeyRef::prefix(""), false),
            ("", KeyRef::from(&credential), false),
            ("idk_8a0fa170", KeyRef::id("key_other"), false),
            ("idk_8a0fa170", KeyRef::id(ApiKey::fixture().id), true),
        ] {
            let mut key = ApiKey::fixture();
            key.key_prefix = told.into();
            assert_eq!(given.matches(&key), matches, "{told} {given:?}");
        }
    }
}
