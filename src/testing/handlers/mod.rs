//! The operations: each checks its arguments before it changes anything.

mod access;
mod api_keys;
mod audit_logs;
mod oauth_clients;
mod users;

use serde_json::Value;

pub(super) use oauth_clients::build as new_client;

use super::input::Input;
use super::respond::{Outcome, Reply};
use super::state::Store;
use crate::{Operation, Patch};

pub(super) fn perform(operation: &Operation, store: &mut Store, input: &Input) -> Outcome {
    let handler: fn(&mut Store, &Input) -> Outcome = match operation.id {
        "listUsers" => users::list,
        "getUser" => users::get,
        "createUser" => users::create,
        "updateUser" => users::update,
        "deleteUser" => users::delete,
        "updateUserPassword" => users::update_password,
        "blockUser" => users::block,
        "unblockUser" => users::unblock,
        "listUserSessions" => access::list_sessions,
        "revokeUserSession" => access::revoke_session,
        "revokeAllUserSessions" => access::revoke_all_sessions,
        "getUserMfaEnrollments" => access::list_mfa,
        "resetUserMfa" => access::reset_mfa,
        "listUserIdentities" => access::list_identities,
        "unlinkUserIdentity" => access::unlink_identity,
        "listUserTokens" => access::list_tokens,
        "revokeAllUserTokens" => access::revoke_all_tokens,
        "listApiKeys" => api_keys::list,
        "createApiKey" => api_keys::create,
        "revokeApiKey" => api_keys::revoke,
        "listClients" => oauth_clients::list,
        "getClient" => oauth_clients::get,
        "createClient" => oauth_clients::create,
        "updateClient" => oauth_clients::update,
        "deleteClient" => oauth_clients::delete,
        "rotateClientSecret" => oauth_clients::rotate_secret,
        "queryAuditLogs" => audit_logs::query,
        "getUserAuditLogs" => audit_logs::of_user,
        "getUserSecurityEvents" => audit_logs::security_of_user,
        "getUserStats" => users::stats,
        _ => return Err(Reply::not_found("Operation")),
    };
    handler(store, input)
}

/// Changes a field that always has a value.
fn set<T>(field: &mut T, change: Option<T>) {
    if let Some(value) = change {
        *field = value;
    }
}

/// Changes a field that may have none.
fn patch<T>(field: &mut Option<T>, change: Patch<T>) {
    match change {
        Patch::Keep => {}
        Patch::Clear => *field = None,
        Patch::Set(value) => *field = Some(value),
    }
}

/// The names of what a body of an update changes, for the audit log.
fn names(changes: &impl serde::Serialize) -> Vec<String> {
    match serde_json::to_value(changes) {
        Ok(Value::Object(changes)) => changes.into_iter().map(|(name, _)| name).collect(),
        _ => Vec::new(),
    }
}
