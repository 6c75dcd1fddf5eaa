//! Rows in the order that the protocol lists them in.

use std::collections::{BTreeMap, HashMap};

use crate::Timestamp;

/// When a row was created, and what sets it apart from others of the same moment.
type Position = (Timestamp, u64);

/// Rows by age. They can be inserted in any order: seeded rows are older than those that exist.
pub(super) struct Timeline<T> {
    rows: BTreeMap<Position, T>,
    inserted: u64,
}

impl<T> Timeline<T> {
    pub(super) fn new() -> Self {
        Self {
            rows: BTreeMap::new(),
            inserted: 0,
        }
    }

    pub(super) fn insert(&mut self, created_at: Timestamp, row: T) -> Position {
        let position = (created_at, self.inserted);
        self.inserted += 1;
        self.rows.insert(position, row);
        position
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &T> {
        self.rows.values().rev()
    }
}

/// Rows by age and by id.
pub(super) struct Table<T> {
    rows: Timeline<T>,
    positions: HashMap<String, Position>,
}

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        Self {
            rows: Timeline::new(),
            positions: HashMap::new(),
        }
    }

    pub(super) fn insert(&mut self, id: &impl AsRef<str>, created_at: Timestamp, row: T) {
        let position = self.rows.insert(created_at, row);
        self.positions.insert(id.as_ref().to_owned(), position);
    }

    pub(super) fn get(&self, id: &str) -> Option<&T> {
        self.rows.rows.get(self.positions.get(id)?)
    }

    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut T> {
        self.rows.rows.get_mut(self.positions.get(id)?)
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<T> {
        self.rows.rows.remove(&self.positions.remove(id)?)
    }

    pub(super) fn newest_first(&self) -> impl Iterator<Item = &T> {
        self.rows.newest_first()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }
}
