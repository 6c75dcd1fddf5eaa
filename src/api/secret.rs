//! Reading secrets. serde's own messages quote what was found where a text was expected, so that a
//! password of the wrong type would end in an error text.

use std::fmt;

use secrecy::SecretString;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// For `#[serde(deserialize_with = "…")]` of a secret that must be there.
pub(super) fn required<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SecretString, D::Error> {
    optional(deserializer)?.ok_or_else(not_text)
}

/// For `#[serde(default, deserialize_with = "…")]` of a secret that may be absent or `null`.
pub(super) fn optional<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<SecretString>, D::Error> {
    deserializer.deserialize_any(Secret)
}

fn not_text<E: Error>() -> E {
    E::custom("a secret must be a string")
}

struct Secret;

impl<'de> Visitor<'de> for Secret {
    type Value = Option<SecretString>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(SecretString::from(text)))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(Some(SecretString::from(text)))
    }

    fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        optional(deserializer)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Self::Value, E> {
        Err(not_text())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Self::Value, E> {
        Err(not_text())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Self::Value, E> {
        Err(not_text())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Self::Value, E> {
        Err(not_text())
    }

    fn visit_bytes<E: Error>(self, _: &[u8]) -> Result<Self::Value, E> {
        Err(not_text())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Err(not_text())
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Err(not_text())
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use crate::{CreateUser, UpdateUserPassword};

    #[test]
    fn a_secret_of_another_type_is_not_quoted() {
        for wrong in [
            "4711471147",
            "true",
            "1.5",
            "[\"s3cret\"]",
            "{\"s3cret\":1}",
            "-4711",
        ] {
            let json = format!(r#"{{"email":"a@b.c","user_id":"u","password":{wrong}}}"#);
            for error in [
                serde_json::from_str::<CreateUser>(&json).err(),
                serde_json::from_str::<UpdateUserPassword>(&json).err(),
            ] {
                let text = error.expect("no text").to_string();
                assert!(text.starts_with("a secret must be a string"), "{text}");
                assert!(!text.contains("4711") && !text.contains("s3cret"), "{text}");
            }
        }
        let json = r#"{"email":"a@b.c","password":null}"#;
        let user: CreateUser = serde_json::from_str(json).expect("a user");
        assert!(user.password.is_none());
        let json = r#"{"email":"a@b.c","password":"s3cret\n"}"#;
        let user: CreateUser = serde_json::from_str(json).expect("a user");
        assert_eq!(
            user.password.expect("a password").expose_secret(),
            "s3cret\n"
        );
    }
}
