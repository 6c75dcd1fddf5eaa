//! From a reply to rows.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::listing::{INTERNAL, Listing, Reply};
use crate::DecodeError;
use crate::decode::decode_row;

/// What a page holds.
pub(super) struct Rows<T> {
    pub(super) rows: Vec<Result<T, Undecoded>>,
    pub(super) total: Option<u64>,
}

/// A row that can't be decoded.
pub(super) struct Undecoded {
    /// What tells it from others: its id, where it has one.
    pub(super) key: String,
    pub(super) error: DecodeError,
}

/// The rows of a reply. Where `lenient`, a row that can't be decoded does not spoil the others.
pub(super) fn read<R: Listing>(reply: &Reply, lenient: bool) -> Result<Rows<R::Row>, DecodeError> {
    match R::decode(reply) {
        Ok(page) => {
            let (rows, total) = R::into_rows(page, INTERNAL);
            let rows = rows.into_iter().map(Ok).collect();
            Ok(Rows { rows, total })
        }
        // What is wrong with the reply as a whole, decoding it as a whole has said best.
        Err(error) if lenient => apart::<R>(reply).ok_or(error),
        Err(error) => Err(error),
    }
}

/// Decodes row by row; `None` where that does not help.
fn apart<R: Listing>(reply: &Reply) -> Option<Rows<R::Row>> {
    let text = std::str::from_utf8(reply.body()).ok()?;
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let rows: Vec<&RawValue> =
        serde_json::from_str(members.get(R::rows_member(INTERNAL))?.get()).ok()?;
    let total = match members.get("total") {
        Some(total) if R::has_total(INTERNAL) => Some(serde_json::from_str(total.get()).ok()?),
        None if R::has_total(INTERNAL) => return None,
        _ => None,
    };
    let row = |(index, raw): (usize, &&RawValue)| {
        decode_row(raw.get(), R::rows_member(INTERNAL), index, R::OPERATION).map_err(|error| {
            Undecoded {
                key: key(raw.get()),
                error,
            }
        })
    };
    let rows = rows.iter().enumerate().map(row).collect();
    Some(Rows { rows, total })
}

#[derive(Deserialize)]
struct Identified {
    id: String,
}

/// What tells a row from others.
pub(crate) fn key(raw: &str) -> String {
    if let Ok(Identified { id }) = serde_json::from_str(raw) {
        return id;
    }
    let mut hasher = DefaultHasher::new();
    raw.hash(&mut hasher);
    // With a character that no id has.
    format!("\0{:x}", hasher.finish())
}
