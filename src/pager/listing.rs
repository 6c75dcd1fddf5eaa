use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::{ApiRequest, Timestamp, WithOptions};

/// An operation whose reply is one page of a list: what a [`Pager`](super::Pager) can read.
///
/// These are [`ListUsers`](crate::ListUsers), [`ListApiKeys`](crate::ListApiKeys),
/// [`ListClients`](crate::ListClients), [`QueryAuditLogs`](crate::QueryAuditLogs) and
/// [`GetUserAuditLogs`](crate::GetUserAuditLogs), with or without
/// [options](ApiRequest::with). It can't be implemented elsewhere.
pub trait Listing: ApiRequest + Clone + sealed::Sealed {
    /// What is listed.
    type Row: DeserializeOwned;

    /// What identifies a row.
    type Id: AsRef<str> + Clone;

    /// The member of the reply that holds the rows.
    const ROWS: &'static str;

    /// Whether the reply says how many rows there are on all pages.
    const HAS_TOTAL: bool;

    /// How many rows a page may have at most, where that is said.
    fn asked_limit(&self) -> Option<u64>;

    /// How many rows are skipped, where that is said.
    fn asked_offset(&self) -> Option<u64>;

    /// The same request, for the page after `offset` rows.
    #[must_use]
    fn at_offset(self, offset: u64) -> Self;

    /// The same request, for nothing newer than `now`, where the operation has such a filter and it
    /// is not set.
    #[must_use]
    fn up_to(self, now: Timestamp) -> Self {
        let _ = now;
        self
    }

    /// The rows of a reply, and how many there are on all pages.
    fn into_rows(page: Self::Response) -> (Vec<Self::Row>, Option<u64>);

    /// What identifies `row`.
    fn id(row: &Self::Row) -> &Self::Id;
}

pub(super) mod sealed {
    pub trait Sealed {}
}

impl<R: Listing> sealed::Sealed for WithOptions<R> {}

impl<R: Listing> Listing for WithOptions<R> {
    type Row = R::Row;
    type Id = R::Id;

    const ROWS: &'static str = R::ROWS;
    const HAS_TOTAL: bool = R::HAS_TOTAL;

    fn asked_limit(&self) -> Option<u64> {
        self.request().asked_limit()
    }

    fn asked_offset(&self) -> Option<u64> {
        self.request().asked_offset()
    }

    fn at_offset(self, offset: u64) -> Self {
        self.map(|request| request.at_offset(offset))
    }

    fn up_to(self, now: Timestamp) -> Self {
        self.map(|request| request.up_to(now))
    }

    fn into_rows(page: R::Response) -> (Vec<R::Row>, Option<u64>) {
        R::into_rows(page)
    }

    fn id(row: &R::Row) -> &R::Id {
        R::id(row)
    }
}

/// A successful reply of a listing.
pub(super) type Reply = http::Response<Bytes>;
