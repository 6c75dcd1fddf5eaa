use bytes::Bytes;
use serde::de::DeserializeOwned;

use self::sealed::{Internal, Sealed};
use crate::{ApiRequest, Timestamp, WithOptions};

/// An operation whose reply is one page of a list: what a [`Pager`](super::Pager) can read.
///
/// These are [`ListUsers`](crate::ListUsers), [`ListApiKeys`](crate::ListApiKeys),
/// [`ListClients`](crate::ListClients), [`QueryAuditLogs`](crate::QueryAuditLogs) and
/// [`GetUserAuditLogs`](crate::GetUserAuditLogs), with or without
/// [options](ApiRequest::with). It can't be implemented elsewhere, and how a page is asked
/// for and read is the pager's own.
pub trait Listing:
    ApiRequest + Clone + Sealed<<Self as Listing>::Row, <Self as Listing>::Id>
{
    /// What is listed.
    type Row: DeserializeOwned;

    /// What identifies a row.
    type Id: AsRef<str> + Clone;
}

/// What a pager alone makes use of. A bound by [`Listing`] brings its functions into reach wherever it
/// stands, so each takes a value that only this crate has.
pub(super) mod sealed {
    use crate::{ApiRequest, Timestamp};

    /// What keeps others from calling a function.
    #[derive(Clone, Copy, Debug)]
    pub struct Internal(pub(in crate::pager) ());

    /// How a page is asked for, and where its reply has what.
    pub trait Sealed<Row, Id>: ApiRequest + Clone {
        /// The member of the reply that holds the rows.
        fn rows_member(_: Internal) -> &'static str;

        /// Whether the reply says how many rows there are on all pages.
        fn has_total(_: Internal) -> bool;

        /// How many rows a page may have at most, where that is said.
        fn asked_limit(&self, _: Internal) -> Option<u64>;

        /// How many rows are skipped, where that is said.
        fn asked_offset(&self, _: Internal) -> Option<u64>;

        /// The same request, for the page after `offset` rows.
        #[must_use]
        fn at_offset(self, offset: u64, _: Internal) -> Self;

        /// The same request, for nothing newer than `now`, where the operation has such a filter and
        /// it is not set.
        #[must_use]
        fn up_to(self, now: Timestamp, _: Internal) -> Self {
            let _ = now;
            self
        }

        /// The rows of a reply, and how many there are on all pages.
        fn into_rows(page: Self::Response, _: Internal) -> (Vec<Row>, Option<u64>);

        /// What identifies `row`.
        fn id(row: &Row, _: Internal) -> &Id;
    }
}

/// Shows that a call is the pager's own.
pub(super) const INTERNAL: Internal = Internal(());

impl<R: Listing> Listing for WithOptions<R> {
    type Row = R::Row;
    type Id = R::Id;
}

impl<R: Listing> Sealed<R::Row, R::Id> for WithOptions<R> {
    fn rows_member(internal: Internal) -> &'static str {
        R::rows_member(internal)
    }

    fn has_total(internal: Internal) -> bool {
        R::has_total(internal)
    }

    fn asked_limit(&self, internal: Internal) -> Option<u64> {
        self.request().asked_limit(internal)
    }

    fn asked_offset(&self, internal: Internal) -> Option<u64> {
        self.request().asked_offset(internal)
    }

    fn at_offset(self, offset: u64, internal: Internal) -> Self {
        self.map(|request| request.at_offset(offset, internal))
    }

    fn up_to(self, now: Timestamp, internal: Internal) -> Self {
        self.map(|request| request.up_to(now, internal))
    }

    fn into_rows(page: R::Response, internal: Internal) -> (Vec<R::Row>, Option<u64>) {
        R::into_rows(page, internal)
    }

    fn id(row: &R::Row, internal: Internal) -> &R::Id {
        R::id(row, internal)
    }
}

/// A successful reply of a listing.
pub(super) type Reply = http::Response<Bytes>;
