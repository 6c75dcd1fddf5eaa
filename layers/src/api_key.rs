use std::error::Error;
use std::fmt;

use http::HeaderValue;
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret, SecretString};

/// An API key, ready to be sent as a bearer token (RFC 6750, section 2.1).
///
/// It is checked and formatted once. Its `Debug` is redacted, and the header value is marked as
/// sensitive, which keeps it out of HTTP/2 header compression and out of `Debug` output too.
///
/// ```
/// use idpflare_layers::ApiKey;
///
/// let key = ApiKey::new("idk_example")?;
/// assert_eq!(format!("{key:?}"), "ApiKey([REDACTED])");
///
/// let error = ApiKey::new("idk_example\n").expect_err("a line feed");
/// assert_eq!(
///     error.to_string(),
///     "byte 11 of the API key is a control character (a line end left over from a file or variable?)"
/// );
/// # Ok::<(), idpflare_layers::InvalidApiKey>(())
/// ```
#[derive(Clone)]
pub struct ApiKey {
    authorization: HeaderValue,
}

impl ApiKey {
    /// Takes over a key; the string is zeroised.
    ///
    /// # Errors
    ///
    /// Where the key is empty, or has a control character, white space or a character outside of
    /// ASCII. The error tells the position, never a part of the key.
    pub fn new(key: impl Into<SecretString>) -> Result<Self, InvalidApiKey> {
        let key: SecretString = key.into();
        let key = key.expose_secret();
        if key.is_empty() {
            return Err(InvalidApiKey::Empty);
        }
        if let Some(position) = key.bytes().position(|byte| !byte.is_ascii_graphic()) {
            return Err(match key.as_bytes().get(position) {
                Some(byte) if byte.is_ascii_control() => InvalidApiKey::Control { position },
                _ => InvalidApiKey::Character { position },
            });
        }
        let bearer = Zeroizing::new(format!("Bearer {key}"));
        let mut authorization =
            HeaderValue::from_str(&bearer).map_err(|_| InvalidApiKey::Character { position: 0 })?;
        authorization.set_sensitive(true);
        Ok(Self { authorization })
    }

    /// The value of the `Authorization` header, marked as sensitive.
    #[must_use]
    pub fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey([REDACTED])")
    }
}

impl TryFrom<&str> for ApiKey {
    type Error = InvalidApiKey;

    fn try_from(key: &str) -> Result<Self, InvalidApiKey> {
        Self::new(key)
    }
}

impl TryFrom<String> for ApiKey {
    type Error = InvalidApiKey;

    fn try_from(key: String) -> Result<Self, InvalidApiKey> {
        Self::new(key)
    }
}

impl TryFrom<&String> for ApiKey {
    type Error = InvalidApiKey;

    fn try_from(key: &String) -> Result<Self, InvalidApiKey> {
        Self::new(key.as_str())
    }
}

impl TryFrom<&SecretString> for ApiKey {
    type Error = InvalidApiKey;

    fn try_from(key: &SecretString) -> Result<Self, InvalidApiKey> {
        Self::new(key.clone())
    }
}

impl TryFrom<SecretString> for ApiKey {
    type Error = InvalidApiKey;

    fn try_from(key: SecretString) -> Result<Self, InvalidApiKey> {
        Self::new(key)
    }
}

/// An API key that can't be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidApiKey {
    /// It has no characters.
    Empty,
    /// It has a control character.
    Control {
        /// Which byte, counted from zero.
        position: usize,
    },
    /// It has white space or a character outside of ASCII.
    Character {
        /// Which byte, counted from zero.
        position: usize,
    },
}

impl fmt::Display for InvalidApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the API key is empty"),
            Self::Control { position } => write!(
                f,
                "byte {position} of the API key is a control character (a line end left over from a file or variable?)"
            ),
            Self::Character { position } => write!(
                f,
                "byte {position} of the API key is not a visible ASCII character"
            ),
        }
    }
}

impl Error for InvalidApiKey {}

impl From<std::convert::Infallible> for InvalidApiKey {
    fn from(never: std::convert::Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_visible_ascii_is_a_key() {
        for (key, error) in [
            ("", InvalidApiKey::Empty),
            ("idk_a\n", InvalidApiKey::Control { position: 5 }),
            ("idk\0", InvalidApiKey::Control { position: 3 }),
            ("idk a", InvalidApiKey::Character { position: 3 }),
            ("idk_ä", InvalidApiKey::Character { position: 4 }),
            ("\u{7f}", InvalidApiKey::Control { position: 0 }),
        ] {
            assert_eq!(ApiKey::new(key).err(), Some(error), "{key:?}");
        }
        let key = ApiKey::new("idk_a~!").expect("a key");
        assert_eq!(key.authorization(), "Bearer idk_a~!");
        assert!(key.authorization().is_sensitive());
    }

    #[test]
    fn no_debug_shows_the_key() {
        let key = ApiKey::new("idk_hidden").expect("a key");
        assert!(!format!("{key:?}{:?}", key.authorization()).contains("hidden"));
    }
}
