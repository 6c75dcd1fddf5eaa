//! How each listing is asked for a page, and where its reply has what.

use super::listing::Listing;
use super::listing::sealed::{Internal, Sealed};
use crate::{
    ApiKey, ApiKeyId, AuditLogEntry, AuditLogId, AuditLogPage, GetUserAuditLogs, ListApiKeys,
    ListClients, ListUsers, OAuthClient, OAuthClientId, OAuthClientPage, QueryAuditLogs, Timestamp,
    User, UserAuditLogPage, UserId, UserPage,
};

/// What all listings have in common: the fields `limit` and `offset`, and rows with an `id`.
macro_rules! paging {
    ($row:ty, $id:ty) => {
        fn asked_limit(&self, _: Internal) -> Option<u64> {
            self.limit
        }

        fn asked_offset(&self, _: Internal) -> Option<u64> {
            self.offset
        }

        fn at_offset(self, offset: u64, _: Internal) -> Self {
            self.offset(offset)
        }

        fn id(row: &$row, _: Internal) -> &$id {
            &row.id
        }
    };
}

impl Listing for ListUsers {
    type Row = User;
    type Id = UserId;
}

impl Sealed<User, UserId> for ListUsers {
    fn rows_member(_: Internal) -> &'static str {
        "users"
    }

    fn has_total(_: Internal) -> bool {
        true
    }

    paging!(User, UserId);

    fn into_rows(page: UserPage, _: Internal) -> (Vec<User>, Option<u64>) {
        (page.users, Some(page.total))
    }
}

impl Listing for ListApiKeys {
    type Row = ApiKey;
    type Id = ApiKeyId;
}

impl Sealed<ApiKey, ApiKeyId> for ListApiKeys {
    fn rows_member(_: Internal) -> &'static str {
        "api_keys"
    }

    fn has_total(_: Internal) -> bool {
        false
    }

    paging!(ApiKey, ApiKeyId);

    fn into_rows(api_keys: Vec<ApiKey>, _: Internal) -> (Vec<ApiKey>, Option<u64>) {
        (api_keys, None)
    }
}

impl Listing for ListClients {
    type Row = OAuthClient;
    type Id = OAuthClientId;
}

impl Sealed<OAuthClient, OAuthClientId> for ListClients {
    fn rows_member(_: Internal) -> &'static str {
        "clients"
    }

    fn has_total(_: Internal) -> bool {
        true
    }

    paging!(OAuthClient, OAuthClientId);

    fn into_rows(page: OAuthClientPage, _: Internal) -> (Vec<OAuthClient>, Option<u64>) {
        (page.clients, Some(page.total))
    }
}

impl Listing for QueryAuditLogs {
    type Row = AuditLogEntry;
    type Id = AuditLogId;
}

impl Sealed<AuditLogEntry, AuditLogId> for QueryAuditLogs {
    fn rows_member(_: Internal) -> &'static str {
        "entries"
    }

    fn has_total(_: Internal) -> bool {
        true
    }

    paging!(AuditLogEntry, AuditLogId);

    fn up_to(mut self, now: Timestamp, _: Internal) -> Self {
        self.end_date.get_or_insert(now);
        self
    }

    fn into_rows(page: AuditLogPage, _: Internal) -> (Vec<AuditLogEntry>, Option<u64>) {
        (page.entries, Some(page.total))
    }
}

impl Listing for GetUserAuditLogs {
    type Row = AuditLogEntry;
    type Id = AuditLogId;
}

impl Sealed<AuditLogEntry, AuditLogId> for GetUserAuditLogs {
    fn rows_member(_: Internal) -> &'static str {
        "entries"
    }

    fn has_total(_: Internal) -> bool {
        true
    }

    paging!(AuditLogEntry, AuditLogId);

    fn into_rows(page: UserAuditLogPage, _: Internal) -> (Vec<AuditLogEntry>, Option<u64>) {
        (page.entries, Some(page.total))
    }
}
