use serde::Deserialize;

use super::millis::Millis;
use crate::{AuditLogId, Error, Timestamp, pager};

/// A row of the log that can't be decoded.
pub(super) struct Undecoded {
    /// What tells it from others: its id, where it has one.
    pub(super) key: AuditLogId,
    pub(super) made: Made,
    pub(super) error: Error,
}

/// When a row was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Made {
    At(Millis),
    /// It does not say, but the rows around it do: before this time.
    Before(Millis),
}

impl Undecoded {
    /// The log lists this row behind one that was made at `newer`.
    pub(super) fn new(error: Error, newer: Millis) -> Self {
        let decode = error.decode_error();
        let raw = decode.and_then(|decode| decode.raw_row()).unwrap_or("");
        Self {
            key: pager::row_key(raw).into(),
            made: time(raw).map_or(Made::Before(newer.saturating_add(1)), Made::At),
            error,
        }
    }
}

impl Made {
    pub(super) fn known(self) -> Option<Millis> {
        match self {
            Self::At(made) => Some(made),
            Self::Before(_) => None,
        }
    }

    /// Not before it was made, and as near to that as can be told.
    pub(super) fn latest(self) -> Millis {
        match self {
            Self::At(made) | Self::Before(made) => made,
        }
    }
}

#[derive(Deserialize)]
struct Timed {
    created_at: Millis,
}

fn time(raw: &str) -> Option<Millis> {
    let Timed { created_at } = serde_json::from_str(raw).ok()?;
    Timestamp::from_millisecond(created_at).ok()?;
    Some(created_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_told_where_it_is_one() {
        for (raw, expected) in [
            (r#"{"created_at":77,"status":1e999}"#, Some(77)),
            (r#"{"created_at":-1}"#, Some(-1)),
            (r#"{"created_at":"77"}"#, None),
            (r#"{"created_at":null}"#, None),
            (r#"{"created_at":9223372036854775807}"#, None),
            (r#"{}"#, None),
            ("77", None),
            ("", None),
        ] {
            assert_eq!(time(raw), expected, "{raw}");
        }
    }
}
