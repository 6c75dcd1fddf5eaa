use super::seen::{Seen, WINDOW};

/// How many pages without a new row are taken for drift, whatever the total says.
const STALE_PAGES: u32 = 3;

/// Where in a list a reader is, and whether it gets anywhere.
pub(super) struct Cursor {
    position: u64,
    total: Option<u64>,
    /// How many rows the last page had: what a page ahead is likely to start behind.
    stride: u64,
    seen: Seen,
    /// The pages since the last new row, and the rows on them.
    stale_pages: u32,
    stale_rows: u64,
    /// How many rows came again, in all.
    repeated: u64,
    /// By how much the total has risen, in all.
    inserted: u64,
    /// The last page had no row that came again.
    is_steady: bool,
    has_ended: bool,
}

/// The list repeats itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoProgress {
    pub(super) pages: u32,
    /// What the last of them was behind.
    pub(super) offset: u64,
}

impl Cursor {
    pub(super) fn new(position: u64) -> Self {
        Self {
            position,
            total: None,
            stride: 0,
            seen: Seen::default(),
            stale_pages: 0,
            stale_rows: 0,
            repeated: 0,
            inserted: 0,
            is_steady: true,
            has_ended: false,
        }
    }

    /// How many rows are before the next page.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn total(&self) -> Option<u64> {
        self.total
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether the list can be taken for the one that the page before was of. Where rows come again, it
    /// has moved, also if its total does not tell.
    pub(super) fn is_steady(&self) -> bool {
        self.is_steady
    }

    /// Where the page is likely to start that follows one at `offset`.
    pub(super) fn after(&self, offset: u64) -> Option<u64> {
        offset.checked_add(self.stride).filter(|_| self.stride > 0)
    }

    /// Whether a row is new.
    pub(super) fn sees(&mut self, id: &str) -> bool {
        self.seen.insert(id)
    }

    /// Goes on behind a page of `received` rows, of which `fresh` were new.
    ///
    /// The end is where the total is reached to the row, or an empty page. A total that is less than
    /// what has been received already can't be believed, or has just shrunk; and where rows came again
    /// that no growth explains, as many may be left behind it. There, only an empty page tells.
    pub(super) fn advance(
        &mut self,
        received: usize,
        fresh: usize,
        total: Option<u64>,
    ) -> Result<(), NoProgress> {
        let page = self.position;
        let rows = u64::try_from(received).unwrap_or(u64::MAX);
        let fresh = u64::try_from(fresh).unwrap_or(u64::MAX);
        if let (Some(before), Some(now)) = (self.total, total) {
            // Where more than the window came, those that come again can't be told from new ones.
            let risen = now.saturating_sub(before).min(WINDOW as u64);
            self.inserted = self.inserted.saturating_add(risen);
        }
        self.total = total;
        let is_whole = rows > 1 && rows >= self.stride;
        self.stride = rows;
        self.is_steady = fresh == rows;
        self.repeated = self.repeated.saturating_add(rows.saturating_sub(fresh));
        // Each row that is inserted makes one come again.
        let is_explained = self.repeated <= self.inserted;
        self.seen.trim(received);
        match self.position.checked_add(rows) {
            Some(position) => self.position = position,
            // No page can be asked for behind this one.
            None => self.has_ended = true,
        }
        let is_total = total == Some(self.position);
        if received == 0 || (is_total && is_explained) {
            self.has_ended = true;
        }
        // As many rows as before, none of them new, and the total reached with them: it is reached
        // only because the same page came again.
        if is_total && is_whole && fresh == 0 && !is_explained {
            self.has_ended = true;
            self.forgive();
            return Err(NoProgress {
                pages: 1,
                offset: page,
            });
        }
        if fresh > 0 || self.has_ended {
            self.forgive();
            return Ok(());
        }
        self.stale_pages += 1;
        self.stale_rows = self.stale_rows.saturating_add(rows);
        if self.stale_pages < STALE_PAGES || (is_explained && self.stale_rows <= WINDOW as u64) {
            return Ok(());
        }
        let pages = self.stale_pages;
        self.forgive();
        Err(NoProgress {
            pages,
            offset: page,
        })
    }

    fn forgive(&mut self) {
        self.stale_pages = 0;
        self.stale_rows = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_at_the_total_or_an_empty_page() {
        let mut cursor = Cursor::new(0);
        cursor.advance(10, 10, Some(15)).unwrap();
        assert!(!cursor.has_ended());
        cursor.advance(5, 5, Some(15)).unwrap();
        assert!(cursor.has_ended());

        let mut cursor = Cursor::new(0);
        cursor.advance(10, 10, None).unwrap();
        cursor.advance(3, 3, None).unwrap();
        assert!(!cursor.has_ended());
        cursor.advance(0, 0, None).unwrap();
        assert!(cursor.has_ended());
    }

    #[test]
    fn a_total_that_is_reached_by_repeating_a_page_is_no_end() {
        let mut cursor = Cursor::new(0);
        cursor.advance(50, 50, Some(100)).unwrap();
        let error = cursor.advance(50, 0, Some(100)).unwrap_err();
        assert_eq!((error.pages, error.offset), (1, 50));
        assert!(cursor.has_ended());

        // A row was added and another taken away, which pushes back the last one.
        let mut cursor = Cursor::new(0);
        cursor.advance(50, 50, Some(51)).unwrap();
        cursor.advance(1, 0, Some(51)).unwrap();
        assert!(!cursor.has_ended(), "the total need not be the end");
        cursor.advance(0, 0, Some(51)).unwrap();
        assert!(cursor.has_ended());
    }

    #[test]
    fn a_total_that_is_passed_is_not_believed() {
        let mut cursor = Cursor::new(0);
        cursor.advance(10, 10, Some(7)).unwrap();
        assert!(!cursor.has_ended());
        cursor.advance(0, 0, Some(7)).unwrap();
        assert!(cursor.has_ended());
    }

    #[test]
    fn pages_that_repeat_are_an_error_unless_rows_were_inserted() {
        let mut cursor = Cursor::new(0);
        cursor.advance(2, 2, Some(100)).unwrap();
        cursor.advance(2, 0, Some(100)).unwrap();
        cursor.advance(2, 0, Some(100)).unwrap();
        let error = cursor.advance(2, 0, Some(100));
        assert_eq!(
            error,
            Err(NoProgress {
                pages: 3,
                offset: 6
            })
        );
        assert_eq!(cursor.position(), 8);

        let mut cursor = Cursor::new(0);
        cursor.advance(2, 2, Some(100)).unwrap();
        for _ in 0..20 {
            cursor.advance(2, 0, Some(140)).unwrap();
        }
        cursor.advance(2, 0, Some(140)).unwrap_err();
    }

    #[test]
    fn a_total_that_grows_for_ever_ends_too() {
        let mut cursor = Cursor::new(0);
        let mut total = 0;
        let pages = (0..1_000_000).take_while(|_| {
            total += 1000;
            cursor.advance(2, 0, Some(total)).is_ok()
        });
        assert!(pages.count() <= WINDOW);
    }

    #[test]
    fn nothing_is_behind_the_largest_offset() {
        let mut cursor = Cursor::new(u64::MAX - 1);
        assert_eq!(cursor.after(0), None, "nobody knows yet");
        cursor.advance(2, 2, Some(u64::MAX)).unwrap();
        assert!(cursor.has_ended());
        assert_eq!(cursor.after(7), Some(9));
        assert_eq!(cursor.after(u64::MAX - 1), None);
    }
}
