//! What a request says: identifiers, query and body.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use serde_path_to_error::Segment;

use super::respond::Reply;
use crate::{Timestamp, UserId};

const DEFAULT_LIMIT: u64 = 50;
const MAX_LIMIT: u64 = 100;

/// The arguments of one operation.
pub(super) struct Input {
    /// The holes of the path, by name, decoded.
    pub(super) params: Vec<(String, String)>,
    pub(super) query: Query,
    pub(super) body: Bytes,
    /// Whose key it is.
    pub(super) acting: UserId,
}

impl Input {
    /// What fills the hole `name` of the path.
    pub(super) fn param(&self, name: &str) -> &str {
        find(&self.params, name).unwrap_or_default()
    }

    /// The body as a `T`. Members that `T` does not know are ignored.
    ///
    /// `required` members must be there, and `never_null` ones have a value where they are there:
    /// `T` itself can't tell an optional member that is absent from one that is `null`.
    pub(super) fn body<T: DeserializeOwned>(
        &self,
        required: &[&str],
        never_null: &[&str],
    ) -> Result<T, Reply> {
        let members: Map<String, Value> =
            serde_json::from_slice(&self.body).map_err(|_| Reply::invalid("body"))?;
        for name in required {
            if !members.contains_key(*name) {
                return Err(Reply::invalid(name));
            }
        }
        for name in required.iter().chain(never_null) {
            if members.get(*name).is_some_and(Value::is_null) {
                return Err(Reply::invalid(name));
            }
        }
        serde_path_to_error::deserialize(Value::Object(members)).map_err(|error| {
            Reply::invalid(match error.path().iter().next() {
                Some(Segment::Map { key }) => key,
                _ => "body",
            })
        })
    }
}

/// The query, decoded.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        find(&self.0, name)
    }

    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Reply> {
        self.parsed(name, |text| text.parse().ok())
    }

    pub(super) fn time(&self, name: &str) -> Result<Option<Timestamp>, Reply> {
        self.parsed(name, |text| {
            Timestamp::from_millisecond(text.parse().ok()?).ok()
        })
    }

    pub(super) fn paging(&self) -> Result<Paging, Reply> {
        let number = |name| self.parsed(name, |text| text.parse::<u64>().ok());
        Ok(Paging {
            limit: number("limit")?
                .unwrap_or(DEFAULT_LIMIT)
                .clamp(1, MAX_LIMIT),
            offset: number("offset")?.unwrap_or(0),
        })
    }

    /// The value of `name` as `parse` takes it; where it is there and `parse` does not take it, a
    /// refusal.
    pub(super) fn parsed<T>(
        &self,
        name: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Reply> {
        self.text(name)
            .map(|text| parse(text).ok_or_else(|| Reply::invalid(name)))
            .transpose()
    }
}

/// Which rows are wanted.
pub(super) struct Paging {
    pub(super) limit: u64,
    pub(super) offset: u64,
}

impl Paging {
    /// The wanted ones of `rows`, and how many there are in all.
    pub(super) fn of<'a, T: Clone + 'a>(&self, rows: impl Iterator<Item = &'a T>) -> (Vec<T>, u64) {
        let wanted = self.offset..self.offset.saturating_add(self.limit);
        let mut page = Vec::new();
        let mut total = 0;
        for row in rows {
            if wanted.contains(&total) {
                page.push(row.clone());
            }
            total += 1;
        }
        (page, total)
    }
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.as_str())
}
