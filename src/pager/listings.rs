//! How each listing is asked for a page, and where its reply has what.

use super::listing::{Listing, sealed::Sealed};
use crate::{
    ApiKey, ApiKeyId, AuditLogEntry, AuditLogId, AuditLogPage, GetUserAuditLogs, ListApiKeys,
    ListClients, ListUsers, OAuthClient, OAuthClientId, OAuthClientPage, QueryAuditLogs, Timestamp,
    User, UserAuditLogPage, UserId, UserPage,
};

/// What all listings have in common: the fields `limit` and `offset`, and rows with an `id`.
macro_rules! paging {
    () => {
        fn asked_limit(&self) -> Option<u64> {
            self.limit
        }

        fn asked_offset(&self) -> Option<u64> {
            self.offset
        }

        fn at_offset(self, offset: u64) -> Self {
            self.offset(offset)
        }

        fn id(row: &Self::Row) -> &Self::Id {
            &row.id
        }
    };
}

impl Sealed for ListUsers {}

impl Listing for ListUsers {
    type Row = User;
    type Id = UserId;

    const ROWS: &'static str = "users";
    const HAS_TOTAL: bool = true;

    paging!();

    fn into_rows(page: UserPage) -> (Vec<User>, Option<u64>) {
        (page.users, Some(page.total))
    }
}

impl Sealed for ListApiKeys {}

impl Listing for ListApiKeys {
    type Row = ApiKey;
    type Id = ApiKeyId;

    const ROWS: &'static str = "api_keys";
    const HAS_TOTAL: bool = false;

    paging!();

    fn into_rows(api_keys: Vec<ApiKey>) -> (Vec<ApiKey>, Option<u64>) {
        (api_keys, None)
    }
}

impl Sealed for ListClients {}

impl Listing for ListClients {
    type Row = OAuthClient;
    type Id = OAuthClientId;

    const ROWS: &'static str = "clients";
    const HAS_TOTAL: bool = true;

    paging!();

    fn into_rows(page: OAuthClientPage) -> (Vec<OAuthClient>, Option<u64>) {
        (page.clients, Some(page.total))
    }
}

impl Sealed for QueryAuditLogs {}

impl Listing for QueryAuditLogs {
    type Row = AuditLogEntry;
    type Id = AuditLogId;

    const ROWS: &'static str = "entries";
    const HAS_TOTAL: bool = true;

    paging!();

    fn up_to(mut self, now: Timestamp) -> Self {
        self.end_date.get_or_insert(now);
        self
    }

    fn into_rows(page: AuditLogPage) -> (Vec<AuditLogEntry>, Option<u64>) {
        (page.entries, Some(page.total))
    }
}

impl Sealed for GetUserAuditLogs {}

impl Listing for GetUserAuditLogs {
    type Row = AuditLogEntry;
    type Id = AuditLogId;

    const ROWS: &'static str = "entries";
    const HAS_TOTAL: bool = true;

    paging!();

    fn into_rows(page: UserAuditLogPage) -> (Vec<AuditLogEntry>, Option<u64>) {
        (page.entries, Some(page.total))
    }
}
