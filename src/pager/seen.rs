use std::collections::{HashSet, VecDeque};
use std::sync::Arc;

/// How many rows are remembered.
pub(super) const WINDOW: usize = 4096;

/// The ids of the last rows: those that can come again when rows are inserted before them.
///
/// That is as many as were inserted since the last page, so a window will do, and the memory does not
/// grow with the list.
#[derive(Default)]
pub(super) struct Seen {
    ids: HashSet<Arc<str>>,
    oldest_first: VecDeque<Arc<str>>,
}

impl Seen {
    /// Remembers `id`; false where it was known.
    pub(super) fn insert(&mut self, id: &str) -> bool {
        if self.ids.contains(id) {
            return false;
        }
        let id: Arc<str> = id.into();
        self.ids.insert(Arc::clone(&id));
        self.oldest_first.push_back(id);
        true
    }

    /// Forgets all but the last [`WINDOW`] rows, or those of the last page where it had more.
    pub(super) fn trim(&mut self, page: usize) {
        while self.oldest_first.len() > page.max(WINDOW) {
            if let Some(id) = self.oldest_first.pop_front() {
                self.ids.remove(&id);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rows_are_known_and_the_first_are_forgotten() {
        let mut seen = Seen::default();
        for row in 0..3 * WINDOW {
            assert!(seen.insert(&row.to_string()));
            seen.trim(1);
        }
        assert_eq!(seen.ids.len(), WINDOW);
        assert_eq!(seen.oldest_first.len(), WINDOW);
        assert!(!seen.insert(&(2 * WINDOW).to_string()));
        assert!(seen.insert(&(2 * WINDOW - 1).to_string()));
    }

    #[test]
    fn a_larger_page_is_remembered_as_a_whole() {
        let mut seen = Seen::default();
        for row in 0..2 * WINDOW {
            seen.insert(&row.to_string());
        }
        seen.trim(2 * WINDOW);
        assert!(!seen.insert("0"));
    }
}
