//! Whose a user is who is found after a create with no known outcome.

use serde_json::Map;

use super::changes::changes;
use crate::{CreateUser, Timestamp, User};

/// By how much the clocks of one server may differ, in milliseconds.
const SKEW: i64 = 60_000;

/// Whether `there`, which has the address of `sent`, may be what `sent` has created: it has what was
/// sent, and nothing that only another party can have given it. `before` is a time of the server's at which nothing was sent yet.
///
/// What a server fills in by itself (locale, roles, flags) tells nothing, and a password can't be
/// compared.
pub(super) fn may_be_ours(sent: &CreateUser, there: &User, before: Option<Timestamp>) -> bool {
    let is_older = before.is_some_and(|before| {
        there.created_at.as_millisecond() < before.as_millisecond().saturating_sub(SKEW)
    });
    let has_what_was_sent = changes(sent, there).is_none();
    let has_no_more = is_nothing_more(&sent.given_name, &there.given_name)
        && is_nothing_more(&sent.family_name, &there.family_name)
        && is_nothing_more(&sent.picture_url, &there.picture_url)
        && (sent.metadata.is_some() || there.metadata.as_ref().is_none_or(Map::is_empty));
    has_what_was_sent && has_no_more && !is_older
}

fn is_nothing_more(sent: &Option<String>, there: &Option<String>) -> bool {
    sent.is_some() || there.as_ref().is_none_or(String::is_empty)
}
