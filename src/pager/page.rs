use crate::Error;

/// Rows of one page that were not there before; see [`Pager::next_page`](super::Pager::next_page).
#[derive(Debug)]
#[non_exhaustive]
pub struct Page<T> {
    /// The rows, in the server's order, without those that an earlier page had.
    pub rows: Vec<T>,
    /// The rows that could not be decoded, each an error of kind
    /// [`Decode`](crate::ErrorKind::Decode). Only a [lenient](super::Pager::lenient) pager has any.
    pub undecoded: Vec<Error>,
    /// How many rows are before the first one, as the server counted when it answered.
    pub offset: u64,
    /// How many rows there are on all pages, where the server says so.
    pub total: Option<u64>,
}
