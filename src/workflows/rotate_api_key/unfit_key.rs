use std::error::Error;
use std::fmt;

use crate::layers::InvalidApiKey;
use crate::{ApiKey, Scope, Timestamp};

/// A server may take the two times of a key at two moments.
const TWO_MOMENTS: i64 = 60_000;

/// Why a new API key is not worth probing.
#[derive(Debug)]
#[non_exhaustive]
pub enum UnfitKey {
    /// The server has not given it this scope, which was asked for.
    Lacks(Scope),
    /// It would live longer than the old one was made to.
    Outlives {
        /// When it would end by itself, if at all.
        ends_at: Option<Timestamp>,
    },
    /// It can't be sent.
    Invalid(InvalidApiKey),
}

impl fmt::Display for UnfitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lacks(scope) => write!(f, "the server has not given the new key {scope}"),
            Self::Outlives { ends_at: None } => {
                f.write_str("the new key would never end, as the old one was made to")
            }
            Self::Outlives { ends_at: Some(at) } => write!(
                f,
                "the new key would live until {at:.0}, longer than the old one was made to"
            ),
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

impl Error for UnfitKey {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Invalid(error) => error.source(),
            Self::Lacks(_) | Self::Outlives { .. } => None,
        }
    }
}

/// Whether the new key lives longer than the old one was made to. Each is measured by the server's
/// clock alone.
pub(super) fn outlives(new: &ApiKey, old: &ApiKey) -> bool {
    let lifetime = |key: &ApiKey| {
        let end = key.expires_at?.as_millisecond();
        Some(end.saturating_sub(key.created_at.as_millisecond()))
    };
    lifetime(old).is_some_and(|made_for| {
        lifetime(new).is_none_or(|lives| lives > made_for.saturating_add(TWO_MOMENTS))
    })
}
