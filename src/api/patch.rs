use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// What an update does to a field that may have no value.
///
/// [`Keep`](Self::Keep) leaves the field out of the request, [`Clear`](Self::Clear) sends `null`,
/// [`Set`](Self::Set) sends the value. (The reference client of the protocol has no way to send
/// `null`.)
///
/// A plain value converts to `Set`. An `Option` does not convert, because its `None` could mean
/// either of the others: say which with [`set_or_keep`](Self::set_or_keep) or
/// [`set_or_clear`](Self::set_or_clear).
///
/// ```
/// use idpflare_management::{Patch, UpdateUser};
///
/// let update = UpdateUser::new("usr_7")
///     .given_name("Ada")
///     .family_name(Patch::Clear);
/// assert_eq!(update.changes.given_name, Patch::Set("Ada".into()));
/// assert_eq!(update.changes.picture_url, Patch::Keep);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Patch<T> {
    /// The field stays as it is.
    #[default]
    Keep,
    /// The field has no value afterwards.
    Clear,
    /// The field has this value afterwards.
    Set(T),
}

impl<T> Patch<T> {
    /// Sets the value, where there is one, or else leaves the field as it is.
    #[must_use]
    pub fn set_or_keep(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }

    /// Sets the value, where there is one, or else clears the field.
    #[must_use]
    pub fn set_or_clear(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_keep(&self) -> bool {
        matches!(self, Self::Keep)
    }

    /// The value that it sets.
    #[must_use]
    pub fn as_set(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }
}

impl<T> From<T> for Patch<T> {
    fn from(value: T) -> Self {
        Self::Set(value)
    }
}

impl From<&str> for Patch<String> {
    fn from(value: &str) -> Self {
        Self::Set(value.to_owned())
    }
}

impl From<&String> for Patch<String> {
    fn from(value: &String) -> Self {
        Self::Set(value.clone())
    }
}

impl<const N: usize> From<[&str; N]> for Patch<Vec<String>> {
    fn from(values: [&str; N]) -> Self {
        Self::Set(values.map(str::to_owned).into())
    }
}

impl From<Vec<&str>> for Patch<Vec<String>> {
    fn from(values: Vec<&str>) -> Self {
        Self::Set(values.into_iter().map(str::to_owned).collect())
    }
}

impl<T: Serialize> Serialize for Patch<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            // A field that forgot to skip `Keep` must not clear anything by accident.
            Self::Keep => Err(serde::ser::Error::custom(
                "Patch::Keep has no value: skip it with skip_serializing_if = \"Patch::is_keep\"",
            )),
            Self::Clear => serializer.serialize_none(),
            Self::Set(value) => serializer.serialize_some(value),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    /// `null` is `Clear`; a field that may be absent needs `#[serde(default)]`, which makes it
    /// `Keep`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(Self::set_or_clear)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Skipping {
        #[serde(default, skip_serializing_if = "Patch::is_keep")]
        name: Patch<String>,
    }

    #[test]
    fn the_three_states_round_trip() {
        for (name, json) in [
            (Patch::Keep, "{}"),
            (Patch::Clear, r#"{"name":null}"#),
            (Patch::Set("x".to_owned()), r#"{"name":"x"}"#),
        ] {
            let value = Skipping { name };
            assert_eq!(serde_json::to_string(&value).expect("json"), json);
            let back: Skipping = serde_json::from_str(json).expect("a value");
            assert_eq!(back, value);
        }
    }

    #[test]
    fn a_keep_that_was_not_skipped_fails_closed() {
        assert!(serde_json::to_string(&Patch::<String>::Keep).is_err());
    }
}
