use std::fmt;
use std::fmt::Write;

use ring::digest::{Context, SHA256};

use crate::{ApiKey, Origin};

/// How much of a hash names a quota, in bytes.
const LENGTH: usize = 16;

/// Which quota it is: one for each API key at each server.
///
/// It is a hash. The API key itself never leaves the process by this way, and can't be told from it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct QuotaKey {
    key: String,
}

impl QuotaKey {
    /// The quota of this API key at this server. A key that takes its place has a quota of its own;
    /// where both are one to the server, [`named`](Self::named) is for you.
    #[must_use]
    pub fn new(origin: &Origin, key: &ApiKey) -> Self {
        Self::of(&[
            b"credential",
            origin.to_string().as_bytes(),
            key.authorization().as_bytes(),
        ])
    }

    /// The quota of all who say this name for it.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::of(&[b"name", name.as_bytes()])
    }

    /// Where the quota is kept.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.key
    }

    fn of(parts: &[&[u8]]) -> Self {
        let mut context = Context::new(&SHA256);
        for part in parts {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            context.update(&length.to_be_bytes());
            context.update(part);
        }
        let mut key = "quota:{".to_owned();
        for byte in &context.finish().as_ref()[..LENGTH] {
            let _ = write!(key, "{byte:02x}");
        }
        key.push('}');
        Self { key }
    }
}

impl fmt::Debug for QuotaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("QuotaKey").field(&self.key).finish()
    }
}

#[cfg(test)]
mod tests {
    use http::Uri;

    use super::*;

    #[test]
    fn it_differs_by_server_and_key_and_shows_neither() {
        let origin = |uri| Origin::of(&Uri::from_static(uri)).expect("an origin");
        let key = |key: &str| ApiKey::new(key).expect("a key");
        let quota = QuotaKey::new(&origin("https://a.example"), &key("idk_1"));
        let same = QuotaKey::new(&origin("https://A.example:443/path"), &key("idk_1"));
        assert_eq!(quota, same);
        for other in [
            QuotaKey::new(&origin("https://b.example"), &key("idk_1")),
            QuotaKey::new(&origin("https://a.example"), &key("idk_2")),
            QuotaKey::named("https://a.example"),
        ] {
            assert_ne!(quota, other);
        }
        assert!(!format!("{quota:?}").contains("idk"));
        // One hash tag, not empty.
        let tag = quota.as_str().split(['{', '}']).nth(1).expect("a tag");
        assert_eq!(tag.len(), 2 * LENGTH);
    }
}
