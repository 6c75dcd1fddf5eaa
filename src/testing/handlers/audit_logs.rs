//! The audit log.

use serde_json::json;

use crate::testing::input::Input;
use crate::testing::respond::{Outcome, Reply};
use crate::testing::state::Store;
use crate::{AuditLogEntry, AuditLogPage, AuditStatus, OAuthClientId, UserAuditLogPage, UserId};

/// The types of entries that matter for the security of a user, in alphabetical order.
const SECURITY_EVENTS: [&str; 10] = [
    "identity_unlinked",
    "login_failure",
    "mfa_enrolled",
    "mfa_reset",
    "password_changed",
    "session_revoked",
    "sessions_revoked",
    "tokens_revoked",
    "user_blocked",
    "user_unblocked",
];

pub(super) fn query(store: &mut Store, input: &Input) -> Outcome {
    let query = &input.query;
    let paging = query.paging()?;
    let user_id = query.text("user_id");
    let client_id = query.text("client_id");
    let event_type = query.text("event_type");
    let status = query.parsed("status", |text| match AuditStatus::from(text) {
        AuditStatus::Unknown(_) => None,
        status => Some(status),
    })?;
    let start = query.time("start_date")?;
    let end = query.time("end_date")?;
    let (entries, total) = paging.of(store.audit.newest_first().filter(|entry| {
        user_id.is_none_or(|id| is_about_user(entry, id))
            && client_id
                .is_none_or(|id| entry.client_id.as_ref().map(OAuthClientId::as_str) == Some(id))
            && event_type.is_none_or(|wanted| entry.event_type == wanted)
            && status.as_ref().is_none_or(|wanted| entry.status == *wanted)
            && start.is_none_or(|start| start <= entry.created_at)
            && end.is_none_or(|end| entry.created_at <= end)
    }));
    Ok(Reply::ok(&AuditLogPage {
        entries,
        total,
        limit: paging.limit,
        offset: paging.offset,
    }))
}

pub(super) fn of_user(store: &mut Store, input: &Input) -> Outcome {
    let paging = input.query.paging()?;
    let (entries, total) = paging.of(about_user(store, input));
    Ok(Reply::ok(&UserAuditLogPage { entries, total }))
}

pub(super) fn security_of_user(store: &mut Store, input: &Input) -> Outcome {
    let paging = input.query.paging()?;
    let (entries, _) = paging.of(about_user(store, input)
        .filter(|entry| SECURITY_EVENTS.contains(&entry.event_type.as_str())));
    Ok(Reply::ok(&json!({"entries": entries})))
}

fn about_user<'a>(store: &'a Store, input: &'a Input) -> impl Iterator<Item = &'a AuditLogEntry> {
    let id = input.param("user_id");
    store
        .audit
        .newest_first()
        .filter(move |entry| is_about_user(entry, id))
}

fn is_about_user(entry: &AuditLogEntry, id: &str) -> bool {
    entry.user_id.as_ref().map(UserId::as_str) == Some(id)
}
